/* The table of the control API's paths, and finding the row of a request.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_routes.h"

#include "bridge/base/text/words.h"

#define JSON_TYPE "application/json"
#define ROUTE_BODY 1   /* takes a request body: ids, a payload, copies */
#define ROUTE_RIGHTS 2 /* a question too private for everyone on the network: it shows payloads */
#define ROUTE_WALK 4   /* may read every file there is */

/* {id} stands for a number, {name} for one step of any characters but '/' (percent-decoded before
 * it comes here). */
static const struct row {
  const char *method, *path;
  answer_fn answer;
  const char *parameters; /* words: the only ones taken; NULL: probes may send what they like */
  unsigned flags;         /* ROUTE_* */
} routes[] = {
    {"GET", "/v1/status", answer_status, "detailed", 0},
    {"GET", "/v1/entries", answer_entries, SELECTION_TYPE " " SELECTION_FILTERS " limit",
     ROUTE_WALK},
    {"GET", "/v1/dead", answer_dead, SELECTION_FILTERS " limit", ROUTE_WALK},
    {"GET", "/v1/groups", answer_groups, SELECTION_FILTERS " limit", ROUTE_WALK},
    {"GET", "/v1/entries/{name}", answer_entry, SELECTION_TYPE " file", ROUTE_RIGHTS | ROUTE_WALK},
    {"GET", "/v1/entries/{name}/raw", answer_entry_raw, SELECTION_TYPE " file",
     ROUTE_RIGHTS | ROUTE_WALK},
    {"POST", "/v1/entries/{name}/payload", answer_entry_payload, "file force", ROUTE_BODY},
    {"POST", "/v1/import", answer_import, "", ROUTE_BODY},
    {"POST", "/v1/flush", answer_flush, "limit dry_run", 0},
    {"GET", "/v1/flush/{id}", answer_flush_progress, "", 0},
    {"DELETE", "/v1/flush/{id}", answer_flush_cancel, "", 0},
    {"POST", "/v1/flush/{id}/cancel", answer_flush_cancel, "", 0},
    {"GET", "/v1/pause", answer_pause_state, "", 0},
    {"POST", "/v1/pause", answer_pause, "reason", 0},
    {"DELETE", "/v1/pause", answer_resume, "", 0},
    {"POST", "/v1/resume", answer_resume, "", 0},
    {"POST", "/v1/replay", answer_replay,
     "id force all dry_run " SELECTION_TYPE " " SELECTION_FILTERS, ROUTE_BODY},
    {"GET", "/v1/replay", answer_replay_list, "", 0},
    {"GET", "/v1/replay/{id}", answer_replay_progress, "", 0},
    {"POST", "/v1/replay/{id}/step", answer_replay_step, "limit", 0},
    {"DELETE", "/v1/replay/{id}", answer_replay_cancel, "", 0},
    {"POST", "/v1/replay/{id}/cancel", answer_replay_cancel, "", 0},
    {"POST", "/v1/purge", answer_purge, "all dry_run " SELECTION_TYPE " " SELECTION_FILTERS,
     ROUTE_BODY},
    {"GET", "/v1/purge", answer_purge_list, "", 0},
    {"GET", "/v1/purge/{id}", answer_purge_progress, "", 0},
    {"POST", "/v1/purge/{id}/step", answer_purge_step, "limit", 0},
    {"DELETE", "/v1/purge/{id}", answer_purge_cancel, "", 0},
    {"POST", "/v1/purge/{id}/cancel", answer_purge_cancel, "", 0},
    {"GET", "/v1/purge/{id}/entries", answer_purge_entries, "from limit", ROUTE_RIGHTS},
    {"GET", "/v1/metrics", answer_metrics, "", 0},
    {"POST", "/v1/metrics", answer_metrics, "reset", 0},
    {"GET", "/v1/version", answer_version, "", 0},
    {"GET", "/v1/config", answer_config, "", 0},
    {"GET", "/v1/topics", answer_topics, "", 0},
    {"GET", "/v1/schemas", answer_schemas, "", 0},
    {"GET", "/v1/schemas/{name}", answer_schema, "", 0},
    {"GET", "/v1/openapi.json", answer_openapi, "", 0},
    {"GET", "/livez", answer_live, NULL, 0},
    {"GET", "/readyz", answer_ready, NULL, 0},
    {"GET", "/metrics", answer_prometheus, NULL, 0},
};
#define ROUTES (sizeof routes / sizeof *routes)

static bool take_hole(const char *hole, struct span value, struct call *call) {
  if (strncmp(hole, "{id}", 4) == 0) return number_parse(value, UINT64_MAX, &call->id);
  if (!value.len || value.len >= sizeof call->name) return false;
  memcpy(call->name, value.ptr, value.len);
  call->name[value.len] = '\0';
  return true;
}

static bool path_matches(const char *pattern, const char *path, struct call *call) {
  const char *hole = strchr(pattern, '{');
  if (!hole) return strcmp(pattern, path) == 0;
  size_t before = (size_t)(hole - pattern);
  if (strncmp(pattern, path, before) != 0) return false;
  struct span value = {path + before, strcspn(path + before, "/")};
  return strcmp(strchr(hole, '}') + 1, value.ptr + value.len) == 0 && take_hole(hole, value, call);
}

/* HEAD is answered as GET (libmicrohttpd leaves the body out). */
static const struct row *find_route(const char *method, const char *path, struct call *call,
                                    struct answer *answer) {
  size_t used = 0;
  if (strcmp(method, "HEAD") == 0) method = "GET";
  for (size_t i = 0; i < ROUTES; i++) {
    if (!path_matches(routes[i].path, path, call)) continue;
    if (strcmp(routes[i].method, method) == 0) {
      answer->allow[0] = '\0';
      return &routes[i];
    }
    used += (size_t)snprintf(answer->allow + used, sizeof answer->allow - used, "%s%s",
                             used ? ", " : "", routes[i].method);
  }
  return NULL;
}

static bool is_repeated(const struct query *query, size_t at) {
  for (size_t i = 0; i < at; i++)
    if (strcmp(query->pairs[i].key, query->pairs[at].key) == 0) return true;
  return false;
}

static enum status check_parameters(const struct row *route, const struct query *query,
                                    struct error *err) {
  if (!route->parameters) return ST_OK;
  if (query->overflow) return error_set(err, ST_INVALID, "More than %d parameters", QUERY_MAX);
  for (size_t i = 0; i < query->count; i++) {
    struct span rest = span_of(route->parameters), word;
    bool known = false;
    while (!known && span_word(&rest, &word)) known = span_is(word, query->pairs[i].key);
    if (!known)
      return error_set(err, ST_INVALID, "Parameter \"%.60s\" is not known here; there %s%s",
                       query->pairs[i].key, *route->parameters ? "are: " : "are none",
                       route->parameters);
    if (is_repeated(query, i))
      return error_set(err, ST_INVALID, "Parameter \"%.60s\" is given twice: it takes one value",
                       query->pairs[i].key);
  }
  return ST_OK;
}

void routes_print(struct buffer *out) {
  for (size_t i = 0; i < ROUTES; i++)
    buffer_printf(out, "%-6s %-24s %s%s%s\n", routes[i].method, routes[i].path,
                  routes[i].parameters ? routes[i].parameters : "",
                  routes[i].flags & ROUTE_BODY ? " (body)" : "",
                  routes[i].flags & ROUTE_RIGHTS ? " (token)" : "");
}

struct route_needs route_needs(const char *method, const char *path) {
  struct answer ignored = {0};
  struct call call = {0};
  const struct row *route = find_route(method, path, &call, &ignored);
  unsigned flags = route ? route->flags : 0;
  return (struct route_needs){.body = flags & ROUTE_BODY ? ROUTE_IDS_MAX : 0,
                              .walks = flags & ROUTE_WALK,
                              .rights = flags & ROUTE_RIGHTS};
}

void route_request(const struct call *request, const char *method, const char *path,
                   struct answer *answer) {
  struct call call = *request;
  struct error err = {0};
  const struct row *route = find_route(method, path, &call, answer);
  if (!route && answer->allow[0]) {
    answer_problem(answer, 405, ST_UNSUPPORTED, "This path is not asked in that way; see Allow");
    return;
  }
  if (!route) {
    answer_problem(answer, 404, ST_NOT_FOUND, "There is no such path; the API begins with /v1/");
    return;
  }
  const char *closed =
      strcmp(route->method, "GET") == 0 ? NULL
      : call.draining
          ? "The worker is being stopped; ask again when it is gone or the next one runs"
      : call.standby ? "This worker is a standby; ask the one that holds the outbox"
                     : NULL;
  if (closed) {
    answer_problem(answer, 503, ST_UNAVAILABLE, closed);
    return;
  }
  answer->code = 200;
  answer->type = JSON_TYPE;
  enum status st = check_parameters(route, call.query, &err);
  if (st == ST_OK) st = route->answer(&call, answer, &err);
  if (st != ST_OK) {
    answer_problem(answer, answer_code(st), st, err.text);
  } else if (strcmp(answer->type, JSON_TYPE) == 0) {
    buffer_add_char(&answer->body, '\n');
  }
}
