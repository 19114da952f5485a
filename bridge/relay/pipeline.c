/* The three threads, and how batches go from one to the next.
 *
 *   pool --> reader --(ready)--> publisher --(chains of items)--> finisher --> pool
 *
 * A batch belongs to whoever holds it; its items go to the finisher as they get their verdicts, and
 * the last one settled brings the batch back to the pool. An empty pool makes the reader wait: that
 * is all the back-pressure there is.
 * A crash leaves what the stages leave. */
#include "bridge/relay/parts.h"
#include "bridge/relay/publish/publish.h"

enum {
  REST_MS = 1000,
  HANGING_MS = 180000,
  PATIENCE_MS = 5000, /* for the publisher to notice that draining is over */
  HAND_OVER = 1000 /* without a transaction nothing is gained by more entries at a time, and memory
                      is lost */
};

/* ---- reader ---- */

_Static_assert(POOL >= SMALL_GROUPS_BATCHES + 3, "a batch for each stage, whatever is set apart");

static void hand_to_publisher(struct relay *r, struct batch *b) {
  for (size_t i = 0; i < b->count; i++)
    b->items[i].value.ptr = b->values.ptr + b->items[i].value_at;
  mutex_lock(&r->lock);
  if (r->ready_last)
    r->ready_last->next = b;
  else
    r->ready_first = b;
  r->ready_last = b;
  mutex_unlock(&r->lock);
  relay_wake_publisher(r);
}

static bool make_room(struct batch *b, size_t events) {
  if (b->cap >= events) return true;
  struct item *grown = realloc(b->items, events * sizeof *grown);
  if (!grown) return b->cap > 0;
  b->items = grown;
  b->cap = events;
  return true;
}

static void fill_batch(struct reading *reading, struct batch *b) {
  struct relay *r = reading->relay;
  struct turn turn = {.reading = reading, .relay = r, .batch = b, .tuning = relay_tuning_now(r)};
  if (!r->exactly_once && turn.tuning.batch_events > HAND_OVER)
    turn.tuning.batch_events = HAND_OVER;
  if (!make_room(b, turn.tuning.batch_events)) return;
  do turn_run(&turn);
  while (turn.more);
}

/* Ask for a scan when flush.interval has passed or a retry has become due. A patient flush waits
 * for a scan that is sure to bring the retry, which may be in hand as one that waits: its due time
 * is forgotten here. */
static void rescan_in_time(struct reading *reading) {
  struct relay *r = reading->relay;
  int64_t now_us = clock_wall_us(r->parts.clock), now_ms = clock_mono_ms(r->parts.clock);
  mutex_lock(&r->lock);
  bool due = r->next_due_us != TIME_NONE && r->next_due_us <= now_us;
  if (due) r->next_due_us = TIME_NONE;
  bool wanted = r->config.background || r->flush.active;
  if (wanted && (due || now_ms - reading->scanned_ms >= r->config.tuning.flush_interval_ms)) {
    bool awaited = due && r->flush.active && r->flush.patient;
    uint64_t generation =
        awaited ? store_rescan_settled(r->parts.store) : store_rescan(r->parts.store);
    if (awaited) r->flush.generation = generation;
    reading->scanned_ms = now_ms;
  }
  mutex_unlock(&r->lock);
}

static int64_t rest_ms(struct reading *reading) {
  struct relay *r = reading->relay;
  int64_t now_us = clock_wall_us(r->parts.clock), wait = REST_MS;
  mutex_lock(&r->lock);
  if (r->next_due_us != TIME_NONE && (r->next_due_us - now_us) / 1000 < wait)
    wait = (r->next_due_us - now_us) / 1000 + 1;
  int64_t until_scan =
      reading->scanned_ms + r->config.tuning.flush_interval_ms - clock_mono_ms(r->parts.clock);
  if (r->stopping) wait = 0;
  mutex_unlock(&r->lock);
  if (until_scan < wait) wait = until_scan;
  return wait > 1 ? wait : 1;
}

static void wait_a_second(struct relay *r) {
  mutex_lock(&r->lock);
  if (!r->stopping) relay_wait_ms(r, REST_MS);
  mutex_unlock(&r->lock);
}

/* While nothing may be taken, or can be, the outbox is not waited for: it has something to tell all
 * the time. */
static void rest(struct reading *reading) {
  struct relay *r = reading->relay;
  flush_check(r);
  rescan_in_time(reading);
  if (flush_idle(r, REST_MS)) return;
  if (disk_refuses(r, DISK_READING))
    wait_a_second(r);
  else
    store_wait(r->parts.store, rest_ms(reading));
}

/* Without a stack of its own the crash handler can only not speak of a stack that is used up. */
static void enter_crash_marks(struct relay *r, enum crash_slot slot) {
  struct error err = {0};
  if (crash_marks_enter(r->parts.crash_marks, slot, &err) != ST_OK)
    log_write(r->parts.log, LOG_WARNING, "relay", "hands_incomplete",
              FIELDS(F_TEXT("error", err.text)), "A crash by stack overflow would not be noted");
}

/* While what an earlier run left is settled nothing may be taken, but the names may be read, which
 * takes a second for a large backlog; and as long as Kafka is away, what arrives is taken in, so
 * that it is counted. */
static void list_meanwhile(struct relay *r) {
  mutex_lock(&r->lock);
  while (!r->stopping && !r->recovered) {
    bool wanted = r->config.background || r->flush.active;
    mutex_unlock(&r->lock);
    enum status st = wanted ? store_follow(r->parts.store, NULL) : ST_OK;
    (void)st; /* the reader's first look tells */
    relay_beat(r, &r->reader_us);
    mutex_lock(&r->lock);
    if (!r->stopping && !r->recovered) relay_wait_ms(r, REST_MS);
  }
  mutex_unlock(&r->lock);
}

static void *reader_main(void *arg) {
  struct reading *reading = arg;
  struct relay *r = reading->relay;
  struct batch *b;
  enter_crash_marks(r, CRASH_READER);
  list_meanwhile(r);
  while ((b = batch_take(r))) {
    fill_batch(reading, b);
    if (b->count) {
      hand_to_publisher(r, b);
    } else {
      batch_drop(r, b, 1);
      rest(reading);
    }
  }
  crash_marks_leave(r->parts.crash_marks, CRASH_READER);
  return NULL;
}

/* ---- publisher ---- */

static void *publisher_main(void *arg) {
  struct publishing *p = arg;
  struct relay *r = p->relay;
  enter_crash_marks(r, CRASH_PUBLISHER);
  while (stage_publish(p)) continue;
  publish_close(p);
  crash_marks_leave(r->parts.crash_marks, CRASH_PUBLISHER);
  mutex_lock(&r->lock);
  r->publisher_done = true;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  return NULL;
}

/* ---- finisher ---- */

/* The next chain; NULL when there is none yet, after a second at most. *over: there will be no
 * more. */
static struct item *next_chain(struct relay *r, bool *over) {
  mutex_lock(&r->lock);
  if (!r->settle_first && !r->publisher_done) relay_wait_ms(r, REST_MS);
  struct item *first = r->settle_first;
  r->settle_first = r->settle_last = NULL;
  *over = !first && r->publisher_done;
  mutex_unlock(&r->lock);
  return first;
}

/* Some calls of librdkafka have no timeout and have been seen to hang. While Kafka does not answer
 * they may wait as long as they like; while it does, three minutes are too many: the process is
 * ended, and the next start asks the ledger. */
static void watch_calls(struct relay *r) {
  mutex_lock(&r->lock);
  struct call *call = &r->call;
  int64_t lasts = clock_mono_ms(r->parts.clock) - call->since_ms;
  bool look = call->publisher && lasts > REST_MS;
  if (look && call->quiet) publisher_poll(call->publisher, 0);
  struct error words = {0};
  enum publisher_link link = look ? publisher_link(call->publisher, &words) : LINK_UNKNOWN;
  if (link == LINK_DOWN) away_show(r, &words);
  bool told = link == LINK_DOWN && !call->told;
  call->told = call->told || told;
  mutex_unlock(&r->lock);
  if (told) away_tell(r, &words, true);
  if (link == LINK_UP && lasts > HANGING_MS)
    relay_fail(
        r, ST_UNAVAILABLE,
        "a call to Kafka hangs although the broker answers; ending, so that a restart resolves it");
}

static void *finisher_main(void *arg) {
  struct finishing *f = arg;
  struct relay *r = f->relay;
  bool over = false;
  int64_t tended = 0;
  while (!over) {
    relay_beat(r, &r->finisher_us);
    struct item *first = next_chain(r, &over);
    if (first) stage_settle(f, first);
    int64_t now = clock_mono_ms(r->parts.clock);
    if (now - tended < REST_MS) continue;
    tended = now;
    settle_watch(f);
    keys_tend(r->parts.keys);
    settle_aside(f);
    holds_tend(r);
    watch_calls(r);
    flush_check(r);
  }
  return NULL;
}

/* ---- start and stop ---- */

static enum status start_thread(struct thread *thread, void *(*run)(void *), void *side,
                                const char *name, struct error *err) {
  int rc = thread_start(thread, name, run, side);
  return rc ? error_sys(err, rc, "starting the %s thread", name) : ST_OK;
}

static void ask_to_stop(struct relay *r, int64_t drain_ms) {
  mutex_lock(&r->lock);
  r->stopping = true;
  r->stop_by_ms = clock_mono_ms(r->parts.clock) + drain_ms;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  store_wake(r->parts.store);
  relay_wake_publisher(r);
}

enum status pipeline_start(struct engine *e, struct error *err) {
  struct relay *r = &e->relay;
  enum status st = start_thread(&e->finisher, finisher_main, &e->finishing, "finisher", err);
  if (st != ST_OK) return st;
  st = start_thread(&e->publisher, publisher_main, &e->publishing, "publisher", err);
  if (st != ST_OK) {
    mutex_lock(&r->lock);
    r->publisher_done = true;
    cond_broadcast(&r->changed);
    mutex_unlock(&r->lock);
    thread_join(e->finisher);
    return st;
  }
  st = start_thread(&e->reader, reader_main, &e->reading, "reader", err);
  if (st == ST_OK) return ST_OK;
  ask_to_stop(r, 0);
  thread_join(e->publisher);
  thread_join(e->finisher);
  return st;
}

/* Producers that were closed use the relay until they have ended. */
static bool all_ended(struct relay *r) {
  int64_t until = clock_mono_ms(r->parts.clock) + PATIENCE_MS;
  mutex_lock(&r->lock);
  while (r->ending && clock_mono_ms(r->parts.clock) < until) relay_wait_ms(r, REST_MS);
  bool all = r->ending == 0;
  mutex_unlock(&r->lock);
  return all;
}

/* The reader first, so that nothing new reaches the publisher once it starts to give back what it
 * has. */
bool pipeline_stop(struct engine *e, int64_t drain_ms) {
  struct relay *r = &e->relay;
  ask_to_stop(r, drain_ms);
  thread_join(e->reader);
  relay_wake_publisher(r);
  int64_t until_ms = clock_mono_ms(r->parts.clock) + drain_ms + PATIENCE_MS;
  if (!thread_join_until(e->publisher, until_ms * 1000000)) return false;
  thread_join(e->finisher);
  return all_ended(r);
}
