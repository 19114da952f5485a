/* May work be sent to this worker? Cheap enough to be asked every second.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"

struct readiness {
  struct buffer *json;
  bool ready;
};

PRINTF_LIKE(4, 5)
static void say_check(struct readiness *r, const char *check, bool ok, const char *fmt, ...) {
  char text[700];
  bool first = true;
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (r->json->len && r->json->ptr[r->json->len - 1] == '}') buffer_add_z(r->json, ", ");
  buffer_add_char(r->json, '{');
  member_text(r->json, &first, "check", span_of(check));
  member_bool(r->json, &first, "ok", ok);
  member_text(r->json, &first, "text", span_of(text));
  buffer_add_char(r->json, '}');
  r->ready = r->ready && ok;
}

static void check_folders(struct service *s, struct readiness *r) {
  struct error err = {0};
  bool folders = store_traits(s->store)->at_path;
  bool fine = store_writable(s->store, &err) == ST_OK;
  say_check(r, folders ? "folders" : "outbox", fine, "%s",
            !fine     ? err.text
            : folders ? "the outbox's folders are writable"
                      : "the outbox is writable");
}

/* Ready for what it is there for, else no rolling update would ever end. */
static void check_standby(struct service *s, struct readiness *r) {
  char what[SERVICE_WAITS_TEXT];
  say_check(r, "standby", true, "%s", service_waits_for(s, what));
}

/* Whether there is an outbox at all nobody knows yet. */
static void check_away(struct service *s, struct readiness *r) {
  char what[SERVICE_WAITS_TEXT];
  say_check(r, "lock", false, "the outbox does not answer yet: %s", service_waits_for(s, what));
}

static void check_lock(struct service *s, struct readiness *r) {
  struct error err = {0};
  bool ours = store_check(s->store, &err) == ST_OK;
  say_check(r, "lock", ours, "%s", ours ? "the outbox is held by this worker" : err.text);
}

static const struct breaker_view *kafka_door(const struct relay_status *status) {
  for (size_t i = 0; i < status->breaker_count; i++)
    if (!strcmp(status->breakers[i].target, "kafka")) return &status->breakers[i];
  return NULL;
}

static enum status check_relay(struct service *s, struct readiness *r, struct error *err) {
  struct relay_status *status = malloc(sizeof *status);
  if (!status) return error_set(err, ST_NO_MEMORY, "Out of memory");
  relay_status(s->relay, status);
  const struct breaker_view *door = kafka_door(status);
  if (status->reached)
    say_check(r, "kafka", true, "Kafka has answered");
  else
    say_check(r, "kafka", false, "Kafka has not answered yet%s%s%s%s", door ? ": " : "",
              door ? door->reason : "", door ? ". " : "",
              door ? door->remedy : "; if that stays so, check kafka.bootstrap.servers");
  say_check(r, "relay", status->failed == ST_OK, "%s",
            status->failed == ST_OK ? "the relay goes on" : status->failure);
  free(status);
  return ST_OK;
}

enum status service_ready(struct service *s, bool draining, bool *ready, struct buffer *json,
                          struct error *err) {
  struct buffer checks = {0};
  struct readiness r = {.json = &checks, .ready = true};
  say_check(&r, "draining", !draining, "%s",
            draining ? "draining: it ends and takes nothing more" : "it is not ending");
  say_check(&r, "settings", true, "the settings are valid");
  check_folders(s, &r);
  if (s->mode != SERVICE_INSPECT) check_lock(s, &r);
  if (s->away)
    check_away(s, &r);
  else if (s->standby)
    check_standby(s, &r);
  enum status st = s->relay ? check_relay(s, &r, err) : ST_OK;
  *ready = r.ready && st == ST_OK;
  buffer_printf(json, "{\"version\": 1, \"ready\": %s, \"checks\": [", *ready ? "true" : "false");
  buffer_add(json, buffer_span(&checks));
  buffer_add_z(json, "]}");
  json->failed = json->failed || checks.failed;
  buffer_release(&checks);
  return st == ST_OK ? buffer_status(json, err) : st;
}
