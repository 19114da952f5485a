/* file.h - inside bridge/outbox/file only: what the files of the file store share. fs_ is their
 * prefix.
 *
 * Who may touch what: a field is the reader's (store_next, store_wait), or guarded by `lock`, or
 * fixed after open. A desk (buffers for reading one file) belongs to whoever made it.
 */
#ifndef BRIDGE_OUTBOX_FILE_FILE_H
#define BRIDGE_OUTBOX_FILE_FILE_H

#include "bridge/base/durable.h"
#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/outbox/file/aside.h"
#include "bridge/outbox/file/entry_file.h"
#include "bridge/outbox/file/folder.h"
#include "bridge/outbox/file/names.h"
#include "bridge/outbox/file/state.h"
#include "bridge/outbox/rules.h"
#include "bridge/outbox/store.h"

#include <stdatomic.h>

/* What the names of our temporary files in the outbox itself begin with */
#define FS_LITTER ".busbridge-"

/* ---- in_hand.c: what is in hand, what we rename ourselves, and the figures; all under the lock
 * ---- */

enum fs_end {
  FS_END_GONE,     /* out of the outbox */
  FS_END_STAYS,    /* a later scan finds it */
  FS_END_AGAIN,    /* look at it soon */
  FS_END_CHANGED,  /* settled, and other bytes lie at its name: look at them soon */
  FS_END_RETURNED, /* it came back from dlq/ */
  FS_END_NOTHING   /* it never was an entry here */
};
struct fs_again { /* a name to be looked at again */
  struct fs_again *next;
  bool fresh;
  enum place place;
  char name[];
};
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
  int64_t head_ns;      /* mtime of the next listed name, INT64_MAX = none */
  int64_t parked_ns;    /* oldest mtime given back since the listing began, INT64_MAX = none */
  uint64_t gone_during; /* counted by the listing under way, and settled since */
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
/* Is it in hand? Told: remember that inotify named it. */
bool fs_hand_has(struct fs *s, enum place place, const char *name, bool told);
/* ST_EXISTS: it is in hand already. fresh: it was not counted as waiting yet. */
MUST_CHECK enum status fs_hand_take(struct fs *s, enum place place, const char *name,
                                    int64_t mtime_ns, bool fresh);
/* The same of one that is set aside, which is counted nowhere, whatever becomes of it. False: it is
 * in hand. */
MUST_CHECK bool fs_hand_reserve(struct fs *s, enum place place, const char *name);
/* Fine too for what never was in hand (recovery). */
void fs_hand_linger(struct fs *s, enum place place, const char *name, bool on);
void fs_hand_end(struct fs *s, enum place place, const char *name, enum fs_end how);
/* A listing is about to count this name; true: it is in hand and was marked. */
bool fs_hand_list(struct fs *s, enum place place, const char *name);
void fs_hand_unlist(struct fs *s, enum place place, const char *name); /* it was gone already */
struct fs_again *fs_again_pop(struct fs *s);
void fs_again_clear(struct fs *s);
/* Our own exchange puts that inode at the name; stamp NULL: it did not. */
void fs_own_begin(struct fs *s, enum place place, const char *name, uint64_t inode);
void fs_own_end(struct fs *s, enum place place, const char *name, const struct stamp *stamp);
bool fs_own_is(struct fs *s, enum place place,
               const char *name); /* is what lies there what we put there? */
int64_t
fs_hands_oldest(struct fs *s); /* under the lock: mtime of the oldest in hand, INT64_MAX = none */
/* Under the lock: those with an mtime from after_ns on, as far as out has room. False: memory is
 * out. */
MUST_CHECK bool fs_hands_copy(struct fs *s, int64_t after_ns, struct fs_names *out);
void fs_dead_figure(struct fs *s, int more); /* so many more in dlq/ */
void fs_hands_release(struct fs *s);

/* ---- the store ---- */

enum fs_source { FS_LISTED, FS_TOLD, FS_GROWN };
struct fs_cached { /* a file of the group at hand, read while sorting */
  struct stamp stamp;
  bool young;
  struct span text;
  struct json_node *nodes;
  uint32_t count;
  struct event event;
};
struct fs_candidate { /* the name that is being looked at; kept when that fails because memory or
                         descriptors ran out */
  bool set;
  bool fresh;  /* not counted as waiting yet */
  bool held;   /* in hand when it was listed: whoever had it has counted it out */
  bool twice;  /* listed, and in the queue, which has it counted */
  bool queued; /* out of the queue, counted when it was told */
  enum fs_source source;
  enum place place;
  int64_t mtime_ns; /* with FS_LISTED: when it was listed */
  struct fs_cached *cached;
  char name[NAME_SIZE];
};
struct fs_member {
  int64_t created_us;
  struct fs_cached *cached;
  uint32_t slot;
};
struct fs_group { /* names of one mtime, sorted by created_at and name */
  struct fs_member *at;
  size_t count, cap, next;
  struct arena arena;
  unsigned taken;  /* fs.taken when it was read, and those of its own since */
  int64_t read_ns; /* monotonic */
};
struct fs_growing {
  enum place place;
  struct stamp stamp;
  int64_t first_ns; /* monotonic */
  char *name;
};
#define FS_GROWING_MAX 4096

struct fs {
  struct state *state;
  bool inspect; /* changes nothing, watches nothing */
  const struct clock *clock;
  struct log *log;
  const struct event_lifting *lifting;
  struct store_config c; /* since fs_begin */

  atomic_int folder[PLACES]; /* descriptors, -1 = not there; once set, only dup3'ed over */
  struct mutex taking;       /* held by whoever takes a folder over */
  atomic_bool dirty[PLACES];
  atomic_bool exchange_missing; /* said once that the file system cannot exchange */
  atomic_bool dispatched_said;  /* likewise that the old bus works on what is in hand */
  atomic_uint serial;           /* of temporary names */
  atomic_uint taken;            /* into hand, by whomever */
  atomic_bool woken;
  int wake_fd; /* eventfd */

  struct mutex lock;
  struct table in_hand, own; /* guarded by lock, as all of this block */
  size_t lingering;          /* of those in hand: a settled scan does not wait for them */
  struct fs_again *again, **again_end;
  struct fs_figures figures;
  struct digest_set foreign; /* inode and ctime of files that are not ours */
  struct fs_aside aside;
  uint64_t wanted, begun, scanned;
  bool wanted_settled;    /* the scan that is wanted begins when nothing is in hand */
  int64_t settled_by_ns;  /* or at this monotonic time */
  struct fs_names parked; /* scan_window.c: the oldest that were given back since the scan began */
  struct fs_names ahead;  /* what was left of names and queue when the window was closed */
  int64_t
      known_ns; /* while it is closed: in hand, parked or ahead are all with an mtime up to this */
  bool window_open; /* others may read names and queue under the lock */
  size_t window_at; /* the first of names whose turn may not have come yet */

  /* the reader's; it changes names while the window is closed, what it empties and queue under the
   * lock */
  uint64_t begun_reader; /* begun, without the lock */
  struct fs_desk desk;
  struct fs_candidate candidate;
  struct fs_names names; /* of the listing */
  size_t names_next;
  struct fs_cursor cursor;
  bool need_listing; /* the scan is to be begun, or to go on after the cursor */
  bool scan_open;    /* its end has not been told yet */
  bool said_one_group;
  struct fs_group group;
  struct fs_names queue; /* told by inotify */
  size_t
      drain_from; /* what stands in the queue from here on was told by the last look at inotify */
  size_t queue_next, queue_again;   /* again: places of the queue that have FS_AGAIN */
  uint64_t queue_taken, queue_mark; /* the scan ends when so many were taken */
  struct digest_set told;           /* names in the queue, while the listing is not used up */
  int inotify, watch[2];
  bool overflow, folders_changed, watch_said;
  bool pending_waits;      /* another pending/ is taken over by the scan that was asked for */
  bool place_said[PLACES]; /* that it cannot be used */
  unsigned since_drain;
  struct fs_growing *growing;
  size_t growing_count;
  int64_t growing_due_ns;          /* none is due before */
  struct digest_set said, refused; /* odd and unreadable files that were named in the log */
  int64_t clock_offset_us;         /* wall minus monotonic at open */
  struct timespec dead_seen;       /* mtime of dlq/ when it was counted */
  int64_t sent_swept_us;
};
/* Is the reader to parse what its desk holds? */
static inline bool fs_may_parse(const struct fs *s, enum place place, const char *name) {
  char room[TOKEN_SIZE];
  return !s->c.may_parse || s->c.may_parse(s->c.parse_ctx, fs_token(place, name, room));
}
static inline int fs_folder(struct fs *s, enum place p) {
  return atomic_load_explicit(&s->folder[p], memory_order_acquire);
}

/* stamp.c */
struct stamp fs_stamp_of(const struct stat *st);
bool fs_stamp_at(int folder, const char *name, struct stamp *stamp); /* false: nothing lies there */
bool fs_stamp_same(const struct stamp *a, const struct stamp *b);
/* The bytes that were read, as far as a stamp tells after a move, which changes its ctime. */
bool fs_stamp_alike(const struct stamp *a, const struct stamp *b);
/* Still the bytes of that stamp? *how is VANISHED or CHANGED when not. */
bool fs_unchanged(struct fs *s, enum place place, const char *name, const struct stamp *stamp,
                  enum settled *how);

/* left_alone.c */
struct digest fs_file_digest(const struct stamp *stamp); /* of inode and ctime */
bool fs_foreign_known(struct fs *s, const struct stamp *stamp);
void fs_foreign_add(struct fs *s, const struct stamp *stamp);
/* The reader's: is it the first time that it is said of this file? */
bool fs_say_once(struct fs *s, struct digest_set *set, const struct stamp *stamp);
void fs_odd(struct fs *s, enum place place, const char *name, const struct stat *st);

/* counts.c: those of dlq/, by the reader, and all of them */
MUST_CHECK enum status fs_count_dead(struct fs *s, struct error *err);
enum status fs_counts(void *impl, bool oldest, struct store_counts *out, struct error *err);

/* scans.c: as the operations of these names */
void fs_wake(void *impl);
uint64_t fs_rescan(void *impl);
uint64_t fs_rescan_settled(void *impl);
bool fs_scanned(void *impl, uint64_t generation);

/* watch.c */
void fs_watch_open(struct fs *s);
void fs_watch_close(struct fs *s);
void fs_watch_pending(struct fs *s);
void fs_watch_drain(struct fs *s, bool keep); /* keep=false: the names are found otherwise */
bool fs_queue_has(const struct fs *s, enum place place, const char *name);
bool fs_queue_pop(struct fs *s, struct fs_candidate *c);
void fs_queue_clear(struct fs *s); /* while a listing is under way: its figure is not touched */
enum fs_work { FS_NONE, FS_LEFT, FS_BLOCKED /* nothing may be handed out: arrivals do not wake */ };
void fs_wait(struct fs *s, int64_t timeout_ms, enum fs_work work);

/* folders.c: what lies at a folder's name now. Any thread. */
/* Takes over what lies there now; dlq/ and sent/ are made when they are missing. Never
 * ST_NOT_FOUND: that would be the entry's. Nothing where the store only inspects. */
MUST_CHECK enum status fs_take_place(struct fs *s, enum place place, struct error *err);
/* The same, and *fd is the caller's own descriptor of it. -1 unless ST_OK. */
MUST_CHECK enum status fs_hold(struct fs *s, enum place place, int *fd, struct error *err);
bool fs_in_place(struct fs *s, enum place place, int fd); /* is that what lies there now? */
bool fs_is_folder(const char *name);                      /* pending, dlq, sent */
void fs_look_around(
    struct fs *s); /* dlq/ is what lies there now, if it can be: before anything is told of it */
/* pending/ and .busbridge must lie on the outbox's file system. ST_INVALID with the remedy. */
MUST_CHECK enum status fs_check_mounts(struct fs *s, struct error *err);
/* .busbridge/tmp is there, or an error */
MUST_CHECK enum status fs_keep_tmp(struct fs *s, struct error *err);
MUST_CHECK enum status fs_sync_places(struct fs *s, enum place a, enum place b, struct error *err);

/* scan_folders.c: before each listing */
MUST_CHECK enum status fs_check_folders(struct fs *s, struct error *err);

/* litter.c */
void fs_remove_litter(struct fs *s, enum place place, const char *name); /* if it is one, and old */

/* listing.c */
MUST_CHECK enum status fs_list_window(struct fs *s, struct error *err);

/* scan_window.c: the oldest that wait, as the reader knows them, for whoever lists while it works
 */
#define FS_FRONT 2048
void fs_front_close(
    struct fs *s); /* the reader is about to list: what is left of the window is kept */
void fs_front_open(struct fs *s); /* under the lock: names are a window again */
#define FS_NOT_THERE INT64_MIN
typedef int64_t (*fs_front_fn)(void *ctx, enum place place,
                               const char *name); /* its mtime, or FS_NOT_THERE */
/* Tells names that wait, oldest ones first but mixed, some twice, some gone; those that the reader
 * has heard of and that are among the want oldest with an mtime from after_ns to *known_ns are all
 * told. *pending: how many wait. False: its names changed meanwhile. */
MUST_CHECK bool fs_front_tell(struct fs *s, int64_t after_ns, size_t want, fs_front_fn tell,
                              void *ctx, int64_t *known_ns, uint64_t *pending);

/* order.c: the next name of the listing in order; false when the window is used up. Of one that is
 * not the last a few names are left, so that the next listing, which finds them again, does not
 * leave others without a front. */
bool fs_window_left(const struct fs *s);
bool fs_group_pop(struct fs *s, struct fs_candidate *c);
void fs_group_clear(struct fs *s);
/* An event whose text was copied from one place to another; what was unescaped is copied too.
 * False: memory is out. */
MUST_CHECK bool fs_event_moved(const struct event *e, struct span from, struct span to,
                               struct arena *arena, struct event *out);

/* growing.c */
bool fs_growing_settled(struct fs *s, const struct fs_candidate *c, const struct stamp *stamp,
                        bool *known);
bool fs_growing_has(struct fs *s, enum place place, const char *name);
bool fs_growing_forget(struct fs *s, enum place place, const char *name);
bool fs_growing_due(struct fs *s, struct fs_candidate *c); /* leaves it in */
int64_t fs_growing_wait_ms(struct fs *s);                  /* until one is due, -1 = none */
void fs_growing_release(struct fs *s);

/* reader.c */
enum status fs_next(void *impl, struct arena *keep, struct arena *scratch, struct entry *out,
                    struct error *err);
enum status fs_follow(void *impl, struct error *err);
void fs_wait_op(void *impl, int64_t timeout_ms);
void fs_sweep_sent(struct fs *s); /* sent_sweep.c: what lies in sent/ too long goes */
void fs_bring_back(struct fs *s,
                   const char *name); /* hidden_letters.c: what 0.1.0 hid, name_is_hidden */

/* settle.c, failed_entries.c, replay.c, dead_letters.c, emit.c, describe.c, list.c, find.c: the
 * rest of the ops */
enum status fs_done(void *impl, const struct entry_ref *ref, enum settled *how, struct error *err);
enum status fs_done_id(void *impl, const struct entry_ref *ref, struct span id, enum settled *how,
                       struct error *err);
/* The same of what this kind knows it by. */
MUST_CHECK enum status fs_take_late(struct fs *s, const struct fs_ref *ref, enum settled *how,
                                    struct error *err);
enum status fs_sync(void *impl, struct error *err);
void fs_fail_all(void *impl, struct failed *list, size_t count);
struct fs_failed { /* as struct failed */
  struct fs_ref ref;
  struct failure why;
  bool dead;
  enum settled how;
  enum status status;
  struct error error;
};
void fs_fail_refs(struct fs *s, struct fs_failed *list, size_t count);
void fs_linger(void *impl, const struct entry_ref *ref, bool on);
void fs_release(void *impl, const struct entry_ref *ref);
enum status fs_list(void *impl, unsigned which, const struct store_range *range, size_t limit,
                    store_visit_fn visit, void *ctx, uint64_t *total, struct error *err);
enum status fs_find(void *impl, unsigned which, struct span key, store_visit_fn visit, void *ctx,
                    uint64_t *total, struct error *err);
enum status fs_look_op(void *impl, enum shelf shelf, const char *token, store_visit_fn visit,
                       void *ctx, struct error *err);
enum status fs_replay(void *impl, enum shelf shelf, const char *token, struct error *err);
void fs_replay_all(void *impl, struct letter *list, size_t count, store_judge_fn judge, void *ctx);
void fs_purge(void *impl, struct letter *list, size_t count);
enum status fs_bytes(void *impl, const char *file, uint64_t from, size_t most, struct buffer *out,
                     uint64_t *size, struct error *err);
enum status fs_emit(void *impl, const char *file, struct span text, struct error *err);

/* place.c, audit.c */
void fs_space(const void *impl, struct store_space *out);
enum status fs_writable(const void *impl, struct error *err);
uint64_t fs_count_names(const void *impl, unsigned which);
enum status fs_audit(void *impl, struct span line, struct error *err);

/* survey.c */
enum status fs_survey(void *impl, size_t limit, store_survey_fn visit, void *ctx,
                      uint64_t *left_out, struct error *err);
bool fs_lies(void *impl, const struct entry_ref *ref, struct span id);

/* swap.c: put content in the place of the entry with ref's stamp, with that mtime; the folder is
 * not synced. *how GONE: it is there. What comes out with another stamp but is the ref's event (by
 * its id and content) is as good. The reader need not look at it. */
MUST_CHECK enum status fs_swap(struct fs *s, const struct fs_ref *ref, const char *name,
                               struct span content, int64_t mtime_ns, enum settled *how,
                               struct error *err);
/* The same with content that lies in tmp already, durable. It is gone from there afterwards. own:
 * not NULL where the reader need not look at it; what stamp it has now, of inode 0: nobody knows.
 */
MUST_CHECK enum status fs_swap_in(struct fs *s, const struct fs_ref *ref, const char *name,
                                  const char *tmp, struct stamp *own, enum settled *how,
                                  struct error *err);
/* carry.c: move without replacing, to a free name (name_try), into what lies at the name of `to`.
 * ST_NOT_FOUND: name is gone. */
MUST_CHECK enum status fs_carry(struct fs *s, int folder, const char *name, enum place to,
                                const char *to_name, struct error *err);
MUST_CHECK enum status fs_move_free(struct fs *s, enum place from, const char *name, enum place to,
                                    const char *to_name, struct error *err);
/* free_name.c: move without replacing to the first free name of name_try, within one file system.
 */
MUST_CHECK enum status fs_move_beside(int from, const char *name, int to, const char *to_name,
                                      char target[NAME_SIZE], struct error *err);
/* The same. Onto another file system by a copy, which is durable there before the file goes; what a
 * crash left of that is recognised and finished. */
MUST_CHECK enum status fs_to_free_name(int from, const char *name, int to, const char *to_name,
                                       char target[NAME_SIZE], struct error *err);
/* Has b the bytes, size and mtime of a: is it what an earlier try copied? */
bool fs_is_copy(int from, const char *a, int to, const char *b);
/* Copy it durably into a folder of another file system, under a name that nobody looks at. */
MUST_CHECK enum status fs_copy(int from, const char *name, int to, char tmp[NAME_SIZE],
                               struct stat *copied, struct error *err);
/* replay_far.c: what lies durable in tmp as `from` takes the place of dlq/file, of that stamp, and
 * becomes target in the outbox, for a dlq/ on another file system. raw: they are the bytes that a
 * description tells of. Durable. */
MUST_CHECK enum status fs_return_across(struct fs *s, const char *file, const struct stamp *was,
                                        const char *from, const char *target, bool raw,
                                        struct error *err);
/* tmp_files.c: a temporary file in tmp with that content, durable. */
MUST_CHECK enum status fs_tmp_write(struct fs *s, struct span content, const int64_t *mtime_ns,
                                    char name[NAME_SIZE], struct error *err);
/* In two steps, as durable_write_begin and _end; fs_keep_tmp comes before it. */
MUST_CHECK enum status fs_tmp_begin(struct fs *s, struct span content, const int64_t *mtime_ns,
                                    char name[NAME_SIZE], int *fd, struct error *err);
MUST_CHECK enum status fs_tmp_end(struct fs *s, const char *name, int fd, struct error *err);
void fs_tmp_drop(struct fs *s, const char *name);
/* into_dlq.c: entries in their dead form, on their way into dlq/, each with a status of its own; no
 * folder is synced. ST_NOT_FOUND: gone, or not in a dead form. */
struct fs_letter {
  enum place place;
  const char *name, *to_name; /* to_name: in dlq/, or the next free one */
  struct stamp is;            /* that of its dead form; of inode 0: it is looked at */
  enum status status;
  struct error error;
  bool there; /* the rest is fs_move_letters' */
  char tmp[NAME_SIZE], target[NAME_SIZE];
};
void fs_move_letters(struct fs *s, struct fs_letter *list, size_t count);
/* One that lies on the wrong side; durable. */
MUST_CHECK enum status fs_finish_dead(struct fs *s, enum place place, const char *name,
                                      const char *to_name, struct error *err);
/* same_event.c: is what lies there still the ref's event? By id and content, not by stamp; read
 * into d. *how GONE: it is; REUSED, CHANGED, VANISHED: as for store_done. shown: its folder in
 * messages. What is being written is waited for a little; ST_BUSY: longer. */
MUST_CHECK enum status fs_same(struct fs *s, struct fs_desk *d, int folder, const char *shown,
                               const char *name, const struct fs_ref *ref, enum settled *how,
                               struct error *err);
/* take_out.c: a name leaves its folder for tmp, where it is looked at while nobody else changes it.
 */
struct left;
MUST_CHECK enum status fs_pull(struct fs *s, const struct left *what, char tmp[NAME_SIZE],
                               struct stamp *now, struct error *err);
bool fs_elsewhere(struct fs *s,
                  enum place place); /* on another file system than tmp: nothing can be pulled */
/* Removes the file of that stamp; ST_NOT_FOUND: it is gone, or another one lies there. */
MUST_CHECK enum status fs_remove_same(struct fs *s, enum place place, const char *name,
                                      const struct stamp *stamp, struct error *err);
/* Back where it came from, in front of what arrived there meanwhile; both folders are synced. */
MUST_CHECK enum status fs_put_back(struct fs *s, enum place place, const char *name,
                                   const char *tmp, struct error *err);

/* left_clear.c: what a worker that was stopped or killed in the middle of that left in tmp, and its
 * successor did not see there. */
void fs_clear_left(struct fs *s);

/* rewrite.c: the entry as it is pending anew, with attempts 0; and as it is after it has failed */
MUST_CHECK enum status fs_pending_form(const struct fs_desk *d, struct buffer *out,
                                       struct error *err);
MUST_CHECK enum status fs_failed_form(const struct fs_desk *d, const char *name,
                                      const struct fs_failed *f, struct buffer *out,
                                      struct error *err);
/* failing.c: one of those that failed, on its way */
struct fs_failing {
  struct fs_failed *f;
  struct fs_ref now; /* with the stamp it has by now */
  struct stamp put;  /* of what was put in its place */
  bool over;         /* nothing more is done: f->how says why */
  bool raw;          /* no JSON object */
  bool written;      /* something of it lies in tmp, durable once fd is ended */
  int fd;
  char name[NAME_SIZE], tmp[NAME_SIZE];
};
static inline bool fs_going(const struct fs_failing *m) {
  return m->f->status == ST_OK && !m->over;
}
/* Until what was written of them is durable, all at once; what fails has its status. files: room
 * for count. */
void fs_failing_wait(struct fs *s, struct fs_failing *const *list, struct durable_file *files,
                     size_t count);
/* descriptor.c: of what is not a JSON object */
bool fs_of_bytes(enum reason reason); /* why bytes are set aside unread; an event that is an object
                                         dies of others */
/* Is this object in dlq/ the descriptor of a raw dead letter, and no event? Sure of all that a
 * worker put there. */
bool fs_descriptor(const struct json_doc *doc, uint64_t *inode);
void fs_describe_raw(struct span stem, const struct stamp *stamp, const struct failure *why,
                     struct buffer *out);
/* raw_letters.c: those that are not objects go to dlq/, as fs_fail_all; the folders they leave are
 * not synced. */
void fs_dead_raw_all(struct fs *s, struct fs_failing *const *list, struct durable_file *files,
                     size_t count);

/* describe.c: what one file says. False: gone, left alone, or not an entry of that place. */
struct fs_look {
  struct fs *s;
  struct fs_desk desk;
  bool all;         /* files with several links too */
  enum fs_read got; /* of the last one */
  char stem[NAME_SIZE], token[TOKEN_SIZE];
};
bool fs_look_at(struct fs_look *l, enum place place, const char *name, struct entry_info *info);
/* The same of what l->desk has read and parsed already (read=false: it was too large to be read).
 */
void fs_look_info(struct fs_look *l, enum place place, const char *name, bool read,
                  struct entry_info *info);

/* Why one of dlq/ was not read (FS_ODD, FS_UNREADABLE): status and words, and what is known of the
 * file. */
enum status fs_letter_unread(struct fs *s, const char *name, enum fs_read got, int sys,
                             struct stat *st, struct error *err);
/* dead_letters.c: reads what letter names into l->desk, checked for its time; *name is its plain
 * file name, info lives in the desk. Its status and error are set unless it is there and right
 * (true). */
bool fs_letter_look(struct fs_look *l, struct letter *letter, char name[NAME_SIZE],
                    struct entry_info *info);
void fs_left_dlq(struct fs *s, struct span event,
                 struct span reason); /* one went out of dlq/: counted */

#endif
