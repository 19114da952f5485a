/* What others do to an entry while it is in hand: touching it changes nothing, another event in its
 * place is not lost.
 */
#include "tests/unit/store_faults.h"

#define CREATED "2025-01-01T00:00:00+00:00"

/* The store's clock is the system's, or behind it, so that what it reads has just been written. */
static int64_t behind_us;
static int64_t lagging_wall(void *ctx) {
  return clock_wall_us(&clock_system) - *(int64_t *)ctx;
}
static int64_t lagging_mono(void *ctx) {
  return (void)ctx, clock_mono_ns(&clock_system);
}
static uint64_t lagging_random(void *ctx) {
  return (void)ctx, clock_system.random(clock_system.ctx);
}
static const struct clock lagging = {lagging_wall, lagging_mono, lagging_random, &behind_us};

static int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  b->options.clock = &lagging;
  box_start(b);
  *state = b;
  return 0;
}

/* Older than a tick of the file system's clock, so that its stamp is trusted. */
static void take_old(struct box *b, const char *id) {
  put_pending(b, id);
  for (int i = 0; i < 2000; i++) {
    usleep(30000);
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), id);
    if (!b->refs[0].young) return;
    box_release_all(b);
  }
  fail_msg("%s does not grow old", id);
}

static void take_young(struct box *b, const char *id) {
  put_pending(b, id);
  behind_us = 1000000;
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), id);
  behind_us = 0;
  assert_true(b->refs[0].young);
}

/* ---- deeds that leave the event what it is ---- */

static void do_nothing(struct box *b, const char *name) {
  (void)b, (void)name;
}
static void do_chmod(struct box *b, const char *name) {
  assert_int_equal(chmod(path_of(b, name), 0640), 0);
}
static void do_touch(struct box *b, const char *name) {
  assert_int_equal(utimensat(AT_FDCWD, path_of(b, name), NULL, 0), 0);
}
static void do_touch_back(struct box *b, const char *name) {
  set_mtime(b, name, 1000, 1);
}
static void do_link(struct box *b, const char *name) {
  unlink(path_of(b, "backup"));
  assert_int_equal(link(path_of(b, name), path_of(b, "backup")), 0);
}
static void do_write_same(struct box *b, const char *name) {
  char text[2000];
  snprintf(text, sizeof text, "%s", text_of(b, name));
  put(b, name, text);
}
static void do_replace_same(struct box *b, const char *name) {
  put(b, "copy", text_of(b, name));
  assert_int_equal(rename(path_of(b, "copy"), path_of(b, name)), 0);
}
static void do_format(struct box *b, const char *name) {
  char text[2000];
  snprintf(text, sizeof text, " %s\n", text_of(b, name));
  put(b, name, text);
}
static void do_dispatch(struct box *b, const char *name) {
  char id[20];
  snprintf(id, sizeof id, "%.*s", (int)strlen(name) - 5, name);
  put_entry(b, name, id, "dispatched", CREATED);
}
typedef void (*deed_fn)(struct box *b, const char *name);
static const deed_fn deeds[] = {do_nothing,    do_chmod,        do_touch,  do_touch_back, do_link,
                                do_write_same, do_replace_same, do_format, do_dispatch};
enum {
  DEEDS = sizeof deeds / sizeof *deeds,
  HARMLESS = DEEDS - 1 /* all but dispatched: it still waits to be sent */
};

#define CASE(name) TEST_WITH(name, box_open, box_free)

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
    OK(store_done_id(b->store, &b->refs[0], SPAN("a"), &how, &b->err));
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
  struct letter letter = {.file = "a.json", .when_us = TIME_NONE};
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

/* ---- refused and dead ones ---- */

struct toucher {
  struct box *b;
  deed_fn deed;
};
static int touch_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct toucher *t = ctx;
  (void)op, (void)name;
  if (!after && exists(t->b, "a.json") && strstr(text_of(t->b, "a.json"), "\"attempts\": 0"))
    t->deed(t->b, "a.json");
  return 0;
}

CASE(a_refused_event_that_is_touched_all_the_time_counts_its_attempts) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 3);
  for (int i = 0; i < HARMLESS; i++) {
    enum settled how;
    struct toucher t = {.b = b, .deed = deeds[i]};
    take_old(b, "a");
    int64_t mtime = mtime_of(b, "a.json");
    deeds[i](b, "a.json");
    durable_set_hook(touch_hook, &t);
    OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
    durable_set_hook(NULL, NULL);
    assert_int_equal(how, SETTLED_GONE);
    assert_non_null(strstr(text_of(b, "a.json"), "\"attempts\": 3"));
    assert_int_equal(mtime_of(b, "a.json"), mtime); /* its place in the order */
    unlink(path_of(b, "backup")), unlink(path_of(b, "a.json"));
  }
}

CASE(one_that_dies_while_it_is_touched_is_a_dead_letter) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 5);
  for (int i = 0; i < HARMLESS; i++) {
    enum settled how;
    struct toucher t = {.b = b, .deed = deeds[i]};
    take_old(b, "a");
    deeds[i](b, "a.json");
    durable_set_hook(touch_hook, &t);
    OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
    durable_set_hook(NULL, NULL);
    assert_int_equal(how, SETTLED_GONE);
    assert_int_equal(files_in(b, "dlq"), 1);
    unlink(path_of(b, "backup")), unlink(path_of(b, "dlq/a.json"));
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
  }
}

CASE(one_that_another_bus_dispatched_is_not_refused_any_more) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 5);
  enum settled how;
  take_old(b, "a");
  do_dispatch(b, "a.json");
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_CHANGED);
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_non_null(strstr(text_of(b, "a.json"), "dispatched"));
}

CASE(what_becomes_dispatched_in_hand_is_named_once) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  for (int i = 0; i < 3; i++) {
    take_old(b, "a");
    do_dispatch(b, "a.json");
    box_done(b, &b->refs[0], SETTLED_GONE);
  }
  assert_int_equal(logged(text, "event=entry_dispatched"), 1);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  fclose(text);
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
