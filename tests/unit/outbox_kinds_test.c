/* Which kind a url chooses, and what only the kind in files says of names and folders. */
#include "tests/unit/files.h"

#include <sys/statvfs.h>

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(only_names_of_entries_in_the_folder_itself_are_emitted_looked_at_or_replayed) {
  struct box *b = *state;
  struct box_listed one = {0};
  assert_int_equal(box_put(b->store, "../a", SPAN("{}"), &b->err), ST_INVALID);
  assert_int_equal(box_put(b->store, ".a", SPAN("{}"), &b->err), ST_INVALID);
  assert_int_equal(box_put(b->store, "", SPAN("{}"), &b->err), ST_INVALID);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "../a.json", &b->err), ST_INVALID);
  assert_int_equal(store_look(b->store, SHELF_PENDING, "../a.json", box_visit, &one, &b->err),
                   ST_NOT_FOUND);
}

CASE(who_holds_it_is_told_by_pid) {
  struct box *b = *state;
  struct store *other = box_another(b, true);
  char pid[40];
  snprintf(pid, sizeof pid, "held by pid %d", (int)getpid());
  assert_int_equal(store_holder(other), getpid());
  assert_int_equal(store_lock(other, 0, &b->err), ST_BUSY);
  assert_non_null(strstr(b->err.text, pid));
  store_close(other);
}

CASE(unknown_kinds_are_refused_without_showing_the_url) {
  struct box *b = *state;
  struct store *s = NULL;
  assert_int_equal(store_open("postgresql://u:secret@127.0.0.1:1/db", &b->options, &s, &b->err),
                   ST_UNAVAILABLE);
  assert_null(strstr(b->err.text, "secret"));
  assert_int_equal(store_open("mysql://u:secret@h/db", &b->options, &s, &b->err), ST_INVALID);
  assert_null(strstr(b->err.text, "secret"));
  assert_int_equal(store_open("/just/a/path", &b->options, &s, &b->err), ST_INVALID);
  assert_null(s);
  store_close(NULL);
}

CASE(shelves_have_paths) {
  const struct store *s = ((struct box *)*state)->store;
  assert_string_equal(store_shelf_words(s, SHELF_PENDING, SPAN("x.json")), "");
  assert_string_equal(store_shelf_words(s, SHELF_DEAD, SPAN("x.json")), "dlq/");
  assert_string_equal(store_shelf_words(s, SHELF_SENT, SPAN("x.json")), "sent/");
  assert_string_equal(store_shelf_words(s, SHELF_DEAD, SPAN("typed/errored/x.json")),
                      "typed/errored/");
}

/* What the disks have in turn, by call; 0: as it is. */
static unsigned long free_blocks[2];
static unsigned asked;
int __real_fstatvfs64(int fd, struct statvfs *out);
int __wrap_fstatvfs64(int fd, struct statvfs *out);
int __wrap_fstatvfs64(int fd, struct statvfs *out) {
  int rc = __real_fstatvfs64(fd, out);
  unsigned long blocks = free_blocks[asked++ % 2];
  if (!blocks) return rc;
  out->f_frsize = 1;
  out->f_bavail = out->f_favail = blocks;
  out->f_files = 1000;
  return rc;
}

CASE(of_two_disks_the_fuller_one_counts) {
  struct box *b = *state;
  struct store_space space;
  char typed[240];
  box_stop(b);
  snprintf(typed, sizeof typed, "%s-typed", b->dir);
  assert_int_equal(mkdir(typed, 0770), 0);
  b->options.typed = typed;
  box_meet(b);
  for (unsigned first = 0; first < 2; first++) {
    free_blocks[first] = 200;
    free_blocks[!first] = 100;
    asked = 0;
    store_space(b->store, &space);
    assert_true(space.known);
    assert_int_equal(space.bytes, 100);
    assert_int_equal(space.entries, 100);
  }
  free_blocks[0] = free_blocks[1] = 0;
  assert_int_equal(folder_remove(typed), 0);
}
