/* What an exchange left in tmp: only our own text and the bytes that were read are removed. */
#include "bridge/outbox/file/moves/leftover.h"
#include "tests/unit/files.h"

#include <fcntl.h>

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static struct leftover left_of(struct box *b, const char *content, const char *old,
                               const char *name) {
  struct stat mine, read;
  assert_int_equal(lstat(path_of(b, content), &mine), 0);
  assert_int_equal(lstat(path_of(b, old), &read), 0);
  return (struct leftover){
      .content = mine.st_ino,
      .old = {.inode = read.st_ino,
              .size = read.st_size,
              .mtime_ns = (int64_t)read.st_mtim.tv_sec * 1000000000 + read.st_mtim.tv_nsec},
      .place = PLACE_FLAT,
      .name = name};
}

/* The file lies in tmp under the name that l gives it. */
static void lay(struct box *b, const char *file, const struct leftover *l) {
  char name[NAME_SIZE], path[400], from[400];
  leftover_name(l, name);
  snprintf(path, sizeof path, ".busbridge/tmp/%s", name);
  snprintf(from, sizeof from, "%s", path_of(b, file));
  assert_int_equal(rename(from, path_of(b, path)), 0);
}

static void clear_tmp(struct box *b) {
  box_restart(b); /* whoever takes the lock */
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

/* As releases before read and write it. */
TEST(the_name_says_all_that_the_next_start_asks) {
  static const uint64_t numbers[] = {0, 1, 15, 16, 0xabcdef, UINT64_C(1) << 60, UINT64_MAX};
  char name[NAME_SIZE], printed[NAME_SIZE];
  struct leftover l = {.kind = LEFTOVER_GONE, .place = PLACE_PENDING, .name = "a.json"}, read;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    l.content = numbers[i];
    l.old = (struct stamp){
        .inode = numbers[i] / 2, .size = (int64_t)(numbers[i] / 4), .mtime_ns = -(int64_t)i};
    leftover_name(&l, name);
    snprintf(printed, sizeof printed, "gone-%llx-%llx-%llx-%llx-%u-a.json",
             (unsigned long long)l.content, (unsigned long long)l.old.inode,
             (unsigned long long)l.old.size, (unsigned long long)l.old.mtime_ns, (unsigned)l.place);
    assert_string_equal(name, printed);
    assert_true(leftover_parse(name, &read));
    assert_true(read.kind == l.kind && read.content == l.content && read.place == l.place);
    assert_true(read.old.inode == l.old.inode && read.old.size == l.old.size &&
                read.old.mtime_ns == l.old.mtime_ns);
    assert_string_equal(read.name, "a.json");
  }
}

CASE(our_own_text_and_what_was_read_are_removed) {
  struct box *b = *state;
  put(b, "mine.x", "mine");
  put(b, "read.x", "read");
  struct leftover l = left_of(b, "mine.x", "read.x", "a.json");
  lay(b, "mine.x", &l);
  clear_tmp(b);
  put(b, "mine.x", "mine");
  l = left_of(b, "mine.x", "read.x", "a.json");
  lay(b, "read.x", &l);
  put(b, ".busbridge/tmp/1.2.3.tmp", "half writ");
  clear_tmp(b);
  assert_int_equal(files_in(b, "."), 1);
  assert_string_equal(text_of(b, "mine.x"), "mine");
}

CASE(other_bytes_take_the_place_of_our_text) {
  struct box *b = *state;
  put(b, "a.json", "mine");
  put(b, "read.x", "read");
  put(b, "other.x", "other");
  struct leftover l = left_of(b, "a.json", "read.x", "a.json");
  lay(b, "other.x", &l);
  clear_tmp(b);
  assert_string_equal(text_of(b, "a.json"), "other");
}

CASE(what_was_changed_where_it_lay_is_not_what_was_read) {
  struct box *b = *state;
  put(b, "a.json", "mine");
  put(b, "read.x", "read");
  struct leftover l = left_of(b, "a.json", "read.x", "a.json");
  put(b, "read.x", "more than that");
  lay(b, "read.x", &l);
  clear_tmp(b);
  assert_string_equal(text_of(b, "a.json"), "more than that");
}

CASE(other_bytes_replace_nothing_that_is_not_ours) {
  struct box *b = *state;
  put(b, "mine.x", "mine");
  put(b, "read.x", "read");
  put(b, "a.json", "newer");
  put(b, "other.x", "other");
  struct leftover l = left_of(b, "mine.x", "read.x", "a.json");
  lay(b, "other.x", &l);
  clear_tmp(b);
  assert_string_equal(text_of(b, "a.json"), "newer");
  assert_string_equal(text_of(b, "a__1.json"), "other");
}

CASE(a_very_long_name_is_cut_and_stays_an_entry) {
  struct box *b = *state;
  char name[NAME_SIZE] = "";
  memset(name, 'n', NAME_SIZE - 1);
  memcpy(name + NAME_SIZE - 6, ".json", 6);
  put(b, "mine.x", "mine");
  put(b, "read.x", "read");
  put(b, "other.x", "other");
  struct leftover l = left_of(b, "mine.x", "read.x", name);
  l.old.mtime_ns = -1;
  l.old.inode = l.content = UINT64_MAX;
  lay(b, "other.x", &l);
  clear_tmp(b);
  assert_int_equal(files_in(b, "."), 3);
  store_rescan(b->store);
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  assert_int_equal(b->count, 1);
}

/* Its envelope was lifted when it was published and is not any more, or the other way round. */
CASE(what_was_published_is_removed_by_either_of_its_ids) {
  struct box *b = *state;
  static const char text[] =
      "{\"id\": \"out\", \"name\": \"plot.plotsaved\", \"payload\": {\"event_type\": \"PlotSaved\", "
      "\"event_id\": \"in\", \"occurred_at\": null, \"data\": {}}}";
  static const char *const ids[] = {"out", "in", "neither"};
  put(b, "read.x", "read");
  for (int i = 0; i < 3; i++) {
    put(b, "read.y", text);
    struct leftover l = left_of(b, "read.y", "read.x", "a.json");
    l.kind = LEFTOVER_GONE;
    l.content = leftover_id(span_of(ids[i]));
    lay(b, "read.y", &l);
    clear_tmp(b);
    assert_int_equal(access(path_of(b, "a.json"), F_OK), i < 2 ? -1 : 0);
  }
}

CASE(what_cannot_go_back_stays) {
  struct box *b = *state;
  put(b, "mine.x", "mine");
  put(b, "read.x", "read");
  put(b, "other.x", "other");
  struct leftover l = left_of(b, "mine.x", "read.x", "a.json");
  l.place = PLACE_PENDING; /* which is not there */
  lay(b, "other.x", &l);
  box_restart(b);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 1);
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  clear_tmp(b);
  assert_string_equal(text_of(b, "pending/a.json"), "other");
}

CASE(what_lies_there_for_long_is_counted_and_what_is_on_its_way_is_not) {
  struct box *b = *state;
  put_pending(b, "a");
  struct leftover l = left_of(b, "a.json", "a.json", "a.json");
  int64_t now = clock_wall_us(&clock_system);
  lay(b, "a.json", &l);
  put(b, ".busbridge/tmp/other.tmp", "not an entry");
  assert_int_equal(store_left(b->store, now), 0);
  assert_int_equal(store_left(b->store, now + 61000000), 1);
  box_restart(b);
  assert_int_equal(store_left(b->store, now + 61000000), 0);
}
