/* The finisher's stage on a disk that fails: what is not out of the outbox never counts as settled,
 * and the manifest of the committed position is always there.
 */
#include "tests/unit/files.h"

#include "bridge/relay/parts.h"

#include <errno.h>

/* What the stage needs of a relay, and one batch of three entries that was committed as number 1.
 */
struct world {
  struct box *box;
  struct relay r;
  struct publishing publishing; /* that wrote and committed it */
  struct finishing finishing;
  struct batch batch;
  struct item items[3];
  struct manifest_name name;
};

/* It stands still: waiting for the disk ends at once. */
static int64_t still(void *ctx) {
  (void)ctx;
  return 1000000;
}
static uint64_t some_random(void *ctx) {
  (void)ctx;
  return clock_system.random(clock_system.ctx);
}
static const struct clock stopped = {still, still, some_random, NULL};

static struct span text_span(struct arena *arena, struct span s) {
  struct span copy = arena_span(arena, s);
  assert_non_null(copy.ptr);
  return copy;
}

static void take(struct world *w) {
  struct box *b = w->box;
  struct entry e;
  w->batch = (struct batch){.items = w->items, .cap = 3};
  for (size_t i = 0; i < 3; i++) {
    struct item *item = &w->items[i];
    OK(box_next(b, &e));
    *item = (struct item){.batch = &w->batch,
                          .ref = e.ref,
                          .outcome = OUTCOME_PUBLISHED,
                          .attempts = 1,
                          .offset = -1};
    item->id = text_span(&b->keep, e.event.id);
    item->name = text_span(&b->keep, e.event.name);
    item->ns = SPAN("quality");
    w->r.in_hand++;
    w->batch.count++;
    atomic_fetch_add(&w->batch.holders, 1);
  }
}

/* As begin and commit of batch 1 leave it, with the manifest of 0 settled. */
static void commit(struct world *w) {
  struct manifest_entry entries[3];
  struct box *b = w->box;
  struct manifest zero = {.number = 0};
  OK(manifest_write(b->store, &zero, "n", &b->err));
  struct manifest_name name = {.number = 0};
  memcpy(name.digest, zero.digest, sizeof name.digest);
  OK(manifest_settle(b->store, &name, &b->err));
  name.settled = true;
  w->r.settled = name;
  memcpy(w->publishing.ledger.position.digest, zero.digest, sizeof zero.digest);
  for (size_t i = 0; i < 3; i++)
    entries[i] = (struct manifest_entry){.ref = w->items[i].ref, .id = w->items[i].id};
  size_t fit;
  OK(ledger_write(&w->publishing, entries, 3, &fit, &b->err));
  w->name = w->publishing.ledger.doubt;
  ledger_committed(&w->publishing);
  w->items[2].closes = &w->name;
}

static int setup(void **state) {
  struct world *w = calloc(1, sizeof *w);
  struct box *b = w->box = box_new("file");
  for (const char *const *id = (const char *const[]){"a", "b", "c", NULL}; *id; id++)
    put_pending(b, *id);
  struct relay *r = w->publishing.relay = w->finishing.relay = &w->r;
  r->parts = (struct relay_parts){.store = b->store, .clock = &stopped};
  if (metrics_open(&clock_system, &r->parts.metrics) != ST_OK) return -1;
  r->keys_off = true;
  r->recovered = true;
  struct metrics *m = r->parts.metrics;
  w->finishing.numbers =
      (struct numbers){.publish = metrics_series(m, METRIC_PUBLISH, NULL, NULL),
                       .latency = metrics_series(m, METRIC_LATENCY, NULL, NULL),
                       .attempts = metrics_series(m, METRIC_ATTEMPTS, NULL, NULL)};
  w->finishing.numbers.published = calloc(1, sizeof *w->finishing.numbers.published);
  mutex_init(&r->lock);
  cond_init(&r->changed);
  snprintf(w->publishing.ledger.nonce, sizeof w->publishing.ledger.nonce, "run");
  take(w);
  w->publishing.ledger.started = true;
  commit(w);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  durable_set_hook(NULL, NULL);
  void *box = w->box;
  metrics_close(w->r.parts.metrics);
  free(w->finishing.numbers.published);
  cond_destroy(&w->r.changed);
  mutex_destroy(&w->r.lock);
  free(w);
  return box_free(&box);
}

static void settle(struct world *w) {
  w->items[0].next = &w->items[1];
  w->items[1].next = &w->items[2];
  stage_settle(&w->finishing, w->items);
}

/* "settled-1 batch-2": what lies there of manifests, without their digests. */
static const char *manifests(struct world *w) {
  static char text[200];
  struct box *b = w->box;
  struct manifest_name *list;
  size_t count;
  text[0] = '\0';
  OK(manifest_list(b->store, &list, &count, &b->err));
  for (size_t i = 0; i < count; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s-%d", i ? " " : "",
             list[i].settled ? "settled" : "batch", (int)list[i].number);
  free(list);
  return text;
}

struct failing {
  enum durable_op op;
  const char *part; /* of the name */
  bool after;       /* fails although it was made */
  unsigned times, calls;
  int code; /* 0: EIO */
};
static int fail_some(void *ctx, enum durable_op op, const char *name, bool after) {
  struct failing *f = ctx;
  if (op != f->op || after != f->after || !strstr(name, f->part)) return 0;
  return f->calls++ < f->times ? f->code ? f->code : EIO : 0;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_batch_is_settled_and_its_manifest_stays_as_that_of_the_position) {
  struct world *w = *state;
  assert_string_equal(manifests(w), "settled-0 batch-1");
  settle(w);
  assert_string_equal(manifests(w), "settled-1");
  assert_int_equal(files_in(w->box, "."), 0);
  assert_int_equal(w->r.in_hand, 0);
  assert_int_equal(w->batch.holders, 0);
}

/* The next start would not look at it again, and publish the entry a second time. */
CASE(what_cannot_be_removed_before_the_end_keeps_its_manifest_unsettled) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_UNLINK, .part = "", .times = 1000};
  w->r.stopping = true;
  durable_set_hook(fail_some, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_true(f.calls > 0);
  assert_true(exists(w->box, "b.json"));
  assert_string_equal(manifests(w), "settled-0 batch-1");
}

/* Written down before its manifest closes, whatever fails while that is done; the others go on. */
CASE(one_entry_that_cannot_be_removed_is_set_aside_before_its_manifest_closes) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_UNLINK, .part = "b.json", .times = 1000};
  durable_set_hook(fail_some, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_int_equal(files_in(w->box, "."), 1);
  assert_string_equal(manifests(w), "settled-1");
  assert_non_null(strstr(text_of(w->box, ".busbridge/aside"), "done flat b.json"));
  assert_int_equal(w->r.status.breaker_count, 0);
  assert_int_equal(w->r.in_hand, 0);
}

static int fail_the_list(void *ctx, enum durable_op op, const char *name, bool after) {
  struct failing *f = ctx;
  if (op == DURABLE_UNLINK && strstr(name, "b.json")) return EPERM;
  if (after || op != DURABLE_RENAME || !strstr(name, "aside")) return 0;
  f->calls++;
  return ENOSPC;
}

CASE(while_it_cannot_be_written_down_its_manifest_stays) {
  struct world *w = *state;
  struct failing f = {.calls = 0};
  w->r.stopping = true;
  durable_set_hook(fail_the_list, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_true(f.calls > 0);
  assert_string_equal(manifests(w), "settled-0 batch-1");
}

/* Refused or dead, and it cannot be rewritten or moved: the count and the verdict are kept. */
CASE(what_became_of_it_is_kept_where_it_cannot_be_written_into_it) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_RENAME, .part = "b.json", .times = 1000};
  w->items[1].outcome = OUTCOME_RETRY;
  w->items[1].reason = REASON_BROKER_REFUSED;
  w->items[1].attempts = 3;
  durable_set_hook(fail_some, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_true(f.calls > 0);
  assert_string_equal(manifests(w), "settled-1");
  struct entry e;
  struct box *b = w->box;
  store_rescan(b->store);
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "b"));
  assert_int_equal(e.event.attempts, 3);
}

static void all_dead(struct world *w, size_t from) {
  for (size_t i = from; i < 3; i++) {
    w->items[i].outcome = OUTCOME_DEAD;
    w->items[i].reason = REASON_BAD_NAME;
  }
}

static int count_syncs(void *ctx, enum durable_op op, const char *name, bool after) {
  *(unsigned *)ctx += op == DURABLE_FSYNC && !after && !strcmp(name, "folder");
  return 0;
}

/* Three dead ones make no folder wait more often than one, even with another in between. */
CASE(those_that_are_dead_wait_for_the_disk_together) {
  unsigned syncs[3] = {0};
  for (unsigned turn = 0; turn < 3; turn++) {
    void *again = *state;
    if (turn) {
      teardown(&again);
      assert_int_equal(setup(&again), 0);
      *state = again;
    }
    struct world *w = *state;
    all_dead(w, turn ? 0 : 2);
    if (turn == 2) w->items[1].outcome = OUTCOME_PUBLISHED;
    durable_set_hook(count_syncs, &syncs[turn]);
    settle(w);
    durable_set_hook(NULL, NULL);
    assert_int_equal(files_in(w->box, "dlq"), turn == 0 ? 1 : turn == 1 ? 3 : 2);
    assert_int_equal(files_in(w->box, "."), 0);
    assert_string_equal(manifests(w), "settled-1");
    assert_int_equal(w->r.in_hand, 0);
    assert_int_equal(w->batch.holders, 0);
  }
  assert_true(syncs[1] > 0 && syncs[1] <= syncs[0]);
  assert_int_equal(syncs[2], syncs[0]);
}

CASE(one_of_many_dead_that_cannot_be_moved_is_set_aside_and_the_others_are_dead) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_RENAME, .part = "b.json", .times = 1000};
  all_dead(w, 0);
  durable_set_hook(fail_some, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_true(exists(w->box, "dlq/a.json") && exists(w->box, "dlq/c.json") &&
              exists(w->box, "b.json"));
  assert_non_null(strstr(text_of(w->box, ".busbridge/aside"), "dead flat b.json"));
  assert_string_equal(manifests(w), "settled-1");
  assert_int_equal(w->r.status.breaker_count, 0);
  assert_int_equal(w->r.in_hand, 0);
}

CASE(a_disk_that_works_again_is_waited_for_and_no_longer_told) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_UNLINK, .part = "", .times = 4};
  durable_set_hook(fail_some, &f);
  settle(w);
  assert_true(f.calls > 4);
  assert_false(exists(w->box, "a.json") || exists(w->box, "b.json") || exists(w->box, "c.json"));
  assert_false(exists(w->box, ".busbridge/aside"));
  assert_string_equal(manifests(w), "settled-1");
  assert_int_equal(w->r.status.breaker_count, 0);
}

/* Each step of closing a batch fails once or twice, before or after it was made. */
CASE(the_manifest_of_the_position_outlives_every_failure_of_closing_a_batch) {
  struct world *w = *state;
  static const struct {
    enum durable_op op;
    const char *part;
  } steps[] = {{DURABLE_RENAME, "1-"}, {DURABLE_UNLINK, "settled-0"}};
  for (unsigned i = 0; i < 2 * 2 * 2; i++) {
    struct failing f = {
        .op = steps[i / 4].op, .part = steps[i / 4].part, .after = i & 1, .times = i & 2 ? 2 : 1};
    void *again = w;
    if (i) {
      teardown(&again);
      assert_int_equal(setup(&again), 0);
      *state = w = again;
    }
    durable_set_hook(fail_some, &f);
    settle(w);
    durable_set_hook(NULL, NULL);
    if (!f.calls) fail_msg("step %u is never made", i);
    settle_aside(&w->finishing); /* one that failed twice is passed over until now */
    assert_string_equal(manifests(w), "settled-1");
    assert_int_equal(w->r.status.stuck, 0);
    assert_int_equal(w->r.status.breaker_count, 0);
    assert_int_equal(w->r.settled.number, 1);
  }
}

/* Immutable, or something is mounted on it: nothing waits for it, and its own position's is never
 * given up for it. */
CASE(a_manifest_that_alone_cannot_be_changed_is_passed_over_named_and_closed_when_it_can_be) {
  struct world *w = *state;
  static const struct {
    struct failing fails;
    const char *left, *file;
  } cases[] = {{{DURABLE_RENAME, "1-", .code = EPERM, .times = 1000}, "batch-1", "batch-1-"},
               {{DURABLE_UNLINK, "settled-0", .code = EBUSY, .times = 1000},
                "settled-0 settled-1",
                "settled-0-"}};
  for (unsigned i = 0; i < 2; i++) {
    struct failing f = cases[i].fails;
    void *again = w;
    if (i) {
      teardown(&again);
      assert_int_equal(setup(&again), 0);
      *state = w = again;
    }
    w->r.stopping = true; /* waiting for the disk ends at once, and leaves more behind */
    durable_set_hook(fail_some, &f);
    settle(w);
    assert_string_equal(manifests(w), cases[i].left);
    assert_int_equal(w->r.status.breaker_count, 0);
    assert_int_equal(w->r.status.stuck, 1);
    assert_int_equal(strncmp(w->r.status.stuck_file, cases[i].file, strlen(cases[i].file)), 0);
    assert_string_equal(w->r.status.stuck_remedy, store_remedy(w->r.parts.store, f.code));
    assert_int_equal(w->r.settled.number, 1);
    unsigned calls = f.calls;
    w->r.aside_ms = 0;
    settle_aside(&w->finishing);
    assert_true(f.calls > calls); /* tried again */
    assert_int_equal(w->r.status.stuck, 1);
    durable_set_hook(NULL, NULL);
    w->r.aside_ms = 0;
    settle_aside(&w->finishing);
    assert_string_equal(manifests(w), "settled-1");
    assert_int_equal(w->r.status.stuck, 0);
  }
}

/* A folder that lets nothing be removed is not one file of it; nor is a full disk. */
CASE(a_folder_in_which_no_manifest_can_be_changed_is_waited_for) {
  struct world *w = *state;
  static const struct failing cases[] = {
      {DURABLE_UNLINK, "settled-0", .code = ENOSPC, .times = 1000},
      {DURABLE_RENAME, "1-", .code = EROFS, .times = 1000}};
  for (unsigned i = 0; i < 2; i++) {
    struct failing f = cases[i];
    void *again = w;
    if (i) {
      teardown(&again);
      assert_int_equal(setup(&again), 0);
      *state = w = again;
    }
    w->r.stopping = true;
    durable_set_hook(fail_some, &f);
    settle(w);
    durable_set_hook(NULL, NULL);
    assert_int_equal(w->r.status.stuck, 0);
    assert_int_equal(w->r.settled.number, 0); /* not passed over */
  }
}

static int only_settled_and_probe(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  return op == DURABLE_UNLINK && !after && (strstr(name, "settled-0") || strstr(name, "probe"))
             ? EPERM
             : 0;
}

/* chattr +a on the folder: files are made there, and none removed. */
CASE(a_folder_that_takes_files_and_gives_none_back_is_waited_for) {
  struct world *w = *state;
  w->r.stopping = true;
  durable_set_hook(only_settled_and_probe, NULL);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_int_equal(w->r.status.stuck, 0);
  assert_int_equal(w->r.settled.number, 0);
}

/* The second fsync would say yes of what the first one lost. */
CASE(after_a_failed_fsync_of_the_outbox_no_manifest_is_closed_in_this_run) {
  struct world *w = *state;
  struct failing f = {.op = DURABLE_FSYNC, .part = "", .times = 1};
  durable_set_hook(fail_some, &f);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_int_equal(f.calls > 0, 1);
  assert_string_equal(manifests(w), "settled-0 batch-1");
  assert_true(w->finishing.unsettled);
  assert_int_equal(w->r.status.breaker_count, 1);
  assert_string_equal(w->r.status.breakers[0].target, "outbox");
}

/* More topics than are shown: what keeps everything from Kafka is told all the same. */
CASE(the_doors_of_the_world_are_shown_however_many_topics_have_trouble) {
  struct world *w = *state;
  struct relay_status *s = &w->r.status;
  char topic[20];
  for (int i = 0; i < 100; i++) {
    snprintf(topic, sizeof topic, "topic-%d", i);
    status_breaker(&w->r, topic, BREAKER_OPEN, "not there", "");
  }
  assert_int_equal(s->breaker_count, RELAY_BREAKERS - 3);
  assert_non_null(status_breaker(&w->r, "outbox", BREAKER_OPEN, "full", ""));
  assert_non_null(status_breaker(&w->r, "kafka", BREAKER_OPEN, "away", ""));
  assert_non_null(status_breaker(&w->r, "redis", BREAKER_OPEN, "away", ""));
  assert_int_equal(s->breaker_count, RELAY_BREAKERS);
  assert_null(status_breaker(&w->r, "topic-99", BREAKER_OPEN, "not there", ""));
  status_breaker(&w->r, "topic-0", BREAKER_CLOSED, "", "");
  assert_non_null(status_breaker(&w->r, "topic-99", BREAKER_OPEN, "not there", ""));
  assert_string_equal(status_breaker(&w->r, "kafka", BREAKER_PROBING, "", "")->target, "kafka");
  assert_int_equal(s->breaker_count, RELAY_BREAKERS);
}

CASE(entries_that_another_worker_took_over_are_not_touched) {
  struct world *w = *state;
  put(w->box, ".busbridge/lock.new", "1 somebody-else\n");
  assert_int_equal(
      rename(path_of(w->box, ".busbridge/lock.new"), path_of(w->box, ".busbridge/lock")), 0);
  settle(w);
  assert_int_equal(w->r.status.failed, ST_BUSY);
  assert_true(w->r.stopping);
  assert_int_equal(files_in(w->box, "."), 3);
  assert_string_equal(manifests(w), "settled-0 batch-1");
}

static int take_over(void *ctx, enum durable_op op, const char *name, bool after) {
  struct world *w = ctx;
  bool removed = op == DURABLE_UNLINK && strstr(name, "a.json");
  if (after && (removed || op == DURABLE_FSYNC))
    put(w->box, ".busbridge/lock", "1 somebody-else\n");
  return 0;
}

/* While what is to be put in its place is written; what is done comes after it. */
CASE(a_dead_letter_is_not_moved_once_another_worker_took_over) {
  struct world *w = *state;
  for (unsigned fate = OUTCOME_RETRY; fate <= OUTCOME_DEAD; fate++) {
    void *again = w;
    teardown(&again);
    assert_int_equal(setup(&again), 0);
    *state = w = again;
    w->items[1].outcome = (uint8_t)fate;
    w->items[1].reason = REASON_BAD_NAME;
    durable_set_hook(take_over, w);
    settle(w);
    durable_set_hook(NULL, NULL);
    assert_int_equal(w->r.status.failed, ST_BUSY);
    assert_int_equal(files_in(w->box, "."), 3);
    assert_int_equal(files_in(w->box, "dlq"), 0);
    assert_non_null(strstr(text_of(w->box, "b.json"), "\"attempts\": 0"));
    assert_string_equal(manifests(w), "settled-0 batch-1");
  }
}

/* Between the removals and the record. */
CASE(a_batch_is_not_marked_once_another_worker_took_over) {
  struct world *w = *state;
  durable_set_hook(take_over, w);
  settle(w);
  durable_set_hook(NULL, NULL);
  assert_int_equal(w->r.status.failed, ST_BUSY);
  assert_int_equal(files_in(w->box, "."), 0);
  assert_string_equal(manifests(w), "settled-0 batch-1");
}
