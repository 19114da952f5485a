/* Entries that the file system refuses to change, each by itself: set aside, never handed out
 * again, carried out when the hindrance goes; all others go on. */
#include "tests/unit/files.h"

#include "bridge/outbox/file/settling/aside.h"

struct refusal {
  const char *part; /* of the name */
  int code;
  unsigned calls;
};
static int refuse(void *ctx, enum durable_op op, const char *name, bool after) {
  struct refusal *f = ctx;
  if (after || (op != DURABLE_UNLINK && op != DURABLE_RENAME) || !strstr(name, f->part)) return 0;
  f->calls++;
  return f->code;
}

static const struct entry_ref *ref_of(struct box *b, const char *name) {
  for (size_t i = 0; i < b->count; i++)
    if (span_is(b->refs[i].label, name)) return &b->refs[i];
  fail_msg("%s was not handed out", name);
  return NULL;
}

static void sync_all(struct box *b) {
  OK(store_sync(b->store, &b->err));
  OK(store_aside_sync(b->store, &b->err));
}

static void set_aside(struct box *b, const char *id, enum aside what, const struct failure *why,
                      int code) {
  char name[100];
  struct refusal f = {.part = name, .code = code};
  struct error hindrance = {0};
  enum settled how;
  snprintf(name, sizeof name, "%s.json", id);
  const struct entry_ref *ref = ref_of(b, name);
  durable_set_hook(refuse, &f);
  enum status st = what == ASIDE_DONE    ? store_done(b->store, ref, &how, &hindrance)
                   : what == ASIDE_RETRY ? store_retry(b->store, ref, why, &how, &hindrance)
                                         : store_dead(b->store, ref, why, &how, &hindrance);
  assert_int_not_equal(st, ST_OK);
  assert_true(f.calls > 0);
  OK(store_aside(b->store, ref, span_of(id), what, why, &hindrance, &b->err));
  durable_set_hook(NULL, NULL);
  sync_all(b);
}

/* a, b and c are in hand. */
static void take_three(struct box *b) {
  for (const char *const *id = (const char *const[]){"a", "b", "c", NULL}; *id; id++)
    put_pending(b, *id);
  assert_string_equal(box_take_all(b), "a b c");
}

static const char *scan(struct box *b) {
  store_rescan(b->store);
  return box_take_all(b);
}

static void tend(struct box *b) {
  store_aside_tend(b->store);
  sync_all(b);
}

/* Nothing is counted twice, or lost from the account. */
static void assert_counts(struct box *b, uint64_t pending, uint64_t aside) {
  struct store_counts c = box_counts(b);
  assert_int_equal(c.pending, pending);
  assert_int_equal(c.aside, aside);
  assert_true((int64_t)(c.first + c.returned) + c.arrived ==
              (int64_t)(c.pending + c.gone + c.vanished));
}

static int setup(void **state) {
  *state = box_new("file");
  return 0;
}

static int teardown(void **state) {
  durable_set_hook(NULL, NULL);
  return box_free(state);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

/* ---- published ---- */

CASE(what_cannot_be_removed_is_never_handed_out_again) {
  struct box *b = *state;
  take_three(b);
  set_aside(b, "b", ASIDE_DONE, NULL, EPERM);
  assert_counts(b, 2, 1);
  box_done(b, ref_of(b, "a.json"), SETTLED_GONE);
  box_done(b, ref_of(b, "c.json"), SETTLED_GONE);
  assert_string_equal(scan(b), "");
  assert_counts(b, 0, 1);
  put_pending(b, "d"); /* told by inotify */
  assert_string_equal(box_take_some(b), "d");
  box_done_all(b);
  for (int i = 0; i < 2; i++) {
    box_restart(b);
    assert_string_equal(scan(b), "");
    assert_counts(b, 0, 1);
    assert_true(exists(b, "b.json"));
  }
}

CASE(it_is_removed_when_it_can_be) {
  struct box *b = *state;
  struct refusal f = {.part = "b.json", .code = EPERM};
  take_three(b);
  set_aside(b, "b", ASIDE_DONE, NULL, EPERM);
  durable_set_hook(refuse, &f);
  tend(b);
  durable_set_hook(NULL, NULL);
  assert_true(f.calls > 0 && exists(b, "b.json"));
  assert_counts(b, 2, 1);
  tend(b);
  assert_false(exists(b, "b.json"));
  assert_counts(b, 2, 0);
  assert_null(strstr(text_of(b, ".busbridge/aside"), "b.json"));
  put_pending(b, "b"); /* another event of that name is one like any other */
  assert_string_equal(box_take_some(b), "b");
  assert_counts(b, 3, 0);
}

CASE(another_event_in_its_place_is_handed_out_and_a_copy_is_not) {
  struct box *b = *state;
  take_three(b);
  set_aside(b, "a", ASIDE_DONE, NULL, EBUSY);
  set_aside(b, "b", ASIDE_DONE, NULL, EBUSY);
  put_entry(b, "new", "a", "pending", "2025-01-01T00:00:00+00:00");
  assert_int_equal(rename(path_of(b, "new"), path_of(b, "a.json")), 0);
  put_entry(b, "new", "other", "pending", "2025-01-01T00:00:00+00:00");
  assert_int_equal(rename(path_of(b, "new"), path_of(b, "b.json")), 0);
  assert_string_equal(box_take_some(b), "other");
  struct entry_ref other = b->refs[0];
  tend(b); /* while it is in hand */
  assert_false(exists(b, "a.json"));
  assert_string_equal(scan(b), "");
  assert_int_equal(box_counts(b).aside, 1);
  box_done(b, &other, SETTLED_GONE);
  tend(b);
  assert_counts(b, 1, 0);
}

/* Written over in place: only by reading it can it be known. */
CASE(other_bytes_in_the_same_file_are_found_by_its_id) {
  struct box *b = *state;
  take_three(b);
  set_aside(b, "b", ASIDE_DONE, NULL, EPERM);
  put_entry(b, "b.json", "other", "pending", "2025-01-01T00:00:00+00:00");
  assert_string_equal(box_take_some(b), "other");
  box_done_all(b);
  tend(b);
  assert_counts(b, 2, 0);
}

CASE(one_that_is_gone_is_forgotten) {
  struct box *b = *state;
  take_three(b);
  set_aside(b, "b", ASIDE_DONE, NULL, EPERM);
  assert_int_equal(unlink(path_of(b, "b.json")), 0);
  tend(b);
  assert_counts(b, 2, 0);
}

/* ---- refused, dead ---- */

static unsigned attempts_of(struct box *b, const char *id) {
  struct entry e;
  enum status st;
  unsigned attempts = 0;
  bool found = false;
  store_rescan(b->store);
  while ((st = box_next(b, &e)) == ST_OK) {
    if (span_is(e.event.id, id)) found = true, attempts = e.event.attempts;
    if (b->count < 64) b->refs[b->count++] = e.ref;
  }
  assert_int_equal(st, ST_AGAIN);
  assert_true(found);
  return attempts;
}

CASE(what_cannot_be_rewritten_keeps_its_attempts) {
  struct box *b = *state;
  put_pending(b, "b");
  assert_string_equal(box_take_all(b), "b");
  for (unsigned n = 1; n <= 3; n++) {
    struct failure why = box_failure(REASON_BROKER_REFUSED, n);
    set_aside(b, "b", ASIDE_RETRY, &why, EPERM);
    assert_counts(b, 1, 1);
    if (n == 2) box_restart(b);
    b->count = 0;
    assert_int_equal(attempts_of(b, "b"), n);
    if (n == 1) tend(b); /* still so */
  }
  struct failure why = box_failure(REASON_BROKER_REFUSED, 4);
  enum settled how;
  OK(store_retry(b->store, ref_of(b, "b.json"), &why, &how, &b->err)); /* now it can be */
  tend(b);
  assert_counts(b, 1, 0);
  b->count = 0;
  assert_int_equal(attempts_of(b, "b"), 4);
}

CASE(what_cannot_be_moved_to_dlq_is_moved_when_it_can_be) {
  struct box *b = *state;
  take_three(b);
  put(b, "bad.json", "no JSON");
  set_mtime(b, "bad.json", 1700000000, 0);
  struct failure why = box_failure(REASON_SCHEMA_MISMATCH, 1);
  set_aside(b, "b", ASIDE_DEAD, &why, EPERM);
  assert_counts(b, 2, 1);
  box_restart(b);
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_int_equal(box_counts(b).aside, 1);
  tend(b);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "b");
  assert_string_equal(l.reason, "schema_mismatch");
  assert_string_equal(l.last_error, "field \"x\" is wrong");
  assert_int_equal(l.last.attempts, 1);
  assert_int_equal(box_counts(b).aside, 0);
}

/* ---- all of them ---- */

CASE(a_disk_or_folder_that_refuses_everything_is_not_one_entry) {
  struct box *b = *state;
  static const struct refusal all[] = {{.part = "b.json", .code = ENOSPC},
                                       {.part = "b.json", .code = EROFS},
                                       {.part = "", .code = EIO},
                                       {.part = "", .code = EPERM},
                                       {.part = "", .code = EACCES}};
  take_three(b);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    struct refusal f = all[i];
    struct error hindrance = {0}, err = {0};
    enum settled how;
    durable_set_hook(refuse, &f);
    assert_int_not_equal(store_done(b->store, ref_of(b, "b.json"), &how, &hindrance), ST_OK);
    enum status st =
        store_aside(b->store, ref_of(b, "b.json"), SPAN("b"), ASIDE_DONE, NULL, &hindrance, &err);
    durable_set_hook(NULL, NULL);
    assert_int_equal(st, ST_AGAIN);
  }
  assert_counts(b, 3, 0);
  box_done_all(b);
}

CASE(the_list_is_bounded_and_says_so) {
  struct box *b = *state;
  const struct error hindrance = {.status = ST_DENIED, .sys = EPERM, .text = "not permitted"};
  char name[40];
  for (unsigned i = 0; i <= STORE_ASIDE_MOST; i++) {
    snprintf(name, sizeof name, "%u.json", i);
    struct entry_ref ref = {.token = span_of(name), .own = {i, 2, 3}, .arrived_ns = 4};
    enum status st = store_aside(b->store, &ref, SPAN("id"), ASIDE_DONE, NULL, &hindrance, &b->err);
    assert_int_equal(st, i < STORE_ASIDE_MOST ? ST_OK : ST_AGAIN);
  }
  assert_non_null(strstr(b->err.text, "10,000 entries are set aside"));
  sync_all(b);
  box_restart(b);
  assert_int_equal(box_counts(b).aside, STORE_ASIDE_MOST);
  tend(b);
  assert_int_equal(box_counts(b).aside, 0);
}

/* ---- the file ---- */

struct nth {
  unsigned at, calls;
};
static int fail_nth(void *ctx, enum durable_op op, const char *name, bool after) {
  struct nth *f = ctx;
  (void)op, (void)name;
  return ++f->calls == f->at ? after ? EIO : ENOSPC : 0;
}

/* Each call of an append and of writing it anew, before and after it was made. */
CASE(each_failure_of_writing_it_leaves_what_was_there_and_the_next_try_writes_all) {
  struct box *b = *state;
  const struct error hindrance = {.status = ST_DENIED, .sys = EPERM, .text = "not permitted"};
  unsigned set = 0, failed = 0;
  for (struct nth f = {.calls = 1}; f.calls >= f.at; set++) {
    char name[40];
    snprintf(name, sizeof name, "%u.json", set);
    struct entry_ref ref = {.token = span_of(name)};
    OK(store_aside(b->store, &ref, SPAN("id"), ASIDE_DONE, NULL, &hindrance, &b->err));
    f = (struct nth){
        .at =
            f.at + (set % 3 == 0)}; /* each place: the first one, an append, and after a failure */
    durable_set_hook(fail_nth, &f);
    bool ok = store_aside_sync(b->store, NULL) == ST_OK;
    durable_set_hook(NULL, NULL);
    failed += !ok;
    box_stop(b); /* a failure may have left it or not, but never a file that cannot be read */
    box_start(b);
    uint64_t there = box_counts(b).aside;
    if (there != set + 1 && (ok || there != set))
      fail_msg("call %u: %u of %u, %d", f.at, (unsigned)there, set + 1, ok);
    if (there == set)
      OK(store_aside(b->store, &ref, SPAN("id"), ASIDE_DONE, NULL, &hindrance, &b->err));
    OK(store_aside_sync(b->store, &b->err));
    box_restart(b);
    assert_int_equal(box_counts(b).aside, set + 1);
  }
  assert_true(failed > 10);
}

CASE(a_last_line_that_a_crash_cut_does_not_count) {
  struct box *b = *state;
  take_three(b);
  set_aside(b, "a", ASIDE_DONE, NULL, EPERM);
  set_aside(b, "b", ASIDE_DONE, NULL, EPERM);
  char text[4000];
  snprintf(text, sizeof text, "%s", text_of(b, ".busbridge/aside"));
  for (size_t cut = strlen(text); cut-- > strlen("busbridge-aside 1\n");) {
    text[cut] = '\0';
    box_stop(b);
    put(b, ".busbridge/aside", text);
    box_start(b);
    bool whole = strchr(strchr(text, '\n') + 1, '\n') != NULL;
    assert_int_equal(box_counts(b).aside, whole ? 1 : 0);
    OK(store_aside_sync(b->store, &b->err));
    assert_int_equal(text_of(b, ".busbridge/aside")[strlen(text_of(b, ".busbridge/aside")) - 1],
                     '\n');
  }
}

CASE(a_damaged_file_is_refused_with_what_to_do) {
  struct box *b = *state;
  box_stop(b);
  put(b, ".busbridge/aside", "busbridge-aside 1\ndone flat x.json 1 2\n");
  box_meet(b);
  OK(store_lock(b->store, 0, &b->err));
  assert_int_equal(store_begin(b->store, &b->config, &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, ".busbridge/aside"));
  assert_non_null(strstr(b->err.text, "Restore it"));
  box_stop(b);
  assert_int_equal(unlink(path_of(b, ".busbridge/aside")), 0);
  box_start(b);
}

static void assert_text(const char *got, const char *want) {
  if (want)
    assert_string_equal(got, want);
  else
    assert_null(got);
}

CASE(what_was_written_is_read_back) {
  static const char *const texts[] = {"plain",        "-", "", "two words, and %41", "\xff\x01\n\t",
                                      "\xe6\x98\x9f", NULL};
  for (unsigned i = 0; i < 6; i++) {
    struct fs_aside row = {.what = (enum aside)(i % 3),
                           .ref = {.name = i == 2 ? SPAN("x") : span_of(texts[i]),
                                   .id = span_of(texts[i]),
                                   .content = UINT64_MAX - i,
                                   .stamp = {UINT64_MAX - i, -1, INT64_MIN, INT64_MAX},
                                   .place = i % 2 ? PLACE_PENDING : PLACE_FLAT},
                           .since_us = TIME_NONE,
                           .sys = EPERM,
                           .why = texts[(i + 1) % 6],
                           .failure = box_failure((enum reason)i, 7)};
    struct buffer text = {0};
    struct fs_aside *got;
    row.failure.topic = i == 2 ? NULL : texts[i];
    row.failure.error = i == 2 ? NULL : texts[i];
    fs_aside_print(&row, &text);
    struct span line = {text.ptr, text.len - 1};
    assert_int_equal(text.ptr[line.len], '\n');
    assert_int_equal(fs_aside_parse(line, &got, NULL), ST_OK);
    assert_int_equal(got->what, row.what);
    assert_memory_equal(&got->ref.stamp, &row.ref.stamp, sizeof row.ref.stamp);
    assert_int_equal(got->ref.place, row.ref.place);
    assert_true(got->ref.content == row.ref.content);
    assert_true(span_eq(got->ref.name, row.ref.name) && span_eq(got->ref.id, row.ref.id));
    assert_true(got->since_us == row.since_us && got->sys == row.sys);
    assert_string_equal(got->why, row.why);
    assert_int_equal(got->failure.attempts, 7);
    assert_int_equal(got->failure.reason, row.failure.reason);
    assert_int_equal(got->failure.error_code, row.failure.error_code);
    assert_true(got->failure.failed_us == row.failure.failed_us);
    assert_text(got->failure.topic, row.failure.topic);
    assert_text(got->failure.error, row.failure.error);
    free(got);
    for (line.len--; line.len;
         line.len--) { /* cut anywhere: refused, or the last word is shorter */
      if (fs_aside_parse(line, &got, NULL) != ST_OK) continue;
      assert_true(strlen(got->why) < strlen(row.why) || !*row.why);
      free(got);
    }
    buffer_release(&text);
  }
}

static bool see(void *ctx, const struct aside_info *info) {
  char *text = ctx;
  snprintf(text + strlen(text), 500, "%s %.*s %s; ", info->token, SPAN_ARGS(info->id),
           info->remedy);
  return true;
}

CASE(a_command_beside_the_worker_sees_them) {
  struct box *b = *state;
  char text[2000] = "";
  take_three(b);
  set_aside(b, "a", ASIDE_DONE, NULL, EBUSY);
  const struct store_options options = {.clock = &clock_system};
  struct store *s;
  OK(store_open(b->url, &options, &s, &b->err));
  OK(store_begin(s, &b->config, &b->err));
  struct store_counts c;
  OK(store_counts(s, &c, &b->err));
  assert_int_equal(c.pending, 2);
  assert_int_equal(c.aside, 1);
  OK(store_asides(s, 0, see, text, &b->err));
  assert_string_equal(text, "a.json a Something is mounted on it: umount FILE; ");
  struct box_listed l = {0};
  uint64_t total;
  OK(store_list(s, LIST_PENDING, 0, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "b c");
  assert_int_equal(total, 2);
  store_close(s);
}
