/* Folders of the outbox that go, come back or are exchanged beside an open store, at rest and at
 * each call of each move: what is moved lies where the folder is, nothing is taken for gone that is
 * not, nothing is sent from a folder that was moved away. */
#include "tests/unit/files.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static int keeping_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  b->config.keep_sent = true;
  box_start(b);
  *state = b;
  return 0;
}

static void move(struct box *b, const char *from, const char *to) {
  assert_int_equal(rename(path_of(b, from), path_of(b, to)), 0);
}

static void take(struct box *b, const char *ids) {
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), ids);
}

static void take_broken(struct box *b) {
  put(b, "a.json", "{\"id\": broken");
  store_rescan(b->store);
  assert_string_equal(box_take_some(b), "a.json!not_json");
}

/* ---- at rest ---- */

#define KEEPING(name) TEST_WITH(name, keeping_open, box_free)

KEEPING(sent_that_was_removed_is_made_again_and_the_entry_is_kept_in_it) {
  struct box *b = *state;
  put_pending(b, "a");
  take(b, "a");
  assert_int_equal(rmdir(path_of(b, "sent")), 0);
  box_done_all(b);
  assert_true(exists(b, "sent/a.json") && !exists(b, "a.json"));
  take(b, "");
}

KEEPING(sent_that_was_moved_away_gets_nothing_more) {
  struct box *b = *state;
  put_pending(b, "a");
  put_pending(b, "b");
  take(b, "a b");
  move(b, "sent", "sent.old");
  box_done(b, &b->refs[0], SETTLED_GONE);
  assert_int_equal(files_in(b, "sent.old"), 0);
  assert_int_equal(files_in(b, "sent"), 1);
  move(b, "sent", "sent.new");
  move(b, "sent.old", "sent");
  box_done(b, &b->refs[1], SETTLED_GONE);
  assert_true(exists(b, "sent/b.json"));
}

/* Waited for, and never deleted instead. */
KEEPING(an_entry_stays_while_sent_cannot_be_made) {
  struct box *b = *state;
  enum settled how;
  put_pending(b, "a");
  take(b, "a");
  assert_int_equal(rmdir(path_of(b, "sent")), 0);
  put(b, "sent", "a file");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(store_done(b->store, &b->refs[0], &how, &b->err), ST_IO);
    assert_non_null(strstr(b->err.text, "/sent/"));
    assert_true(exists(b, "a.json"));
    assert_int_equal(box_counts(b).in_hand, 1);
  }
  assert_int_equal(unlink(path_of(b, "sent")), 0);
  box_done(b, &b->refs[0], SETTLED_GONE);
  assert_true(exists(b, "sent/a.json"));
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(dlq_that_was_removed_is_made_again_for_both_kinds_of_letters) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  put_pending(b, "p");
  take(b, "p");
  assert_int_equal(rmdir(path_of(b, "dlq")), 0);
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
  assert_true(exists(b, "dlq/p.json") && !exists(b, "p.json"));
  assert_int_equal(unlink(path_of(b, "dlq/p.json")) + rmdir(path_of(b, "dlq")), 0);
  take_broken(b);
  box_dead(b, &b->refs[0], REASON_NOT_JSON);
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/a.raw") && !exists(b, "a.json"));
  assert_int_equal(logged(text, "event=folder_changed"), 2);
  store_rescan(b->store), box_take_all(b);
  assert_int_equal(box_counts(b).dead, 1);
  fclose(text);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  box_start(b);
}

CASE(a_dead_entry_stays_while_dlq_cannot_be_made) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  for (int broken = 0; broken < 2; broken++) {
    if (broken)
      take_broken(b);
    else
      put_pending(b, "a"), take(b, "a");
    assert_int_equal(rmdir(path_of(b, "dlq")), 0);
    put(b, "dlq", "a file");
    assert_int_equal(store_dead(b->store, &b->refs[0], &why, &how, &b->err), ST_IO);
    assert_non_null(strstr(b->err.text, "/dlq/"));
    assert_true(exists(b, "a.json"));
    assert_int_equal(box_counts(b).in_hand, 1);
    assert_int_equal(unlink(path_of(b, "dlq")), 0);
    /* the dead form of the first try lies there: it is found, and its move finished, by whoever
     * reads it */
    OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
    store_rescan(b->store), box_take_all(b);
    assert_true(exists(b, "dlq/a.json") && !exists(b, "a.json"));
    assert_int_equal(unlink(path_of(b, "dlq/a.json")), 0);
    unlink(path_of(b, "dlq/a.raw"));
  }
}

CASE(letters_are_told_of_the_dlq_that_lies_there_now) {
  struct box *b = *state;
  uint64_t size;
  struct buffer text = {0};
  put_pending(b, "a");
  take(b, "a");
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
  move(b, "dlq", "dlq.old");
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "");
  assert_int_equal(store_bytes(b->store, "a.json", false, 0, 10, &text, &size, &b->err),
                   ST_NOT_FOUND);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "a.json", &b->err), ST_NOT_FOUND);
  take(b, "");
  assert_int_equal(box_counts(b).dead, 0);
  assert_int_equal(rmdir(path_of(b, "dlq")), 0);
  move(b, "dlq.old", "dlq");
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "a");
  OK(store_bytes(b->store, "a.json", false, 0, 10, &text, &size, &b->err));
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  assert_string_equal(box_take_some(b), "a");
  buffer_release(&text);
}

CASE(rewrites_go_on_when_tmp_goes_or_is_exchanged) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  enum settled how;
  put_pending(b, "a");
  take(b, "a");
  assert_int_equal(rmdir(path_of(b, ".busbridge/tmp")), 0);
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_GONE);
  take(b, "a");
  move(b, ".busbridge/tmp", ".busbridge/old");
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_GONE);
  assert_true(exists(b, "dlq/a.json"));
  assert_int_equal(files_in(b, ".busbridge/old") + files_in(b, ".busbridge/tmp"), 0);
}

/* ---- pending/ ---- */

CASE(nothing_is_sent_from_a_pending_that_was_moved_away) {
  struct box *b = *state;
  box_stop(b);
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  box_start(b);
  put_entry(b, "pending/a.json", "a", "pending", "2025-01-01T00:00:00");
  move(b, "pending", "pending.old");
  take(b, "");
  move(b, "pending.old", "pending");
  take(b, "a");
}

/* Else it would be sent once more when that folder comes back. */
CASE(what_is_in_hand_is_settled_in_the_pending_it_came_from) {
  struct box *b = *state;
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  put_entry(b, "pending/a.json", "a", "pending", "2025-01-01T00:00:00");
  take(b, "a");
  move(b, "pending", "pending.old");
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  put_entry(b, "pending/b.json", "b", "pending", "2025-01-01T00:00:00");
  struct entry_ref a = b->refs[0];
  store_rescan(b->store);
  box_take_all(b);
  box_done(b, &a, SETTLED_GONE);
  assert_int_equal(files_in(b, "pending.old"), 0);
  assert_string_equal(box_take_some(b), "b");
  box_done_all(b);
  assert_int_equal(files_in(b, "pending"), 0);
}

/* ---- at each call of each move ---- */

enum deed { GOES, MOVED, EXCHANGED, DEEDS };
struct hand {
  struct box *b;
  const char *folder;
  enum deed deed;
  unsigned at, calls;
};

static int strike(void *ctx, enum durable_op op, const char *name, bool after) {
  struct hand *h = ctx;
  char away[40];
  (void)op, (void)name;
  if (after || ++h->calls != h->at) return 0;
  if (h->deed == GOES) {
    rmdir(path_of(h->b, h->folder)); /* where it is not empty it stays */
    return 0;
  }
  snprintf(away, sizeof away, "%s.old", h->folder);
  if (rename(path_of(h->b, h->folder), path_of(h->b, away)) == 0 && h->deed == EXCHANGED)
    assert_int_equal(mkdir(path_of(h->b, h->folder), 0770), 0);
  return 0;
}

static void empty(struct box *b) {
  static const char *const folders[] = {".", "dlq", "dlq.old", "sent", "sent.old"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    DIR *d = opendir(path_of(b, folders[i]));
    if (!d) continue;
    for (struct dirent *e; (e = readdir(d));)
      if (e->d_type == DT_REG) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    if (strstr(folders[i], ".old")) rmdir(path_of(b, folders[i]));
  }
}

typedef enum status (*deed_fn)(struct box *b, enum settled *how);

static enum status to_sent(struct box *b, enum settled *how) {
  return store_done(b->store, &b->refs[0], how, &b->err);
}

static enum status to_dlq(struct box *b, enum settled *how) {
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  return store_dead(b->store, &b->refs[0], &why, how, &b->err);
}

/* Afterwards `files` files lie in the folder, none in the outbox, and none in the one that was
 * moved away once the move was made. What was moved away together with the whole letter, after its
 * last call, is not looked at. */
static void at_every_call(struct box *b, bool broken, deed_fn move_it, const char *folder,
                          unsigned files) {
  char old[40];
  unsigned struck = 0;
  snprintf(old, sizeof old, "%s.old", folder);
  for (int deed = 0; deed < DEEDS; deed++)
    for (unsigned at = 1;; at++) {
      struct hand h = {.b = b, .folder = folder, .deed = (enum deed)deed, .at = at};
      enum settled how = SETTLED_CHANGED;
      empty(b);
      store_rescan(b->store), box_take_all(b);
      if (broken)
        take_broken(b);
      else
        put_pending(b, "a"), take(b, "a");
      durable_set_hook(strike, &h);
      enum status st = move_it(b, &how);
      durable_set_hook(NULL, NULL);
      if (st != ST_OK) fail_msg("call %u, deed %d: %s", at, deed, b->err.text);
      assert_int_equal(how, SETTLED_GONE);
      assert_int_equal(files_in(b, "."), 0);
      if (h.calls < at) break;
      struck++;
      if (files_in(b, folder) !=
          files) { /* only as a whole, in a sync that comes behind the move */
        assert_int_equal(files_in(b, old), files);
        assert_true(deed != GOES && at + 2 >= h.calls);
      }
      assert_int_equal(files_in(b, folder) + files_in(b, old), files);
    }
  assert_true(struck >= 3);
}

CASE(a_letter_follows_dlq_at_every_call) {
  at_every_call(*state, false, to_dlq, "dlq", 1);
}
CASE(a_raw_letter_follows_dlq_at_every_call) {
  at_every_call(*state, true, to_dlq, "dlq", 2);
}
KEEPING(a_sent_entry_follows_sent_at_every_call) {
  at_every_call(*state, false, to_sent, "sent", 1);
}
