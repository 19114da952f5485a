/* The bounded window of names: the oldest are kept, in order, in little memory. */
#include "bridge/outbox/file/names/names.h"
#include "tests/support/test.h"

static void add(struct fs_names *n, int64_t mtime, const char *name) {
  assert_true(fs_names_add(n, mtime, PLACE_FLAT, name, false));
}

TEST(the_oldest_are_kept_whatever_the_order_they_come_in) {
  struct fs_names n;
  struct fs_cursor c = {.mtime_ns = INT64_MIN};
  unsigned seen = 0;
  for (int round = 0; seen < 1009; round++) {
    fs_names_init(&n, 100);
    for (unsigned i = 0; i < 1009; i++) { /* 1009 is prime: each number once, mixed */
      unsigned v = i * 613 % 1009;
      char name[100];
      snprintf(name, sizeof name,
               v % 5 ? "n%04u.json" : "n%04u-and-a-name-that-does-not-fit-into-the-slot.json", v);
      if (fs_cursor_before(&c, v / 3, PLACE_FLAT, name)) add(&n, v / 3, name);
    }
    fs_names_finish(&n);
    assert_int_equal(n.cut, seen + n.count < 1009);
    assert_int_equal((seen + n.count) % 3 == 0 || !n.cut, 1); /* no group of three is cut */
    for (size_t i = 0; i < n.count; i++)
      assert_int_equal(strtoul(fs_slot_name(&n.at[i]) + 1, NULL, 10), seen++);
    fs_cursor_set(&c, &n, n.count);
    fs_names_release(&n);
    assert_true(round < 20);
  }
}

TEST(equal_times_and_names_are_ordered_by_place) {
  struct fs_names n;
  fs_names_init(&n, SIZE_MAX);
  assert_true(fs_names_add(&n, 5, PLACE_PENDING, "a.json", true));
  assert_true(fs_names_add(&n, 5, PLACE_FLAT, "a.json", false));
  assert_true(fs_names_add(&n, 5, PLACE_DLQ, "0.json", false));
  fs_names_finish(&n);
  assert_int_equal(n.at[0].place, PLACE_DLQ);
  assert_int_equal(n.at[1].place, PLACE_FLAT);
  assert_int_equal(n.at[2].place, PLACE_PENDING);
  assert_int_equal(n.at[2].flags, FS_HELD);
  fs_names_release(&n);
}

TEST(a_name_told_twice_is_kept_once) {
  struct fs_names n;
  fs_names_init(&n, SIZE_MAX);
  static const char longer[] = "a-name-that-does-not-fit-into-the-slot-and-is-allocated.json";
  add(&n, 5, longer), add(&n, 4, "a.json"), add(&n, 5, longer), add(&n, 5, "a.json"),
      add(&n, 4, "a.json");
  fs_names_finish(&n);
  assert_int_equal(n.count, 3);
  assert_int_equal(n.doubles, 2);
  assert_int_equal(n.at[0].mtime_ns, 4);
  assert_string_equal(fs_slot_name(&n.at[1]), longer);
  fs_names_release(&n);
}

TEST(a_group_larger_than_the_window_goes_on_by_name_and_place) {
  struct fs_names n;
  struct fs_cursor c;
  fs_names_init(&n, 2);
  add(&n, 5, "c.json"), add(&n, 5, "a.json"), add(&n, 5, "b.json");
  fs_names_finish(&n);
  assert_true(n.cut && n.one_group);
  fs_cursor_set(&c, &n, n.count);
  assert_false(fs_cursor_before(&c, 5, PLACE_FLAT, "b.json"));
  assert_true(fs_cursor_before(&c, 5, PLACE_PENDING, "b.json"));
  assert_true(fs_cursor_before(&c, 5, PLACE_FLAT, "c.json"));
  assert_true(fs_cursor_before(&c, 6, PLACE_FLAT, "a.json"));
  assert_false(fs_cursor_before(&c, 4, PLACE_FLAT, "z.json"));
  fs_names_release(&n);
}

TEST(a_quarter_of_a_million_names_fit_into_20_MB) {
  struct fs_names n;
  fs_names_init(&n, 250000);
  for (unsigned i = 0; i < 260000; i++) {
    char name[64];
    snprintf(name, sizeof name, "3f2b8c1e-7d4a-4e59-9b60-%012u.json", i);
    add(&n, i, name);
    if (i == 99999) assert_true(n.cap * sizeof *n.at < 8000000);
  }
  assert_int_equal(n.count, 250000);
  assert_true(n.cap * sizeof *n.at < 20000000);
  fs_names_clear(&n);
  assert_int_equal(n.cap, 0); /* given back */
  fs_names_release(&n);
}
