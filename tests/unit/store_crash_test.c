/* Every durable call of every move fails, or is the last one before a crash: afterwards the entry
 * is in exactly one place, whole. And what others do to a file in the middle of a move is neither
 * lost nor overwritten. */
#include "tests/unit/store_faults.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

/* ---- the moves ---- */

static void make_pending(struct box *b) {
  put_pending(b, "a");
  set_mtime(b, "a.json", 1700000000, 77);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
}

static enum status move_retry(struct box *b) {
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  enum settled how;
  enum status st = store_retry(b->store, &b->refs[0], &why, &how, &b->err);
  assert_int_equal(box_counts(b).in_hand, st != ST_OK);
  return st;
}

static void check_retry(struct box *b, bool said_done) {
  assert_string_equal(box_take_all(b), "a");
  assert_int_equal(b->refs[0].arrived_ns, 1700000000000000077);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "");
  unsigned attempts = box_list(b, LIST_PENDING, 0, NULL).last.attempts;
  if (said_done) assert_int_equal(attempts, 2);
  assert_non_null(
      strstr(text_of(b, "a.json"), "\"payload\": {\"n\": 1.50, \"created_at\": \"x\"}"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

static enum status move_dead(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  enum status st = store_dead(b->store, &b->refs[0], &why, &how, &b->err);
  assert_int_equal(box_counts(b).in_hand, st != ST_OK);
  return st;
}

static void check_dead(struct box *b, bool said_done) {
  box_take_all(b);
  uint64_t pending, dead;
  box_list(b, LIST_PENDING, 0, &pending);
  struct box_listed l = box_list(b, LIST_DEAD, 0, &dead);
  assert_int_equal(b->count, pending);
  assert_int_equal(pending + dead, 1);
  assert_int_equal(files_in(b, ".") + files_in(b, "dlq"), 1);
  if (said_done) assert_int_equal(dead, 1);
  if (dead) assert_string_equal(l.reason, "bad_name");
  assert_int_equal(mtime_of(b, dead ? "dlq/a.json" : "a.json"), 1700000000000000077);
  assert_non_null(
      strstr(text_of(b, dead ? "dlq/a.json" : "a.json"), "{\"n\": 1.50, \"created_at\": \"x\"}"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

static void make_broken(struct box *b) {
  put(b, "a.json", "{\"id\": broken");
  store_rescan(b->store);
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  assert_string_equal(b->ids, "a.json!not_json");
}

/* A descriptor may be there too early; the move is then finished with it. */
static void check_raw(struct box *b, bool said_done) {
  bool dead = exists(b, "dlq/a.raw");
  assert_int_equal(dead + exists(b, "a.json"), 1);
  assert_string_equal(text_of(b, dead ? "dlq/a.raw" : "a.json"), "{\"id\": broken");
  if (said_done) assert_true(dead);
  if (!dead) {
    for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
    box_dead(b, &b->refs[0], REASON_NOT_JSON);
  }
  assert_int_equal(files_in(b, "dlq"), 2);
  assert_int_equal(files_in(b, "."), 0);
  assert_non_null(strstr(text_of(b, "dlq/a.json"), "\"reason\": \""));
  assert_true(exists(b, "dlq/a.raw"));
}

static void make_dead(struct box *b) {
  make_pending(b);
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
}

static enum status move_replay(struct box *b) {
  enum status st = store_replay(b->store, SHELF_DEAD, "a.json", &b->err);
  assert_int_equal(box_counts(b).in_hand, 0);
  return st;
}

static void check_replay(struct box *b, bool said_done) {
  check_dead(b, false);
  struct box_listed l = box_list(b, LIST_PENDING, 0, NULL);
  if (said_done) assert_string_equal(l.ids, "a");
  if (*l.ids) assert_int_equal(l.last.attempts, 0);
}

static void make_raw(struct box *b) {
  make_broken(b);
  box_dead(b, &b->refs[0], REASON_NOT_JSON);
}

static void check_raw_replay(struct box *b, bool said_done) {
  if (said_done)
    assert_true(exists(b, "a.json") && !exists(b, "dlq/a.raw") && !exists(b, "dlq/a.json"));
  check_raw(b, false);
}

static const char newer[] =
    "{\"id\": \"n\", \"message_type\": \"event\", \"message_name\": \"a.b\", \"payload\": {\"s\": 1}, "
    "\"original_error\": \"boom\", \"attempt_count\": 4, \"first_failed_at\": null, "
    "\"last_failed_at\": null, \"metadata\": {}}";

static void make_newer(struct box *b) {
  put(b, "dlq/dlq_n.json", newer);
}

static enum status move_newer(struct box *b) {
  return store_replay(b->store, SHELF_DEAD, "dlq_n.json", &b->err);
}

static void check_newer(struct box *b, bool said_done) {
  box_take_all(b);
  assert_int_equal(files_in(b, ".") + files_in(b, "dlq"), 1);
  if (said_done) assert_string_equal(b->ids, "n");
  if (!b->count) assert_string_equal(text_of(b, "dlq/dlq_n.json"), newer);
}

static void make_nothing(struct box *b) {
  box_take_all(b);
}

static enum status move_emit(struct box *b) {
  return box_put(
      b->store, "a",
      SPAN("{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}"),
      &b->err);
}

static void check_emit(struct box *b, bool said_done) {
  box_take_all(b);
  assert_true(!*b->ids || strcmp(b->ids, "a") == 0);
  if (said_done) assert_string_equal(b->ids, "a");
}

static void check_done(struct box *b, bool said_done) {
  box_take_all(b);
  if (said_done) assert_string_equal(b->ids, "");
  assert_int_equal(files_in(b, ".") + files_in(b, "sent") <= 1, 1);
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(retry_survives_every_fault) {
  try_all(*state, make_pending, move_retry, check_retry);
}
CASE(dead_survives_every_fault) {
  try_all(*state, make_pending, move_dead, check_dead);
}
CASE(raw_dead_survives_every_fault) {
  try_all(*state, make_broken, move_dead, check_raw);
}
CASE(replay_survives_every_fault) {
  try_all(*state, make_dead, move_replay, check_replay);
}
CASE(raw_replay_survives_every_fault) {
  try_all(*state, make_raw, move_replay, check_raw_replay);
}
CASE(newer_replay_survives_every_fault) {
  try_all(*state, make_newer, move_newer, check_newer);
}
CASE(emit_survives_every_fault) {
  try_all(*state, make_nothing, move_emit, check_emit);
}
CASE(done_survives_every_fault) {
  struct box *b = *state;
  b->config.keep_sent = true;
  box_restart(b);
  try_all(b, make_pending, move_published, check_done);
}

static enum status move_done_only(struct box *b) {
  enum settled how;
  return store_done(b->store, &b->refs[0], &how, &b->err);
}

static enum status move_done_id(struct box *b) {
  enum settled how;
  return box_late(b, &b->refs[0], "a", &how);
}

/* Else it would be published a second time while the first try to settle it is repeated. */
CASE(what_could_not_be_settled_stays_in_hand_until_it_is) {
  struct box *b = *state;
  const struct {
    move_fn move;
    const char *after; /* what a scan finds then */
  } moves[] = {{move_done_only, ""}, {move_done_id, ""}, {move_retry, "a"}, {move_dead, ""}};
  for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
    for (int mode = FAIL_BEFORE; mode <= FAIL_AFTER; mode++) {
      struct fault f = {.mode = (enum mode)mode, .at = 1};
      box_stop(b);
      clear(b);
      box_start(b);
      make_pending(b);
      durable_set_hook(fault_hook, &f);
      assert_int_equal(moves[i].move(b), ST_IO);
      durable_set_hook(NULL, NULL);
      assert_int_equal(box_counts(b).in_hand, 1);
      struct entry_ref ref = b->refs[0];
      store_rescan(b->store);
      assert_string_equal(box_take_all(b), "");
      b->refs[0] = ref;
      assert_int_equal(moves[i].move(b), ST_OK);
      assert_int_equal(box_counts(b).in_hand, 0);
      store_rescan(b->store);
      assert_string_equal(box_take_all(b), moves[i].after);
    }
}

/* It was removed before a crash, but no sync made that durable: settled means that it cannot come
 * back. */
CASE(what_is_found_gone_is_synced_all_the_same) {
  struct box *b = *state;
  struct fault f = {.at = 1000};
  enum settled how;
  make_pending(b);
  assert_int_equal(unlink(path_of(b, "a.json")), 0);
  OK(box_late(b, &b->refs[0], "a", &how));
  assert_int_equal(how, SETTLED_VANISHED);
  durable_set_hook(fault_hook, &f);
  OK(store_sync(b->store, &b->err));
  durable_set_hook(NULL, NULL);
  assert_int_equal(f.calls, 1);
}

CASE(a_failing_sync_is_told_again_until_it_works) {
  struct box *b = *state;
  struct fault f = {.mode = CRASH_BEFORE, .at = 1};
  make_pending(b);
  box_done(b, &b->refs[0], SETTLED_GONE);
  durable_set_hook(fault_hook, &f);
  assert_int_equal(store_sync(b->store, &b->err), ST_IO);
  assert_int_equal(store_sync(b->store, &b->err), ST_IO);
  durable_set_hook(NULL, NULL);
  f = (struct fault){.at = 1000};
  durable_set_hook(fault_hook, &f);
  OK(store_sync(b->store, &b->err));
  assert_int_equal(f.calls, 1);
  OK(store_sync(b->store, &b->err));
  assert_int_equal(f.calls, 1); /* nothing changed since */
  durable_set_hook(NULL, NULL);
}

/* ---- somebody else, at the worst moment ---- */

enum deed {
  REPLACE = 1,
  REMOVE = 2,
  REMOVE_AFTER = 4,
  NO_EXCHANGE = 8,
  CRASH_FIRST = 16,
  CRASH_THEN = 32,
  FINISH = 64
};
struct rival {
  struct box *b;
  const char *name;
  unsigned deeds, renames, at; /* at: the number of the rename it strikes at */
  bool crashed;                /* nothing works any more */
};

static void replace_file(struct box *b, const char *name) {
  put_entry(b, "rival.tmp", "rival", "pending", "2025-01-01T00:00:00");
  assert_int_equal(rename(path_of(b, "rival.tmp"), path_of(b, name)), 0);
}

static int rival_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct rival *r = ctx;
  if (r->crashed) return EIO;
  if (op != DURABLE_RENAME || strstr(name, ".tmp"))
    return 0; /* a temporary file is moved or gets a name: no matter */
  if (!after && ++r->renames != r->at) return 0;
  if (after && r->renames != r->at) return 0;
  if (!after && (r->deeds & REPLACE)) replace_file(r->b, r->name);
  if (!after && (r->deeds & REMOVE)) unlink(path_of(r->b, r->name));
  if (!after && (r->deeds & FINISH))
    assert_int_equal(rename(path_of(r->b, r->name), path_of(r->b, "dlq/a.raw")), 0);
  if (after && (r->deeds & REMOVE_AFTER)) unlink(path_of(r->b, r->name));
  r->crashed = r->deeds & (after ? CRASH_THEN : CRASH_FIRST);
  if (r->crashed) return EIO;
  return !after && (r->deeds & NO_EXCHANGE) ? EINVAL : 0;
}

static enum settled with_rival(struct box *b, unsigned deeds, unsigned at, bool dead) {
  struct rival r = {.b = b, .name = "a.json", .deeds = deeds, .at = at};
  struct failure why = box_failure(REASON_BAD_NAME, 2);
  enum settled how;
  durable_set_hook(rival_hook, &r);
  enum status st = dead ? store_dead(b->store, &b->refs[0], &why, &how, &b->err)
                        : store_retry(b->store, &b->refs[0], &why, &how, &b->err);
  durable_set_hook(NULL, NULL);
  if (st != ST_OK) fail_msg("%s", b->err.text);
  return how;
}

CASE(what_a_producer_puts_there_meanwhile_comes_back) {
  struct box *b = *state;
  make_pending(b);
  assert_int_equal(with_rival(b, REPLACE, 1, false), SETTLED_CHANGED);
  assert_non_null(strstr(text_of(b, "a.json"), "\"id\": \"rival\""));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  assert_string_equal(box_take_some(b), "rival");
}

/* The worker ends where the producer's bytes lie in tmp, or just before. */
CASE(what_a_producer_puts_there_comes_back_after_a_crash_too) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BAD_NAME, 2);
  static const char *const places[] = {"a.json", "pending/a.json"};
  for (int i = 0; i < 8; i++) {
    struct rival r = {.b = b,
                      .name = places[i & 1],
                      .deeds = REPLACE | (i & 2 ? CRASH_FIRST : CRASH_THEN),
                      .at = 1};
    enum settled how;
    assert_true(mkdir(path_of(b, "pending"), 0770) == 0 || errno == EEXIST);
    put_entry(b, r.name, "a", "pending", "2025-01-01T00:00:00");
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "a");
    durable_set_hook(rival_hook, &r);
    enum status st = i & 4 ? store_dead(b->store, &b->refs[0], &why, &how, &b->err)
                           : store_retry(b->store, &b->refs[0], &why, &how, &b->err);
    durable_set_hook(NULL, NULL);
    assert_int_not_equal(st, ST_OK);
    assert_int_equal(files_in(b, ".busbridge/tmp"), 1);
    box_restart(b);
    assert_int_equal(files_in(b, ".busbridge/tmp") + files_in(b, "dlq"), 0);
    assert_string_equal(box_take_all(b), "rival");
    assert_int_equal(span_starts(b->refs[0].token, "pending/"), i & 1);
    box_done_all(b);
  }
}

CASE(also_when_our_rewrite_was_removed_in_between) {
  struct box *b = *state;
  make_pending(b);
  assert_int_equal(with_rival(b, REPLACE | REMOVE_AFTER, 1, false), SETTLED_CHANGED);
  assert_non_null(strstr(text_of(b, "a.json"), "\"id\": \"rival\""));
  assert_string_equal(box_take_some(b), "rival");
}

CASE(what_is_removed_meanwhile_is_not_brought_back) {
  struct box *b = *state;
  make_pending(b);
  assert_int_equal(with_rival(b, REMOVE, 1, false), SETTLED_VANISHED);
  assert_int_equal(files_in(b, ".") + files_in(b, ".busbridge/tmp"), 0);
  make_pending(b);
  assert_int_equal(with_rival(b, REMOVE, 2, true), SETTLED_VANISHED); /* before the move to dlq/ */
  assert_int_equal(files_in(b, ".") + files_in(b, "dlq"), 0);
  make_broken(b);
  assert_int_equal(with_rival(b, REMOVE, 1, true), SETTLED_VANISHED);
  assert_int_equal(files_in(b, ".") + files_in(b, "dlq"), 0);
  assert_int_equal(box_counts(b).pending, 0);
}

CASE(a_raw_move_of_the_wrong_file_is_taken_back) {
  struct box *b = *state;
  make_broken(b);
  assert_int_equal(with_rival(b, REPLACE, 1, true), SETTLED_CHANGED);
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_string_equal(box_take_some(b), "rival");
}

/* A successor found the descriptor of the one that stopped, and used it. */
CASE(a_raw_move_that_a_successor_finished_keeps_its_descriptor) {
  struct box *b = *state;
  make_broken(b);
  assert_int_equal(with_rival(b, FINISH, 1, true), SETTLED_VANISHED);
  assert_true(exists(b, "dlq/a.raw"));
  assert_true(exists(b, "dlq/a.json"));
  assert_int_equal(box_list(b, LIST_DEAD, 0, NULL).last.raw, true);
}

CASE(a_file_system_without_exchange_gets_a_plain_rename_and_a_warning) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  make_pending(b);
  assert_int_equal(with_rival(b, NO_EXCHANGE, 1, false), SETTLED_GONE);
  assert_int_equal(box_list(b, LIST_PENDING, 0, NULL).last.attempts, 2);
  store_rescan(b->store), box_take_all(b);
  assert_int_equal(with_rival(b, NO_EXCHANGE | REPLACE, 1, false), SETTLED_CHANGED);
  assert_string_equal(box_take_some(b), "rival");
  assert_int_equal(with_rival(b, NO_EXCHANGE | REMOVE, 1, false), SETTLED_VANISHED);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  assert_int_equal(logged(text, "event=exchange_unsupported"), 1);
  make_dead(b);
  struct rival r = {.b = b, .name = "a.json", .deeds = NO_EXCHANGE, .at = 2};
  durable_set_hook(rival_hook, &r);
  enum status st = store_replay(b->store, SHELF_DEAD, "a.json", &b->err);
  durable_set_hook(NULL, NULL);
  OK(st);
  assert_string_equal(box_take_some(b), "a");
  fclose(text);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  box_start(b);
}

static enum status replay_with_rival(struct box *b, unsigned deeds, unsigned at) {
  struct rival r = {.b = b, .name = "a.json", .deeds = deeds, .at = at};
  durable_set_hook(rival_hook, &r);
  enum status st = store_replay(b->store, SHELF_DEAD, "a.json", &b->err);
  durable_set_hook(NULL, NULL);
  return st;
}

CASE(a_replay_that_meets_somebody_leaves_what_is_theirs) {
  struct box *b = *state;
  make_dead(b);
  assert_int_equal(replay_with_rival(b, REPLACE, 2), ST_NOT_FOUND);
  assert_string_equal(box_take_some(b), "rival");
  box_done_all(b);
  assert_int_equal(files_in(b, "dlq"), 0);
  make_dead(b);
  assert_int_equal(replay_with_rival(b, REMOVE, 2), ST_NOT_FOUND);
  make_dead(b);
  assert_int_equal(replay_with_rival(b, REMOVE_AFTER, 1), ST_NOT_FOUND);
  assert_int_equal(files_in(b, ".") + files_in(b, "dlq") + files_in(b, ".busbridge/tmp"), 0);
  put_pending(b, "a");
  struct rival r = {.b = b, .name = "a.json", .deeds = REMOVE, .at = 1};
  durable_set_hook(rival_hook, &r);
  assert_int_equal(store_replay(b->store, SHELF_PENDING, "a.json", &b->err), ST_NOT_FOUND);
  durable_set_hook(NULL, NULL);
}

static int remove_tmp(void *ctx, enum durable_op op, const char *name, bool after) {
  struct box *b = ctx;
  char path[400];
  snprintf(path, sizeof path, ".busbridge/tmp/%s", name);
  if (op == DURABLE_RENAME && !after) unlink(path_of(b, path));
  return 0;
}

CASE(a_second_worker_emptying_tmp_does_not_look_like_a_vanished_entry) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BAD_NAME, 2);
  enum settled how;
  make_pending(b);
  durable_set_hook(remove_tmp, b);
  assert_int_equal(store_retry(b->store, &b->refs[0], &why, &how, &b->err), ST_IO);
  durable_set_hook(NULL, NULL);
  assert_non_null(strstr(b->err.text, "second worker"));
  store_release(b->store, &b->refs[0]);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
}
