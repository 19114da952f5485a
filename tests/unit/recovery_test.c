/* What an earlier run left committed is settled as many entries at once as the store takes, and the
 * record of its batch with the last of them: recovery against the calls that reach the store. */
#include "tests/unit/files.h"

#include "bridge/relay/ledger/ledger.h"
#include "bridge/relay/parts.h"

#include <errno.h>

#define EVENTS 450

static struct {
  unsigned calls, rows, closed; /* closed: calls that named a record */
  enum status fail;             /* of the first call; ST_OK: none */
} seen;

enum status __real_store_settle(struct store *s, struct settling *rows, size_t count,
                                const struct manifest_name *closes, enum closing *closing,
                                struct error *err);
enum status __wrap_store_settle(struct store *s, struct settling *rows, size_t count,
                                const struct manifest_name *closes, enum closing *closing,
                                struct error *err);
enum status __wrap_store_settle(struct store *s, struct settling *rows, size_t count,
                                const struct manifest_name *closes, enum closing *closing,
                                struct error *err) {
  seen.calls++;
  seen.rows += (unsigned)count;
  seen.closed += closes != NULL;
  if (seen.calls == 1 && seen.fail != ST_OK)
    return error_set(err, seen.fail, "another worker took the outbox over");
  return __real_store_settle(s, rows, count, closes, closing, err);
}

struct world {
  struct box *box;
  struct relay r;
  struct publishing publishing;
  struct manifest_name zero, one;
};

static struct manifest_name write_batch(struct world *w, uint64_t number, const char *before,
                                        struct manifest_entry *entries, size_t count) {
  struct box *b = w->box;
  struct manifest m = {.number = number, .entries = entries, .count = count};
  snprintf(m.before, sizeof m.before, "%s", before);
  OK(manifest_write(b->store, &m, "n", &b->err));
  struct manifest_name name = {.number = number};
  memcpy(name.digest, m.digest, sizeof name.digest);
  return name;
}

/* Batch 1 was committed, and the worker ended. */
static void commit(struct world *w) {
  struct box *b = w->box;
  static struct manifest_entry entries[EVENTS];
  struct entry e;
  w->zero = write_batch(w, 0, "", NULL, 0);
  OK(manifest_settle(b->store, &w->zero, &b->err));
  for (size_t i = 0; i < EVENTS; i++) {
    OK(box_next(b, &e));
    struct span id = arena_span(&b->keep, e.event.id);
    entries[i] = (struct manifest_entry){.ref = e.ref, .id = id, .topic = SPAN("quality.events")};
    entries[i].ref.id = id;
  }
  w->one = write_batch(w, 1, w->zero.digest, entries, EVENTS);
  box_restart(b);
}

static int setup(void **state) {
  struct world *w = calloc(1, sizeof *w);
  struct box *b = w->box = box_new("file");
  char id[16];
  for (int i = 0; i < EVENTS; i++) {
    snprintf(id, sizeof id, "e%d", i);
    put_pending(b, id);
  }
  commit(w);
  struct relay *r = w->publishing.relay = &w->r;
  r->parts = (struct relay_parts){.store = b->store, .clock = &clock_system};
  assert_int_equal(metrics_open(&clock_system, &r->parts.metrics), ST_OK);
  r->keys_off = true;
  mutex_init(&r->lock);
  cond_init(&r->changed);
  w->publishing.ledger.position.number = 1;
  memcpy(w->publishing.ledger.position.digest, w->one.digest, sizeof w->one.digest);
  memset(&seen, 0, sizeof seen);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  void *box = w->box;
  durable_set_hook(NULL, NULL);
  metrics_close(w->r.parts.metrics);
  cond_destroy(&w->r.changed);
  mutex_destroy(&w->r.lock);
  free(w);
  return box_free(&box);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

static enum status recover(struct world *w) {
  struct box *b = w->box;
  struct manifest_name *list;
  size_t count;
  OK(manifest_list(b->store, &list, &count, &b->err));
  enum status st = ledger_settle_chain(&w->publishing, list, count, &b->err);
  free(list);
  return st;
}

/* Is batch 1 marked, and how many manifests are there? */
static bool marked(struct world *w, size_t want) {
  struct box *b = w->box;
  struct manifest_name *list;
  size_t count;
  bool settled = false;
  OK(manifest_list(b->store, &list, &count, &b->err));
  assert_int_equal(count, want);
  for (size_t i = 0; i < count; i++) settled |= list[i].number == 1 && list[i].settled;
  free(list);
  return settled;
}

CASE(a_batch_is_settled_in_as_few_calls_as_it_can_be_and_closed_by_the_last) {
  struct world *w = *state;
  struct box *b = w->box;
  OK(recover(w));
  const size_t ROWS = store_traits(b->store)->rows;
  assert_int_equal(seen.rows, EVENTS);
  assert_int_equal(seen.calls, (EVENTS + ROWS - 1) / ROWS);
  assert_int_equal(seen.closed, 1);
  assert_true(marked(w, 1));
  assert_int_equal(box_counts(b).pending, 0);
}

static int hinder(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  bool it = !strcmp(name, "e7.json") || !strcmp(name, "e449.json");
  return it && !after && (op == DURABLE_RENAME || op == DURABLE_UNLINK) ? EPERM : 0;
}

CASE(what_alone_cannot_be_removed_is_set_aside_and_the_record_is_closed) {
  struct world *w = *state;
  struct box *b = w->box;
  durable_set_hook(hinder, NULL);
  OK(recover(w));
  durable_set_hook(NULL, NULL);
  assert_true(marked(w, 1));
  assert_int_equal(box_counts(b).aside, 2);
  box_restart(b);
  w->r.parts.store = b->store;
  assert_string_equal(box_take_all(b), ""); /* written down, durably */
}

/* L11 */
static int fail_sync(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx, (void)name;
  return op == DURABLE_FSYNC && !after ? EIO : 0;
}

CASE(after_a_failed_sync_the_record_stays_for_the_next_start) {
  struct world *w = *state;
  struct box *b = w->box;
  durable_set_hook(fail_sync, NULL);
  OK(recover(w));
  durable_set_hook(NULL, NULL);
  assert_true(atomic_load(&w->r.unsynced));
  assert_false(marked(w, 2));
  OK(recover(w)); /* the same run: not asked again */
  assert_false(marked(w, 2));
  assert_int_equal(box_counts(b).pending, 0);
}

static int fail_mark(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  return op == DURABLE_RENAME && !after && !strncmp(name, "batch-1-", 8) ? EPERM : 0;
}

CASE(a_record_that_alone_cannot_be_marked_is_stuck) {
  struct world *w = *state;
  durable_set_hook(fail_mark, NULL);
  struct box *b = w->box;
  OK(recover(w));
  durable_set_hook(NULL, NULL);
  assert_false(marked(w, 1)); /* 0 went */
  assert_int_equal(w->r.stuck.count, 1);
}

CASE(an_outbox_that_is_anothers_ends_it) {
  struct world *w = *state;
  struct box *b = w->box;
  seen.fail = ST_BUSY;
  assert_int_equal(recover(w), ST_BUSY);
  assert_int_equal(seen.calls, 1);
  assert_non_null(strstr(b->err.text, "took the outbox over"));
  assert_false(marked(w, 2));
}
