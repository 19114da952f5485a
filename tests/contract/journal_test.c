/* The journal of batches, and dead letters many at a time: rules that every kind of outbox keeps.
 */
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/survey.h"
#include "tests/contract/rule.h"

enum { TICK_MS = 20 }; /* an outbox may tell times by a clock that ticks */

static struct manifest_name name_of(const struct manifest *m) {
  struct manifest_name n = {.number = m->number};
  memcpy(n.digest, m->digest, sizeof n.digest);
  return n;
}

/* A batch of what is in hand. */
static struct manifest_name write_batch(struct box *b, uint64_t number, const char *before,
                                        const char *nonce) {
  struct manifest_entry entries[64] = {0};
  struct manifest m = {.number = number, .entries = entries, .count = b->count};
  snprintf(m.before, sizeof m.before, "%s", before);
  for (size_t i = 0; i < b->count; i++)
    entries[i] = (struct manifest_entry){.ref = b->refs[i],
                                         .id = b->refs[i].id,
                                         .topic = SPAN("episode.events"),
                                         .key = SPAN("a key")};
  OK(manifest_write(b->store, &m, nonce, &b->err));
  assert_true(manifest_digest_valid(span_of(m.digest)));
  return name_of(&m);
}

/* "3 4s": numbers, s: settled. */
static const char *listed(struct box *b) {
  static char text[200];
  struct manifest_name *list;
  size_t count, len = 0;
  text[0] = '\0';
  OK(manifest_list(b->store, &list, &count, &b->err));
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu%s", i ? " " : "",
                            (unsigned long long)list[i].number, list[i].settled ? "s" : "");
  free(list);
  return text;
}

static void take(struct box *b, const char *ids) {
  for (; *ids; ids++) box_emit(b, (char[]){*ids, '\0'});
  box_notice(b);
  box_take_all(b);
}

RULE(a_batch_is_read_back_whole_by_whoever_comes_later) {
  struct box *b = *state;
  struct manifest m;
  take(b, "ab");
  struct manifest_name one = write_batch(b, 1, "", "n");
  box_restart(b);
  assert_string_equal(listed(b), "1");
  OK(manifest_read(b->store, &one, &m, &b->err));
  assert_int_equal(m.number, 1);
  assert_int_equal(m.count, 2);
  assert_string_equal(m.before, "");
  assert_string_equal(m.digest, one.digest);
  for (size_t i = 0; i < 2; i++) {
    enum settled how;
    assert_true(span_is(m.entries[i].id, i ? "b" : "a"));
    assert_true(span_is(m.entries[i].topic, "episode.events"));
    assert_true(span_is(m.entries[i].key, "a key"));
    assert_true(m.entries[i].ref.arrived_ns == b->refs[i].arrived_ns);
    OK(box_late(b, &m.entries[i].ref, i ? "b" : "a", &how));
    assert_int_equal(how, SETTLED_GONE);
  }
  manifest_release(&m);
}

/* What is asked of the topics when the position is lost. */
RULE(a_batch_tells_who_wrote_it_and_when_and_an_entry_since_when_it_was_there) {
  struct box *b = *state;
  int64_t before_ms = clock_wall_us(&clock_system) / 1000 - TICK_MS;
  struct manifest_name *list;
  struct manifest m;
  size_t count;
  take(b, "ab");
  write_batch(b, 1, "", "run \"1\"");
  int64_t after_ms = clock_wall_us(&clock_system) / 1000 + TICK_MS;
  box_restart(b);
  OK(manifest_list(b->store, &list, &count, &b->err));
  assert_int_equal(count, 1);
  assert_in_range(list[0].written_ms, before_ms, after_ms);
  OK(manifest_read(b->store, &list[0], &m, &b->err));
  assert_true(span_is(m.nonce, "run \"1\""));
  for (size_t i = 0; i < 2; i++) {
    const struct entry_ref *ref = &m.entries[i].ref;
    assert_in_range(ref->arrived_ns / 1000000, before_ms, after_ms);
    assert_in_range(ref->since_ms, before_ms, list[0].written_ms + TICK_MS);
    assert_true(ref->since_ms == b->refs[i].since_ms);
  }
  manifest_release(&m);
  free(list);
}

RULE(the_journal_is_in_order_and_a_settled_batch_stays_until_it_is_removed) {
  struct box *b = *state;
  struct manifest m;
  take(b, "a");
  struct manifest_name one = write_batch(b, 1, "", "n");
  struct manifest_name two = write_batch(b, 2, one.digest, "n");
  assert_string_equal(listed(b), "1 2");
  OK(manifest_settle(b->store, &one, &b->err));
  OK(manifest_settle(b->store, &one, &b->err)); /* twice is once */
  assert_string_equal(listed(b), "1s 2");
  one.settled = true;
  OK(manifest_read(b->store, &one, &m, &b->err));
  manifest_release(&m);
  OK(manifest_remove(b->store, &one, &b->err));
  OK(manifest_remove(b->store, &one, &b->err));
  assert_string_equal(listed(b), "2");
  OK(manifest_read(b->store, &two, &m, &b->err));
  assert_string_equal(m.before, one.digest);
  manifest_release(&m);
  assert_true(manifest_read(b->store, &one, &m, &b->err) == ST_NOT_FOUND);
}

RULE(two_batches_of_one_number_are_told_apart) {
  struct box *b = *state;
  take(b, "a");
  struct manifest_name one = write_batch(b, 1, "", "n"), other = write_batch(b, 1, "", "o");
  assert_string_not_equal(one.digest, other.digest);
  assert_string_equal(listed(b), "1 1");
  OK(manifest_remove(b->store, &one, &b->err));
  assert_string_equal(listed(b), "1");
}

RULE(a_list_says_when_each_was_written) {
  struct box *b = *state;
  struct manifest_name *list;
  size_t count;
  int64_t before_ms = clock_wall_us(&clock_system) / 1000 - 10000; /* its clock may lag */
  take(b, "a");
  write_batch(b, 1, "", "n");
  OK(manifest_list(b->store, &list, &count, &b->err));
  assert_int_equal(count, 1);
  assert_true(list[0].written_ms >= before_ms &&
              list[0].written_ms <= clock_wall_us(&clock_system) / 1000);
  free(list);
}

RULE(ids_of_batches_that_are_not_settled_are_known) {
  struct box *b = *state;
  struct span ids[] = {SPAN("b"), SPAN("x"), SPAN(""), SPAN("a"), SPAN("b")};
  bool named[5];
  take(b, "ab");
  struct manifest_name one = write_batch(b, 1, "", "n");
  OK(manifest_names(b->store, ids, 5, named, &b->err));
  assert_true(named[0] && !named[1] && !named[2] && named[3] && named[4]);
  struct store *other = box_another(b, false); /* as another process, beside the owner */
  OK(manifest_names(other, ids, 5, named, &b->err));
  assert_true(named[0] && !named[1] && !named[2] && named[3] && named[4]);
  OK(manifest_settle(b->store, &one, &b->err));
  OK(manifest_names(b->store, ids, 5, named, &b->err));
  assert_false(named[0] || named[1] || named[3]);
  OK(manifest_names(other, ids, 5, named, &b->err));
  assert_false(named[0] || named[1] || named[3]);
  store_close(other);
}

RULE(a_batch_that_is_too_large_is_cut_and_not_written) {
  struct box *b = *state;
  enum { MANY = 20000 };
  struct manifest_entry *entries = calloc(MANY, sizeof *entries);
  char key[MANIFEST_KEY + 50];
  memset(key, 'k', sizeof key);
  take(b, "a");
  for (size_t i = 0; i < MANY; i++)
    entries[i] = (struct manifest_entry){.ref = b->refs[0],
                                         .id = SPAN("a"),
                                         .topic = SPAN("episode.events"),
                                         .key = {key, sizeof key}};
  struct manifest m = {.number = 1, .entries = entries, .count = MANY};
  assert_int_equal(manifest_write(b->store, &m, "n", &b->err), ST_TOO_LARGE);
  assert_true(m.fit > 100 && m.fit < MANY);
  assert_string_equal(listed(b), "");
  m.count = m.fit;
  OK(manifest_write(b->store, &m, "n", &b->err));
  struct manifest_name name = name_of(&m);
  struct manifest back;
  OK(manifest_read(b->store, &name, &back, &b->err));
  assert_int_equal(back.count, m.count);
  assert_int_equal(back.entries[0].key.len, MANIFEST_KEY);
  manifest_release(&back);
  free(entries);
}

/* ---- dead letters, many at a time ---- */

/* a, b, c; and one more, which is gone. */
static void three_dead(struct box *b, char tokens[4][300]) {
  take(b, "abcg");
  for (size_t i = 0; i < 4; i++) {
    box_dead(b, &b->refs[i], REASON_BAD_NAME);
    box_token(b, LIST_DEAD, (char[]){"abcg"[i], '\0'}, tokens[i]);
  }
  struct letter gone = {.token = tokens[3], .when_us = TIME_NONE};
  store_purge(b->store, &gone, 1);
  assert_int_equal(gone.status, ST_OK);
}

static void refuse_b(void *ctx, struct letter *list, size_t count) {
  (void)ctx;
  for (size_t i = 0; i < count; i++)
    if (list[i].status == ST_OK && span_is(list[i].id, "b")) list[i].status = ST_BUSY;
}

RULE(many_are_replayed_each_by_itself) {
  struct box *b = *state;
  char tokens[4][300];
  three_dead(b, tokens);
  struct letter list[4] = {{.token = tokens[0], .when_us = TIME_NONE},
                           {.token = tokens[1], .when_us = TIME_NONE},
                           {.token = tokens[3], .when_us = TIME_NONE},
                           {.token = tokens[2], .when_us = 1}}; /* it has died again since */
  store_replay_all(b->store, list, 4, refuse_b, NULL);
  assert_int_equal(list[0].status, ST_OK);
  assert_int_equal(list[1].status, ST_BUSY);
  assert_int_equal(list[2].status, ST_NOT_FOUND);
  assert_int_equal(list[3].status, ST_NOT_FOUND);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "b c");
  assert_string_equal(box_take_some(b), "a");
  assert_int_equal(box_counts(b).dead, 2);
  assert_int_equal(box_counts(b).returned, 1);
}

RULE(many_are_purged_each_by_itself) {
  struct box *b = *state;
  char tokens[4][300];
  three_dead(b, tokens);
  struct letter list[3] = {{.token = tokens[0], .when_us = TIME_NONE},
                           {.token = tokens[3], .when_us = TIME_NONE},
                           {.token = tokens[2], .when_us = 1700000001000000}};
  store_purge(b->store, list, 3);
  assert_int_equal(list[0].status, ST_OK);
  assert_int_equal(list[1].status, ST_NOT_FOUND);
  assert_int_equal(list[2].status, ST_OK);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "b");
  assert_string_equal(box_take_all(b), "");
}

RULE(the_bytes_of_a_dead_letter_that_is_no_json_are_kept) {
  struct box *b = *state;
  struct entry e;
  struct buffer bytes = {0};
  uint64_t size;
  box_emit_text(b, "x", SPAN("no json at all"));
  box_wait_next(b, &e);
  assert_int_equal(e.reason, REASON_NOT_JSON);
  box_dead(b, &e.ref, e.reason);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "x");
  assert_true(l.last.raw);
  OK(store_bytes(b->store, l.token, true, 3, 4, &bytes, &size, &b->err));
  assert_int_equal(size, strlen("no json at all"));
  assert_true(span_is(buffer_span(&bytes), "json"));
  buffer_clear(&bytes);
  store_purge(b->store, &(struct letter){.token = l.token, .when_us = TIME_NONE}, 1);
  assert_int_equal(store_bytes(b->store, l.token, true, 0, 4, &bytes, &size, &b->err),
                   ST_NOT_FOUND);
  buffer_release(&bytes);
}

/* What verify asks for. */
static bool count_survey(void *ctx, const struct survey_item *item) {
  unsigned *found = ctx;
  if (item->oddity == ODDITY_NONE) found[item->shelf == SHELF_DEAD]++;
  return true;
}

RULE(a_survey_tells_everything_that_lies_there) {
  struct box *b = *state;
  unsigned found[2] = {0};
  uint64_t left_out;
  char tokens[4][300];
  three_dead(b, tokens);
  take(b, "d");
  OK(store_survey(b->store, 0, count_survey, found, &left_out, &b->err));
  assert_int_equal(found[0], 1);
  assert_int_equal(found[1], 3);
  assert_int_equal(left_out, 0);
  assert_true(store_lies(b->store, &b->refs[0], SPAN("d")));
  assert_false(store_lies(b->store, &b->refs[0], SPAN("e")));
  box_done_all(b);
  assert_false(store_lies(b->store, &b->refs[0], SPAN("d")));
}

int main(void) {
  return rules_of_each_kind();
}
