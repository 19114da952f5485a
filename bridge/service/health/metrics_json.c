/* The period's figures, the counters and the account as JSON; beginning a new period. Also whether
 * the relay still turns.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/health/account.h"
#include "bridge/service/operations.h"

static void write_figures(const char *key, const struct figures *f, struct buffer *json,
                          bool *first) {
  bool inner = true;
  json_write_key(json, first, key);
  buffer_add_char(json, '{');
  member_int(json, &inner, "total", (int64_t)f->total);
  member_int(json, &inner, "failed", (int64_t)f->failed);
  member_real(json, &inner, "average_ms", f->average_ms);
  member_real(json, &inner, "p50_ms", f->p50_ms);
  member_real(json, &inner, "p95_ms", f->p95_ms);
  member_real(json, &inner, "failure_rate", figures_rate(f));
  buffer_add_char(json, '}');
}

static void write_counters(struct service *s, struct buffer *json, bool *first) {
  static const char *const results[] = {EVENT_RESULTS};
  bool inner = true;
  json_write_key(json, first, "counters");
  buffer_add_char(json, '{');
  member_int(json, &inner, "found",
             (int64_t)metrics_sum(s->metrics, METRIC_FOUND, NULL, NULL, false));
  member_int(json, &inner, "replayed",
             (int64_t)metrics_sum(s->metrics, METRIC_REPLAYED, NULL, NULL, false));
  for (size_t i = 0; i < sizeof results / sizeof *results; i++)
    member_int(json, &inner, results[i],
               (int64_t)metrics_sum(s->metrics, METRIC_EVENTS, NULL, results[i], false));
  buffer_add_char(json, '}');
}

/* null: the next start begins it, or this one has not seen the outbox yet. */
static void write_account(struct service *s, struct buffer *json, bool *first) {
  struct account a;
  bool inner = true;
  account_read(s, &a);
  json_write_key(json, first, "account");
  if (!a.known) {
    buffer_add_z(json, "null");
    return;
  }
  buffer_add_char(json, '{');
  member_time(json, &inner, "since", a.since_us);
  member_int(json, &inner, "pending_then", (int64_t)a.pending_then);
  member_int(json, &inner, "found", (int64_t)a.found);
  member_int(json, &inner, "replayed", (int64_t)a.replayed);
  member_int(json, &inner, "published", (int64_t)a.published);
  member_int(json, &inner, "duplicate", (int64_t)a.duplicate);
  member_int(json, &inner, "dead", (int64_t)a.dead);
  member_int(json, &inner, "vanished", (int64_t)a.vanished);
  member_int(json, &inner, "pending", (int64_t)a.pending);
  member_int(json, &inner, "missing", a.missing);
  member_bool(json, &inner, "balanced", a.missing == 0);
  buffer_add_char(json, '}');
}

static void write_metrics(struct service *s, struct buffer *json) {
  bool first = true;
  struct figures commands, events;
  figures_of_commands(s, &commands);
  figures_of_events(s, &events);
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_time(json, &first, "since", metrics_period_started_us(s->metrics));
  write_figures("commands", &commands, json, &first);
  write_figures("events", &events, json, &first);
  write_account(s, json, &first); /* brings the counters up to date */
  write_counters(s, json, &first);
  buffer_add_char(json, '}');
}

/* With reset the answer shows the period that ends. */
enum status service_metrics(struct service *s, bool reset, struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "metrics");
  enum status st = ST_OK;
  write_metrics(s, json);
  if (reset && s->mode == SERVICE_INSPECT) {
    st = error_set(err, ST_UNSUPPORTED,
                   "A new period can only be begun by whoever holds the outbox's lock");
  } else if (reset) {
    metrics_reset_period(s->metrics);
    st = saved_metrics_write(s, err);
  }
  if (st == ST_OK) st = buffer_status(json, err);
  return operation_end(&o, st);
}

static bool turned(struct service *s, int64_t us, int64_t limit_ms) {
  return us == TIME_NONE || (clock_wall_us(s->clock) - us) / 1000 < limit_ms;
}

static bool beats(struct service *s) {
  mutex_lock(&s->lock);
  int64_t limit = 2 * setting_number(s->settings, SETTING_HEALTH_HEARTBEAT);
  mutex_unlock(&s->lock);
  return clock_mono_ms(s->clock) - atomic_load(&s->beat_ms) <= limit;
}

/* Reader and finisher wait for the disk, and a restart does not make it faster: they have ten times
 * as long. */
bool service_alive(struct service *s) {
  if (s->standby) return beats(s);
  if (!s->relay) return true;
  struct relay_status *status = calloc(1, sizeof *status);
  if (!status) return true;
  mutex_lock(&s->lock);
  int64_t limit = 2 * setting_number(s->settings, SETTING_HEALTH_HEARTBEAT);
  mutex_unlock(&s->lock);
  relay_status(s->relay, status);
  bool alive = turned(s, status->heartbeat_us, limit) && turned(s, status->reader_us, 10 * limit) &&
               turned(s, status->finisher_us, 10 * limit);
  free(status);
  return alive;
}

void service_flush_cancel(struct service *s, uint64_t flush) {
  if (s->relay) relay_flush_cancel(s->relay, flush);
}
