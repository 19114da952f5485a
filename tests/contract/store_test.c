/* Rules that every kind of outbox keeps, stated against store.h alone. A new kind adds a row to kinds[]. */
#include "bridge/outbox/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct kind {
  const char *scheme;
};
static const struct kind kinds[] = {{"file"}};

struct box {
  const struct kind *kind;
  char dir[200], url[220];
  struct state *state;
  struct store *store;
  struct arena keep, scratch;
  struct error err;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st, (void)type, (void)ftw;
  return remove(path);
}

#define OK(expr)                                                                                                       \
  do {                                                                                                                 \
    enum status ok_status = (expr);                                                                                    \
    if (ok_status != ST_OK) fail_msg("%s: %s: %s", #expr, status_name(ok_status), b->err.text);                        \
  } while (0)

static void box_start(struct box *b) {
  OK(state_open(b->dir, true, &clock_system, &b->state, &b->err));
  OK(state_lock(b->state, 0, &b->err));
  struct store_config config = {
      .state = b->state, .settle_ms = 50, .max_entry_bytes = 1 << 20, .window = 1000, .clock = &clock_system};
  OK(store_open(b->url, &config, &b->store, &b->err));
}

static void box_stop(struct box *b) {
  store_close(b->store);
  state_close(b->state);
  b->store = NULL;
  b->state = NULL;
}

static int box_open(void **state) {
  struct box *b = calloc(1, sizeof *b);
  b->kind = *state;
  const char *tmp = getenv("TMPDIR");
  snprintf(b->dir, sizeof b->dir, "%s/store-XXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(b->dir));
  snprintf(b->url, sizeof b->url, "%s:%s", b->kind->scheme, b->dir);
  box_start(b);
  *state = b;
  return 0;
}

static int box_close(void **state) {
  struct box *b = *state;
  box_stop(b);
  arena_release(&b->keep);
  arena_release(&b->scratch);
  nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  free(b);
  return 0;
}

static void emit(struct box *b, const char *id) {
  struct buffer text = {0};
  char file[64];
  snprintf(file, sizeof file, "%s.json", id);
  event_write(span_of(id), SPAN("episode.created"), SPAN("{\"episode_id\": \"e1\"}"), 1700000000000000, span_of(id),
              &text);
  OK(store_emit(b->store, file, buffer_span(&text), &b->err));
  buffer_release(&text);
}

static enum status next(struct box *b, struct entry *e) {
  return store_next(b->store, &b->keep, &b->scratch, e, &b->err);
}

/* Everything that is handed out now, as "a b c". */
static const char *take_all(struct box *b, struct entry_ref *refs, size_t *count) {
  static char ids[4096];
  struct entry e;
  enum status st;
  ids[0] = '\0';
  *count = 0;
  while ((st = next(b, &e)) == ST_OK) {
    refs[(*count)++] = e.ref;
    size_t len = strlen(ids);
    snprintf(ids + len, sizeof ids - len, "%s%.*s", len ? " " : "", SPAN_ARGS(e.event.id));
  }
  assert_int_equal(st, ST_AGAIN);
  return ids;
}

static void done(struct box *b, const struct entry_ref *ref, enum settled want) {
  enum settled how;
  OK(store_done(b->store, ref, &how, &b->err));
  assert_int_equal(how, want);
}

static uint64_t pending(struct box *b) {
  struct store_counts c;
  OK(store_counts(b->store, &c, &b->err));
  return c.pending;
}

static void hands_out_in_order_of_arrival_and_done_takes_out(void **state) {
  struct box *b = *state;
  struct entry_ref refs[8];
  size_t count;
  emit(b, "c"), usleep(20000), emit(b, "a"), usleep(20000), emit(b, "b");
  assert_string_equal(take_all(b, refs, &count), "c a b");
  assert_int_equal(pending(b), 3);
  for (size_t i = 0; i < count; i++) done(b, &refs[i], SETTLED_GONE);
  OK(store_sync(b->store, &b->err));
  assert_int_equal(pending(b), 0);
  box_stop(b), box_start(b);
  assert_string_equal(take_all(b, refs, &count), "");
}

int main(void) {
  int failed = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
#define RULE(f) {#f, f, box_open, box_close, (void *)&kinds[i]}
    const struct CMUnitTest rules[] = {
        RULE(hands_out_in_order_of_arrival_and_done_takes_out),
    };
    failed += cmocka_run_group_tests_name(kinds[i].scheme, rules, NULL, NULL);
  }
  return failed;
}
