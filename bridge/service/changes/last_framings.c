/* Reads the last records of each topic and holds their framing against the one to come.
 * Any thread, or one of its own; a crash leaves nothing. */
#include "bridge/service/changes/last_framings.h"

#include "bridge/base/thread.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/service/plan/framings.h"

enum { ANSWER_MS = 3000, BACK = 16, AGAIN_MS = 10000, STOP_MS = 100 };

bool last_framings_may_differ(const struct framing_parts *parts, const struct store *store) {
  struct buffer ids = {0};
  struct topic_use use;
  bool may = *parts->plan->registry.urls ||
             (store && store_note_read(store, NOTE_IDS, &ids, NULL) == ST_OK);
  buffer_release(&ids);
  for (size_t i = 0; !may && routing_pattern(parts->routing, i, &use); i++) {
    enum framing framing;
    may = plan_framing(parts->plan, parts->routing, use.pattern, &framing, NULL) &&
          framing != FRAMING_SINGLE_OBJECT;
  }
  return may;
}

/* ---- the last records ---- */

static struct span header(const struct message *m, const char *name) {
  for (size_t i = 0; i < m->header_count; i++)
    if (strcmp(m->headers[i].name, name) == 0) return m->headers[i].value;
  return (struct span){0};
}

static enum framing seen_of(const struct message *m) {
  return framing_seen(header(m, "content-type"), header(m, HEADER_SCHEMA_ID), m->value);
}

struct last { /* of a topic, as far as it was read */
  bool known;
  enum framing seen, now;
  char event[EVENT_NAME_MAX + 1];
  int64_t at_ms;
};

static void note_framing(const struct framing_parts *parts, struct last *lasts,
                         const struct message *m) {
  const struct routing *routing = parts->routing;
  enum framing now;
  struct span event = header(m, "ce_type");
  if (!event.len || !m->value.ptr || !plan_framing(parts->plan, routing, event, &now, NULL)) return;
  for (unsigned i = 0; i < routing_topics(routing); i++) {
    if (strcmp(routing_topic_name(routing, i), m->topic) != 0) continue;
    if (lasts[i].known && m->timestamp_ms < lasts[i].at_ms) return;
    lasts[i] =
        (struct last){.known = true, .seen = seen_of(m), .now = now, .at_ms = m->timestamp_ms};
    snprintf(lasts[i].event, sizeof lasts[i].event, "%.*s", SPAN_ARGS(event));
  }
}

static bool is_over(const struct framing_parts *parts) {
  return parts->over && atomic_load(parts->over);
}

static void read_lasts(const struct framing_parts *parts, const char **topics, size_t count,
                       int64_t before_ms, struct last *lasts) {
  struct topic_reader *reader = NULL;
  struct message m;
  enum status st =
      topic_reader_open(&parts->plan->kafka, NULL, topics, count, false, ANSWER_MS, &reader, NULL);
  if (st == ST_OK) st = topic_reader_seek_before(reader, before_ms, BACK, ANSWER_MS, NULL);
  while (st == ST_OK && !is_over(parts) &&
         (st = topic_reader_next(reader, ANSWER_MS, &m, NULL)) == ST_OK)
    if (m.timestamp_ms < before_ms)
      note_framing(parts, lasts, &m); /* behind a marker comes a newer one */
  topic_reader_close(reader);
}

void last_framings_compare(const struct framing_parts *parts, struct cluster *cluster,
                           int64_t before_ms, framing_fn tell, void *ctx) {
  unsigned all = routing_topics(parts->routing);
  const char **topics = calloc(all + 1, sizeof *topics);
  struct last *lasts = calloc(all + 1, sizeof *lasts);
  size_t count = 0;
  for (unsigned i = 0; topics && lasts && i < all && !is_over(parts); i++) {
    enum topic_state state = TOPIC_UNCLEAR;
    const char *name = routing_topic_name(parts->routing, i);
    if (cluster_topic(cluster, name, ANSWER_MS, &state, NULL, NULL) == ST_OK &&
        state == TOPIC_THERE)
      topics[count++] = name;
  }
  if (count) read_lasts(parts, topics, count, before_ms, lasts);
  for (unsigned i = 0; lasts && i < all; i++) {
    const struct last *last = &lasts[i];
    const struct last_framing seen = {routing_topic_name(parts->routing, i), last->event,
                                      last->seen, last->now};
    if (last->known && last->seen != last->now) tell(ctx, &seen);
  }
  free(topics);
  free(lasts);
}

/* ---- in the background ---- */

struct framing_watch {
  struct framing_parts parts;
  int64_t before_ms;
  struct log *log;
  _Atomic bool over;
  struct mutex lock;
  struct cond ended; /* or looked */
  bool looked;       /* lock: once at least */
  struct thread thread;
};

static void tell_log(void *ctx, const struct last_framing *f) {
  log_write(ctx, LOG_WARNING, "service", "framing_changed",
            FIELDS(F_TEXT("topic", f->topic), F_TEXT("name", f->event)),
            "The last record of %s (%s) is framed as %s, the next will be as %s. " FRAMING_REMEDY,
            f->topic, f->event, framing_word(f->seen), framing_word(f->now), framing_word(f->seen));
}

/* False: Kafka does not answer. */
static bool look(struct framing_watch *w) {
  struct cluster *cluster = NULL;
  if (cluster_open(&w->parts.plan->kafka, NULL, &cluster, NULL) != ST_OK) return true;
  bool there = cluster_reach(cluster, ANSWER_MS, NULL) == ST_OK;
  if (there && !atomic_load(&w->over))
    last_framings_compare(&w->parts, cluster, w->before_ms, tell_log, w->log);
  cluster_close(cluster);
  return there;
}

static void *watch_main(void *arg) {
  struct framing_watch *w = arg;
  bool done = false;
  while (!atomic_load(&w->over) && !done) {
    done = look(w);
    mutex_lock(&w->lock);
    w->looked = true;
    cond_broadcast(&w->ended);
    int64_t until = thread_now_ns() + (int64_t)AGAIN_MS * 1000000;
    while (!done && !atomic_load(&w->over) && cond_wait_until(&w->ended, &w->lock, until)) continue;
    mutex_unlock(&w->lock);
  }
  return NULL;
}

struct framing_watch *last_framings_watch(const struct framing_parts *parts, int64_t before_ms,
                                          struct log *log) {
  struct framing_watch *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->parts = *parts;
  w->parts.over = &w->over;
  w->before_ms = before_ms;
  w->log = log;
  mutex_init(&w->lock);
  cond_init(&w->ended);
  if (thread_start(&w->thread, "framings", watch_main, w) == 0) return w;
  mutex_destroy(&w->lock);
  cond_destroy(&w->ended);
  free(w);
  return NULL;
}

void last_framings_await(struct framing_watch *w, const struct stop *stop) {
  if (!w) return;
  int64_t until = thread_now_ns() + (int64_t)AGAIN_MS * 1000000, next = 0;
  bool looked = false;
  while (!looked && next < until && !stop_asked(stop)) {
    next = thread_now_ns() + (int64_t)STOP_MS * 1000000;
    mutex_lock(&w->lock);
    while (!w->looked && cond_wait_until(&w->ended, &w->lock, next)) continue;
    looked = w->looked;
    mutex_unlock(&w->lock);
  }
}

void last_framings_unwatch(struct framing_watch *w) {
  if (!w) return;
  mutex_lock(&w->lock);
  atomic_store(&w->over, true);
  cond_broadcast(&w->ended);
  mutex_unlock(&w->lock);
  thread_join(w->thread);
  mutex_destroy(&w->lock);
  cond_destroy(&w->ended);
  free(w);
}
