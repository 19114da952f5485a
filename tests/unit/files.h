/* files.h - what the tests of the file store do to its folder behind its back. */
#ifndef TESTS_UNIT_FILES_H
#define TESTS_UNIT_FILES_H

#include "tests/support/box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

static inline const char *path_of(struct box *b, const char *name) {
  static char path[4][600];
  static unsigned turn;
  char *out = path[turn++ % 4];
  snprintf(out, sizeof path[0], "%s/%s", b->dir, name);
  return out;
}

static inline void put(struct box *b, const char *name, const char *text) {
  FILE *f = fopen(path_of(b, name), "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

/* An entry as the producers write it. */
static inline void put_entry(struct box *b, const char *name, const char *id, const char *status,
                             const char *created) {
  char text[1000];
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"quality.checked\", \"payload\": {\"n\": 1.50, \"created_at\": \"x\"}, "
      "\"created_at\": \"%s\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, \"failed_at\": null, "
      "\"status\": \"%s\", \"storage_key\": \"%s\"}",
      id, created, status, id);
  put(b, name, text);
}

static inline void put_pending(struct box *b, const char *id) {
  char name[300];
  snprintf(name, sizeof name, "%s.json", id);
  put_entry(b, name, id, "pending", "2025-01-01T00:00:00+00:00");
}

static inline bool exists(struct box *b, const char *name) {
  struct stat st;
  return lstat(path_of(b, name), &st) == 0;
}

static inline const char *text_of(struct box *b, const char *name) {
  static char text[70000];
  FILE *f = fopen(path_of(b, name), "r");
  if (!f) return "(missing)";
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = '\0';
  fclose(f);
  return text;
}

/* Seconds and nanoseconds. */
static inline void set_mtime(struct box *b, const char *name, int64_t sec, int64_t nsec) {
  struct timespec t[2] = {{sec, nsec}, {sec, nsec}};
  assert_int_equal(utimensat(AT_FDCWD, path_of(b, name), t, AT_SYMLINK_NOFOLLOW), 0);
}

static inline int64_t mtime_of(struct box *b, const char *name) {
  struct stat st;
  assert_int_equal(lstat(path_of(b, name), &st), 0);
  return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static inline unsigned files_in(struct box *b, const char *folder) {
  unsigned n = 0;
  DIR *d = opendir(path_of(b, folder));
  if (!d) return 0;
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_type == DT_REG) n++;
  closedir(d);
  return n;
}

/* A clock that tests set. */
struct test_clock {
  struct clock clock;
  int64_t wall_us, mono_ns;
  uint64_t random;
};
static inline int64_t test_wall(void *ctx) {
  return ((struct test_clock *)ctx)->wall_us;
}
static inline int64_t test_mono(void *ctx) {
  return ((struct test_clock *)ctx)->mono_ns;
}
static inline uint64_t test_random(void *ctx) {
  return ((struct test_clock *)ctx)->random++;
}
/* From now on, standing still. */
static inline void clock_begin(struct test_clock *c) {
  *c = (struct test_clock){.clock = {test_wall, test_mono, test_random, c},
                           .wall_us = clock_wall_us(&clock_system),
                           .mono_ns = clock_mono_ns(&clock_system),
                           .random = 1};
}
static inline void clock_pass(struct test_clock *c, int64_t ms) {
  c->wall_us += ms * 1000;
  c->mono_ns += ms * 1000000;
}

/* What is logged, to be searched. */
static inline FILE *log_begin(struct box *b, struct log **log) {
  FILE *f = tmpfile();
  assert_non_null(f);
  OK(log_open(fileno(f), LOG_LOGFMT, LOG_DEBUG, &clock_system, log));
  return f;
}

static inline unsigned logged(FILE *f, const char *word) {
  static char text[100000];
  ssize_t n = pread(fileno(f), text, sizeof text - 1, 0);
  unsigned count = 0;
  text[n > 0 ? n : 0] = '\0';
  for (const char *p = text; (p = strstr(p, word)); p++) count++;
  return count;
}

#endif
