/* shared.h - inside bridge/outbox/file only: what the reader, the finisher and whoever lists share,
 * under one lock: what is in hand, the figures, which files are not ours, which scan is wanted, and
 * the oldest names that wait. Any thread.
 */
#ifndef BRIDGE_OUTBOX_FILE_SHARED_SHARED_H
#define BRIDGE_OUTBOX_FILE_SHARED_SHARED_H

#include "bridge/base/table.h"
#include "bridge/outbox/file/names/names.h"
#include "bridge/outbox/file/site/site.h"

struct fs_figures {
  uint64_t known;     /* entries known to wait, in hand included; queued ones not */
  uint64_t queued;    /* told by inotify, not looked at yet */
  uint64_t returning; /* came back from dlq/ and were neither told nor listed yet: the next arrivals
                         are taken for them */
  /* Since the first whole listing, which counted `first`: what was settled, what left without us,
   * what came back. waiting = first + arrivals + returned - gone - vanished, so nobody counts the
   * arrivals. */
  uint64_t first, gone, vanished, returned;
  uint64_t given_back; /* since a scan last began */
  bool listed;
  uint64_t growing, unreadable, odd, foreign, dead;
  uint64_t foreign_typed; /* of foreign */
  uint64_t unmoved;       /* dead, and their move to dlq/ cannot be finished now */
  int unmoved_sys;        /* errno of the last try */
  int64_t head_ns;        /* mtime of the next listed name, INT64_MAX = none */
  int64_t parked_ns;      /* oldest mtime given back since the listing began, INT64_MAX = none */
  uint64_t gone_during;   /* counted by the listing under way, and settled since */
  uint64_t late; /* of returning: came back while a listing was under way that had not met them */
  uint32_t listing; /* its number */
  bool listing_on;
};
static inline uint64_t fs_waiting(const struct fs_figures *f) {
  return f->known + f->queued + f->returning;
}
/* Under the lock: a name that was not counted is about to be. */
static inline void fs_arrives(struct fs_figures *f) {
  if (f->returning) f->returning--;
}

struct fs_again { /* a name to be looked at again */
  struct fs_again *next;
  bool fresh;
  enum place place;
  char name[];
};

struct fs_shared {
  struct fs_site *site;
  int wake_fd; /* fixed since fs_begin */
  atomic_bool woken;
  atomic_uint taken; /* into hand, by whomever */

  struct mutex lock; /* guards all below */
  struct table in_hand, own;
  size_t lingering; /* of those in hand: a settled scan does not wait for them */
  struct fs_again *again, **again_end;
  struct fs_figures figures;
  struct digest_set foreign; /* inode and ctime of files that are not ours */
  struct table asides;       /* struct fs_aside, aside.h */
  uint64_t wanted, begun, scanned;
  bool wanted_settled;    /* the scan that is wanted begins when nothing is in hand */
  int64_t settled_by_ns;  /* or at this monotonic time */
  struct fs_names parked; /* scan_window.c: the oldest that were given back since the scan began */
  struct fs_names ahead;  /* what was left of names and queue when the window was closed */
  /* While it is closed: in hand, parked or ahead are all with an mtime up to this */
  int64_t known_ns;
  bool window_open; /* others may read names and queue under the lock */
  size_t window_at; /* the first of names whose turn may not have come yet */
  /* The reader alone changes these two: names while the window is closed, what it empties and queue
   * under the lock. */
  struct fs_names names; /* of the listing */
  struct fs_names queue; /* told by inotify */
  size_t queue_next;
};

/* ---- in_hand.c: what is in hand, what we rename ourselves, and the figures ---- */

enum fs_end {
  FS_END_GONE,     /* out of the outbox */
  FS_END_STAYS,    /* a later scan finds it */
  FS_END_AGAIN,    /* look at it soon */
  FS_END_CHANGED,  /* settled, and other bytes lie at its name: look at them soon */
  FS_END_RETURNED, /* it came back from dlq/ */
  FS_END_NOTHING   /* it never was an entry here */
};
/* Is it in hand? Told: remember that inotify named it. */
bool fs_hand_has(struct fs_shared *s, enum place place, const char *name, bool told);
/* ST_EXISTS: it is in hand already. fresh: it was not counted as waiting yet. */
MUST_CHECK enum status fs_hand_take(struct fs_shared *s, enum place place, const char *name,
                                    int64_t mtime_ns, bool fresh);
/* The same of one that is set aside, which is counted nowhere, whatever becomes of it. False: it is
 * in hand. */
MUST_CHECK bool fs_hand_reserve(struct fs_shared *s, enum place place, const char *name);
/* Fine too for what never was in hand (recovery). */
void fs_hand_linger(struct fs_shared *s, enum place place, const char *name, bool on);
void fs_hand_end(struct fs_shared *s, enum place place, const char *name, enum fs_end how);
/* A listing is about to count this name; true: it is in hand and was marked. */
bool fs_hand_list(struct fs_shared *s, enum place place, const char *name);
/* It was gone already */
void fs_hand_unlist(struct fs_shared *s, enum place place, const char *name);
struct fs_again *fs_again_pop(struct fs_shared *s);
void fs_again_clear(struct fs_shared *s);
/* Our own exchange puts that inode at the name; stamp NULL: it did not. */
void fs_own_begin(struct fs_shared *s, enum place place, const char *name, uint64_t inode);
void fs_own_end(struct fs_shared *s, enum place place, const char *name, const struct stamp *stamp);
/* Is what lies there what we put there? */
bool fs_own_is(struct fs_shared *s, enum place place, const char *name);
/* Under the lock: mtime of the oldest in hand, INT64_MAX = none */
int64_t fs_hand_oldest(struct fs_shared *s);
/* Under the lock: those with an mtime from after_ns on, as far as out has room. False: memory is
 * out. */
MUST_CHECK bool fs_hand_copy(struct fs_shared *s, int64_t after_ns, struct fs_names *out);
void fs_dead_figure(struct fs_shared *s, int more); /* so many more in dlq/ */
void fs_shared_release(struct fs_shared *s);

/* ---- scans.c: as the operations of these names ---- */

void fs_wake(struct fs_shared *s);
uint64_t fs_rescan(struct fs_shared *s);
uint64_t fs_rescan_settled(struct fs_shared *s);
bool fs_scanned(struct fs_shared *s, uint64_t generation);

/* ---- left_alone.c: files that are not ours ---- */

/* In processing/, and touched so lately that the typed bus may be at it */
bool fs_not_yet(const struct fs_site *s, enum place place, const struct stamp *stamp);
struct digest fs_file_digest(const struct stamp *stamp); /* of inode and ctime */
bool fs_foreign_known(struct fs_shared *s, const struct stamp *stamp);
void fs_foreign_add(struct fs_shared *s, const struct stamp *stamp);

/* ---- counts.c: how many wait, and how many are dead ---- */

enum status fs_counts(struct fs_shared *s, bool oldest, struct store_counts *out,
                      struct error *err);

/* ---- scan_window.c: the oldest that wait, as the reader knows them, for whoever lists while it
 * works ---- */

#define FS_FRONT 2048
/* The reader is about to list: what is left of the window is kept */
void fs_front_close(struct fs_shared *s);
/* Under the lock: names are a window again; whole: listed from the start */
void fs_front_open(struct fs_shared *s, bool whole);
#define FS_NOT_THERE INT64_MIN
typedef int64_t (*fs_front_fn)(void *ctx, enum place place,
                               const char *name); /* its mtime, or FS_NOT_THERE */
/* Tells names that wait, oldest ones first but mixed, some twice, some gone; those that the reader
 * has heard of and that are among the want oldest with an mtime from after_ns to *known_ns are all
 * told. *pending: how many wait. False: its names changed meanwhile. */
MUST_CHECK bool fs_front_tell(struct fs_shared *s, int64_t after_ns, size_t want, fs_front_fn tell,
                              void *ctx, int64_t *known_ns, uint64_t *pending);

#endif
