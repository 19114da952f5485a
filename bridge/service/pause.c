/* Publishing is stopped by hand, and goes on. The note is written first, so that a crash keeps what
 * was promised.
 * Any thread. */
#include "bridge/service/audit.h"
#include "bridge/service/operations.h"

void service_paused(struct service *s, struct store_pause *out) {
  if (s->mode == SERVICE_INSPECT) {
    store_pause_read(s->store, out);
    return;
  }
  mutex_lock(&s->lock);
  *out = s->pause;
  mutex_unlock(&s->lock);
}

void write_pause(const struct store_pause *pause, struct buffer *json, bool *first) {
  member_time(json, first, "since", pause->since_us);
  member_text_or_null(json, first, "by", span_of(pause->by));
  member_text_or_null(json, first, "reason", span_of(pause->reason));
}

static enum status write_answer(struct service *s, const struct store_pause *pause,
                                const bool *changed, struct buffer *json, struct error *err) {
  struct store_counts counts;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_bool(json, &first, "paused", pause->on);
  if (changed) member_bool(json, &first, "changed", *changed);
  if (pause->on || (changed && *changed)) write_pause(pause, json, &first);
  if (service_follows(s) && store_counts(s->store, &counts, NULL) == ST_OK &&
      counts.listed) /* without a pass over the folders */
    member_int(json, &first, "pending", (int64_t)counts.pending);
  member_bool(json, &first, "worker", s->relay != NULL);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

static enum status take_reason(const char *from, struct store_pause *pause, struct error *err) {
  const size_t most = sizeof pause->reason - 1;
  if (!from) from = "";
  if (strlen(from) > most)
    return error_set(err, ST_INVALID, "The reason has at most %zu bytes", most);
  snprintf(pause->reason, sizeof pause->reason, "%s", from);
  return ST_OK;
}

/* Lock held. */
static enum status pause_now(struct service *s, const struct store_pause *pause,
                             struct error *err) {
  enum status st = store_pause_write(s->store, pause, err);
  if (st != ST_OK) return st;
  s->pause = *pause;
  if (s->relay) relay_pause(s->relay, true);
  log_write(s->log, LOG_WARNING, "service", "paused",
            FIELDS(F_TEXT("by", pause->by), F_TEXT("reason", pause->reason)),
            "Nothing more is published until: busbridge resume");
  return ST_OK;
}

enum status service_pause(struct service *s, const struct pause_request *request,
                          struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "pause");
  struct store_pause pause = {.on = true, .since_us = clock_wall_us(s->clock)};
  bool changed = false;
  BUG_ON(s->mode == SERVICE_INSPECT);
  caller_name(request->by, pause.by, sizeof pause.by);
  enum status st = take_reason(request->reason, &pause, err);
  if (st != ST_OK) return operation_end(&o, st);
  mutex_lock(&s->lock);
  if (!s->pause.on) {
    changed = true;
    st = pause_now(s, &pause, err);
  }
  pause = s->pause;
  mutex_unlock(&s->lock);
  if (st == ST_OK && changed) audit_write(s, request->by, "pause", span_of(pause.reason), NULL, 0);
  if (st == ST_OK) st = write_answer(s, &pause, &changed, json, err);
  return operation_end(&o, st);
}

enum status service_resume(struct service *s, const struct pause_request *request,
                           struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "resume");
  enum status st = ST_OK;
  char name[sizeof s->pause.by];
  BUG_ON(s->mode == SERVICE_INSPECT);
  mutex_lock(&s->lock);
  struct store_pause was = s->pause;
  if (was.on) {
    st = store_pause_remove(s->store, err);
    if (st == ST_NOT_FOUND) st = ST_OK; /* taken away by hand */
    if (st == ST_OK) s->pause = (struct store_pause){.since_us = TIME_NONE};
    if (st == ST_OK && s->relay) relay_pause(s->relay, false);
  }
  mutex_unlock(&s->lock);
  if (st == ST_OK && was.on) {
    caller_name(request->by, name, sizeof name);
    log_write(s->log, LOG_INFO, "service", "resumed", FIELDS(F_TEXT("by", name)),
              "Publishing goes on");
    audit_write(s, request->by, "resume", SPAN(""), NULL, 0);
  }
  bool changed = was.on;
  was.on = false;
  if (st == ST_OK) st = write_answer(s, &was, &changed, json, err);
  return operation_end(&o, st);
}

enum status service_pause_state(struct service *s, struct buffer *json, struct error *err) {
  struct store_pause pause;
  service_paused(s, &pause);
  return write_answer(s, &pause, NULL, json, err);
}
