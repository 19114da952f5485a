/* What others do to an entry while it is in hand: touching it changes nothing, another event in its
 * place is not lost. */
#include "tests/unit/same_box.h"

CASE(what_was_published_goes_out_whatever_was_done_to_its_file) {
  struct box *b = *state;
  for (int i = 0; i < 2 * DEEDS; i++) {
    if (i % 2)
      take_young(b, "a");
    else
      take_old(b, "a");
    deeds[i / 2](b, "a.json");
    box_done(b, &b->refs[0], SETTLED_GONE);
    assert_false(exists(b, "a.json"));
    unlink(path_of(b, "backup"));
    assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
  }
}

CASE(so_it_does_after_a_restart) {
  struct box *b = *state;
  for (int i = 0; i < DEEDS; i++) {
    enum settled how;
    take_old(b, "a");
    deeds[i](b, "a.json");
    box_restart(b);
    OK(box_late(b, &b->refs[0], "a", &how));
    assert_int_equal(how, SETTLED_GONE);
    unlink(path_of(b, "backup"));
    assert_string_equal(box_take_all(b), "");
  }
}

CASE(a_backup_s_link_keeps_its_bytes) {
  struct box *b = *state;
  take_old(b, "a");
  do_link(b, "a.json");
  box_done(b, &b->refs[0], SETTLED_GONE);
  assert_non_null(strstr(text_of(b, "backup"), "\"id\": \"a\""));
}

CASE(it_is_kept_in_sent_all_the_same) {
  struct box *b = *state;
  box_stop(b);
  b->config.keep_sent = true;
  box_start(b);
  for (int i = 0; i < DEEDS; i++) {
    take_old(b, "a");
    deeds[i](b, "a.json");
    box_done(b, &b->refs[0], SETTLED_GONE);
    unlink(path_of(b, "backup"));
    assert_int_equal(files_in(b, "sent"), i + 1);
    assert_int_equal(files_in(b, ".busbridge/tmp") + files_in(b, "."), 0);
  }
}

/* Between two calls of its removal the reader may be anywhere: what it read then would be sent
 * again once the relay has forgotten the id. */
struct reading {
  struct box *b;
  bool under_way;
  unsigned times;
};
static int read_meanwhile(void *ctx, enum durable_op op, const char *name, bool after) {
  struct reading *r = ctx;
  (void)op, (void)name, (void)after;
  if (r->under_way) return 0;
  r->under_way = true;
  store_rescan(r->b->store);
  assert_string_equal(box_take_all(r->b), "");
  r->times++;
  r->under_way = false;
  return 0;
}

CASE(until_it_is_out_no_scan_hands_it_out_again) {
  struct reading r = {.b = *state};
  take_old(r.b, "a");
  durable_set_hook(read_meanwhile, &r);
  box_done(r.b, &r.b->refs[0], SETTLED_GONE);
  durable_set_hook(NULL, NULL);
  assert_true(r.times >= 2);
  assert_false(exists(r.b, "a.json"));
}

/* ---- other events ---- */

CASE(another_event_with_its_id_is_its_duplicate_and_told) {
  struct box *b = *state;
  take_old(b, "a");
  put(b, "a.json",
      "{\"id\": \"a\", \"name\": \"quality.checked\", \"payload\": {\"n\": 2}, \"status\": \"pending\"}");
  box_done(b, &b->refs[0], SETTLED_REUSED);
  assert_false(exists(b, "a.json"));
  take_old(b, "a");
  put(b, "a.json",
      "{\"id\": \"a\", \"name\": \"plot.saved\", \"payload\": {\"n\": 1.50, \"created_at\": \"x\"}, \"status\": "
      "\"pending\"}");
  box_done(b, &b->refs[0], SETTLED_REUSED);
  assert_false(exists(b, "a.json"));
}

CASE(another_event_is_left_and_comes) {
  struct box *b = *state;
  for (int i = 0; i < 2; i++) {
    if (i)
      take_young(b, "a");
    else
      take_old(b, "a");
    put_entry(b, "a.json", "b", "pending", CREATED);
    box_done(b, &b->refs[0], SETTLED_CHANGED);
    assert_string_equal(box_take_some(b), "b");
    box_done_all(b);
  }
}

/* Same name, inode, size and mtime: the time of a copy may be set to any. */
CASE(another_event_with_the_old_time_and_size_is_left_and_comes) {
  struct box *b = *state;
  put_pending(b, "a");
  set_mtime(b, "a.json", 1000, 5);
  usleep(30000);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
  put_entry(b, "a.json", "b", "pending", CREATED);
  set_mtime(b, "a.json", 1000, 5);
  box_done(b, &b->refs[0], SETTLED_CHANGED);
  assert_string_equal(box_take_some(b), "b");
}

/* Within one tick of the kernel's clock even the ctime may be the old one. */
CASE(another_event_within_a_tick_is_left_and_comes) {
  struct box *b = *state;
  unsigned same = 0;
  for (int i = 0; i < 50; i++) {
    struct stat old, now;
    take_young(b, "a");
    assert_int_equal(lstat(path_of(b, "a.json"), &old), 0);
    put_entry(b, "a.json", "b", "pending", CREATED);
    assert_int_equal(lstat(path_of(b, "a.json"), &now), 0);
    same += old.st_ctim.tv_nsec == now.st_ctim.tv_nsec && old.st_ctim.tv_sec == now.st_ctim.tv_sec;
    box_done(b, &b->refs[0], SETTLED_CHANGED);
    assert_string_equal(box_take_some(b), "b");
    box_done_all(b);
  }
  print_message("of 50 rewrites %u had the stamp of what they replaced\n", same);
}

/* ---- between the look and the removal ---- */

struct rival {
  struct box *b;
  const char *name; /* the rename of this file is struck, before it or after it */
  bool first, then;
  const char *folder; /* it lies there, NULL = flat */
};

static void put_rival(struct box *b, const char *name, const char *id) {
  put_entry(b, "rival.tmp", id, "pending", CREATED);
  assert_int_equal(rename(path_of(b, "rival.tmp"), path_of(b, name)), 0);
}

static int rival_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct rival *r = ctx;
  if (op != DURABLE_RENAME || strcmp(name, r->name) != 0) return 0;
  char path[300];
  snprintf(path, sizeof path, "%s%s", r->folder ? r->folder : "", name);
  if (!after && r->first) put_rival(r->b, path, "rival");
  if (after && r->then) put_rival(r->b, r->name, "third");
  return 0;
}

CASE(an_event_that_arrives_between_look_and_removal_is_not_lost) {
  struct box *b = *state;
  for (int keep = 0; keep < 2; keep++) {
    box_stop(b);
    b->config.keep_sent = keep;
    box_start(b);
    take_old(b, "a");
    struct rival r = {.b = b, .name = "a.json", .first = true};
    durable_set_hook(rival_hook, &r);
    box_done(b, &b->refs[0], SETTLED_CHANGED);
    durable_set_hook(NULL, NULL);
    assert_string_equal(box_take_some(b), "rival");
    box_done_all(b);
    assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  }
}

CASE(two_that_arrive_there_both_come_in_their_order) {
  struct box *b = *state;
  take_old(b, "a");
  struct rival r = {.b = b, .name = "a.json", .first = true, .then = true};
  durable_set_hook(rival_hook, &r);
  box_done(b, &b->refs[0], SETTLED_CHANGED);
  durable_set_hook(NULL, NULL);
  box_take_some(b);
  if (b->count == 1) {
    struct entry_ref first = b->refs[0];
    assert_string_equal(b->ids, "rival");
    assert_string_equal(box_take_some(b), "third");
    b->refs[b->count++] = first;
  } else {
    assert_string_equal(b->ids, "rival third");
  }
  box_done_all(b);
  assert_int_equal(files_in(b, ".") + files_in(b, ".busbridge/tmp"), 0);
}

/* What is taken for a dead letter may have become a new event between its rewriting and its move.
 */
CASE(an_event_that_arrives_before_a_dead_letter_moves_is_not_set_aside) {
  struct box *b = *state;
  for (int raw = 0; raw < 2; raw++) {
    struct failure why = box_failure(raw ? REASON_NOT_JSON : REASON_BAD_NAME, 1);
    enum settled how;
    if (raw) {
      put(b, "a.json", "{half");
      usleep(60000);
      store_rescan(b->store);
      box_take_some(b);
    } else {
      take_old(b, "a");
    }
    struct rival r = {.b = b, .name = "a.json", .first = true};
    durable_set_hook(rival_hook, &r);
    OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
    durable_set_hook(NULL, NULL);
    assert_int_not_equal(how, SETTLED_GONE);
    assert_int_equal(files_in(b, "dlq"), 0);
    assert_string_equal(box_take_some(b), "rival");
    box_done_all(b);
  }
}

static struct rival crashing;
static int rival_and_fault(void *ctx, enum durable_op op, const char *name, bool after) {
  if (rival_hook(&crashing, op, name, after)) return EIO;
  return fault_hook(ctx, op, name, after);
}

/* Wherever the worker ends, and whatever call fails: after the next start the new event is there
 * once. */
CASE(it_is_there_after_a_crash_at_any_call) {
  struct box *b = *state;
  unsigned points = 0;
  for (int mode = 0; mode < MODES; mode++)
    for (unsigned at = 1;; at++) {
      struct fault f = {.mode = (enum mode)mode, .at = at};
      enum settled how;
      clear(b);
      box_restart(b);
      take_old(b, "a");
      crashing = (struct rival){.b = b, .name = "a.json", .first = true};
      durable_set_hook(rival_and_fault, &f);
      enum status st = store_done(b->store, &b->refs[0], &how, &b->err);
      if (st == ST_OK) st = store_sync(b->store, &b->err);
      (void)st;
      durable_set_hook(NULL, NULL);
      box_restart(b);
      assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
      bool struck = f.calls >= at;
      const char *left = box_take_all(b);
      if (exists(b, "rival.tmp")) fail_msg("the rival was not put there");
      /* Its rename was the first call: a crash before it leaves the rival where it is, unread. */
      assert_string_equal(left, "rival");
      points++;
      if (!struck) break;
    }
  assert_true(points > 12);
}

/* Its letter was mended, or died again, just when it was to be purged. */
CASE(a_letter_that_is_exchanged_while_it_is_purged_stays) {
  struct box *b = *state;
  struct letter letter = {.token = "a.json", .when_us = TIME_NONE};
  take_old(b, "a");
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
  struct rival r = {.b = b, .name = "a.json", .first = true, .folder = "dlq/"};
  durable_set_hook(rival_hook, &r);
  store_purge(b->store, &letter, 1);
  durable_set_hook(NULL, NULL);
  assert_int_equal(letter.status, ST_NOT_FOUND);
  assert_non_null(strstr(text_of(b, "dlq/a.json"), "\"id\": \"rival\""));
  store_purge(b->store, &letter, 1);
  assert_int_equal(letter.status, ST_OK);
  assert_int_equal(files_in(b, "dlq") + files_in(b, ".busbridge/tmp"), 0);
}

/* A worker that was stopped there and killed later, while its successor runs. */
CASE(what_lies_pulled_out_too_long_comes_back_by_a_scan) {
  struct box *b = *state;
  struct test_clock c;
  box_stop(b);
  clock_begin(&c);
  b->options.clock = &c.clock;
  box_start(b);
  put_entry(b, ".busbridge/tmp/gone-1-2-3-4-0-a.json", "b", "pending", CREATED);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), ""); /* it may be in the middle of it */
  clock_pass(&c, 60000);
  store_rescan(b->store);
  box_take_all(b);
  if (!b->count) {
    store_rescan(b->store);
    box_take_all(b);
  }
  assert_string_equal(b->ids, "b");
  assert_true(exists(b, "a.json"));
  box_done_all(b);
  box_stop(b);
  b->options.clock = &lagging;
  box_start(b);
}

/* ---- not for now ---- */

CASE(what_is_being_written_stays_in_hand_until_it_is_whole) {
  struct box *b = *state;
  enum settled how;
  box_stop(b);
  b->config.settle_ms = 60000;
  box_start(b);
  take_old(b, "a");
  put(b, "a.json", "{\"id\": \"a\", \"na");
  assert_int_equal(store_done(b->store, &b->refs[0], &how, &b->err), ST_BUSY);
  assert_non_null(strstr(b->err.text, "a.json"));
  assert_int_equal(box_counts(b).in_hand, 1);
  store_rescan(b->store);
  assert_string_equal((char *)text_of(b, "a.json"), "{\"id\": \"a\", \"na");
  put_pending(b, "a");
  box_done(b, &b->refs[0], SETTLED_GONE);
  assert_int_equal(files_in(b, "."), 0);
}

CASE(what_cannot_be_read_is_an_error_and_not_another_event) {
  struct box *b = *state;
  enum settled how;
  struct stat st;
  bool root = geteuid() == 0;
  if (root) {
    const char *const all[] = {
        ".", ".busbridge", ".busbridge/tmp", ".busbridge/lock", ".busbridge/id", "dlq"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
      assert_int_equal(chown(path_of(b, all[i]), 65534, -1), 0);
    assert_int_equal(seteuid(65534), 0);
  }
  take_old(b, "a");
  assert_int_equal(chmod(path_of(b, "a.json"), 0), 0);
  enum status done = store_done(b->store, &b->refs[0], &how, &b->err);
  bool there = lstat(path_of(b, "a.json"), &st) == 0;
  assert_int_equal(chmod(path_of(b, "a.json"), 0600), 0);
  enum status later = store_done(b->store, &b->refs[0], &how, &b->err);
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(done, ST_DENIED);
  assert_true(there);
  assert_int_equal(later, ST_OK);
  assert_int_equal(how, SETTLED_GONE);
}
