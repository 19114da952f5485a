/* Own headers: which members of the payload go along as headers of the record.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/plan.h"

#include <strings.h>

static const struct header_rule no_headers[] = {{NULL, NULL}};

/* ---- the settings ---- */

static enum status refuse_header(const struct said *said, struct span word, const char *why,
                                 struct error *err) {
  return error_set(err, ST_INVALID, "%s: \"%.*s\": %s", said->key, routing_shown(word), word.ptr,
                   why);
}

/* Visible ASCII, so that every client can name it. */
static bool name_sound(struct span name) {
  for (size_t i = 0; i < name.len; i++)
    if (name.ptr[i] <= ' ' || name.ptr[i] > '~') return false;
  return name.len > 0;
}

static bool name_begins(const char *name, const char *front) {
  return strncasecmp(name, front, strlen(front)) == 0;
}

/* Whoever reads without regard to case must not take ours for CloudEvents' or Confluent's. */
static bool taken(const char *name) {
  static const char *const ours[] = {"content-type", "traceparent", "tracestate"};
  static const char schema_id[] = "_schema_id";
  size_t len = strlen(name), end = strlen(schema_id);
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcasecmp(name, ours[i]) == 0) return true;
  return name_begins(name, "ce_") || name_begins(name, "busbridge-") ||
         (name_begins(name, "__") && len > end && strcasecmp(name + len - end, schema_id) == 0);
}

static bool listed(const struct header_rule *list, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i].name, name) == 0) return true;
  return false;
}

static enum status add_header(struct routing *r, const struct said *said, struct span word,
                              struct header_rule *list, size_t count, struct error *err) {
  struct span name, path;
  if (!routing_halves(word, &name, &path))
    return refuse_header(said, word, "write NAME=FIELD", err);
  if (!name_sound(name))
    return refuse_header(said, word, "the name of a header is of visible ASCII characters", err);
  if (!routing_path_sound(path))
    return refuse_header(
        said, word,
        "what stands behind = is not a field; write NAME=FIELD (customer.id for id of customer)",
        err);
  const char *kept = arena_copy(&r->memory, name), *steps = routing_path_copy(r, path);
  if (!kept || !steps) return routing_no_memory(err);
  if (taken(kept))
    return refuse_header(
        said, word,
        "that header is not to be had: ce_*, content-type, traceparent, tracestate, busbridge-* "
        "and __*_schema_id have a meaning of their own",
        err);
  if (listed(list, count, kept))
    return refuse_header(said, word, "that header is there already", err);
  if (count == OWN_HEADERS_MAX)
    return error_set(err, ST_INVALID, "%s: more than %d headers", said->key, OWN_HEADERS_MAX);
  list[count] = (struct header_rule){kept, steps};
  return ST_OK;
}

/* The next of "a=x b=y" or "a=x, b=y": no name and no field has a comma in it. */
static bool next_header(struct span *rest, struct span *word) {
  while (rest->len && strchr(" \t\r\n,", *rest->ptr))
    *rest = (struct span){rest->ptr + 1, rest->len - 1};
  if (!routing_word(rest, word)) return false;
  const char *comma = memchr(word->ptr, ',', word->len);
  if (!comma) return true;
  rest->len += (size_t)(rest->ptr - comma);
  rest->ptr = comma;
  word->len = (size_t)(comma - word->ptr);
  return true;
}

static enum status parse(struct routing *r, const struct said *said, const struct header_rule **out,
                         struct error *err) {
  struct span rest = said->value, word;
  size_t count = 0;
  *out = no_headers;
  if (span_is(rest, "none")) return ST_OK;
  struct header_rule *list = arena_zalloc(&r->memory, (OWN_HEADERS_MAX + 1) * sizeof *list);
  if (!list) return routing_no_memory(err);
  for (; next_header(&rest, &word); count++) {
    enum status st = add_header(r, said, word, list, count, err);
    if (st != ST_OK) return st;
  }
  if (count == 0)
    return error_set(err, ST_INVALID,
                     "%s: no header is named; write NAME=FIELD words, or none for no headers",
                     said->key);
  *out = list;
  return ST_OK;
}

enum status headers_plan(struct routing *r, struct error *err) {
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < r->rule_count; i++) {
    struct rule *rule = r->rules[i];
    const struct rule *above = rules_above(r, rule);
    rule->headers = above ? above->headers : no_headers;
    if (rule->own[ROUTE_HEADERS]) st = parse(r, &rule->said[ROUTE_HEADERS], &rule->headers, err);
  }
  return st;
}

/* ---- an event ---- */

static enum reason no_header(const struct rule *rule, const struct header_rule *h,
                             const struct json_doc *doc, const struct event *event, bool array,
                             struct error *err) {
  struct buffer path = {0};
  if (!err) return REASON_BAD_HEADER;
  routing_path_shown(doc, event, h->path, &path);
  error_set(err, ST_INVALID,
            "%s: it is the header %.60s by %s, and %s makes none; a header is a string, a "
            "number or a boolean",
            buffer_z(&path), h->name, rule->said[ROUTE_HEADERS].key,
            array ? "an array" : "an object");
  buffer_release(&path);
  return REASON_BAD_HEADER;
}

static enum reason too_large(const struct rule *rule, size_t bytes, struct error *err) {
  if (err)
    error_set(err, ST_INVALID, "the headers of %s take %zu bytes, and %d are the most",
              rule->said[ROUTE_HEADERS].key, bytes, OWN_HEADERS_BYTES);
  return REASON_HEADER_TOO_LARGE;
}

static enum reason no_memory(struct error *err) {
  if (err) error_set(err, ST_NO_MEMORY, "no memory for the headers of an event");
  return REASON_NO_MEMORY;
}

/* *there: it has a value. */
static enum reason value_of(const struct rule *rule, const struct header_rule *h,
                            const struct json_doc *doc, const struct event *event,
                            struct arena *arena, struct span *out, bool *there, struct error *err) {
  uint32_t node = routing_member_at(doc, event->payload, h->path);
  enum json_type type = node == JSON_NONE ? JSON_NULL : doc->nodes[node].type;
  *there = type != JSON_NULL;
  if (type == JSON_NULL) return REASON_NONE;
  if (type == JSON_ARRAY || type == JSON_OBJECT)
    return no_header(rule, h, doc, event, type == JSON_ARRAY, err);
  *out = json_slice(doc, node);
  if (type == JSON_STRING && !json_text(doc, node, arena, out)) return no_memory(err);
  return REASON_NONE;
}

enum reason headers_find(const struct rule *rule, const struct json_doc *doc,
                         const struct event *event, struct arena *arena, struct route *out,
                         struct error *err) {
  size_t bytes = 0, most = 0;
  if (!rule->headers->name || event->payload == JSON_NONE) return REASON_NONE;
  while (rule->headers[most].name) most++;
  struct own_header *list = arena_zalloc(arena, most * sizeof *list);
  if (!list) return no_memory(err);
  out->headers = list;
  for (const struct header_rule *h = rule->headers; h->name; h++) {
    struct span value;
    bool there;
    enum reason why = value_of(rule, h, doc, event, arena, &value, &there, err);
    if (why != REASON_NONE) return why;
    if (!there) continue;
    bytes += strlen(h->name) + value.len;
    list[out->header_count++] = (struct own_header){h->name, value};
  }
  return bytes <= OWN_HEADERS_BYTES ? REASON_NONE : too_large(rule, bytes, err);
}
