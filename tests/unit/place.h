/* place.h - for tests of durable: a folder for each test (<root>/in and <root>/to), and a hook that
 * fails or ends the process at the n-th fault point. */
#ifndef TESTS_UNIT_PLACE_H
#define TESTS_UNIT_PLACE_H

#include "bridge/base/disk/durable.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct place {
  char root[256];
  int top, in, to;
};

static inline int opened(int folder, const char *name) {
  return openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline int setup(void **state) {
  static struct place p;
  folder_make(p.root, sizeof p.root, "durable");
  p.top = opened(AT_FDCWD, p.root);
  if (mkdirat(p.top, "in", 0755) < 0 || mkdirat(p.top, "to", 0755) < 0) return -1;
  p.in = opened(p.top, "in");
  p.to = opened(p.top, "to");
  *state = &p;
  return 0;
}

static inline int teardown(void **state) {
  struct place *p = *state;
  durable_set_hook(NULL, NULL);
  close(p->in);
  close(p->to);
  close(p->top);
  return folder_remove(p->root);
}

static inline void put(int folder, const char *name, const char *text) {
  int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
}

/* Its text, or NULL when it is not there. */
static inline const char *text_of(int folder, const char *name) {
  static char text[2][64];
  static int turn;
  char *t = text[turn++ % 2];
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  ssize_t n = read(fd, t, sizeof text[0] - 1);
  close(fd);
  t[n > 0 ? n : 0] = '\0';
  return t;
}

static inline bool is_text(int folder, const char *name, const char *want) {
  const char *got = text_of(folder, name);
  return want ? got && strcmp(got, want) == 0 : !got;
}

static inline int entries(int folder) {
  int fd = opened(folder, "."), n = 0;
  DIR *dir = fdopendir(fd);
  while (readdir(dir)) n++;
  closedir(dir);
  return n - 2;
}

struct hook {
  int at;        /* number of the point, from 1; 0: none */
  int err;       /* what to fail with */
  bool exits;    /* ends the process there instead */
  bool for_ever; /* fails from there on */
  int plain;  /* errno for each call of DURABLE_RENAME with flags, in a run where those are missing
               */
  int points; /* passed so far */
  bool hit;
  enum durable_op op; /* of the one that was hit */
  char order[64];     /* a letter for each call, with a + when it was made */
};

static inline int on_point(void *ctx, enum durable_op op, const char *name, bool after) {
  struct hook *h = ctx;
  assert_non_null(name);
  h->points++;
  if (strlen(h->order) + 1 < sizeof h->order)
    h->order[strlen(h->order)] = after ? '+' : "OWFRULMTC"[op];
  if (h->points == h->at || (h->for_ever && h->at && h->points > h->at)) {
    if (h->exits) _exit(42);
    if (!h->hit) h->op = op;
    h->hit = true;
    return h->err;
  }
  return op == DURABLE_RENAME && !after ? h->plain : 0;
}

#endif
