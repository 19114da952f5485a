/* store_faults.h - a move of the store with every one of its durable calls failing, or being the
 * last before a crash or before the power goes. */
#ifndef TESTS_UNIT_STORE_FAULTS_H
#define TESTS_UNIT_STORE_FAULTS_H

#include "tests/unit/files.h"
#include "tests/unit/power.h"

enum mode { FAIL_BEFORE, FAIL_AFTER, CRASH_BEFORE, CRASH_AFTER, MODES };
struct fault {
  enum mode mode;
  unsigned at, calls;
  int code; /* 0: EIO */
};

/* A crash is that no later call happens either. */
static inline int fault_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct fault *f = ctx;
  (void)op, (void)name;
  if (!after) f->calls++;
  bool crash = f->mode >= CRASH_BEFORE, late = f->mode == FAIL_AFTER || f->mode == CRASH_AFTER;
  if (f->calls == f->at) return after != late ? 0 : f->code ? f->code : EIO;
  return crash && f->calls > f->at ? EIO : 0;
}

enum { CODES = 6 };
static inline int fault_code(unsigned n) {
  static const int codes[CODES] = {EIO, ENOSPC, EDQUOT, EROFS, EMFILE, ESTALE};
  return codes[n % CODES];
}

/* What is to be moved is made anew for each try; it returns ST_OK when the move is said to have
 * happened. */
typedef void (*make_fn)(struct box *b);
typedef enum status (*move_fn)(struct box *b);
/* After a restart and a scan: where is it? */
typedef void (*check_fn)(struct box *b, bool said_done);

static inline void clear(struct box *b) {
  static const char *const folders[] = {".", "dlq", "pending", "sent"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    DIR *d = opendir(path_of(b, folders[i]));
    if (!d) continue;
    for (struct dirent *e; (e = readdir(d));)
      if (e->d_type == DT_REG) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
  }
}

/* False: the move has fewer calls. */
static inline bool try_one(struct box *b, make_fn make, move_fn move, check_fn check,
                           struct fault f) {
  box_stop(b);
  clear(b);
  box_start(b);
  make(b);
  durable_set_hook(fault_hook, &f);
  enum status st = move(b);
  if (f.mode >= CRASH_BEFORE && f.calls >= f.at) box_stop(b); /* its cleaning up fails as well */
  durable_set_hook(NULL, NULL);
  if (!b->store)
    box_start(b);
  else
    box_restart(b);
  store_rescan(b->store);
  check(b, st == ST_OK);
  return f.calls >= f.at;
}

/* Every state after a loss of power at every call. */
static inline void try_all_power(struct box *b, make_fn make, move_fn move, check_fn check) {
  struct power_walk w = {0};
  box_stop(b);
  clear(b);
  box_start(b);
  make(b);
  power_on(b->dir);
  enum status st = move(b);
  power_off();
  box_stop(b);
  while (power_next(&w)) {
    if (getenv("BUSBRIDGE_POWER_SHOW")) power_show(&w);
    box_start(b);
    store_rescan(b->store);
    check(b, st == ST_OK && w.whole);
    box_stop(b);
  }
  assert_true(w.at >= 3 && w.states > 3);
  power_end();
  box_start(b);
}

/* One error at each call, another one at the next; BUSBRIDGE_FULL=1: each at each. */
static inline void try_all_faults(struct box *b, make_fn make, move_fn move, check_fn check) {
  const char *full = getenv("BUSBRIDGE_FULL");
  unsigned points = 0, codes = full && *full == '1' ? CODES : 1;
  for (int mode = 0; mode < MODES; mode++)
    for (unsigned code = 0; code < (mode < CRASH_BEFORE ? codes : 1); code++)
      for (unsigned at = 1;; at++) {
        struct fault f = {
            .mode = (enum mode)mode, .at = at, .code = fault_code(code + at + (unsigned)mode)};
        if (!try_one(b, make, move, check, f)) break;
        points++;
      }
  assert_true(points >= 4 * 2);
}

/* ---- a copy of the outbox, made at each call, comes back: other inodes, other ctimes ---- */

struct backup {
  struct box *b;
  unsigned at, calls;
};

/* DIR is the outbox's folder. */
static inline void run_on(struct box *b, const char *command) {
  char line[700];
  snprintf(line, sizeof line, "DIR='%s'; %s", b->dir, command);
  assert_int_equal(system(line), 0);
}

static inline int backup_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct backup *f = ctx;
  (void)op, (void)name;
  if (after || ++f->calls != f->at) return 0;
  run_on(f->b, "rm -rf $DIR-backup && cp -a $DIR $DIR-backup");
  return 0;
}

/* False: the move has fewer calls. */
static inline bool try_backup(struct box *b, make_fn make, move_fn move, check_fn check,
                              unsigned at) {
  struct backup f = {b, at, 0};
  box_stop(b);
  clear(b);
  box_start(b);
  make(b);
  durable_set_hook(backup_hook, &f);
  enum status st = move(b);
  (void)st; /* of what comes back */
  durable_set_hook(NULL, NULL);
  if (f.calls < at) return false;
  box_stop(b);
  run_on(b, "find $DIR -type f -delete && cp -a $DIR-backup/. $DIR");
  box_start(b);
  store_rescan(b->store);
  check(b, false);
  return true;
}

static inline void try_all_backups(struct box *b, make_fn make, move_fn move, check_fn check) {
  unsigned at = 1;
  while (try_backup(b, make, move, check, at)) at++;
  assert_true(at > 2);
  run_on(b, "rm -rf $DIR-backup");
}

static inline void try_all(struct box *b, make_fn make, move_fn move, check_fn check) {
  try_all_faults(b, make, move, check);
  try_all_backups(b, make, move, check);
  try_all_power(b, make, move, check);
}

/* Taken out as published, durably. */
static inline enum status move_published(struct box *b) {
  enum settled how;
  enum status st = store_done(b->store, &b->refs[0], &how, &b->err);
  enum status synced = store_sync(b->store, &b->err);
  if (synced != ST_OK)
    synced = store_sync(b->store, &b->err); /* what failed is tried again, not taken as done */
  return st == ST_OK ? synced : st;
}

#endif
