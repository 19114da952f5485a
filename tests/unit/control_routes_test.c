/* The control API's routes over the operations: what each method and path answers, and every
 * status's HTTP code. */
#include "bridge/base/disk/durable.h"
#include "bridge/service/operations.h"
#include "tests/unit/service_box.h"
#include "worker/control/control_call.h"
#include "worker/control/control_routes.h"

#include <errno.h>

static struct answer answer;
static const char *ask(const char *method, const char *path, const char *key, const char *value,
                       int code) {
  struct query query = {0};
  if (key) {
    query.pairs[0].key = key;
    query.pairs[0].value = value;
    query.count = 1;
  }
  buffer_release(&answer.body);
  answer = (struct answer){0};
  route_request(&(struct call){.service = service, .query = &query}, method, path, &answer);
  const char *text = buffer_z(&answer.body);
  if (answer.code != code) fail_msg("%s %s: %d %s", method, path, answer.code, text);
  return text;
}

CASE(test_routes_answer_with_the_operations) {
  put_pending("p-1");
  put_dead("d-1", "d-1");
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v1/version", NULL, NULL, 200), BUSBRIDGE_VERSION);
  assert_string_equal(answer.type, "application/json");
  assert_has(ask("GET", "/v1/status", "detailed", "1", 200), "\"errors\"");
  assert_has(ask("GET", "/v1/entries", "type", "dlq", 200),
             "\"total\": 1, \"entries\": [{\"id\": \"d-1\"");
  assert_has(ask("GET", "/v1/entries", NULL, NULL, 200), "\"total\": 2");
  assert_has(ask("HEAD", "/v1/entries", "type", "pending", 200), "\"total\": 1");
  assert_has(ask("POST", "/v1/replay", "id", "d-1", 200), "\"from\": \"dlq\"");
  assert_has(ask("POST", "/v1/flush", "dry_run", "1", 200), "\"count\": 2");
  assert_has(ask("GET", "/v1/metrics", NULL, NULL, 200), "\"replayed\": 1");
  assert_has(ask("POST", "/v1/metrics", "reset", "true", 200), "\"since\"");
  assert_has(ask("GET", "/metrics", "anything", "goes", 200), "busbridge_replayed_total 1\n");
  assert_string_equal(ask("GET", "/livez", NULL, NULL, 200), "ok\n");
  assert_string_equal(ask("GET", "/readyz", NULL, NULL, 200), "ok\n");
  buffer_release(&answer.body);
}

static int full_disk(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx, (void)name;
  return !after && (op == DURABLE_OPEN || op == DURABLE_UNLINK) ? ENOSPC : 0;
}

CASE(test_a_pause_is_kept_and_ends_once) {
  put_pending("a-1");
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "{\"version\": 1, \"paused\": false");
  assert_has(ask("POST", "/v1/pause", "reason", "st\303\266rung", 200),
             "\"paused\": true, \"changed\": true, \"since\": \"2");
  assert_has(ask("POST", "/v1/pause", "reason", "another", 200), "\"changed\": false");
  assert_has(buffer_z(&answer.body), "\"by\": null, \"reason\": \"st\303\266rung\"");
  service_close(service, 0);
  open_outbox(SERVICE_INSPECT);
  buffer_clear(&json);
  const char *text = answered(service_health(service, false, &json, &err));
  assert_has(text, "\"state\": 1, \"text\": \"Publishing is paused since ");
  assert_has(text, "\"paused\": {\"since\": \"2");
  service_close(service, 0);
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("DELETE", "/v1/pause", NULL, NULL, 200),
             "\"paused\": false, \"changed\": true, \"since\"");
  assert_has(ask("POST", "/v1/resume", NULL, NULL, 200),
             "\"paused\": false, \"changed\": false, \"worker\"");
  assert_false(there(".busbridge/paused"));
  put(".busbridge/paused", "1");
  service_close(service, 0);
  open_outbox(SERVICE_INSPECT); /* what is not understood is a pause */
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "does not tell: it is not a JSON object");
  put(".busbridge/paused", "");
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"since\": null, \"by\": null");
  buffer_release(&answer.body);
}

CASE(test_a_pause_that_cannot_be_kept_is_none) {
  open_outbox(SERVICE_CHANGE);
  durable_set_hook(full_disk, NULL);
  ask("POST", "/v1/pause", NULL, NULL, 507);
  durable_set_hook(NULL, NULL);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"paused\": false");
  ask("POST", "/v1/pause", NULL, NULL, 200);
  durable_set_hook(full_disk, NULL);
  ask("POST", "/v1/resume", NULL, NULL, 507);
  durable_set_hook(NULL, NULL);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"paused\": true");
  char reason[401];
  memset(reason, 'x', 400);
  reason[400] = '\0';
  assert_has(ask("POST", "/v1/pause", "reason", reason, 400), "at most 399 bytes");
  buffer_release(&answer.body);
}

CASE(test_routes_refuse_in_words) {
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v2/status", NULL, NULL, 404),
             "\"type\": \"about:blank\", \"title\": \"Not Found\"");
  assert_string_equal(answer.type, "application/problem+json");
  ask("GET", "/v1/flush/", NULL, NULL, 404);
  ask("GET", "/v1/flush/1x", NULL, NULL, 404);
  ask("GET", "/v1/flush/99999999999999999999", NULL, NULL, 404);
  assert_has(ask("DELETE", "/v1/status", NULL, NULL, 405), "Method Not Allowed");
  assert_string_equal(answer.allow, "GET");
  ask("PUT", "/v1/metrics", NULL, NULL, 405);
  assert_string_equal(answer.allow, "GET, POST");
  assert_has(ask("GET", "/v1/entries", "type", "both", 400),
             "Parameter type \\\"both\\\": expected");
  assert_has(ask("GET", "/v1/entries", "limit", "-1", 400), "Parameter limit");
  assert_has(ask("GET", "/v1/entries", "namespaces", "x", 400),
             "Parameter \\\"namespaces\\\" is not known here");
  assert_has(ask("GET", "/v1/dead", "type", "all", 400),
             "Parameter \\\"type\\\" is not known here");
  assert_has(ask("GET", "/v1/dead", "reason", "schema_missmatch", 400),
             "did you mean schema_mismatch?");
  assert_has(ask("GET", "/v1/entries/none", NULL, NULL, 404), "No entry \\\"none\\\"");
  assert_has(ask("GET", "/v1/entries/none/raw", "type", "dlq", 404), "No dead letter \\\"none\\\"");
  assert_has(ask("GET", "/v1/entries/a/b", NULL, NULL, 404), "no such path");
  assert_has(ask("GET", "/v1/entries/", NULL, NULL, 404), "no such path");
  assert_has(ask("GET", "/v1/status", "detailed", "maybe", 400), "expected 0 or 1");
  assert_has(ask("POST", "/v1/flush", "limit", "many", 400), "\"code\": \"");
  assert_has(ask("POST", "/v1/replay", NULL, NULL, 400), "Which dead letters?");
  assert_has(ask("POST", "/v1/replay", "id", "", 400), "Parameter id is empty");
  assert_has(ask("POST", "/v1/replay", "id", "x", 404), "No dead letter");
  assert_has(ask("GET", "/v1/flush/7", NULL, NULL, 404), "no flush 7");
  ask("POST", "/v1/flush/7/cancel", NULL, NULL, 404);
  ask("POST", "/v1/flush", "limit", "0", 501); /* only a relay can */
  buffer_release(&answer.body);
}

CASE(test_readyz_says_that_it_drains) {
  open_outbox(SERVICE_CHANGE);
  struct query query = {0};
  struct answer drained = {0};
  route_request(&(struct call){.service = service, .draining = true, .query = &query}, "GET",
                "/readyz", &drained);
  assert_int_equal(drained.code, 503);
  assert_string_equal(buffer_z(&drained.body),
                      "not ready: draining: it ends and takes nothing more\n");
  buffer_clear(&drained.body);
  route_request(&(struct call){.service = service, .wants_json = true, .query = &query}, "GET",
                "/readyz", &drained);
  assert_int_equal(drained.code, 200);
  assert_has(buffer_z(&drained.body), "\"ready\": true");
  buffer_release(&drained.body);
}

CASE(test_every_status_has_its_http_code) {
  static const struct {
    enum status st;
    int code;
  } codes[] = {{ST_OK, 200},          {ST_NOT_FOUND, 404}, {ST_EXISTS, 409}, {ST_BUSY, 409},
               {ST_INVALID, 400},     {ST_TOO_LARGE, 413}, {ST_DENIED, 403}, {ST_UNAVAILABLE, 503},
               {ST_UNSUPPORTED, 501}, {ST_NO_SPACE, 507},  {ST_IO, 500},     {ST_NO_MEMORY, 500}};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    assert_int_equal(answer_code(codes[i].st), codes[i].code);
}
