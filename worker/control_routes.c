#include "worker/control_routes.h"

#include "bridge/base/words.h"
#include "bridge/json/json.h"

#define JSON_TYPE "application/json"

struct call {
  struct service *service;
  bool draining;
  const struct query *query;
  uint64_t id; /* the path's number, where it has one */
};

/* To add a path: a function, and a row in `routes` below. {id} stands for a number; parameters are the only ones taken.
 */
typedef enum status (*answer_fn)(const struct call *call, struct answer *answer, struct error *err);

/* ---- problems -------------------------------------------------------------------------------------------------- */

static int http_code(enum status st) {
  switch (st) {
  case ST_OK:
  case ST_AGAIN:
  case ST_END: return 200;
  case ST_NOT_FOUND: return 404;
  case ST_EXISTS:
  case ST_BUSY:
  case ST_CANCELLED: return 409;
  case ST_INVALID: return 400;
  case ST_TOO_LARGE: return 413;
  case ST_DENIED: return 403;
  case ST_UNAVAILABLE: return 503;
  case ST_UNSUPPORTED: return 501;
  case ST_NO_SPACE: return 507;
  case ST_IO:
  case ST_NO_MEMORY: break;
  }
  return 500;
}

static const char *title_of(int code) {
  static const struct {
    int code;
    const char *title;
  } titles[] = {{400, "Bad Request"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {409, "Conflict"},
                {413, "Content Too Large"},
                {501, "Not Implemented"},
                {503, "Service Unavailable"},
                {507, "Insufficient Storage"}};
  for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
    if (titles[i].code == code) return titles[i].title;
  return "Internal Server Error";
}

void answer_problem(struct answer *answer, int code, enum status st, const char *detail) {
  struct buffer *out = &answer->body;
  bool first = true;
  buffer_clear(out);
  answer->code = code;
  answer->type = "application/problem+json";
  buffer_add_char(out, '{');
  json_write_key(out, &first, "type");
  buffer_add_z(out, "\"about:blank\"");
  json_write_key(out, &first, "title");
  json_write_string(out, span_of(title_of(code)));
  json_write_key(out, &first, "status");
  json_write_int(out, code);
  json_write_key(out, &first, "detail");
  json_write_string(out, span_of(detail));
  json_write_key(out, &first, "code");
  json_write_string(out, span_of(status_name(st)));
  buffer_add_z(out, "}\n");
}

/* ---- parameters ------------------------------------------------------------------------------------------------ */

static const char *value_of(const struct call *call, const char *key) {
  for (size_t i = 0; i < call->query->count; i++)
    if (strcmp(call->query->pairs[i].key, key) == 0) return call->query->pairs[i].value;
  return NULL;
}

static enum status bad_value(struct error *err, const char *key, const char *value, const char *expected) {
  return error_set(err, ST_INVALID, "Parameter %s is \"%.60s\": expected %s", key, value, expected);
}

static enum status take_flag(const struct call *call, const char *key, bool *out, struct error *err) {
  const char *value = value_of(call, key);
  *out = value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
  if (!value || *out || strcmp(value, "0") == 0 || strcmp(value, "false") == 0) return ST_OK;
  return bad_value(err, key, value, "0 or 1");
}

static enum status take_limit(const struct call *call, size_t fallback, size_t *out, struct error *err) {
  const char *value = value_of(call, "limit");
  uint64_t n = fallback;
  if (value && !number_parse(span_of(value), 1000000000, &n))
    return bad_value(err, "limit", value, "a number, 0 for all");
  *out = (size_t)n;
  return ST_OK;
}

/* ---- the answers ------------------------------------------------------------------------------------------------ */

static enum status answer_status(const struct call *call, struct answer *answer, struct error *err) {
  bool detailed;
  enum status st = take_flag(call, "detailed", &detailed, err);
  return st == ST_OK ? service_health(call->service, detailed, &answer->body, err) : st;
}

static enum status answer_entries(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request = {.pending = true, .dead = true};
  const char *type = value_of(call, "type");
  if (type && strcmp(type, "all") != 0) {
    request.pending = strcmp(type, "pending") == 0;
    request.dead = strcmp(type, "dlq") == 0;
    if (!request.pending && !request.dead) return bad_value(err, "type", type, "pending, dlq or all");
  }
  enum status st = take_limit(call, 50, &request.limit, err);
  return st == ST_OK ? service_list(call->service, &request, &answer->body, err) : st;
}

static enum status answer_flush(const struct call *call, struct answer *answer, struct error *err) {
  struct flush_request request = {0};
  enum status st = take_limit(call, 100, &request.limit, err);
  if (st == ST_OK) st = take_flag(call, "dry_run", &request.dry_run, err);
  if (st == ST_OK) st = service_flush(call->service, &request, &answer->body, err);
  if (st == ST_OK && !request.dry_run) answer->code = 202;
  return st;
}

static enum status answer_flush_progress(const struct call *call, struct answer *answer, struct error *err) {
  return service_flush_progress(call->service, call->id, &answer->body, err);
}

static enum status answer_flush_cancel(const struct call *call, struct answer *answer, struct error *err) {
  enum status st = service_flush_progress(call->service, call->id, &answer->body, err);
  if (st != ST_OK) return st;
  service_flush_cancel(call->service, call->id);
  buffer_clear(&answer->body);
  return service_flush_progress(call->service, call->id, &answer->body, err);
}

static enum status answer_replay(const struct call *call, struct answer *answer, struct error *err) {
  struct replay_request request = {.id = value_of(call, "id")};
  if (!request.id || !*request.id) return error_set(err, ST_INVALID, "Parameter id is missing");
  enum status st = take_flag(call, "force", &request.force, err);
  return st == ST_OK ? service_replay(call->service, &request, &answer->body, err) : st;
}

static enum status answer_metrics(const struct call *call, struct answer *answer, struct error *err) {
  bool reset;
  enum status st = take_flag(call, "reset", &reset, err);
  return st == ST_OK ? service_metrics(call->service, reset, &answer->body, err) : st;
}

static enum status answer_version(const struct call *call, struct answer *answer, struct error *err) {
  (void)call;
  buffer_add_z(&answer->body, "{\"version\": 1, \"busbridge\": \"" BUSBRIDGE_VERSION "\", \"api\": \"v1\"}");
  return buffer_status(&answer->body, err);
}

static enum status answer_prometheus(const struct call *call, struct answer *answer, struct error *err) {
  answer->type = "text/plain; version=0.0.4; charset=utf-8";
  return service_prometheus(call->service, &answer->body, err);
}

static enum status answer_words(struct answer *answer, int code, const char *text, struct error *err) {
  answer->code = code;
  answer->type = "text/plain; charset=utf-8";
  buffer_add_z(&answer->body, text);
  return buffer_status(&answer->body, err);
}

static enum status answer_live(const struct call *call, struct answer *answer, struct error *err) {
  bool alive = service_alive(call->service);
  return answer_words(answer, alive ? 200 : 503, alive ? "ok\n" : "the relay has not turned for two minutes\n", err);
}

static enum status answer_ready(const struct call *call, struct answer *answer, struct error *err) {
  return answer_words(answer, call->draining ? 503 : 200, call->draining ? "draining\n" : "ok\n", err);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

static const struct row {
  const char *method, *path;
  answer_fn answer;
  const char *parameters; /* words */
} routes[] = {
    {"GET", "/v1/status", answer_status, "detailed"},
    {"GET", "/v1/entries", answer_entries, "type limit"},
    {"POST", "/v1/flush", answer_flush, "limit dry_run"},
    {"GET", "/v1/flush/{id}", answer_flush_progress, ""},
    {"DELETE", "/v1/flush/{id}", answer_flush_cancel, ""},
    {"POST", "/v1/flush/{id}/cancel", answer_flush_cancel, ""},
    {"POST", "/v1/replay", answer_replay, "id force"},
    {"GET", "/v1/metrics", answer_metrics, ""},
    {"POST", "/v1/metrics", answer_metrics, "reset"},
    {"GET", "/v1/version", answer_version, ""},
    {"GET", "/livez", answer_live, NULL}, /* NULL: probes may send what they like */
    {"GET", "/readyz", answer_ready, NULL},
    {"GET", "/metrics", answer_prometheus, NULL},
};
#define ROUTES (sizeof routes / sizeof *routes)

static bool path_matches(const char *pattern, const char *path, uint64_t *id) {
  const char *hole = strstr(pattern, "{id}");
  if (!hole) return strcmp(pattern, path) == 0;
  size_t before = (size_t)(hole - pattern), digits;
  if (strncmp(pattern, path, before) != 0) return false;
  digits = strspn(path + before, "0123456789");
  return number_parse((struct span){path + before, digits}, UINT64_MAX, id) &&
         strcmp(hole + 4, path + before + digits) == 0;
}

/* HEAD is answered as GET (libmicrohttpd leaves the body out). */
static const struct row *find_route(const char *method, const char *path, uint64_t *id, struct answer *answer) {
  size_t used = 0;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  for (size_t i = 0; i < ROUTES; i++) {
    if (!path_matches(routes[i].path, path, id)) continue;
    if (strcmp(routes[i].method, method) == 0) {
      answer->allow[0] = '\0';
      return &routes[i];
    }
    used +=
        (size_t)snprintf(answer->allow + used, sizeof answer->allow - used, "%s%s", used ? ", " : "", routes[i].method);
  }
  return NULL;
}

static enum status check_parameters(const struct row *route, const struct query *query, struct error *err) {
  if (!route->parameters) return ST_OK;
  if (query->overflow) return error_set(err, ST_INVALID, "More than %d parameters", QUERY_MAX);
  for (size_t i = 0; i < query->count; i++) {
    struct span rest = span_of(route->parameters), word;
    bool known = false;
    while (!known && span_word(&rest, &word)) known = span_is(word, query->pairs[i].key);
    if (!known)
      return error_set(err, ST_INVALID, "Parameter \"%.60s\" is not known here; there %s%s", query->pairs[i].key,
                       *route->parameters ? "are: " : "are none", route->parameters);
  }
  return ST_OK;
}

void route_request(struct service *service, bool draining, const char *method, const char *path,
                   const struct query *query, struct answer *answer) {
  struct call call = {.service = service, .draining = draining, .query = query};
  struct error err = {0};
  const struct row *route = find_route(method, path, &call.id, answer);
  if (!route && answer->allow[0]) {
    answer_problem(answer, 405, ST_UNSUPPORTED, "This path is not asked in that way; see Allow");
    return;
  }
  if (!route) {
    answer_problem(answer, 404, ST_NOT_FOUND, "There is no such path; the API begins with /v1/");
    return;
  }
  answer->code = 200;
  answer->type = JSON_TYPE;
  enum status st = check_parameters(route, query, &err);
  if (st == ST_OK) st = route->answer(&call, answer, &err);
  if (st != ST_OK) {
    answer_problem(answer, http_code(st), st, err.text);
  } else if (strcmp(answer->type, JSON_TYPE) == 0) {
    buffer_add_char(&answer->body, '\n');
  }
}
