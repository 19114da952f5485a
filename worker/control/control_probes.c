/* What is asked of the worker itself: version, topics, schemas, settings, alive, ready; in words
 * for probes, as JSON where Accept says so. A thread of each connection; a crash leaves nothing. */
#include "bridge/json/json.h"
#include "worker/control/control_call.h"

enum status answer_version(const struct call *call, struct answer *answer, struct error *err) {
  (void)call;
  buffer_add_z(&answer->body,
               "{\"version\": 1, \"busbridge\": \"" BUSBRIDGE_VERSION "\", \"api\": \"v1\"}");
  return buffer_status(&answer->body, err);
}

enum status answer_topics(const struct call *call, struct answer *answer, struct error *err) {
  return service_topics(call->service, &answer->body, err);
}

enum status answer_schemas(const struct call *call, struct answer *answer, struct error *err) {
  return service_schemas(call->service, &answer->body, err);
}

enum status answer_schema(const struct call *call, struct answer *answer, struct error *err) {
  return service_schema(call->service, call->name, &answer->body, err);
}

enum status answer_config(const struct call *call, struct answer *answer, struct error *err) {
  return service_config(call->service, &answer->body, err);
}

/* Words for people and probes, JSON for whoever says so in Accept. */
enum status answer_live(const struct call *call, struct answer *answer, struct error *err) {
  bool alive = service_alive(call->service);
  if (!call->wants_json)
    return answer_words(answer, alive ? 200 : 503,
                        alive ? "ok\n" : "the relay's loop does not turn\n", err);
  answer->code = alive ? 200 : 503;
  buffer_printf(&answer->body, "{\"version\": 1, \"alive\": %s}", alive ? "true" : "false");
  return buffer_status(&answer->body, err);
}

/* "not ready: draining: ...; Kafka has not answered yet: ..." */
static void reasons_in_words(struct span json, struct buffer *out) {
  struct json_doc doc = {0};
  if (json_scan(&doc, json, NULL) == ST_OK) {
    uint32_t checks = json_member(&doc, 0, "checks");
    for (uint32_t c = checks + 1; c < doc.nodes[checks].next; c = doc.nodes[c].next) {
      if (doc.nodes[json_member(&doc, c, "ok")].type == JSON_TRUE) continue;
      buffer_add_z(out, out->len ? "; " : "not ready: ");
      json_unescape(&doc, json_member(&doc, c, "text"), out);
    }
  }
  json_doc_release(&doc);
  buffer_add_char(out, '\n');
}

static void ready_words(struct service *s, struct buffer *out) {
  char what[SERVICE_WAITS_TEXT];
  if (service_stands_by(s))
    buffer_printf(out, "standby\n%s\n", service_waits_for(s, what));
  else
    buffer_add_z(out, "ok\n");
}

enum status answer_ready(const struct call *call, struct answer *answer, struct error *err) {
  struct buffer words = {0};
  bool ready = false;
  enum status st = service_ready(call->service, call->draining, &ready, &answer->body, err);
  if (st != ST_OK) return st;
  answer->code = ready ? 200 : 503;
  if (call->wants_json) return ST_OK;
  if (ready)
    ready_words(call->service, &words);
  else
    reasons_in_words(buffer_span(&answer->body), &words);
  buffer_clear(&answer->body);
  st = answer_words(answer, answer->code, buffer_z(&words), err);
  buffer_release(&words);
  return st;
}
