/* site.h - inside bridge/outbox/file only: where an outbox lies. What is fixed when it is opened,
 * its folders as they lie at their names now, temporary files, and what is said of all of it. fs_
 * is the prefix of the whole room. Any thread, where nothing else is said.
 */
#ifndef BRIDGE_OUTBOX_FILE_SITE_SITE_H
#define BRIDGE_OUTBOX_FILE_SITE_SITE_H

#include "bridge/base/disk/durable.h"
#include "bridge/base/thread.h"
#include "bridge/outbox/file/names/ref.h"
#include "bridge/outbox/file/site/state.h"
#include "bridge/outbox/rules.h"
#include "bridge/outbox/store.h"

#include <stdatomic.h>

/* What the names of our temporary files in the outbox itself begin with */
#define FS_LITTER ".busbridge-"
/* Two ticks of the slowest kernel's file times: within one, other bytes get the same stamp */
#define YOUNG_US 20000

struct fs_site { /* fixed after open, but what is atomic */
  struct state *state;
  struct state *typed; /* of the typed side, NULL: there is none */
  bool inspect;        /* changes nothing, watches nothing */
  const struct clock *clock;
  struct log *log;
  const struct event_lifting *lifting;
  struct store_config c;        /* since fs_begin */
  atomic_int folder[PLACES];    /* descriptors, -1 = not there; once set, only dup3'ed over */
  struct mutex taking;          /* held by whoever takes a folder over */
  atomic_bool exchange_missing; /* said once that the file system cannot exchange */
  atomic_bool dirty[PLACES];    /* changed, and not durable: for the next store_sync */
  struct mutex syncing;         /* held while a folder is synced */
  struct error unsynced;        /* under it: of the first sync that failed and was not told (L11) */
  atomic_bool dispatched_said;  /* likewise that the old bus works on what is in hand */
  atomic_uint serial;           /* of temporary names */
};
static inline int fs_folder(const struct fs_site *s, enum place p) {
  return atomic_load_explicit(&s->folder[p], memory_order_acquire);
}

static inline struct state *fs_side(const struct fs_site *s, enum side side) {
  return side == SIDE_TYPED ? s->typed : s->state;
}
/* Of the side that a place is on: its folder, and tmp */
static inline struct state *fs_state(const struct fs_site *s, enum place p) {
  return fs_side(s, place_side(p));
}
static inline int fs_root(const struct fs_site *s, enum place p) {
  return state_outbox(fs_state(s, p));
}
static inline int fs_tmp(const struct fs_site *s, enum place p) {
  return state_tmp(fs_state(s, p));
}

/* folders.c: what lies at a folder's name now. */
/* Takes over what lies there now; dlq/ and sent/ are made when they are missing. Never
 * ST_NOT_FOUND: that would be the entry's. Nothing where the store only inspects. */
MUST_CHECK enum status fs_take_place(struct fs_site *s, enum place place, struct error *err);
/* The same, and *fd is the caller's own descriptor of it. -1 unless ST_OK. */
MUST_CHECK enum status fs_hold(struct fs_site *s, enum place place, int *fd, struct error *err);
bool fs_in_place(struct fs_site *s, enum place place, int fd); /* is that what lies there now? */
/* Is it the name of one in that side's folder: pending, dlq, sent? */
bool fs_is_folder(enum side side, const char *name);
/* dlq/ is what lies there now, if it can be: before anything is told of it */
void fs_look_around(struct fs_site *s);
/* pending/ and .busbridge of that side must lie on its folder's file system. ST_INVALID with the
 * remedy. */
MUST_CHECK enum status fs_check_mounts(struct fs_site *s, enum side side, struct error *err);
/* For what a place belongs to that side, which is not there any more: ST_INVALID with the remedy.
 */
MUST_CHECK enum status fs_no_side(struct error *err);
/* typed_side.c: which folder the typed side is, noted for the next start. ST_INVALID: it was
 * another one, and a batch that is not settled names entries of that. With the lock. */
MUST_CHECK enum status fs_keep_typed(struct fs_site *s, struct error *err);
/* state_check of both sides */
MUST_CHECK enum status fs_check(struct fs_site *s, struct error *err);
/* .busbridge/tmp of that side is there, or an error */
MUST_CHECK enum status fs_keep_tmp(struct fs_site *s, enum side side, struct error *err);

/* synced.c: folders of the outbox, and its tmp, are synced by these alone. What fails is told once
 * more by store_sync, and a place stays dirty. */
MUST_CHECK enum status fs_sync_fd(struct fs_site *s, int folder, struct error *err);
MUST_CHECK enum status fs_sync_place(struct fs_site *s, enum place place, struct error *err);
/* The same by a descriptor of the caller's own (fs_hold) */
MUST_CHECK enum status fs_sync_held(struct fs_site *s, enum place place, int folder,
                                    struct error *err);
MUST_CHECK enum status fs_sync_places(struct fs_site *s, enum place a, enum place b,
                                      struct error *err);
/* What failed since this was asked last, on any thread; ST_OK: nothing. */
MUST_CHECK enum status fs_unsynced(struct fs_site *s, struct error *err);

/* stamp.c */
struct stamp fs_stamp_of(const struct stat *st);
bool fs_stamp_at(int folder, const char *name, struct stamp *stamp); /* false: nothing lies there */
bool fs_stamp_same(const struct stamp *a, const struct stamp *b);
/* The bytes that were read, as far as a stamp tells after a move, which changes its ctime. */
bool fs_stamp_alike(const struct stamp *a, const struct stamp *b);
/* Still the bytes of that stamp? *how is VANISHED or CHANGED when not. */
bool fs_unchanged(struct fs_site *s, enum place place, const char *name, const struct stamp *stamp,
                  enum settled *how);

/* tmp_files.c: a temporary file in tmp with that content, durable; for an entry of that place. */
MUST_CHECK enum status fs_tmp_write(struct fs_site *s, enum place place, struct span content,
                                    const int64_t *mtime_ns, char name[NAME_SIZE],
                                    struct error *err);
/* In two steps, as durable_write_begin and _end; fs_keep_tmp comes before it. */
MUST_CHECK enum status fs_tmp_begin(struct fs_site *s, enum place place, struct span content,
                                    const int64_t *mtime_ns, char name[NAME_SIZE], int *fd,
                                    struct error *err);
MUST_CHECK enum status fs_tmp_end(struct fs_site *s, enum place place, const char *name, int fd,
                                  struct error *err);
void fs_tmp_drop(struct fs_site *s, enum place place, const char *name);

/* litter.c */
void fs_remove_litter(struct fs_site *s, enum place place,
                      const char *name); /* if it is one, and old */
/* leftover_clear.c: what a worker that was stopped or killed in the middle of a move left in tmp,
 * and its successor did not see there. */
void fs_clear_left(struct fs_site *s);

/* place.c, audit.c, examine.c, new_entry.c: as the operations of the store */
void fs_space(const struct fs_site *s, struct store_space *out);
enum status fs_writable(const struct fs_site *s, struct error *err);
uint64_t fs_count_names(const struct fs_site *s, unsigned which);
enum status fs_audit(struct fs_site *s, struct span line, struct error *err);
void fs_examine(struct fs_site *s, enum examination which, struct examined *out);
enum status fs_emit(struct fs_site *s, struct span key, struct span text, struct buffer *label,
                    struct error *err);

#endif
