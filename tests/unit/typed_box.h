/* typed_box.h - an outbox of files with the older typed bus's own as a second intake, for the tests
 * of both. */
#ifndef TESTS_UNIT_TYPED_BOX_H
#define TESTS_UNIT_TYPED_BOX_H

#include "tests/unit/files.h"

#define WAITS "typed/pending/a.json"
#define UNDER_WAY "typed/processing/a.json"

static char typed_dir[300];

static inline bool itself(const void *ctx, struct span seen, char out[EVENT_NAME_MAX + 1]) {
  (void)ctx;
  return snprintf(out, EVENT_NAME_MAX + 1, "%.*s", SPAN_ARGS(seen)) <= EVENT_NAME_MAX;
}

/* The outbox in bus/, and the typed one beside it. */
static inline int box_open(void **state) {
  struct box *b = box_new("file");
  static const char *const folders[] = {"bus",           "typed",      "typed/pending",
                                        "typed/errored", "typed/sent", "typed/processing"};
  static struct event_lifting names = {.canonical = itself};
  box_stop(b);
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    assert_int_equal(mkdir(path_of(b, folders[i]), 0770), 0);
  snprintf(b->url, sizeof b->url, "file:%s/bus", b->dir);
  snprintf(typed_dir, sizeof typed_dir, "%s/typed", b->dir);
  b->options.typed = typed_dir;
  b->options.lifting = &names;
  b->config.typed_timeout_ms = 300000;
  box_start(b);
  *state = b;
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

static inline void put_message(struct box *b, const char *path, const char *id,
                               const char *status) {
  char text[1000];
  snprintf(
      text, sizeof text,
      "{\"message_id\": \"m-%s\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": "
      "\"PlotSaved\", \"event_id\": \"%s\", \"occurred_at\": \"2025-01-01T00:00:00+00:00\", "
      "\"data\": {\"n\": 1.50}}, \"status\": \"%s\", \"attempts\": 0}",
      id, id, status);
  put(b, path, text);
}

static inline void clear_typed(struct box *b) {
  static const char *const folders[] = {"typed/pending", "typed/processing", "typed/errored",
                                        "typed/sent", "typed/.busbridge/tmp"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    DIR *d = opendir(path_of(b, folders[i]));
    for (struct dirent *e; d && (e = readdir(d));)
      if (e->d_type == DT_REG) unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
  }
}

static inline void make_waiting(struct box *b) {
  clear_typed(b);
  put_message(b, WAITS, "a", "pending");
  set_mtime(b, WAITS, 1700000000, 77);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
}

static inline unsigned lie(struct box *b) {
  return files_in(b, "typed/pending") + files_in(b, "typed/processing") +
         files_in(b, "typed/errored") + files_in(b, "typed/sent");
}

#endif
