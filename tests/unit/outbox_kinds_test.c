/* Which kind a url chooses, and what only the kind in files says of names and folders. */
#include "tests/unit/files.h"

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
  assert_int_equal(store_open("sqlite:x.db", &b->options, &s, &b->err), ST_UNSUPPORTED);
  assert_non_null(strstr(b->err.text, "comes later"));
  assert_int_equal(store_open("postgresql://u:secret@h/db", &b->options, &s, &b->err),
                   ST_UNSUPPORTED);
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
