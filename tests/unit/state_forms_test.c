/* A .busbridge of a later release: refused with both versions named, and nothing of it is touched;
 * one of 0.1.0, which has no marker, opens and gets one. */
#include "bridge/base/table.h"
#include "bridge/outbox/file/site/state.h"
#include "tests/unit/files.h"

static int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  *state = b;
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

/* Of each file of .busbridge and its tmp: name, inode, ctime, in order of their hashes. */
static uint64_t print_of(struct box *b, const char *folder) {
  uint64_t sum = 0;
  DIR *d = opendir(path_of(b, folder));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) {
    struct stat st;
    char text[400];
    if (!strcmp(e->d_name, "..")) continue;
    assert_int_equal(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
    snprintf(text, sizeof text, "%s/%s %ju %jd.%ld", folder, e->d_name, (uintmax_t)st.st_ino,
             (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    sum += digest_fixed(span_of(text)).lo;
  }
  closedir(d);
  return sum;
}

static uint64_t print_all(struct box *b) {
  return print_of(b, ".busbridge") + print_of(b, ".busbridge/tmp") + print_of(b, ".");
}

/* By whoever only looks, and by whoever would change it. */
static void refused(struct box *b, enum status want, const char *theirs, const char *ours) {
  uint64_t before = print_all(b);
  for (int create = 0; create < 2; create++) {
    struct store_options options = {.create = create, .clock = &clock_system};
    struct store *s = NULL;
    assert_int_equal(store_open(b->url, &options, &s, &b->err), want);
    if (!strstr(b->err.text, theirs)) fail_msg("\"%s\" is not in: %s", theirs, b->err.text);
    if (!strstr(b->err.text, ours)) fail_msg("\"%s\" is not in: %s", ours, b->err.text);
    assert_non_null(strstr(b->err.text, b->dir));
    assert_int_equal(store_open(b->url, &options, &s, NULL), want); /* whoever asks not why */
  }
  assert_true(print_all(b) == before);
}

CASE(a_later_format_is_refused) {
  struct box *b = *state;
  put(b, ".busbridge/tmp/back-left", "x"); /* goes when the lock is taken */
  put(b, ".busbridge/format", "3 9.8.7\n");
  refused(b, ST_UNSUPPORTED, ".busbridge: the outbox has the format 3, of busbridge 9.8.7",
          "this one (" BUSBRIDGE_VERSION ") reads the formats 1 and 2. Start that release; nothing "
          "was changed");
  put(b, ".busbridge/format", "18446744073709551615\n");
  refused(b, ST_UNSUPPORTED, "the format 18446744073709551615, of busbridge another release",
          "reads the formats 1 and 2");
}

CASE(a_damaged_marker_is_refused) {
  struct box *b = *state;
  static const char *const texts[] = {"", "\n", "two\n", "-1\n", "99999999999999999999\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    put(b, ".busbridge/format", texts[i]);
    refused(b, ST_INVALID, "format does not begin with a number", "put it back as it was");
  }
}

CASE(a_file_of_a_later_form_is_refused) {
  static const struct {
    const char *file, *text, *words;
  } later[] = {
      {"aside", "busbridge-aside 2\n", "aside has the form 2 of another release"},
      {"holds", "busbridge-holds 17\nx\n", "holds has the form 17 of another release"},
      {"ids", "busbridge-ids 2\n", "ids has the form 2 of another release"},
      {"metrics", "busbridge-metrics 2\n", "metrics has the form 2 of another release"},
      {"paused", "{\"version\":2,\"since\":1}\n", "paused has the form 2 of another release"},
      {"replay-7", "{\"busbridge-selection\":2}\n", "replay-7 has the form 2 of another release"}};
  struct box *b = *state;
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    char path[60];
    snprintf(path, sizeof path, ".busbridge/%s", later[i].file);
    put(b, path, later[i].text);
    refused(b, ST_UNSUPPORTED, later[i].words,
            "this one (" BUSBRIDGE_VERSION ") reads the form 1. Start that release; nothing was "
            "changed");
    assert_int_equal(unlink(path_of(b, path)), 0);
  }
  box_start(b);
}

/* What begins otherwise is damaged, or nobody's: told by whoever needs it, if anybody does. */
CASE(a_file_that_tells_no_form_is_not_refused_here) {
  static const char *const files[] = {"holds", "ids", "metrics", "paused", "replay-7", "replay-x"};
  static const char *const texts[] = {"", "busbridge-", "busbridge-holds\n", "busbridge-holds x\n",
                                      "{\"version\":\"2\"}"};
  struct box *b = *state;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
      char path[60];
      snprintf(path, sizeof path, ".busbridge/%s", files[i]);
      put(b, path, texts[n]);
      box_start(b);
      box_stop(b);
      assert_int_equal(unlink(path_of(b, path)), 0);
    }
}

CASE(what_has_no_form_of_its_own_is_covered_by_the_marker) {
  struct box *b = *state;
  put(b, ".busbridge/keys-due", "a p/0/1 and-more\n");
  put(b, ".busbridge/hands", "of another machine");
  put(b, ".busbridge/order", "in another form\n");
  put(b, ".busbridge/schemas", "in another form\n");
  put(b, ".busbridge/format", "3 9.8.7\n");
  refused(b, ST_UNSUPPORTED, "the format 3", "reads the formats 1 and 2");
}

CASE(an_outbox_of_the_first_release_gets_a_marker_from_its_owner) {
  struct box *b = *state;
  (void)unlink(path_of(b, ".busbridge/format"));
  struct store_options look = {.clock = &clock_system};
  OK(store_open(b->url, &look, &b->store, &b->err));
  box_stop(b);
  box_meet(b);
  assert_false(exists(b, ".busbridge/format"));
  OK(store_lock(b->store, 0, &b->err));
  assert_string_equal(text_of(b, ".busbridge/format"), "2 " BUSBRIDGE_VERSION "\n");
  box_stop(b);
  put(b, ".busbridge/format", "1\n");
  box_start(b);
  assert_string_equal(text_of(b, ".busbridge/format"), "2 " BUSBRIDGE_VERSION "\n");
  struct stat was, is;
  assert_int_equal(stat(path_of(b, ".busbridge/format"), &was), 0);
  box_restart(b);
  assert_int_equal(stat(path_of(b, ".busbridge/format"), &is), 0);
  assert_int_equal(was.st_ino, is.st_ino); /* not written anew */
}

/* Whoever waits for the lock looked at what lay there before its holder, of a later release, marked
 * it. */
CASE(what_a_later_release_marked_while_we_waited_for_the_lock_is_refused_too) {
  struct box *b = *state;
  static const char *const files[] = {".busbridge/format", ".busbridge/holds"};
  static const char *const texts[] = {"3 9.8.7\n", "busbridge-holds 2\n"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    box_meet(b);
    put(b, files[i], texts[i]);
    put(b, ".busbridge/tmp/back-left", "x"); /* goes when the lock is taken */
    assert_int_equal(store_lock(b->store, 0, &b->err), ST_UNSUPPORTED);
    assert_non_null(strstr(b->err.text, "nothing was changed"));
    assert_non_null(strstr(b->err.text, b->dir));
    assert_string_equal(text_of(b, files[i]), texts[i]);
    assert_true(exists(b, ".busbridge/tmp/back-left"));
    box_stop(b);
    assert_int_equal(unlink(path_of(b, files[i])), 0);
  }
  box_start(b);
}
