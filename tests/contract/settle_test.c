/* A chain of entries is settled by one call, with the record of the batch that it ends: rules that
 * every kind of outbox keeps. */
#include "bridge/outbox/manifest.h"
#include "tests/contract/rule.h"

static void take(struct box *b, const char *ids) {
  for (; *ids; ids++) box_emit(b, (char[]){*ids, '\0'});
  box_notice(b);
  box_take_all(b);
}

/* Of those in hand: as many as there are fates, "done", "retry", "X" for dead. */
static void rows_of(struct box *b, const char *fates, struct settling rows[8]) {
  for (size_t i = 0; fates[i]; i++)
    rows[i] = (struct settling){.ref = &b->refs[i],
                                .fate = fates[i] == 'd'   ? FATE_DONE
                                        : fates[i] == 'r' ? FATE_RETRY
                                                          : FATE_DEAD,
                                .why = box_failure(REASON_BAD_NAME, 2),
                                .status = ST_CANCELLED};
}

static struct manifest_name batch_of(struct box *b, uint64_t number) {
  struct manifest_entry entries[8] = {0};
  struct manifest m = {.number = number, .entries = entries, .count = b->count};
  for (size_t i = 0; i < b->count; i++)
    entries[i] = (struct manifest_entry){
        .ref = b->refs[i], .id = b->refs[i].id, .topic = SPAN("episode.events")};
  OK(manifest_write(b->store, &m, "n", &b->err));
  struct manifest_name name = {.number = number};
  memcpy(name.digest, m.digest, sizeof name.digest);
  return name;
}

static bool is_settled(struct box *b, uint64_t number) {
  struct manifest_name *list;
  size_t count;
  bool settled = false, there = false;
  OK(manifest_list(b->store, &list, &count, &b->err));
  for (size_t i = 0; i < count; i++) {
    there |= list[i].number == number;
    settled |= list[i].number == number && list[i].settled;
  }
  free(list);
  assert_true(there);
  return settled;
}

RULE(a_chain_of_every_fate_ends_with_its_batch) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing;
  take(b, "abcd");
  struct manifest_name one = batch_of(b, 1);
  rows_of(b, "drXd", rows);
  OK(store_settle(b->store, rows, 4, &one, &closing, &b->err));
  assert_int_equal(closing, CLOSING_DONE);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(rows[i].status, ST_OK);
    assert_int_equal(rows[i].how, SETTLED_GONE);
  }
  assert_true(is_settled(b, 1));
  assert_int_equal(box_counts(b).in_hand, 0);
  box_restart(b);
  assert_true(is_settled(b, 1));
  assert_string_equal(box_list(b, LIST_PENDING, 0, NULL).ids, "b");
  struct box_listed dead = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(dead.ids, "c");
  assert_string_equal(dead.last_error, "field \"x\" is wrong");
  assert_int_equal(box_find(b, LIST_PENDING, "b", NULL).last.attempts, 2);
}

RULE(without_a_batch_no_record_is_touched) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing;
  take(b, "ab");
  batch_of(b, 1);
  rows_of(b, "dd", rows);
  OK(store_settle(b->store, rows, 2, NULL, &closing, &b->err));
  assert_int_equal(closing, CLOSING_NOT);
  assert_false(is_settled(b, 1));
  assert_int_equal(box_counts(b).pending, 0);
}

/* Rows of the batch that earlier calls had are out already. */
RULE(a_batch_may_end_without_rows) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing;
  take(b, "ab");
  struct manifest_name one = batch_of(b, 1);
  rows_of(b, "dd", rows);
  OK(store_settle(b->store, rows, 2, NULL, NULL, &b->err));
  OK(store_settle(b->store, NULL, 0, &one, &closing, &b->err));
  assert_int_equal(closing, CLOSING_DONE);
  assert_true(is_settled(b, 1));
}

/* What is not a JSON object has no place for its attempts: it dies, or it stays. */
RULE(a_row_that_stays_keeps_its_batch_open_and_no_other_row) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing = CLOSING_DONE;
  box_emit_text(b, "a", SPAN("[1]"));
  take(b, "bc");
  for (int i = 0; i < 600 && b->count < 3; i++) { /* until it is taken for whole */
    box_release_all(b);
    store_wait(b->store, 20);
    store_rescan(b->store);
    box_take_all(b);
  }
  assert_int_equal(b->count, 3);
  struct manifest_name one = batch_of(b, 1);
  rows_of(b, "ddd", rows);
  size_t broken = 0;
  while (b->refs[broken].id.len) broken++;
  rows[broken].fate = FATE_RETRY;
  assert_int_equal(store_settle(b->store, rows, 3, &one, &closing, &b->err), ST_AGAIN);
  assert_int_equal(closing, CLOSING_NOT);
  assert_false(is_settled(b, 1));
  for (size_t i = 0; i < 3; i++) assert_int_equal(rows[i].status, i == broken ? ST_INVALID : ST_OK);
  assert_int_equal(rows[broken].error.status, ST_INVALID);
  assert_true(*rows[broken].error.text);
  assert_int_equal(box_counts(b).in_hand, 1);
  struct settling last = {
      .ref = &b->refs[broken], .fate = FATE_DEAD, .why = box_failure(REASON_NOT_OBJECT, 1)};
  OK(store_settle(b->store, &last, 1, &one, &closing, &b->err));
  assert_int_equal(closing, CLOSING_DONE);
  assert_true(is_settled(b, 1));
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "a");
}

RULE(what_became_of_each_is_told_by_its_row) {
  struct box *b = *state;
  struct settling rows[8];
  take(b, "abc");
  box_done(b, &b->refs[1], SETTLED_GONE);
  rows_of(b, "drX", rows);
  OK(store_settle(b->store, rows, 3, NULL, NULL, &b->err));
  assert_int_equal(rows[0].how, SETTLED_GONE);
  assert_int_equal(rows[1].how, SETTLED_VANISHED);
  assert_int_equal(rows[2].how, SETTLED_GONE);
  rows_of(b, "drX", rows);
  OK(store_settle(b->store, rows, 3, NULL, NULL, &b->err));
  for (size_t i = 0; i < 3; i++) assert_int_equal(rows[i].how, SETTLED_VANISHED);
}

/* Recovery: rows of a record, by their ids, wherever they went since. */
RULE(late_rows_go_by_their_ids) {
  struct box *b = *state;
  struct settling rows[8];
  struct manifest m;
  enum closing closing;
  take(b, "abc");
  struct manifest_name one = batch_of(b, 1);
  box_dead(b, &b->refs[1], REASON_BAD_NAME);
  box_restart(b);
  OK(manifest_read(b->store, &one, &m, &b->err));
  for (size_t i = 0; i < 3; i++)
    rows[i] = (struct settling){
        .ref = &m.entries[i].ref, .id = i < 2 ? m.entries[i].id : SPAN("other"), .late = true};
  OK(store_settle(b->store, rows, 3, &one, &closing, &b->err));
  assert_int_equal(rows[0].how, SETTLED_GONE);
  assert_int_equal(rows[1].how, SETTLED_GONE);
  assert_int_equal(rows[2].how, SETTLED_CHANGED);
  manifest_release(&m);
  assert_true(is_settled(b, 1));
  assert_string_equal(box_list(b, LIST_PENDING | LIST_DEAD, 0, NULL).ids, "c");
}

RULE(a_record_that_is_gone_is_told_and_the_rows_are_settled) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing;
  take(b, "ab");
  struct manifest_name one = batch_of(b, 1);
  OK(manifest_remove(b->store, &one, &b->err));
  rows_of(b, "dX", rows);
  assert_int_equal(store_settle(b->store, rows, 2, &one, &closing, &b->err), ST_NOT_FOUND);
  assert_int_equal(closing, CLOSING_DURABLE);
  assert_int_equal(rows[0].status, ST_OK);
  assert_int_equal(rows[1].status, ST_OK);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "b");
}

RULE(an_outbox_that_is_anothers_is_not_touched_and_each_row_says_so) {
  struct box *b = *state;
  struct settling rows[8];
  enum closing closing;
  take(b, "abc");
  struct manifest_name one = batch_of(b, 1);
  box_unlock(b);
  struct store *other = box_another(b, true);
  OK(store_lock(other, 0, &b->err));
  rows_of(b, "drX", rows);
  assert_int_equal(store_settle(b->store, rows, 3, &one, &closing, &b->err), ST_BUSY);
  assert_true(*b->err.text);
  assert_int_equal(closing, CLOSING_NOT);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(rows[i].status, ST_BUSY);
    assert_true(*rows[i].error.text);
  }
  store_close(other);
  box_restart(b);
  assert_false(is_settled(b, 1));
  assert_string_equal(box_list(b, LIST_PENDING, 0, NULL).ids, "a b c");
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "");
  assert_int_equal(box_find(b, LIST_PENDING, "b", NULL).last.attempts, 0);
}

RULE(as_many_as_a_call_may_hold) {
  struct box *b = *state;
  struct settling rows[STORE_ROWS];
  struct arena keep = {0};
  struct entry_ref refs[STORE_ROWS];
  struct entry e;
  const size_t most = store_traits(b->store)->rows;
  char id[20];
  assert_in_range(most, 1, STORE_ROWS);
  for (size_t i = 0; i < most; i++) {
    snprintf(id, sizeof id, "e%zu", i);
    box_emit(b, id);
  }
  size_t count = 0;
  while (store_next(b->store, &keep, &b->scratch, &e, &b->err) == ST_OK && count < most)
    refs[count++] = e.ref;
  assert_int_equal(count, most);
  for (size_t i = 0; i < count; i++)
    rows[i] = (struct settling){.ref = &refs[i],
                                .fate = i % 3 == 0   ? FATE_DONE
                                        : i % 3 == 1 ? FATE_RETRY
                                                     : FATE_DEAD,
                                .why = box_failure(REASON_BAD_NAME, 1)};
  OK(store_settle(b->store, rows, count, NULL, NULL, &b->err));
  struct store_counts c = box_counts(b);
  assert_int_equal(c.pending, (most + 1) / 3);
  assert_int_equal(c.dead, most / 3);
  assert_int_equal(c.in_hand, 0);
  arena_release(&keep);
}

int main(void) {
  return rules_of_each_kind();
}
