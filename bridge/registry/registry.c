/* The client: one request at a time, of the URL that answered last, then of the others.
 * The thread of the client; a crash leaves nothing that the next one needs. */
#include "bridge/base/text/escape.h"
#include "bridge/registry/parts.h"

#include <inttypes.h>

#define MEDIA "application/vnd.schemaregistry.v1+json"
#define VERDICT "is_compatible"

enum { WANTS_ID = 1, WANTS_TEXT = 2, WANTS_LIST = 4, WANTS_VERDICT = 8 };

/* ---- open and close ---- */

static bool is_url(struct span word) {
  size_t head = span_starts(word, "http://") ? 7 : span_starts(word, "https://") ? 8 : 0;
  return head && word.len > head && word.ptr[head] != '/' && !memchr(word.ptr, '#', word.len);
}

enum status registry_config_check(const struct registry_config *config, struct error *err) {
  struct span rest = span_of(config->urls ? config->urls : ""), word;
  size_t count = 0;
  for (; span_word(&rest, &word); count++) {
    if (!is_url(word) || count == URLS_MOST)
      return error_set(
          err, ST_INVALID,
          "registry.url: write URLs, http://HOST:PORT or https://HOST/PATH, at most %d", URLS_MOST);
    /* What is asked for is put behind it. */
    if (memchr(word.ptr, '?', word.len))
      return error_set(err, ST_INVALID,
                       "registry.url: a registry's URL has no query: take out ? and what is behind "
                       "it (a ? of a password is %%3F)");
  }
  if (!count) return error_set(err, ST_INVALID, "registry.url names no URL");
  return auth_config_check(config, err);
}

/* Without user and query. */
static const char *shown(struct registry *r, struct span url) {
  const char *begin = memmem(url.ptr, url.len, "://", 3);
  size_t head = (size_t)(begin + 3 - url.ptr);
  const char *query = memchr(url.ptr, '?', url.len);
  size_t end = query ? (size_t)(query - url.ptr) : url.len;
  const char *at = memrchr(url.ptr, '@', end); /* not one of the query */
  struct buffer text = {0};
  size_t from = at ? (size_t)(at - url.ptr) + 1 : head;
  buffer_append(&text, url.ptr, head);
  buffer_append(&text, url.ptr + from, end - from);
  const char *kept = arena_copy(&r->memory, buffer_span(&text));
  buffer_release(&text);
  return kept;
}

static enum status open_url(struct registry *r, struct span word, struct error *err) {
  const struct registry_config *c = &r->config;
  const struct http_options options = {.proxy = c->proxy,
                                       .ca_file = c->ca_file,
                                       .certificate = c->certificate,
                                       .key = c->key,
                                       .key_password = c->key_password,
                                       .body_most = REGISTRY_BODY_MOST,
                                       .over = c->over};
  struct url *url = &r->urls[r->url_count];
  while (word.len && word.ptr[word.len - 1] == '/') word.len--;
  const char *base = arena_copy(&r->memory, word);
  url->shown = shown(r, word);
  if (!base || !url->shown) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = http_open_tls(base, &options, &url->http, err);
  if (st == ST_OK) r->url_count++;
  return st;
}

static enum status open_oauth(struct registry *r, struct error *err) {
  const struct registry_config *c = &r->config;
  const struct http_options options = {
      .proxy = c->proxy, .ca_file = c->ca_file, .body_most = 1024 * 1024, .over = c->over};
  if (!c->oauth_url || !*c->oauth_url) return ST_OK;
  if (!is_url(span_of(c->oauth_url)))
    return error_set(err, ST_INVALID, "registry.oauth_url is not an http:// or https:// URL");
  r->oauth_shown = shown(r, span_of(c->oauth_url));
  if (!r->oauth_shown) return error_set(err, ST_NO_MEMORY, "out of memory");
  return http_open_tls(c->oauth_url, &options, &r->oauth, err);
}

/* False: out of memory. */
static bool copy_texts(struct registry *r) {
  struct registry_config *c = &r->config;
  const char **texts[] = {&c->urls,      &c->username,    &c->password,     &c->token_file,
                          &c->oauth_url, &c->oauth_id,    &c->oauth_secret, &c->oauth_scope,
                          &c->ca_file,   &c->certificate, &c->key,          &c->key_password,
                          &c->proxy};
  bool ok = true;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (*texts[i]) ok = (*texts[i] = arena_copy(&r->memory, span_of(*texts[i]))) && ok;
  return ok;
}

static enum status show_all(struct registry *r, struct error *err) {
  struct buffer text = {0};
  for (size_t i = 0; i < r->url_count; i++)
    buffer_printf(&text, "%s%s", i ? ", " : "", r->urls[i].shown);
  r->shown = arena_copy(&r->memory, buffer_span(&text));
  buffer_release(&text);
  return r->shown ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
}

enum status registry_open(const struct registry_config *config, struct registry **out,
                          struct error *err) {
  enum status st = registry_config_check(config, err);
  if (st != ST_OK) return st;
  struct registry *r = calloc(1, sizeof *r);
  if (!r) return error_set(err, ST_NO_MEMORY, "out of memory");
  r->config = *config;
  if (!r->config.clock) r->config.clock = &clock_system;
  r->retry_after_ms = -1;
  if (!copy_texts(r)) st = error_set(err, ST_NO_MEMORY, "out of memory");
  struct span rest = span_of(st == ST_OK ? r->config.urls : ""), word;
  while (st == ST_OK && span_word(&rest, &word)) st = open_url(r, word, err);
  if (st == ST_OK) st = open_oauth(r, err);
  if (st == ST_OK) st = show_all(r, err);
  if (st != ST_OK) {
    registry_close(r);
    return st;
  }
  *out = r;
  return ST_OK;
}

void registry_close(struct registry *r) {
  if (!r) return;
  for (size_t i = 0; i < r->url_count; i++) http_close(r->urls[i].http);
  http_close(r->oauth);
  buffer_release(&r->token);
  buffer_release(&r->body);
  buffer_release(&r->request);
  buffer_release(&r->path);
  json_doc_release(&r->doc);
  arena_release(&r->answer);
  arena_release(&r->memory);
  free(r);
}

const char *registry_shown(const struct registry *r) {
  return r->shown;
}

int64_t registry_retry_after_ms(const struct registry *r) {
  return r->retry_after_ms;
}

/* ---- one request ---- */

static int64_t error_code_of(const struct registry *r, bool json) {
  int64_t code = -1;
  uint32_t node = json && r->doc.nodes[0].type == JSON_OBJECT
                      ? json_member(&r->doc, 0, "error_code")
                      : JSON_NONE;
  if (node != JSON_NONE &&
      (r->doc.nodes[node].type != JSON_NUMBER || !json_int(&r->doc, node, &code) || code < 0))
    code = 0;
  return code;
}

static void tell_refused(const struct registry *r, struct error *err) {
  struct buffer words = {0};
  uint32_t node =
      r->doc.nodes[0].type == JSON_OBJECT ? json_member(&r->doc, 0, "message") : JSON_NONE;
  if (node != JSON_NONE && r->doc.nodes[node].type == JSON_STRING)
    json_unescape(&r->doc, node, &words);
  error_set(err, ST_INVALID, "%s", words.len ? buffer_z(&words) : "the registry refuses it");
  buffer_release(&words);
}

/* A 401 is asked again once, where there may be another token by now. */
static enum status send(struct registry *r, struct url *url, const struct request *q,
                        struct http_answer *answer, struct error *err) {
  enum status st = ST_OK;
  for (int tries = 0; tries < 2; tries++) {
    struct http_call call = {.method = q->method,
                             .path = buffer_z(&r->path),
                             .body = buffer_span(&r->request),
                             .content_type = MEDIA,
                             .accept = MEDIA ", application/json",
                             .timeout_ms = r->config.timeout_ms};
    *answer = (struct http_answer){0, -1};
    buffer_clear(&r->body);
    st = auth_put(r, &call, err);
    if (st != ST_OK) return st;
    st = http_call(url->http, &call, answer, &r->body, err);
    registry_count(r, q->op, st == ST_OK ? answer->code : 0);
    if (st != ST_OK || answer->code != 401 || !auth_again(r)) break;
  }
  return st;
}

static bool is_object(const struct registry *r) {
  return r->doc.nodes[0].type == JSON_OBJECT;
}

static int64_t number_at(const struct registry *r, const char *name, int64_t least) {
  int64_t n = REGISTRY_NO_ID;
  uint32_t node = json_member(&r->doc, 0, name);
  bool good = node != JSON_NONE && r->doc.nodes[node].type == JSON_NUMBER &&
              json_int(&r->doc, node, &n) && n >= least && n <= INT32_MAX;
  return good ? n : REGISTRY_NO_ID;
}

static enum json_type type_at(const struct registry *r, const char *name) {
  uint32_t node = is_object(r) ? json_member(&r->doc, 0, name) : JSON_NONE;
  return node == JSON_NONE ? JSON_NULL : (enum json_type)r->doc.nodes[node].type;
}

/* What the answer should have and has not; NULL: nothing. */
static const char *lacks(const struct registry *r, unsigned wants) {
  if (wants & WANTS_LIST) return r->doc.nodes[0].type == JSON_ARRAY ? NULL : "list of versions";
  if (!is_object(r)) return "members";
  if (wants & WANTS_ID && number_at(r, "id", 0) == REGISTRY_NO_ID) return "id";
  if (wants & WANTS_TEXT && type_at(r, "schema") != JSON_STRING) return "schema";
  bool said = type_at(r, VERDICT) == JSON_TRUE || type_at(r, VERDICT) == JSON_FALSE;
  return wants & WANTS_VERDICT && !said ? VERDICT : NULL;
}

static enum registry_said ask_one(struct registry *r, struct url *url, const struct request *q,
                                  struct error *err) {
  struct http_answer answer;
  struct error why = {0};
  struct buffer words = {0};
  enum status st = send(r, url, q, &answer, &why);
  r->retry_after_ms = answer.retry_after_ms;
  bool json = st == ST_OK && json_scan(&r->doc, buffer_span(&r->body), NULL) == ST_OK;
  int64_t code = error_code_of(r, json);
  enum registry_said said =
      st == ST_OK ? registry_judge(q->op, answer.code, json, code) : REGISTRY_NOWHERE;
  const char *lacking = said == REGISTRY_GIVEN ? lacks(r, q->wants) : NULL;
  if (said == REGISTRY_MISSING || said == REGISTRY_REFUSED) tell_refused(r, err);
  if (lacking) said = REGISTRY_NOWHERE;
  if (said != REGISTRY_NOWHERE) return said;
  if (lacking)
    buffer_printf(&words, "its answer has no %s", lacking);
  else if (st == ST_OK)
    registry_judge_words(answer.code, json, code, &words);
  else
    buffer_add_z(&words, why.text);
  error_set(err, ST_UNAVAILABLE, "no registry there: %s %s%s: %s", q->method, url->shown,
            buffer_z(&r->path), buffer_z(&words));
  buffer_release(&words);
  return said;
}

static enum registry_said ask(struct registry *r, enum registry_op op, const char *method,
                              unsigned wants, struct error *err) {
  struct error ignored;
  const struct request q = {op, method, wants};
  enum registry_said said = REGISTRY_NOWHERE;
  if (!err) err = &ignored;
  arena_reset(&r->answer);
  if (r->path.failed || r->request.failed) {
    error_set(err, ST_NO_MEMORY, "out of memory");
    return said;
  }
  for (size_t i = 0; i < r->url_count; i++) {
    size_t at = (r->first + i) % r->url_count;
    said = ask_one(r, &r->urls[at], &q, err);
    if (said == REGISTRY_NOWHERE) continue;
    r->first = at;
    return said;
  }
  return said;
}

/* ---- what is asked, and what is answered ---- */

/* before, the subject, behind. */
static void put_path(struct registry *r, const char *before, const char *subject,
                     const char *behind) {
  buffer_clear(&r->path);
  buffer_clear(&r->request);
  buffer_add_z(&r->path, before);
  percent_write(&r->path, span_of(subject));
  buffer_add_z(&r->path, behind);
}

static void put_schema(struct registry *r, struct span text, const char *type) {
  bool first = true;
  buffer_add_char(&r->request, '{');
  json_write_key(&r->request, &first, "schema");
  json_write_string(&r->request, text);
  if (type && strcmp(type, "AVRO") != 0) {
    json_write_key(&r->request, &first, "schemaType");
    json_write_string(&r->request, span_of(type));
  }
  buffer_add_char(&r->request, '}');
}

static struct span text_at(struct registry *r, const char *name) {
  struct span text = {0};
  uint32_t node = json_member(&r->doc, 0, name);
  bool good = node != JSON_NONE && r->doc.nodes[node].type == JSON_STRING &&
              json_text(&r->doc, node, &r->answer, &text);
  return good ? text : (struct span){0};
}

static enum registry_said take_schema(struct registry *r, enum registry_said said,
                                      struct registry_schema *out) {
  if (said != REGISTRY_GIVEN) return said;
  uint32_t references = json_member(&r->doc, 0, "references");
  *out = (struct registry_schema){.id = number_at(r, "id", 0),
                                  .version = number_at(r, "version", 1),
                                  .text = text_at(r, "schema"),
                                  .type = text_at(r, "schemaType")};
  out->references = references != JSON_NONE && r->doc.nodes[references].count > 0;
  return said;
}

enum registry_said registry_look_up(struct registry *r, const char *subject, struct span text,
                                    const char *type, bool normalize, struct registry_schema *out,
                                    struct error *err) {
  put_path(r, "/subjects/", subject, normalize ? "?normalize=true" : "");
  put_schema(r, text, type);
  return take_schema(r, ask(r, OP_LOOK_UP, "POST", WANTS_ID, err), out);
}

enum registry_said registry_register(struct registry *r, const char *subject, struct span text,
                                     const char *type, bool normalize, struct registry_schema *out,
                                     struct error *err) {
  put_path(r, "/subjects/", subject, normalize ? "/versions?normalize=true" : "/versions");
  put_schema(r, text, type);
  return take_schema(r, ask(r, OP_REGISTER, "POST", WANTS_ID, err), out);
}

/* What "messages" of the answer says, each behind the other; Apicurio 2 has a "reason". */
static void tell_messages(struct registry *r, struct error *err) {
  struct buffer words = {0};
  uint32_t list = json_member(&r->doc, 0, "messages"), at = list + 1;
  bool array = list != JSON_NONE && r->doc.nodes[list].type == JSON_ARRAY;
  for (uint32_t i = 0; array && i < r->doc.nodes[list].count; i++, at = r->doc.nodes[at].next) {
    if (r->doc.nodes[at].type != JSON_STRING) continue;
    if (words.len) buffer_add_z(&words, "; ");
    json_unescape(&r->doc, at, &words);
  }
  uint32_t reason = json_member(&r->doc, 0, "reason");
  if (!words.len && reason != JSON_NONE && r->doc.nodes[reason].type == JSON_STRING)
    json_unescape(&r->doc, reason, &words);
  error_set(err, ST_INVALID, "%s", words.len ? buffer_z(&words) : "the registry does not say why");
  buffer_release(&words);
}

enum registry_said registry_compatible(struct registry *r, const char *subject, struct span text,
                                       const char *type, bool *compatible, struct error *err) {
  put_path(r, "/compatibility/subjects/", subject, "/versions/latest?verbose=true");
  put_schema(r, text, type);
  enum registry_said said = ask(r, OP_COMPATIBLE, "POST", WANTS_VERDICT, err);
  if (said != REGISTRY_GIVEN) return said;
  *compatible = type_at(r, VERDICT) == JSON_TRUE;
  if (!*compatible) tell_messages(r, err);
  return said;
}

static int newer(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

enum registry_said registry_versions(struct registry *r, const char *subject,
                                     int64_t versions[REGISTRY_VERSIONS], size_t *count,
                                     struct error *err) {
  put_path(r, "/subjects/", subject, "/versions");
  enum registry_said said = ask(r, OP_VERSIONS, "GET", WANTS_LIST, err);
  *count = 0;
  if (said != REGISTRY_GIVEN) return said;
  size_t all = r->doc.nodes[0].count, found = 0;
  int64_t *list = calloc(all + 1, sizeof *list), n;
  for (uint32_t i = 0, at = 1; list && i < all; i++, at = r->doc.nodes[at].next)
    if (r->doc.nodes[at].type == JSON_NUMBER && json_int(&r->doc, at, &n) && n > 0 &&
        n <= INT32_MAX)
      list[found++] = n;
  if (list) qsort(list, found, sizeof *list, newer);
  for (; list && *count < found && *count < REGISTRY_VERSIONS; (*count)++)
    versions[*count] = list[*count];
  free(list);
  return said;
}

enum registry_said registry_version(struct registry *r, const char *subject, int64_t version,
                                    struct registry_schema *out, struct error *err) {
  char behind[40];
  snprintf(behind, sizeof behind, "/versions/%" PRId64, version);
  put_path(r, "/subjects/", subject, behind);
  return take_schema(r, ask(r, OP_VERSION, "GET", WANTS_ID | WANTS_TEXT, err), out);
}

enum registry_said registry_by_id(struct registry *r, int64_t id, struct registry_schema *out,
                                  struct error *err) {
  char text[24];
  snprintf(text, sizeof text, "%" PRId64, id);
  put_path(r, "/schemas/ids/", text, "");
  return take_schema(r, ask(r, OP_ID, "GET", WANTS_TEXT, err), out);
}

bool registry_cluster(struct registry *r, char out[REGISTRY_CLUSTER]) {
  put_path(r, "/v1/metadata/id", "", "");
  out[0] = '\0';
  if (ask(r, OP_CLUSTER, "GET", 0, NULL) != REGISTRY_GIVEN) return false;
  uint32_t scope = json_member(&r->doc, 0, "scope"), clusters = JSON_NONE, id = JSON_NONE;
  if (scope != JSON_NONE && r->doc.nodes[scope].type == JSON_OBJECT)
    clusters = json_member(&r->doc, scope, "clusters");
  if (clusters != JSON_NONE && r->doc.nodes[clusters].type == JSON_OBJECT)
    id = json_member(&r->doc, clusters, "schema-registry-cluster");
  struct span text = {0};
  if (id == JSON_NONE || r->doc.nodes[id].type != JSON_STRING ||
      !json_text(&r->doc, id, &r->answer, &text))
    return false;
  snprintf(out, REGISTRY_CLUSTER, "%.*s", SPAN_ARGS(text));
  return *out != '\0';
}
