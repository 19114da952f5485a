/* order.h - inside bridge/outbox/file only: the reader's side, one thread: it lists, is told by
 * inotify, brings names in order, reads and judges their files, and hands entries out.
 */
#ifndef BRIDGE_OUTBOX_FILE_ORDER_ORDER_H
#define BRIDGE_OUTBOX_FILE_ORDER_ORDER_H

#include "bridge/outbox/file/entry/entry_file.h"
#include "bridge/outbox/file/shared/shared.h"

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
  unsigned taken;  /* fs_shared.taken when it was read, and those of its own since */
  int64_t read_ns; /* monotonic */
};
struct fs_growing {
  enum place place;
  struct stamp stamp;
  int64_t first_ns; /* monotonic */
  char *name;
};
#define FS_GROWING_MAX 4096
struct fs_half_moves { /* to dlq/, that a crash left half done and that cannot be finished now */
  unsigned failed;     /* tries in a row that failed for a reason that concerns all */
  unsigned alone;      /* tries of this scan that failed otherwise */
  unsigned met, tried; /* of this scan; so many of its first had their turn in earlier ones */
  int64_t due_ns;      /* monotonic: none is tried before */
};

struct fs_reader {
  struct fs_site *site;
  struct fs_shared *shared;
  uint64_t begun_reader; /* begun, without the lock */
  struct fs_loaded loaded;
  struct fs_candidate candidate;
  size_t names_next;
  struct fs_cursor cursor;
  bool need_listing; /* the scan is to be begun, or to go on after the cursor */
  bool scan_open;    /* its end has not been told yet */
  bool said_one_group;
  struct fs_group group;
  size_t
      drain_from; /* what stands in the queue from here on was told by the last look at inotify */
  size_t queue_again;               /* places of the queue that have FS_AGAIN */
  uint64_t queue_taken, queue_mark; /* the scan ends when so many were taken */
  struct digest_set told;           /* names in the queue, while the listing is not used up */
  int inotify, watch[PLACES];
  bool overflow, folders_changed, watch_said;
  bool pending_waits[PLACES]; /* another pending/ is taken over by the scan that was asked for */
  bool place_said[PLACES];    /* that it cannot be used */
  unsigned since_drain;
  struct fs_growing *growing;
  size_t growing_count;
  int64_t growing_due_ns;           /* none is due before */
  struct digest_set said, refused;  /* odd and unreadable files that were named in the log */
  int64_t clock_offset_us;          /* wall minus monotonic at open */
  struct timespec dead_seen[SIDES]; /* mtime of dlq/ when it was counted */
  unsigned left_said;               /* how many of the typed side were named as left alone */
  struct fs_half_moves half;
  int64_t sent_swept_us;
};

/* reader.c: as the operations of these names */
enum status fs_next(struct fs_reader *s, struct arena *keep, struct arena *scratch,
                    struct entry *out, struct error *err);
enum status fs_follow(struct fs_reader *s, struct error *err);
void fs_wait_op(struct fs_reader *s, int64_t timeout_ms);

/* watch.c */
void fs_watch_open(struct fs_reader *s);
void fs_watch_close(struct fs_reader *s);
void fs_watch_pending(struct fs_reader *s);
void fs_watch_drain(struct fs_reader *s, bool keep); /* keep=false: the names are found otherwise */
bool fs_queue_has(const struct fs_reader *s, enum place place, const char *name);
bool fs_queue_pop(struct fs_reader *s, struct fs_candidate *c);
/* While a listing is under way: its figure is not touched */
void fs_queue_clear(struct fs_reader *s);
enum fs_work { FS_NONE, FS_LEFT, FS_BLOCKED /* nothing may be handed out: arrivals do not wake */ };
void fs_wait(struct fs_reader *s, int64_t timeout_ms, enum fs_work work);

/* scan_folders.c: before each listing */
MUST_CHECK enum status fs_check_folders(struct fs_reader *s, struct error *err);

/* listing.c */
MUST_CHECK enum status fs_list_window(struct fs_reader *s, struct error *err);

/* order.c: the next name of the listing in order; false when the window is used up. Of one that is
 * not the last a few names are left, so that the next listing, which finds them again, does not
 * leave others without a front. */
bool fs_window_left(const struct fs_reader *s);
bool fs_group_pop(struct fs_reader *s, struct fs_candidate *c);
void fs_group_clear(struct fs_reader *s);
/* An event whose text was copied from one place to another; what was unescaped is copied too.
 * False: memory is out. */
MUST_CHECK bool fs_event_moved(const struct event *e, struct span from, struct span to,
                               struct arena *arena, struct event *out);

/* half_moved.c: true: it is in dlq/, or gone. False: it waits where it is, for a later scan. */
bool fs_finish_move(struct fs_reader *s, const struct fs_candidate *c, const char *to_name);
void fs_moves_again(struct fs_reader *s); /* a scan begins: those that wait are met once more */

/* half_written.c */
bool fs_growing_settled(struct fs_reader *s, const struct fs_candidate *c,
                        const struct stamp *stamp, bool *known);
bool fs_growing_has(struct fs_reader *s, enum place place, const char *name);
bool fs_growing_forget(struct fs_reader *s, enum place place, const char *name);
bool fs_growing_due(struct fs_reader *s, struct fs_candidate *c); /* leaves it in */
int64_t fs_growing_wait_ms(struct fs_reader *s);                  /* until one is due, -1 = none */
void fs_growing_release(struct fs_reader *s);

/* left_alone.c: is it the first time that it is said of this file? */
bool fs_say_once(struct digest_set *set, const struct stamp *stamp);
void fs_odd(struct fs_reader *s, enum place place, const char *name, const struct stat *st);

/* counts.c: those of dlq/ */
MUST_CHECK enum status fs_count_dead(struct fs_reader *s, struct error *err);

/* sent_sweep.c: what lies in sent/ too long goes */
void fs_sweep_sent(struct fs_reader *s);

#endif
