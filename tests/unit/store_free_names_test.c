/* A file's name means nothing, so a name that is taken, however long it is and however often, keeps
 * nothing from its place: a free one is found at once, and what lies under it is listed, found and
 * replayed as any other. */
#include "tests/unit/files.h"

#include <limits.h>

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static void keep_sent(struct box *b) {
  box_stop(b);
  b->config.keep_sent = true;
  box_start(b);
}

/* 255 bytes: as long as a name may be. Of characters of three bytes with none that fits where it
 * has to be cut. */
static const char *long_name(bool wide) {
  static char name[NAME_MAX + 1];
  memset(name, 'x', NAME_MAX);
  for (size_t i = 1; wide && i + 3 <= NAME_MAX - 5; i += 3) memcpy(name + i, "筋", 3);
  memcpy(name + NAME_MAX - 5, ".json", 6);
  return name;
}

static bool is_utf8(const char *name) {
  struct span s = span_of(name);
  return span_utf8_prefix(s) == s.len;
}

/* How many names lie there; all short enough and whole characters. */
static unsigned names_in(struct box *b, const char *folder) {
  unsigned n = 0;
  DIR *d = opendir(path_of(b, folder));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_type != DT_REG) continue;
    assert_true(strlen(e->d_name) <= NAME_MAX && is_utf8(e->d_name));
    n++;
  }
  closedir(d);
  return n;
}

struct counter {
  unsigned renames;
};
static int count_renames(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)name;
  ((struct counter *)ctx)->renames += op == DURABLE_RENAME && !after;
  return 0;
}

static void give(struct box *b, const char *name, unsigned n, bool broken) {
  char id[32];
  snprintf(id, sizeof id, "e-%u", n);
  if (broken)
    put(b, name, "{\"id\": broken");
  else
    put_entry(b, name, id, "pending", "2025-01-01T00:00:00");
  store_rescan(b->store);
  box_take_some(b);
  assert_int_equal(b->count, 1);
}

enum { SAME = 40 };

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(dead_letters_with_a_name_of_255_bytes_each_find_a_place) {
  struct box *b = *state;
  for (int wide = 0; wide < 2; wide++)
    for (int broken = 0; broken < 2; broken++) {
      unsigned before = names_in(b, "dlq");
      for (unsigned n = 0; n < SAME; n++) {
        struct counter c = {0};
        give(b, long_name(wide), n, broken);
        durable_set_hook(count_renames, &c);
        box_dead(b, &b->refs[0], broken ? REASON_NOT_JSON : REASON_BAD_NAME);
        durable_set_hook(NULL, NULL);
        assert_true(c.renames <= 40); /* however many there are */
      }
      assert_int_equal(names_in(b, "dlq") - before, SAME * (broken ? 2 : 1));
    }
  uint64_t total;
  box_list(b, LIST_DEAD, 1000, &total);
  assert_int_equal(total, 4 * SAME);
  box_restart(b);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
}

CASE(published_entries_with_one_name_are_all_kept) {
  struct box *b = *state;
  keep_sent(b);
  for (unsigned n = 0; n < SAME; n++) {
    give(b, n % 2 ? long_name(true) : "latest.json", n, false);
    box_done_all(b);
  }
  assert_int_equal(names_in(b, "sent"), SAME);
}

CASE(a_name_that_is_taken_ten_thousand_times_costs_a_few_looks) {
  struct box *b = *state;
  struct counter c = {0};
  char name[40];
  for (unsigned n = 0; n < 10000; n++) {
    snprintf(name, sizeof name, n ? "dlq/x__%u.json" : "dlq/x.json", n);
    int fd = open(path_of(b, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
    assert_true(fd >= 0);
    close(fd);
  }
  for (int broken = 0; broken < 2; broken++) {
    give(b, "x.json", 1, broken);
    c.renames = 0;
    durable_set_hook(count_renames, &c);
    box_dead(b, &b->refs[0], broken ? REASON_NOT_JSON : REASON_BAD_NAME);
    durable_set_hook(NULL, NULL);
    assert_true(c.renames <= 40);
    assert_false(exists(b, "x.json"));
  }
}

/* A crash between the two files of a raw letter: the next try finds the descriptor under the name
 * that was made. */
static int crash_at_the_raw(void *ctx, enum durable_op op, const char *name, bool after) {
  bool *crashed = ctx;
  *crashed = *crashed || (op == DURABLE_RENAME && !after && strcmp(name, long_name(false)) == 0);
  return *crashed ? EIO : 0;
}

CASE(a_raw_move_that_was_cut_is_finished_under_the_made_name) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NOT_JSON, 1);
  enum settled how;
  for (unsigned n = 0; n < SAME; n++) {
    bool crashed = false;
    give(b, long_name(false), n, true);
    durable_set_hook(crash_at_the_raw, &crashed);
    assert_int_equal(store_dead(b->store, &b->refs[0], &why, &how, &b->err), ST_IO);
    durable_set_hook(NULL, NULL);
    box_restart(b);
    store_rescan(b->store);
    box_take_some(b);
    box_dead(b, &b->refs[0], REASON_NOT_JSON);
    assert_int_equal(names_in(b, "dlq"), 2 * (n + 1));
  }
}

CASE(letters_with_made_names_are_found_and_replayed) {
  struct box *b = *state;
  uint64_t total;
  for (unsigned n = 0; n < SAME; n++) {
    give(b, long_name(true), n, false);
    box_dead(b, &b->refs[0], REASON_BAD_NAME);
  }
  struct box_listed l = box_find(b, LIST_DEAD, "e-39", &total);
  assert_int_equal(total, 1);
  OK(store_replay(b->store, SHELF_DEAD, l.token, &b->err));
  assert_string_equal(box_take_some(b), "e-39");
  box_done_all(b);
  give(b, long_name(true), 7, true);
  box_dead(b, &b->refs[0], REASON_NOT_JSON);
  l = box_list(b, LIST_DEAD, 1000, &total);
  assert_true(l.last.raw); /* the newest */
  OK(store_replay(b->store, SHELF_DEAD, l.token, &b->err));
  store_rescan(b->store);
  box_take_some(b);
  assert_int_equal(b->count, 1);
  assert_int_equal(names_in(b, "dlq"), SAME - 1);
}

/* Its way back is "dlq_" and its name. */
CASE(a_newer_letter_with_a_long_name_finds_its_way_back) {
  struct box *b = *state;
  put(b, long_name(false),
      "{\"id\": \"n\", \"message_type\": \"event\", \"message_name\": \"a.b\", \"payload\": {\"s\": 1}, "
      "\"original_error\": \"boom\", \"attempt_count\": 4, \"first_failed_at\": null, "
      "\"last_failed_at\": null, \"metadata\": {}}");
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(names_in(b, "dlq"), 1);
  assert_int_equal(files_in(b, "."), 0);
}
