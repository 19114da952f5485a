/* What inotify tells about the folders, and the order it gives. */
#include "tests/unit/clock_box.h"

#include <pthread.h>

#define CASE(name) TEST_WITH(name, box_open, reset_clock)

CASE(notices_give_the_order_also_where_a_listing_has_the_names) {
  struct box *b = *state;
  box_take_all(b);
  put_pending(b, "c"), put_pending(b, "b");
  put_pending(b, "t");
  assert_int_equal(rename(path_of(b, "t.json"), path_of(b, "t")), 0);
  assert_int_equal(rename(path_of(b, "t"), path_of(b, "a.json")), 0); /* MOVED_TO */
  set_mtime(b, "a.json", 1000, 0);
  assert_string_equal(box_take_all(b), "c b t");
}

static void move_there(struct box *b, const char *name, const char *id) {
  put_entry(b, "t", id, "pending", "2025-01-01T00:00:00");
  assert_int_equal(rename(path_of(b, "t"), path_of(b, name)), 0);
}

/* A producer that always writes the same name. */
CASE(a_name_that_is_written_again_comes_behind_what_came_in_between) {
  struct box *b = *state;
  box_take_all(b);
  move_there(b, "latest.json", "a1"); /* lost: its producer put the next one in its place */
  move_there(b, "b.json", "a2");
  move_there(b, "latest.json", "a3");
  move_there(b, "c.json", "a4");
  assert_string_equal(box_take_all(b), "a2 a3 a4");
  assert_int_equal(box_counts(b).pending, 3);
  box_done_all(b);
  assert_int_equal(box_counts(b).pending, 0);
}

CASE(a_name_that_comes_again_while_others_are_queued_is_not_left_to_the_next_scan) {
  struct box *b = *state;
  struct entry e;
  box_take_all(b);
  move_there(b, "latest.json", "a1");
  move_there(b, "b.json", "a2");
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "a1"));
  box_done(b, &e.ref, SETTLED_GONE);
  move_there(b, "latest.json", "a3");
  move_there(b, "c.json", "a4");
  for (int i = 0; i < 3; i++) {
    OK(box_next(b, &e)); /* the kernel is asked again only when the queue is used up */
    char id[8];
    snprintf(id, sizeof id, "a%d", i + 2);
    assert_true(span_is(e.event.id, id));
    box_done(b, &e.ref, SETTLED_GONE);
  }
  assert_int_equal(box_counts(b).pending, 0);
}

/* rsync, cp -p: another file with the same bytes and the same time. */
CASE(a_copy_that_keeps_its_time_keeps_its_place) {
  struct box *b = *state;
  box_take_all(b);
  move_there(b, "one.json", "a1");
  move_there(b, "two.json", "a2");
  OK(store_follow(b->store, &b->err)); /* told, not taken */
  usleep(40000);
  int64_t mtime = mtime_of(b, "one.json");
  put_entry(b, "t", "a1", "pending", "2025-01-01T00:00:00");
  set_mtime(b, "t", mtime / 1000000000, mtime % 1000000000);
  assert_int_equal(rename(path_of(b, "t"), path_of(b, "one.json")), 0);
  OK(store_follow(b->store, &b->err));
  assert_string_equal(box_take_all(b), "a1 a2");
}

CASE(so_does_one_that_was_listed) {
  struct box *b = *state;
  struct entry e;
  static const char *const order[] = {"b1", "b2", "b3", "b4"};
  put_pending(b, "b1");
  set_mtime(b, "b1.json", 1000, 0);
  put_pending(b, "b0");
  set_mtime(b, "b0.json", 1001, 0);
  put_pending(b, "b2");
  set_mtime(b, "b2.json", 1002, 0);
  store_rescan(b->store);
  for (int i = 0; i < 4; i++) {
    OK(box_next(b, &e));
    assert_true(span_is(e.event.id, order[i]));
    box_done(b, &e.ref, SETTLED_GONE);
    if (i == 0)
      move_there(b, "new.json", "b3"), move_there(b, "b0.json", "b4"); /* listed, not told yet */
  }
  assert_int_equal(box_counts(b).pending, 0);
}

CASE(a_linked_file_is_found_by_the_next_scan) {
  struct box *b = *state;
  box_take_all(b);
  put_pending(b, "a");
  assert_int_equal(rename(path_of(b, "a.json"), path_of(b, "a.tmp")), 0);
  assert_int_equal(link(path_of(b, "a.tmp"), path_of(b, "b.json")), 0);
  assert_int_equal(unlink(path_of(b, "a.tmp")), 0);
  assert_string_equal(box_take_all(b), "");
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
}

CASE(bytes_changed_in_hand_are_left_and_found_again) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  put_pending(b, "a"), put_pending(b, "b"), put_pending(b, "c");
  box_take_all(b);
  assert_int_equal(b->count, 3);
  folder_tick(b->dir);
  put_entry(b, "a.json", "a2", "pending", "2025-01-01T00:00:00");
  put_entry(b, "b.json", "b2", "pending", "2025-01-01T00:00:00");
  put_entry(b, "c.json", "c2", "pending", "2025-01-01T00:00:00");
  struct entry_ref *refs = b->refs;
  box_done(b, &refs[0], SETTLED_CHANGED);
  OK(store_retry(b->store, &refs[1], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_CHANGED);
  OK(store_dead(b->store, &refs[2], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_CHANGED);
  box_take_some(b);
  assert_int_equal(b->count, 3);
  assert_non_null(strstr(b->ids, "a2"));
  assert_int_equal(box_counts(b).pending, 3);
}

CASE(pending_may_come_later_go_and_come_again) {
  struct box *b = *state;
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put_entry(b, "pending/a.json", "a", "pending", "2025-01-01T00:00:00");
  assert_string_equal(box_take_some(b), "a");
  put_entry(b, "pending/b.json", "b", "pending", "2025-01-01T00:00:00");
  box_done_all(b);
  assert_string_equal(box_take_some(b), "b"); /* watched now */
  box_done_all(b);
  assert_int_equal(rename(path_of(b, "pending"), path_of(b, "old")), 0);
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put_entry(b, "pending/c.json", "c", "pending", "2025-01-01T00:00:00");
  assert_string_equal(box_take_some(b), "c");
  box_done_all(b);
  assert_int_equal(rmdir(path_of(b, "pending")), 0);
  put_pending(b, "d");
  assert_string_equal(box_take_some(b), "d");
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put_entry(b, "pending/e.json", "e", "pending", "2025-01-01T00:00:00");
  box_release_all(b);
  store_rescan(b->store);
  box_take_some(b);
  if (!strstr(b->ids, "e")) box_take_some(b);
  assert_non_null(strstr(b->ids, "e"));
}

CASE(pending_that_is_no_folder_is_left_alone) {
  struct box *b = *state;
  assert_int_equal(symlink("/etc", path_of(b, "pending")), 0);
  put_pending(b, "a");
  assert_string_equal(box_take_all(b), "a");
  box_restart(b);
  assert_string_equal(box_take_all(b), "a");
}

CASE(an_outbox_that_is_gone_or_another_is_said_and_gone_on_with_when_back) {
  struct box *b = *state;
  struct entry e;
  char moved[300];
  box_take_all(b);
  snprintf(moved, sizeof moved, "%s-moved", b->dir);
  assert_int_equal(rename(b->dir, moved), 0);
  assert_int_equal(box_next(b, &e), ST_NOT_FOUND);
  assert_non_null(strstr(b->err.text, b->dir));
  assert_int_equal(mkdir(b->dir, 0755), 0);
  put_pending(b, "wrong");
  assert_int_equal(box_next(b, &e), ST_NOT_FOUND);
  assert_non_null(strstr(b->err.text, "another folder"));
  assert_int_equal(unlink(path_of(b, "wrong.json")), 0);
  assert_int_equal(rmdir(b->dir), 0);
  assert_int_equal(rename(moved, b->dir), 0);
  put_pending(b, "a");
  assert_string_equal(box_take_all(b), "a");
}

/* 16,384 notices are kept by the kernel; one more means that names were lost. */
CASE(an_overflow_of_notices_means_a_new_scan) {
  struct box *b = *state;
  box_take_all(b);
  uint64_t next = store_rescan(b->store) + 1;
  box_take_all(b);
  for (int i = 0; i < 9000; i++) {
    close(open(path_of(b, "x.tmp"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(open(path_of(b, "y.tmp"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  }
  put_pending(b, "a");
  assert_string_equal(box_take_all(b), "a");
  assert_true(store_scanned(b->store, next));
}

/* A long listing's end: what was told meanwhile comes after it, once. */
CASE(arrivals_while_a_listing_is_used_up_come_behind_it) {
  struct box *b = *state;
  struct entry e;
  put_pending(b, "a"), folder_tick(b->dir), put_pending(b, "b");
  box_restart(b);
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "a"));
  put_pending(b, "0");
  assert_string_equal(box_take_all(b), "b 0");
  assert_int_equal(box_counts(b).pending, 3);
}

CASE(more_than_a_drain_of_entries_in_one_scan) {
  struct box *b = *state;
  struct entry e;
  unsigned count = 0;
  box_stop(b);
  b->config.window = 100000;
  for (int i = 0; i < 2500; i++) {
    char id[20];
    snprintf(id, sizeof id, "n%04d", i);
    put_pending(b, id);
  }
  box_start(b);
  while (box_next(b, &e) == ST_OK) {
    if (count++ == 10) put_pending(b, "late");
    arena_reset(&b->scratch);
    box_done(b, &e.ref, SETTLED_GONE);
  }
  assert_int_equal(count, 2501);
  assert_int_equal(box_counts(b).pending, 0);
  assert_int_equal(files_in(b, "."), 0);
}

CASE(a_wake_ends_a_long_search_among_foreign_files) {
  struct box *b = *state;
  struct entry e;
  for (int i = 0; i < 600; i++) {
    char name[20];
    snprintf(name, sizeof name, "n%04d.json", i);
    put(b, name, "{}");
  }
  box_restart(b);
  store_wake(b->store);
  assert_int_equal(box_next(b, &e), ST_AGAIN);
  assert_false(store_scanned(b->store, 1));
  store_wait(b->store, -1); /* at once: there is more */
  assert_int_equal(box_next(b, &e), ST_AGAIN);
  assert_true(store_scanned(b->store, 1));
  assert_int_equal(box_counts(b).foreign, 600);
}

/* While a worker runs, files come in the order they were told: their times, and ours, may step as
 * they like. */
CASE(live_order_is_kept_when_the_clock_steps) {
  struct box *b = *state;
  static const int64_t steps[] = {1, -1, -3600, 7200, -365 * 86400L, 2 * 365 * 86400L, -86400, 0};
  int64_t now_s = clock_wall_us(&clock_system) / 1000000;
  char want[64] = "", id[2] = "a";
  use_clock(b);
  assert_string_equal(box_take_all(b), "");
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++, id[0]++) {
    char name[20];
    snprintf(name, sizeof name, "%s.json", id);
    clock_now.wall_us += steps[i] * 1000000;
    put_pending(b, id);
    set_mtime(b, name, now_s += steps[i], 0);
    snprintf(want + strlen(want), sizeof want - strlen(want), "%s%s", i ? " " : "", id);
  }
  char got[64] = "";
  for (int i = 0; i < 600 && strlen(got) < strlen(want); i++) {
    store_wait(b->store, 100);
    if (*box_take_all(b))
      snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", *got ? " " : "", b->ids);
    box_done_all(b);
  }
  assert_string_equal(got, want);
  assert_int_equal(box_counts(b).pending, 0);
}

/* The keys that verdicts add are not held against it. */
CASE(an_entry_that_just_fits_goes_on_to_fit) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 1);
  struct entry e;
  enum settled how;
  put_pending(b, "a");
  box_stop(b);
  b->config.max_entry_bytes = strlen(text_of(b, "a.json"));
  box_start(b);
  assert_string_equal(box_take_all(b), "a");
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
  store_rescan(b->store);
  OK(box_next(b, &e));
  assert_int_equal(e.reason, REASON_NONE);
  assert_int_equal(e.event.attempts, 1);
  assert_true(e.text.len > b->config.max_entry_bytes);
  box_dead(b, &e.ref, REASON_BROKER_REFUSED);
  assert_false(exists(b, "dlq/a.raw"));
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  assert_string_equal(box_take_some(b), "a");
  box_stop(b);
  b->config.max_entry_bytes = 1 << 20;
  box_start(b);
}

/* What a partition that hangs keeps in hand: with at_least_once the others go on without it. */
CASE(a_settled_scan_waits_as_long_as_it_may) {
  struct box *b = *state;
  b->config.settled_wait_ms = 10000;
  use_clock(b);
  put_pending(b, "a");
  put_pending(b, "b");
  assert_string_equal(box_take_all(b), "a b");
  store_release(b->store, &b->refs[1]);
  uint64_t generation = store_rescan_settled(b->store);
  clock_pass(&clock_now, 9000);
  store_rescan_settled(b->store); /* shares it, and does not make it wait longer */
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 1000);
  assert_string_equal(box_take_all(b), "b");
  assert_true(store_scanned(b->store, generation));
  b->config.settled_wait_ms = 0;
}

struct producer {
  struct box *b;
  bool stop;
  unsigned made;
};

static void *produce(void *arg) {
  struct producer *p = arg;
  for (; !__atomic_load_n(&p->stop, __ATOMIC_RELAXED) && p->made < 3000; p->made++) {
    char id[20], name[30], text[200];
    snprintf(id, sizeof id, "p%05u", p->made);
    snprintf(name, sizeof name, "%s.json", id);
    snprintf(text, sizeof text,
             "{\"id\": \"%s\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}", id);
    put(p->b, name, text);
  }
  return NULL;
}

/* Listings run while a producer writes: a name may be told, listed, or both. */
CASE(what_arrives_during_listings_comes_once_and_in_order) {
  struct box *b = *state;
  struct producer p = {.b = b};
  struct entry e;
  pthread_t thread;
  unsigned count = 0;
  box_stop(b);
  b->config.window = 100000;
  b->config.settle_ms = 600000; /* the producer may be held up in the middle of a file */
  for (int i = 0; i < 3000; i++) {
    char id[20];
    snprintf(id, sizeof id, "old%04d", i);
    put_pending(b, id);
    char name[30];
    snprintf(name, sizeof name, "%s.json", id);
    set_mtime(b, name, 1700000000 + i, 0);
  }
  box_start(b);
  pthread_create(&thread, NULL, produce, &p);
  for (bool ended = false;;) {
    if (count < 3000 && count % 600 == 599) store_rescan(b->store);
    enum status st = box_next(b, &e);
    if (st == ST_AGAIN) {
      if (ended) break;
      if (count >= 3000) {
        __atomic_store_n(&p.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        ended = true; /* what it made last is there now */
      }
      store_wait(b->store, ended ? 0 : 20);
      continue;
    }
    assert_int_equal(st, ST_OK);
    char want[20];
    snprintf(want, sizeof want, count < 3000 ? "old%04u.json" : "p%05u.json",
             count < 3000 ? count : count - 3000);
    char got[40];
    snprintf(got, sizeof got, "%.*s", SPAN_ARGS(e.ref.label));
    assert_string_equal(got, want);
    count++;
    arena_reset(&b->scratch);
    arena_reset(&b->keep);
    box_done(b, &e.ref, SETTLED_GONE);
  }
  assert_int_equal(count, 3000 + p.made);
  assert_int_equal(box_counts(b).pending, 0);
}
