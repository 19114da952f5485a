/* Lists beside a reader: of a long backlog they tell what the reader knows, and it is what the
 * folder tells. */
#include "tests/unit/files.h"

#include <pthread.h>

#define T0 1700000000

struct hook { /* a clock that lets a test look while a listing is under way */
  struct clock clock;
  struct box *b;
  char ids[2048]; /* listed then */
  bool armed;
  unsigned times;
};

/* Only then the folder is open twice: for good, and to be walked through. */
static bool is_listing(const struct box *b) {
  char link[40], path[300];
  unsigned count = 0;
  for (int fd = 0; fd < 64; fd++) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0) continue;
    path[len] = '\0';
    count += strcmp(path, b->dir) == 0;
  }
  return count > 1;
}

static int64_t hooked_wall(void *ctx) {
  struct hook *h = ctx;
  if (h->armed && is_listing(h->b)) {
    h->armed = false;
    h->times++;
    snprintf(h->ids, sizeof h->ids, "%s", box_list(h->b, LIST_PENDING, 3, NULL).ids);
    h->armed = true;
  }
  return clock_wall_us(&clock_system);
}
static int64_t hooked_mono(void *ctx) {
  (void)ctx;
  return clock_mono_ns(&clock_system);
}
static uint64_t hooked_random(void *ctx) {
  (void)ctx;
  return 4;
}

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static void put_at(struct box *b, const char *id, const char *status, unsigned second) {
  char name[40];
  snprintf(name, sizeof name, "%s.json", id);
  put_entry(b, name, id, status, "2025-01-01T00:00:00+00:00");
  set_mtime(b, name, T0 + second, 0);
}

/* e10 to e49, a second apart. */
static void put_forty(struct box *b) {
  char id[8];
  for (unsigned i = 10; i < 50; i++) {
    snprintf(id, sizeof id, "e%u", i);
    put_at(b, id, "pending", i);
  }
}

static void use_window(struct box *b, size_t window) {
  box_stop(b);
  b->config.window = window;
  box_start(b);
}

static void take(struct box *b, unsigned count) {
  struct entry e;
  b->count = 0;
  while (b->count < count) {
    OK(box_next(b, &e));
    b->refs[b->count++] = e.ref;
  }
}

static const char *tail(const char *text, size_t len) {
  static char out[16];
  size_t all = strlen(text);
  snprintf(out, sizeof out, "%s", text + (all > len ? all - len : 0));
  return out;
}

/* The front tells what the folder tells. */
static void check_same(struct box *b, size_t limit) {
  uint64_t by_front, by_look;
  struct box_listed front = box_list(b, LIST_PENDING, limit, &by_front);
  struct box_listed look = box_list(b, LIST_PENDING | LIST_LOOK, limit, &by_look);
  assert_string_equal(front.ids, look.ids);
  assert_int_equal(by_front, by_look);
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(a_short_list_beside_a_reader_does_not_look_at_the_folder) {
  struct box *b = *state;
  uint64_t total;
  put_forty(b);
  take(b, 5);
  put_at(b, "older", "pending", 0); /* the reader has not been told yet */
  assert_string_equal(box_list(b, LIST_PENDING, 3, &total).ids, "e10 e11 e12");
  assert_int_equal(total, 40);
  assert_string_equal(box_list(b, LIST_PENDING | LIST_LOOK, 3, &total).ids, "older e10 e11");
  assert_int_equal(total, 41);
  assert_string_equal(tail(box_list(b, LIST_PENDING, 30, &total).ids, 7),
                      "e37 e38"); /* more than the front has */
  assert_int_equal(total, 41);
  store_rescan(b->store);
  take(b, 1);
  assert_string_equal(box_list(b, LIST_PENDING, 3, NULL).ids, "older e10 e11");
}

CASE(what_the_reader_knows_is_what_lies_there) {
  static const size_t windows[] = {1000, 12, 5};
  struct box *b = *state;
  put_forty(b);
  for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
    use_window(b, windows[w]);
    check_same(b, 3); /* nothing was scanned */
    take(b, 3);
    check_same(b, 3);
    box_release_all(b);
    check_same(b, 3); /* given back */
    take(b, 14);
    check_same(b, 2); /* given back, in hand, still to come */
    check_same(b, 9);
    store_release(b->store, &b->refs[0]);
    store_rescan(b->store);
    take(b, 1);
    check_same(b, 3);
  }
}

CASE(what_is_settled_is_not_listed) {
  struct box *b = *state;
  put_forty(b);
  take(b, 10);
  for (unsigned i = 0; i < 4; i++) box_done(b, &b->refs[i], SETTLED_GONE);
  box_dead(b, &b->refs[4], REASON_SCHEMA_MISMATCH);
  store_release(b->store, &b->refs[6]);
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  enum settled how;
  OK(store_retry(b->store, &b->refs[7], &why, &how, &b->err));
  assert_string_equal(box_list(b, LIST_PENDING, 5, NULL).ids, "e15 e16 e17 e18 e19");
  check_same(b, 5);
  assert_int_equal(unlink(path_of(b, "e20.json")), 0); /* behind its back */
  assert_string_equal(box_list(b, LIST_PENDING, 7, NULL).ids, "e15 e16 e17 e18 e19 e21 e22");
}

CASE(dead_ones_lie_between_them) {
  struct box *b = *state;
  uint64_t total;
  put_forty(b);
  take(b, 10);
  box_dead(b, &b->refs[1], REASON_SCHEMA_MISMATCH);
  assert_string_equal(box_list(b, LIST_PENDING | LIST_DEAD, 3, &total).ids, "e10 e11 e12");
  assert_int_equal(total, 40);
}

CASE(arrivals_come_behind_the_window) {
  struct box *b = *state;
  char id[8];
  put_at(b, "first", "pending", 1);
  take(b, 1);
  for (unsigned i = 10; i < 40; i++) {
    snprintf(id, sizeof id, "n%u", i);
    box_emit(b, id);
  }
  take(b, 1); /* told by now */
  assert_string_equal(box_list(b, LIST_PENDING, 4, NULL).ids, "first n10 n11 n12");
  check_same(b, 4);
  put_at(b, "older", "pending", 0);
  assert_string_equal(box_list(b, LIST_PENDING, 4, NULL).ids, "first n10 n11 n12");
  store_rescan(b->store); /* the queue is parked while it lists, and found by it */
  take(b, 1);
  assert_string_equal(box_list(b, LIST_PENDING, 4, NULL).ids, "older first n10 n11");
}

CASE(files_that_are_not_whole_yet_are_listed) {
  struct box *b = *state;
  put(b, "half.json", "{");
  set_mtime(b, "half.json", T0, 0);
  put_forty(b);
  b->config.settle_ms = 60000;
  use_window(b, 1000);
  take(b, 20);
  assert_int_equal(box_counts(b).growing, 1);
  assert_string_equal(box_list(b, LIST_PENDING, 2, NULL).ids, "half e10");
  store_rescan(b->store);
  assert_int_equal(box_next(b, &(struct entry){0}), ST_OK);
  assert_string_equal(box_list(b, LIST_PENDING, 2, NULL).ids, "half e10");
}

CASE(files_that_are_not_ours_are_passed_over) {
  struct box *b = *state;
  char id[8];
  for (unsigned i = 0; i < 30; i++) {
    snprintf(id, sizeof id, "d%02u", i);
    put_at(b, id, "dispatched", 20 + i);
  }
  put_forty(b);
  take(b, 1); /* e10; the others are not known to be foreign */
  assert_string_equal(box_list(b, LIST_PENDING, 2, NULL).ids, "e10 e11");
  assert_string_equal(tail(box_list(b, LIST_PENDING, 20, NULL).ids, 7), "e28 e29");
}

CASE(a_list_while_the_reader_lists_tells_the_front) {
  struct box *b = *state;
  struct hook h = {.clock = {hooked_wall, hooked_mono, hooked_random, &h}, .b = b};
  put_forty(b);
  assert_int_equal(symlink("nothing", path_of(b, "odd.json")),
                   0); /* asks for the time when it is listed */
  b->options.clock = &h.clock;
  use_window(b, 20);
  take(b, 6);
  store_release(b->store, &b->refs[0]);
  box_done(b, &b->refs[1], SETTLED_GONE);
  put_at(b, "older", "pending", 0);
  h.armed = true;
  store_rescan(b->store);
  take(b, 1);
  h.armed = false;
  assert_true(h.times > 0);
  assert_string_equal(h.ids, "e10 e12 e13"); /* not the folder's: older is not among them */
  take(b, 14);                               /* of the window's, what is in hand is passed over */
  assert_string_equal(box_list(b, LIST_PENDING, 3, NULL).ids, "older e10 e12");
  h.armed = true;
  h.times = 0;
  take(b, 10); /* the second window */
  h.armed = false;
  assert_true(h.times > 0);
  assert_string_equal(h.ids, "older e10 e12");
  b->options.clock = &clock_system;
  use_window(b, 20);
}

CASE(between_two_windows_the_front_is_known_though_all_is_settled) {
  struct box *b = *state;
  struct hook h = {.clock = {hooked_wall, hooked_mono, hooked_random, &h}, .b = b};
  struct entry e;
  char id[8];
  unsigned seen = 0;
  for (unsigned i = 100; i < 500; i++) {
    snprintf(id, sizeof id, "e%u", i);
    put_at(b, id, "pending", i);
  }
  assert_int_equal(symlink("nothing", path_of(b, "odd.json")), 0);
  b->options.clock = &h.clock;
  use_window(b, 200);
  for (unsigned i = 100; i < 500; i++) {
    if (i == 101) {
      put_at(b, "older", "pending", 0);
      h.armed = true; /* from the second window on */
    }
    OK(box_next(b, &e));
    snprintf(id, sizeof id, "e%u", i);
    assert_true(span_is(e.event.id, id)); /* each once, in order */
    box_done(b, &e.ref, SETTLED_GONE);
    if (h.times == 0) continue;
    assert_int_equal(h.times, 1);
    h.armed = false;
    char first[16];
    snprintf(first, sizeof first, "e%u e%u ", i, i + 1);
    assert_memory_equal(h.ids, first,
                        strlen(first)); /* what the reader kept, not the whole folder */
    h.times = 0;
    seen++;
    h.armed = i < 300;
  }
  assert_int_equal(seen, 2);
  h.armed = false;
  b->options.clock = &clock_system;
  use_window(b, 20);
}

CASE(a_scan_that_failed_keeps_the_front) {
  struct box *b = *state;
  struct entry e;
  char moved[300];
  put_forty(b);
  take(b, 2);
  snprintf(moved, sizeof moved, "%s.away", b->dir);
  store_rescan(b->store);
  assert_int_equal(rename(b->dir, moved), 0);
  assert_int_not_equal(box_next(b, &e), ST_OK);
  assert_int_equal(rename(moved, b->dir), 0);
  check_same(b, 3);
  OK(box_next(b, &e));
  check_same(b, 3);
}

/* ---- at the same time ---- */

struct busy {
  struct box *b;
  bool stop;
};

static void *read_on(void *arg) {
  struct busy *busy = arg;
  struct box *b = busy->b;
  struct arena keep = {0}, scratch = {0};
  struct entry_ref held[25];
  size_t count = 0;
  struct entry e;
  for (unsigned n = 0; !__atomic_load_n(&busy->stop, __ATOMIC_RELAXED); n++) {
    enum status st = store_next(b->store, &keep, &scratch, &e, NULL);
    if (st == ST_OK) held[count++] = e.ref;
    arena_reset(&scratch);
    if (st == ST_OK && count < 25) continue;
    for (; count; count--) store_release(b->store, &held[count - 1]);
    arena_reset(&keep);
    if (st == ST_AGAIN || n % 3 == 0) store_rescan(b->store);
  }
  for (; count; count--) store_release(b->store, &held[count - 1]);
  arena_release(&keep);
  arena_release(&scratch);
  return NULL;
}

CASE(nothing_is_missed_while_the_reader_moves_on) {
  struct box *b = *state;
  pthread_t reader;
  struct busy busy = {.b = b};
  put_forty(b);
  use_window(b, 15);
  pthread_create(&reader, NULL, read_on, &busy);
  for (unsigned i = 0; i < 1500; i++) {
    struct box_listed l = box_list(b, LIST_PENDING, 4, NULL);
    if (strcmp(l.ids, "e10 e11 e12 e13") != 0) fail_msg("list %u: %s", i, l.ids);
  }
  __atomic_store_n(&busy.stop, true, __ATOMIC_RELAXED);
  store_wake(b->store);
  pthread_join(reader, NULL);
}

/* ---- finding by the file's name ---- */

CASE(a_name_is_found_in_its_place_with_its_numbers) {
  struct box *b = *state;
  uint64_t total;
  char key[300];
  put_pending(b, "a");
  put_pending(b, "a__1");
  put_pending(b, "a__9");
  put_pending(b, "a__x");
  put_pending(b, "ab");
  assert_string_equal(box_find(b, LIST_PENDING, "a", &total).ids, "a a__1 a__9");
  assert_int_equal(total, 3);
  box_find(b, LIST_DEAD, "a", &total);
  assert_int_equal(total, 0);
  assert_string_equal(box_find(b, LIST_PENDING, "a__x", &total).ids, "a__x");
  box_find(b, LIST_PENDING, "a__", &total); /* the beginning of three */
  assert_int_equal(total, 3);
  box_find(b, LIST_PENDING, "dlq/../a", &total);
  assert_int_equal(total, 0);
  box_find(b, LIST_PENDING, "a.json", &total);
  assert_int_equal(total, 0);
  memset(key, 'k', sizeof key - 1);
  key[sizeof key - 1] = '\0';
  box_find(b, LIST_PENDING | LIST_DEAD, key, &total);
  assert_int_equal(total, 0);
}
