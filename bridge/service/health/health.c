/* Gathers the facts about outbox, relay, Redis and disk, has them judged, and writes the answer,
 * with the errors of dead letters if asked.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/table.h"
#include "bridge/base/text/words.h"
#include "bridge/service/entries/groups.h"
#include "bridge/service/health/health_rules.h"
#include "bridge/service/health/unplaced.h"
#include "bridge/service/typed_hint.h"

#include <inttypes.h>

#define ERROR_CHARACTERS 50 /* as the producers' own tool cuts them */
#define ERROR_KINDS 20      /* shown */
#define ERROR_KINDS_KEPT 1000
#define UNREAD_AMONG 1000 /* entries that are looked through for one that nobody may read */

/* ---- gathering the facts ---- */

static void gather_keys(struct service *s, struct facts *f) {
  struct span nothing = SPAN("health");
  struct arena arena = {0};
  bool seen;
  keys_state(s->keys, &f->keys);
  f->keys_known = f->keys.up || f->keys.errors > 0;
  /* Without a worker nobody has asked Redis yet: one question tells. */
  if (s->mode != SERVICE_RELAY && !f->keys_known && !f->keys.off) {
    if (keys_check(s->keys, &nothing, 1, &seen, NULL, &arena) != ST_NO_MEMORY) f->keys_known = true;
    keys_state(s->keys, &f->keys);
  }
  arena_release(&arena);
}

static int64_t disk_free(struct service *s) {
  struct store_space space;
  store_space(s->store, &space);
  return space.known ? space.bytes : -1;
}

static bool take_aside(void *ctx, const struct aside_info *info) {
  struct facts *f = ctx;
  store_aside_words(info, f->aside, sizeof f->aside);
  snprintf(f->aside_next, sizeof f->aside_next, "%s", info->remedy);
  return true;
}

/* The first thing that would keep a worker from starting. */
static void take_refusal(struct service *s, struct facts *f) {
  struct buffer errors = {0};
  configure_check(s->settings, &errors);
  size_t len = strcspn(buffer_z(&errors), "\n");
  snprintf(f->refused, sizeof f->refused, "%.*s", (int)len, buffer_z(&errors));
  buffer_release(&errors);
}

static void gather_typed(const struct service *s, struct facts *f) {
  char folder[PATH_MAX];
  f->typed_unread = typed_unread(s->settings, folder);
  if (f->typed_unread) snprintf(f->typed, sizeof f->typed, "%s", folder);
}

/* Told for a week. */
static void gather_loss(struct service *s, struct facts *f) {
  const int64_t week_us = INT64_C(7) * 24 * 3600 * 1000000;
  struct buffer text = {0};
  if (store_loss_read(s->store, &f->loss, &text, NULL) == ST_OK) {
    struct span ids = text_cut(f->loss.ids, sizeof f->lost_ids - 1);
    snprintf(f->lost_ids, sizeof f->lost_ids, "%.*s", SPAN_ARGS(ids));
    f->went_back = f->now_us - f->loss.at_us < week_us;
  }
  f->loss.ids = (struct span){0};
  buffer_release(&text);
}

static bool take_unread(void *ctx, const struct entry_info *info) {
  struct facts *f = ctx;
  if (!info->unread) return true;
  struct span words = text_cut(info->last_error, sizeof f->unread - 1);
  if (!f->unread[0]) snprintf(f->unread, sizeof f->unread, "%.*s", SPAN_ARGS(words));
  f->unread_seen++;
  return true;
}

/* The first of them, as far as it is among the oldest; where no reader counts them, how many of
 * those. */
static void gather_unread(struct service *s, struct facts *f) {
  uint64_t total;
  bool looks = s->mode == SERVICE_INSPECT && store_traits(s->store)->at_path;
  if (!f->counts.unreadable && !looks) return;
  enum status st =
      store_list(s->store, LIST_PENDING | LIST_LOOK, UNREAD_AMONG, take_unread, f, &total, NULL);
  (void)st; /* then none is named */
  if (!f->counts.unreadable) f->counts.unreadable = f->unread_seen;
}

/* status: where the relay's is put; why: a buffer for the store's words. */
static void gather_facts(struct service *s, struct relay_status *status, struct error *why,
                         struct facts *f) {
  *f = (struct facts){.now_us = clock_wall_us(s->clock), .relay = s->relay != NULL};
  f->counts.oldest_us = TIME_NONE;
  if (service_count(s, &f->counts, why) != ST_OK) f->unreadable = why->text;
  if (s->relay) {
    relay_status(s->relay, status);
    f->status = status;
  } else if (s->mode == SERVICE_INSPECT) {
    f->owned = store_owner(s->store, &f->owner);
    f->unanswered = s->unanswered;
    f->standby = s->standby;
    f->away = s->away;
    if (f->standby) service_waits_for(s, f->waits);
    if (!f->owned && !f->standby) take_refusal(s, f);
  }
  store_standby_words(s->store, f->standbys);
  service_paused(s, &f->pause);
  mutex_lock(&s->lock);
  memcpy(f->schemas_refused, s->schemas_refused, sizeof f->schemas_refused);
  mutex_unlock(&s->lock);
  figures_of_commands(s, &f->commands);
  figures_of_events(s, &f->events);
  gather_keys(s, f);
  f->disk_free = disk_free(s);
  f->left = store_left(s->store, f->now_us);
  gather_typed(s, f);
  gather_unread(s, f);
  gather_loss(s, f);
  if (f->counts.aside && store_asides(s->store, 1, take_aside, f, NULL) != ST_OK)
    f->aside_next[0] = '\0';
}

/* ---- what the dead letters say ---- */

struct kind {
  struct span text;
  uint64_t count;
};
struct dead_counts {
  struct arena arena;
  struct table table;
  struct kind *kinds[ERROR_KINDS_KEPT];
  size_t count;
  uint64_t others;
  int64_t oldest_us;
  struct groups *groups;
};

static bool count_dead(void *ctx, const struct entry_info *info) {
  struct dead_counts *c = ctx;
  struct span text =
      text_cut_characters(info->last_error.len ? info->last_error : info->reason, ERROR_CHARACTERS);
  int64_t when = info->failed_us != TIME_NONE ? info->failed_us : info->arrived_us;
  if (c->oldest_us == TIME_NONE || when < c->oldest_us) c->oldest_us = when;
  if (c->groups) groups_add(c->groups, info);
  struct kind *kind = table_get(&c->table, text);
  if (kind) {
    kind->count++;
    return true;
  }
  kind = c->count < ERROR_KINDS_KEPT ? arena_zalloc(&c->arena, sizeof *kind) : NULL;
  if (kind) *kind = (struct kind){.text = arena_span(&c->arena, text), .count = 1};
  if (!kind || (text.len && !kind->text.ptr) || table_put(&c->table, kind->text, kind) != ST_OK) {
    c->others++;
    return true;
  }
  c->kinds[c->count++] = kind;
  return true;
}

static int by_count(const void *a, const void *b) {
  const struct kind *x = *(struct kind *const *)a, *y = *(struct kind *const *)b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return span_cmp(x->text, y->text);
}

static void write_dead_counts(struct dead_counts *c, struct buffer *json, bool *first) {
  member_time(json, first, "oldest", c->oldest_us);
  json_write_key(json, first, "errors");
  buffer_add_char(json, '[');
  qsort(c->kinds, c->count, sizeof *c->kinds, by_count);
  for (size_t i = 0; i < c->count && i < ERROR_KINDS; i++) {
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_text(json, &inner, "error", c->kinds[i]->text);
    member_int(json, &inner, "count", (int64_t)c->kinds[i]->count);
    buffer_add_char(json, '}');
  }
  for (size_t i = ERROR_KINDS; i < c->count; i++) c->others += c->kinds[i]->count;
  buffer_add_char(json, ']');
  member_int(json, first, "other_errors", (int64_t)c->others);
  uint64_t ungrouped;
  if (!c->groups) return;
  json_write_key(json, first, "groups");
  groups_write(c->groups, ERROR_KINDS, json, &ungrouped);
}

/* Reads all dead letters, so only when asked for. */
static enum status write_dead(struct service *s, uint64_t dead, bool detailed, struct buffer *json,
                              bool *first, struct error *err) {
  enum status st = ST_OK;
  bool inner = true;
  json_write_key(json, first, "dlq");
  buffer_add_char(json, '{');
  member_int(json, &inner, "total", (int64_t)dead);
  member_text(json, &inner, "in",
              span_of(store_shelf_words(s->store, SHELF_DEAD, (struct span){0})));
  if (detailed) {
    struct dead_counts *c = calloc(1, sizeof *c);
    if (!c) return error_set(err, ST_NO_MEMORY, "Out of memory");
    uint64_t total;
    c->oldest_us = TIME_NONE;
    c->groups = groups_open();
    st = store_list(s->store, LIST_DEAD, 0, count_dead, c, &total, err);
    if (st == ST_OK) write_dead_counts(c, json, &inner);
    groups_close(c->groups);
    table_release(&c->table);
    arena_release(&c->arena);
    free(c);
  }
  buffer_add_char(json, '}');
  return st;
}

/* ---- the answer ---- */

static void write_reasons(const struct judgement *j, struct buffer *json, bool *first) {
  json_write_key(json, first, "reasons");
  buffer_add_char(json, '[');
  for (size_t i = 0; i < j->count; i++) {
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_int(json, &inner, "state", j->lines[i].state);
    member_text(json, &inner, "text", span_of(j->lines[i].text));
    member_text_or_null(json, &inner, "next", span_of(j->lines[i].next));
    buffer_add_char(json, '}');
  }
  buffer_add_char(json, ']');
}

static void write_figures(const char *key, const struct figures *f, struct buffer *json,
                          bool *first) {
  bool inner = true;
  json_write_key(json, first, key);
  buffer_add_char(json, '{');
  member_int(json, &inner, "total", (int64_t)f->total);
  member_int(json, &inner, "failed", (int64_t)f->failed);
  member_real(json, &inner, "p95_ms", f->p95_ms);
  member_real(json, &inner, "failure_rate", figures_rate(f));
  buffer_add_char(json, '}');
}

static void write_breakers(const struct relay_status *status, struct buffer *json, bool *first) {
  static const char *const words[] = {"closed", "open", "probing"};
  json_write_key(json, first, "breakers");
  buffer_add_char(json, '[');
  for (size_t i = 0; status && i < status->breaker_count; i++) {
    const struct breaker_view *b = &status->breakers[i];
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_text(json, &inner, "target", span_of(b->target));
    member_text(json, &inner, "state", span_of(words[b->state]));
    member_time(json, &inner, "since", b->since_us);
    member_text(json, &inner, "reason", span_of(b->reason));
    member_text(json, &inner, "remedy", span_of(b->remedy));
    buffer_add_char(json, '}');
  }
  buffer_add_char(json, ']');
}

static void write_redis(const struct facts *f, struct buffer *json, bool *first) {
  bool inner = true;
  json_write_key(json, first, "redis");
  buffer_add_char(json, '{');
  member_text(json, &inner, "state",
              span_of(f->keys.off     ? "off"
                      : f->keys.up    ? "up"
                      : f->keys_known ? "away"
                                      : "unknown"));
  member_int(json, &inner, "keys_due", (int64_t)f->keys.due);
  member_int(json, &inner, "keys_given_up", (int64_t)f->keys.given_up);
  member_text_or_null(json, &inner, "error",
                      span_of(f->keys.up || f->keys.off ? "" : f->keys.error));
  buffer_add_char(json, '}');
}

PRINTF_LIKE(4, 5)
static void perf(struct buffer *json, bool *first, const char *key, const char *fmt, ...) {
  char text[128];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  member_text(json, first, key, span_of(text));
}

/* value[unit];warning;critical;minimum, as monitoring plugins print them. Those of pending are
 * marks for graphs: a backlog that moves is not a fault. */
static void write_perfdata(const struct facts *f, const struct limits *l, struct buffer *json,
                           bool *first) {
  int64_t oldest = facts_oldest_ms(f);
  bool inner = true;
  json_write_key(json, first, "perfdata");
  buffer_add_char(json, '{');
  perf(json, &inner, "pending", "%" PRIu64 ";1000;10000;0", f->counts.pending);
  perf(json, &inner, "oldest", "%" PRId64 "s;%" PRId64 ";%" PRId64 ";0",
       oldest < 0 ? 0 : oldest / 1000, l->oldest_ms[0] / 1000, l->oldest_ms[1] / 1000);
  perf(json, &inner, "dead", "%" PRIu64 ";%" PRIu64 ";%" PRIu64 ";0", f->counts.dead, l->dead[0],
       l->dead[1]);
  perf(json, &inner, "event_failures", "%.2f%%;%g;%g;0", figures_rate(&f->events) * 100,
       l->event_failures[0], l->event_failures[1]);
  perf(json, &inner, "event_p95", "%.1fms;%" PRId64 ";%" PRId64 ";0", f->events.p95_ms,
       l->event_p95_ms[0], l->event_p95_ms[1]);
  perf(json, &inner, "command_failures", "%.2f%%;%g;%g;0", figures_rate(&f->commands) * 100,
       l->command_failures[0], l->command_failures[1]);
  perf(json, &inner, "command_p95", "%.1fms;%" PRId64 ";%" PRId64 ";0", f->commands.p95_ms,
       l->command_p95_ms[0], l->command_p95_ms[1]);
  if (f->disk_free >= 0)
    perf(json, &inner, "disk_free", "%" PRId64 "B;%" PRId64 ":;;0", f->disk_free, l->disk_bytes);
  buffer_add_char(json, '}');
}

struct keyless {
  struct buffer *json;
  bool first;
};

static void add_keyless(void *ctx, const char *ns, const char *none, uint64_t value) {
  struct keyless *k = ctx;
  (void)none;
  if (value) member_int(k->json, &k->first, ns, (int64_t)value);
}

/* Events that went by their id, having none of the key fields: by namespace. */
static void write_keyless(struct service *s, struct buffer *json, bool *first) {
  struct keyless k = {json, true};
  json_write_key(json, first, "keyless");
  buffer_add_char(json, '{');
  metrics_each(s->metrics, METRIC_KEYLESS, add_keyless, &k);
  buffer_add_char(json, '}');
}

/* Of a worker that waits for the outbox: who has it. */
static void write_standby(const struct facts *f, struct buffer *json, bool *first) {
  bool inner = true;
  json_write_key(json, first, "standby");
  buffer_add_z(json, f->standby && !f->away ? "{" : "null");
  if (!f->standby || f->away) return;
  member_bool(json, &inner, "owned", f->owned);
  member_int(json, &inner, "pid", f->owned ? f->owner.pid : 0);
  member_text_or_null(json, &inner, "host", span_of(f->owned ? f->owner.host : ""));
  member_time(json, &inner, "since", f->owned ? f->owner.since_us : TIME_NONE);
  buffer_add_char(json, '}');
}

static enum status write_health(struct service *s, const struct facts *f, const struct limits *l,
                                const struct judgement *j, bool detailed, struct buffer *json,
                                struct error *err) {
  bool first = true;
  int64_t oldest = facts_oldest_ms(f);
  uint64_t retried = metrics_sum(s->metrics, METRIC_EVENTS, NULL, "retried", true);
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_int(json, &first, "state", j->state);
  member_text(json, &first, "word", span_of(health_word(j->state)));
  member_text(json, &first, "summary", span_of(j->summary));
  write_reasons(j, json, &first);
  member_int(json, &first, "pending", (int64_t)f->counts.pending);
  json_write_key(json, &first, "oldest_seconds");
  if (oldest < 0) {
    buffer_add_z(json, "null");
  } else {
    json_write_double(json, (double)oldest / 1000);
  }
  member_int(json, &first, "dead", (int64_t)f->counts.dead);
  member_int(json, &first, "processed",
             (int64_t)(f->events.total - (retried < f->events.total ? retried : 0)));
  write_figures("commands", &f->commands, json, &first);
  write_figures("events", &f->events, json, &first);
  enum status st = write_dead(s, f->counts.dead, detailed, json, &first, err);
  write_keyless(s, json, &first);
  if (detailed) write_unplaced(s, json, &first);
  json_write_key(json, &first, "paused");
  buffer_add_z(json, f->pause.on ? "{" : "null");
  if (f->pause.on) {
    bool inner = true;
    write_pause(&f->pause, json, &inner);
    buffer_add_char(json, '}');
  }
  write_breakers(f->status, json, &first);
  write_redis(f, json, &first);
  member_bool(json, &first, "worker", f->relay);
  write_standby(f, json, &first);
  write_perfdata(f, l, json, &first);
  buffer_add_char(json, '}');
  return st == ST_OK ? buffer_status(json, err) : st;
}

/* What health looks at and what it thinks of it: too large for a stack. */
struct view {
  struct limits limits;
  struct facts facts;
  struct relay_status status;
  struct judgement judgement;
  struct error why;
};

static struct view *view_take(struct service *s) {
  struct view *v = calloc(1, sizeof *v);
  if (!v) return NULL;
  mutex_lock(&s->lock);
  limits_read(s->settings, &v->limits);
  mutex_unlock(&s->lock);
  gather_facts(s, &v->status, &v->why, &v->facts);
  judge(&v->facts, &v->limits, &v->judgement);
  return v;
}

enum status service_health(struct service *s, bool detailed, struct buffer *json,
                           struct error *err) {
  struct operation o = operation_begin(s, "health");
  struct view *v = view_take(s);
  enum status st = v ? write_health(s, &v->facts, &v->limits, &v->judgement, detailed, json, err)
                     : error_set(err, ST_NO_MEMORY, "Out of memory");
  free(v);
  return operation_end(&o, st);
}

void service_summary(struct service *s, struct buffer *line) {
  struct view *v = view_take(s);
  if (!v) return;
  const struct judgement *j = &v->judgement;
  buffer_add_z(line, health_word(j->state));
  buffer_add_z(line, " - ");
  buffer_add_z(line, j->summary);
  if (j->state != HEALTH_OK && j->count > 0) {
    buffer_add_z(line, ": ");
    buffer_add_z(line, j->lines[0].text);
  }
  free(v);
}
