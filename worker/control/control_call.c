/* Parameters, read and checked; problems as application/problem+json; which HTTP code a status
 * becomes.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_call.h"

#include "bridge/base/text/words.h"
#include "bridge/json/json.h"

#define STRANGERS_LIMIT 1000

/* ---- problems ---- */

int answer_code(enum status st) {
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
  } titles[] = {{400, "Bad Request"},         {401, "Unauthorized"},
                {403, "Forbidden"},           {404, "Not Found"},
                {405, "Method Not Allowed"},  {409, "Conflict"},
                {413, "Content Too Large"},   {501, "Not Implemented"},
                {503, "Service Unavailable"}, {507, "Insufficient Storage"}};
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

/* ---- parameters ---- */

const char *call_value(const struct call *call, const char *key) {
  for (size_t i = 0; i < call->query->count; i++)
    if (strcmp(call->query->pairs[i].key, key) == 0) return call->query->pairs[i].value;
  return NULL;
}

enum status call_bad(struct error *err, const char *key, const char *value, const char *expected) {
  return error_set(err, ST_INVALID, "Parameter %s is \"%.60s\": expected %s", key, value, expected);
}

enum status call_flag(const struct call *call, const char *key, bool *out, struct error *err) {
  const char *value = call_value(call, key);
  *out = value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
  if (!value || *out || strcmp(value, "0") == 0 || strcmp(value, "false") == 0) return ST_OK;
  return call_bad(err, key, value, "0 or 1");
}

enum status call_limit(const struct call *call, size_t fallback, size_t *out, struct error *err) {
  const char *value = call_value(call, "limit");
  uint64_t n = fallback;
  if (value && !number_parse(span_of(value), 1000000000, &n))
    return call_bad(err, "limit", value, "a number, 0 for all");
  if (call->stranger && (n == 0 || n > STRANGERS_LIMIT))
    return error_set(err, ST_DENIED, "limit is at most %d over TCP without the token of http.token",
                     STRANGERS_LIMIT);
  *out = (size_t)n;
  return ST_OK;
}

enum status call_selection(const struct call *call, struct selection *out, struct error *err) {
  struct error why = {0};
  enum status st = ST_OK;
  selection_init(out);
  for (size_t i = 0; i < call->query->count && st == ST_OK; i++) {
    const char *key = call->query->pairs[i].key, *value = call->query->pairs[i].value;
    if (selection_knows(key))
      st = selection_set(out, key, value, clock_wall_us(&clock_system), &why);
  }
  return st == ST_OK ? ST_OK : error_set(err, st, "Parameter %s", why.text);
}

enum status answer_words(struct answer *answer, int code, const char *text, struct error *err) {
  answer->code = code;
  answer->type = "text/plain; charset=utf-8";
  buffer_add_z(&answer->body, text);
  return buffer_status(&answer->body, err);
}
