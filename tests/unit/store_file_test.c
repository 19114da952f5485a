/* What the file store reads, what it leaves alone, and in which order. */
#include "tests/unit/files.h"

#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static void rescan(struct box *b) {
  box_release_all(b);
  store_rescan(b->store);
}

/* ---- what is an entry ---- */

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(only_pending_ones_are_ours_and_others_stay_byte_for_byte) {
  struct box *b = *state;
  char before[2000];
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put_entry(b, "a.json", "a", "dispatched", "2025-01-01T00:00:00");
  put_entry(b, "b.json", "b", "dlq", "2025-01-01T00:00:00");
  put(b, "c.json", "{\"id\": \"c\", \"name\": \"a.b\", \"payload\": {}}");
  put(b, "config.json", "{\"some\": \"thing\"}");
  put_entry(b, "d.json", "d", "pending", "2025-01-01T00:00:00");
  put_entry(b, "pending/e.json", "e", "dispatched", "2025-01-01T00:00:00");
  put(b, "pending/f.json", "{\"id\": \"f\", \"name\": \"a.b\", \"payload\": {}}");
  put_entry(b, "pending/g.json", "g", "pending", "2025-01-01T00:00:00");
  put(b, ".hidden.json", "{}"), put(b, "x.json.tmp", "{}"), put(b, "x.txt", "x"),
      put(b, ".json", "{}");
  snprintf(before, sizeof before, "%s", text_of(b, "a.json"));
  store_rescan(b->store);
  box_take_all(b);
  assert_int_equal(b->count, 3);
  assert_non_null(strstr(b->ids, "d") && strstr(b->ids, "f") && strstr(b->ids, "g") ? b->ids
                                                                                    : NULL);
  assert_string_equal(text_of(b, "a.json"), before);
  struct store_counts c = box_counts(b);
  assert_int_equal(c.foreign, 5);
  assert_int_equal(c.pending, 3);
  uint64_t total;
  box_list(b, LIST_PENDING, 0, &total);
  assert_int_equal(total, 3);
}

static unsigned opened(int fd) {
  char events[4096];
  unsigned n = 0;
  for (ssize_t len; (len = read(fd, events, sizeof events)) > 0;)
    for (ssize_t at = 0; at < len; n++)
      at += (ssize_t)(sizeof(struct inotify_event) +
                      ((struct inotify_event *)(void *)(events + at))->len);
  return n;
}

CASE(what_is_not_ours_is_parsed_once_until_it_changes) {
  struct box *b = *state;
  put_entry(b, "a.json", "a", "dispatched", "2025-01-01T00:00:00");
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  assert_true(inotify_add_watch(fd, path_of(b, "a.json"), IN_OPEN) >= 0);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(opened(fd), 1);
  rescan(b);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(opened(fd), 0);
  assert_int_equal(box_counts(b).foreign, 1);
  assert_int_equal(box_counts(b).pending, 0);
  close(fd);
  put_entry(b, "a.json", "a", "pending", "2025-01-01T00:00:00");
  assert_string_equal(box_take_some(b), "a");
}

CASE(what_arrived_at_another_time_is_not_opened_for_a_list) {
  struct box *b = *state;
  struct box_listed l = {0};
  struct store_range from = {TIME_NONE, INT64_C(1000) * 1000000},
                     to = {INT64_C(1000) * 1000000, TIME_NONE};
  uint64_t total;
  put_pending(b, "a"), put_pending(b, "b"), put_pending(b, "c");
  set_mtime(b, "a.json", 999, 999999999), set_mtime(b, "b.json", 1000, 0),
      set_mtime(b, "c.json", 1000, 1000);
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  assert_true(inotify_add_watch(fd, path_of(b, "c.json"), IN_OPEN) >= 0);
  OK(store_list_range(b->store, LIST_PENDING, &from, 0, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "a b");
  assert_int_equal(total, 2);
  assert_int_equal(opened(fd), 0);
  l = (struct box_listed){0};
  OK(store_list_range(b->store, LIST_PENDING, &to, 1, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "b");
  assert_int_equal(total, 2);
  assert_int_equal(opened(fd), 0);
  assert_string_equal(box_list(b, LIST_PENDING, 0, NULL).ids, "a b c");
  assert_int_equal(opened(fd), 1);
  close(fd);
}

CASE(files_that_are_not_ours_cannot_fill_the_window) {
  struct box *b = *state;
  box_stop(b);
  b->config.window = 4;
  for (int i = 0; i < 20; i++) {
    char name[30];
    snprintf(name, sizeof name, "x%02d.json", i);
    put_entry(b, name, "x", "dispatched", "2025-01-01T00:00:00");
    set_mtime(b, name, 1000 + i, 0);
  }
  put_pending(b, "a");
  box_start(b);
  assert_string_equal(box_take_all(b), "a");
  assert_int_equal(box_counts(b).foreign, 20);
  rescan(b);
  assert_string_equal(box_take_all(b), "a");
  uint64_t total;
  assert_string_equal(box_list(b, LIST_PENDING, 1, &total).ids, "a");
  assert_int_equal(total, 1);
}

CASE(odd_files_are_left_alone_and_named_once) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  put_pending(b, "target");
  assert_int_equal(rename(path_of(b, "target.json"), path_of(b, "target")), 0);
  assert_int_equal(symlink(path_of(b, "target"), path_of(b, "link.json")), 0);
  assert_int_equal(symlink("/nowhere", path_of(b, "dangling.json")), 0);
  assert_int_equal(mkfifo(path_of(b, "fifo.json"), 0644), 0);
  assert_int_equal(mkdir(path_of(b, "folder.json"), 0755), 0);
  put_pending(b, "two");
  assert_int_equal(link(path_of(b, "two.json"), path_of(b, "twin.json")), 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of(b, "s.json"));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).odd, 7);
  assert_int_equal(box_counts(b).pending, 0);
  usleep(50000); /* links are named when they stay */
  for (int i = 0; i < 3; i++) rescan(b), box_take_all(b);
  assert_int_equal(logged(text, "event=entry_odd"), 6); /* two names of one file are one */
  assert_int_equal(unlink(path_of(b, "twin.json")), 0); /* as a producer that links into place */
  rescan(b);
  assert_string_equal(box_take_all(b), "two");
  assert_int_equal(box_counts(b).odd, 5);
  close(fd);
  fclose(text);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  box_start(b);
}

CASE(odd_files_told_by_a_notice_are_left_alone_too) {
  struct box *b = *state;
  box_take_all(b);
  assert_int_equal(mkfifo(path_of(b, "fifo"), 0644), 0);
  assert_int_equal(rename(path_of(b, "fifo"), path_of(b, "fifo.json")), 0);
  assert_int_equal(symlink("/etc/passwd", path_of(b, "l")), 0);
  assert_int_equal(rename(path_of(b, "l"), path_of(b, "l.json")), 0);
  put_pending(b, "gone");
  assert_int_equal(unlink(path_of(b, "gone.json")), 0);
  put_pending(b, "a");
  assert_string_equal(box_take_some(b), "a");
  assert_int_equal(box_counts(b).odd, 2);
  assert_int_equal(box_counts(b).pending, 1);
}

CASE(unreadable_files_are_counted_named_once_and_tried_again) {
  struct box *b = *state;
  struct log *log;
  bool root = geteuid() == 0;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  put_pending(b, "a");
  assert_int_equal(chmod(path_of(b, "a.json"), 0), 0);
  assert_int_equal(chmod(b->dir, 0777), 0);
  assert_int_equal(chmod(path_of(b, "dlq"), 0777), 0);
  if (root) assert_int_equal(seteuid(65534), 0);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).unreadable, 1);
  assert_int_equal(box_counts(b).pending, 0);
  rescan(b);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).unreadable, 1);
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(logged(text, "event=entry_unreadable"), 1);
  assert_int_equal(chmod(path_of(b, "a.json"), 0644), 0);
  if (root) assert_int_equal(seteuid(65534), 0); /* not its owner: without O_NOATIME */
  rescan(b);
  assert_string_equal(box_take_all(b), "a");
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(box_counts(b).unreadable, 0);
  fclose(text);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  box_start(b);
}

CASE(a_list_of_all_passes_over_nothing_that_may_be_handed_out_later) {
  struct box *b = *state;
  struct box_listed l = {0};
  uint64_t total;
  bool root = geteuid() == 0;
  put_pending(b, "a"), put_pending(b, "b");
  assert_int_equal(link(path_of(b, "a.json"), path_of(b, "second")), 0);
  assert_int_equal(symlink("a.json", path_of(b, "link.json")), 0);
  OK(store_list(b->store, LIST_PENDING | LIST_LOOK, 0, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "b");
  l = (struct box_listed){0};
  OK(store_list(b->store, LIST_PENDING | LIST_LOOK | LIST_ALL, 0, box_visit, &l, &total, &b->err));
  assert_int_equal(total, 2);
  assert_int_equal(chmod(path_of(b, "b.json"), 0), 0);
  assert_int_equal(chmod(b->dir, 0777), 0);
  if (root) assert_int_equal(seteuid(65534), 0);
  enum status st =
      store_list(b->store, LIST_PENDING | LIST_LOOK | LIST_ALL, 0, box_visit, &l, &total, &b->err);
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(st, ST_DENIED);
  assert_non_null(strstr(b->err.text, "b.json"));
}

CASE(without_descriptors_nothing_is_skipped) {
  struct box *b = *state;
  struct rlimit old, low;
  struct entry e;
  put_pending(b, "a"), folder_tick(b->dir), put_pending(b, "b");
  OK(box_next(b, &e)); /* listed */
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  low = old;
  low.rlim_cur = 3;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  enum status one = box_next(b, &e), two = box_next(b, &e);
  store_rescan(b->store);
  enum status three = box_next(b, &e);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  assert_int_equal(one, ST_NO_SPACE);
  assert_int_equal(two, ST_NO_SPACE);
  assert_int_equal(three, ST_NO_SPACE);
  assert_string_equal(box_take_all(b), "b");
}

/* ---- order ---- */

CASE(one_mtime_is_ordered_by_created_at_then_name) {
  struct box *b = *state;
  const struct {
    const char *name, *id, *created;
  } made[] = {
      {"1.json", "d", "2025-01-01T00:00:03"},         {"2.json", "b", "2025-01-01T00:00:01.5Z"},
      {"3.json", "c", "2025-01-01T00:00:01.500001Z"}, {"5.json", "f", "2025-01-01T00:00:04"},
      {"4.json", "e", "2025-01-01T00:00:04"},         {"0.json", "a", "no time"}};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    put_entry(b, made[i].name, made[i].id, "pending", made[i].created);
    set_mtime(b, made[i].name, 1700000000, 5); /* before 2025: the unreadable one goes first */
  }
  put_pending(b, "z");
  set_mtime(b, "z.json", 1699999999, 0);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "z a b c d e f");
  rescan(b);
  assert_string_equal(box_take_all(b), "z a b c d e f");
}

/* More text than is kept while sorting: read again. Escaped ids are copied with it. */
CASE(a_group_of_large_entries_is_whole_and_in_order) {
  struct box *b = *state;
  char *text = malloc(400000);
  memset(text, ' ', 400000);
  for (int i = 0; i < 20; i++) {
    char name[20];
    snprintf(name, sizeof name, "%02d.json", i);
    int len = snprintf(
        text, 400000,
        "{\"id\": \"\\u0061%02d\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\", "
        "\"created_at\": \"2025-01-01T00:00:%02d\"",
        i, 59 - i);
    text[len] = ' ';
    text[399998] = '}';
    text[399999] = '\0';
    put(b, name, text);
    set_mtime(b, name, 1700000000, 5);
  }
  free(text);
  store_rescan(b->store);
  assert_string_equal(
      box_take_all(b),
      "a19 a18 a17 a16 a15 a14 a13 a12 a11 a10 a09 a08 a07 a06 a05 a04 a03 a02 a01 a00");
  assert_int_equal(b->refs[0].own[1], 399999);
}

CASE(a_window_goes_on_where_it_ended_and_cuts_no_group) {
  struct box *b = *state;
  box_stop(b);
  b->config.window = 4;
  static const char *const ids[] = {"a", "b", "c3", "c2", "c1", "d", "e", "f", "g"};
  static const int second[] = {1, 2, 3, 3, 3, 4, 5, 6, 7};
  for (int i = 0; i < 9; i++) {
    char name[20], created[40];
    snprintf(name, sizeof name, "%s.json", ids[i]);
    snprintf(created, sizeof created, "2025-01-01T00:00:%02d", i);
    put_entry(b, name, ids[i], "pending", created);
    set_mtime(b, name, 1700000000 + second[i], 0);
  }
  box_start(b);
  struct entry e;
  OK(box_next(b, &e));
  assert_false(store_scanned(b->store, 1));
  put_pending(b,
              "late"); /* not queued while names are left out: a later window has it in its place */
  assert_string_equal(box_take_all(b), "b c3 c2 c1 d e f g late");
  assert_true(store_scanned(b->store, 1));
  assert_int_equal(box_counts(b).pending, 10);
  store_release(b->store, &e.ref);
  rescan(b);
  assert_string_equal(box_take_all(b), "a b c3 c2 c1 d e f g late");
}

CASE(a_group_larger_than_the_window_goes_by_name_with_a_warning) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  b->config.window = 4;
  for (int i = 0; i < 11; i++) {
    char name[20], id[20], created[40];
    snprintf(id, sizeof id, "%c", 'a' + i);
    snprintf(name, sizeof name, "%s.json", id);
    snprintf(created, sizeof created, "2025-01-01T00:00:%02d", 30 - i);
    put_entry(b, name, id, "pending", created);
    set_mtime(b, name, 1700000000, 0);
  }
  put_pending(b, "z");
  box_start(b);
  assert_string_equal(box_take_all(b), "a b c d e f g h i j k z");
  assert_int_equal(logged(text, "event=group_larger_than_window"), 1);
  fclose(text);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  box_start(b);
}

CASE(names_of_any_length_are_kept) {
  struct box *b = *state;
  char id[129], name[260];
  for (int i = 0; i < 8; i++) {
    memset(id, 'a' + i, sizeof id - 1);
    id[38 + i] = '\0';
    if (i == 7) memset(id, 'h', 128), id[128] = '\0';
    snprintf(name, sizeof name, "%s.json", id);
    put_pending(b, id);
    set_mtime(b, name, 1700000000 - i, 0);
  }
  memset(name, 'z', 250);
  memcpy(name + 250, ".json", 6);
  put_entry(b, name, "longest", "pending", "2025-01-01T00:00:00");
  store_rescan(b->store);
  box_take_all(b);
  assert_int_equal(b->count, 9);
  assert_int_equal(b->refs[0].label.len, 133);
  assert_int_equal(b->refs[8].label.len, 255);
  box_dead(b, &b->refs[8], REASON_BAD_NAME); /* its name does not become longer */
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
  uint64_t total;
  box_list(b, LIST_DEAD, 0, &total);
  assert_int_equal(total, 2);
}

/* ---- a cached text is not older than a rewrite from outside the reader ---- */

CASE(a_replay_between_reading_and_handing_out_is_seen) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NONE, 3);
  struct entry e;
  enum settled how;
  for (char id[2] = "a"; id[0] <= 'c'; id[0]++) put_pending(b, id);
  const char *files[] = {"a.json", "b.json", "c.json"};
  for (int i = 0; i < 3; i++) set_mtime(b, files[i], 1700000000, 0);
  box_take_all(b);
  OK(store_retry(b->store, &b->refs[1], &why, &how, &b->err));
  store_release(b->store, &b->refs[0]);
  store_release(b->store, &b->refs[2]);
  store_rescan(b->store);
  OK(box_next(b, &e)); /* b and c are read now */
  OK(store_replay(b->store, SHELF_PENDING, "b.json", &b->err));
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "b"));
  assert_int_equal(e.event.attempts, 0);
  struct stat st;
  assert_int_equal(lstat(path_of(b, "b.json"), &st), 0);
  assert_int_equal(e.ref.own[0], st.st_ino);
}

/* ---- our own litter ---- */

CASE(old_temporary_files_of_ours_are_removed_and_young_ones_not) {
  struct box *b = *state;
  struct test_clock clock;
  put(b, ".busbridge-1.abc.tmp", "x");
  store_rescan(b->store);
  box_take_all(b);
  assert_true(exists(b, ".busbridge-1.abc.tmp"));
  box_stop(b);
  clock_begin(&clock);
  clock_pass(&clock, 2 * 3600 * 1000);
  b->options.clock = &clock.clock;
  box_start(b);
  box_take_all(b);
  assert_false(exists(b, ".busbridge-1.abc.tmp"));
  box_stop(b);
  b->options.clock = &clock_system;
  box_start(b);
}
