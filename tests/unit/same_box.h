/* same_box.h - an entry in hand, old or young, and what others may do to its file. */
#ifndef TESTS_UNIT_SAME_BOX_H
#define TESTS_UNIT_SAME_BOX_H

#include "bridge/outbox/file/names/ref.h"
#include "tests/unit/store_faults.h"

#define CREATED "2025-01-01T00:00:00+00:00"

/* The store's clock is the system's, or behind it, so that what it reads has just been written. */
static int64_t behind_us;
static inline int64_t lagging_wall(void *ctx) {
  return clock_wall_us(&clock_system) - *(int64_t *)ctx;
}
static inline int64_t lagging_mono(void *ctx) {
  return (void)ctx, clock_mono_ns(&clock_system);
}
static inline uint64_t lagging_random(void *ctx) {
  return (void)ctx, clock_system.random(clock_system.ctx);
}
static const struct clock lagging = {lagging_wall, lagging_mono, lagging_random, &behind_us};

static inline int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  b->options.clock = &lagging;
  box_start(b);
  *state = b;
  return 0;
}

static inline bool is_young(const struct entry_ref *ref) {
  return fs_ref_of(ref).young;
}

/* Older than a tick of the file system's clock, so that its stamp is trusted. */
static inline void take_old(struct box *b, const char *id) {
  put_pending(b, id);
  for (int i = 0; i < 2000; i++) {
    usleep(30000);
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), id);
    if (!is_young(&b->refs[0])) return;
    box_release_all(b);
  }
  fail_msg("%s does not grow old", id);
}

static inline void take_young(struct box *b, const char *id) {
  put_pending(b, id);
  behind_us = 1000000;
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), id);
  behind_us = 0;
  assert_true(is_young(&b->refs[0]));
}

/* ---- deeds that leave the event what it is ---- */

static inline void do_nothing(struct box *b, const char *name) {
  (void)b, (void)name;
}
static inline void do_chmod(struct box *b, const char *name) {
  assert_int_equal(chmod(path_of(b, name), 0640), 0);
}
static inline void do_touch(struct box *b, const char *name) {
  assert_int_equal(utimensat(AT_FDCWD, path_of(b, name), NULL, 0), 0);
}
static inline void do_touch_back(struct box *b, const char *name) {
  set_mtime(b, name, 1000, 1);
}
static inline void do_link(struct box *b, const char *name) {
  unlink(path_of(b, "backup"));
  assert_int_equal(link(path_of(b, name), path_of(b, "backup")), 0);
}
static inline void do_write_same(struct box *b, const char *name) {
  char text[2000];
  snprintf(text, sizeof text, "%s", text_of(b, name));
  put(b, name, text);
}
static inline void do_replace_same(struct box *b, const char *name) {
  put(b, "copy", text_of(b, name));
  assert_int_equal(rename(path_of(b, "copy"), path_of(b, name)), 0);
}
static inline void do_format(struct box *b, const char *name) {
  char text[2000];
  snprintf(text, sizeof text, " %s\n", text_of(b, name));
  put(b, name, text);
}
static inline void do_dispatch(struct box *b, const char *name) {
  char id[20];
  snprintf(id, sizeof id, "%.*s", (int)strlen(name) - 5, name);
  put_entry(b, name, id, "dispatched", CREATED);
}
typedef void (*deed_fn)(struct box *b, const char *name);
static const deed_fn deeds[] = {do_nothing,    do_chmod,        do_touch,  do_touch_back, do_link,
                                do_write_same, do_replace_same, do_format, do_dispatch};
enum {
  DEEDS = sizeof deeds / sizeof *deeds,
  HARMLESS = DEEDS - 1 /* all but dispatched: it still waits to be sent */
};

#define CASE(name) TEST_WITH(name, box_open, box_free)

#endif
