/* entry_moves.h - inside bridge/outbox/file only: the crash-safe steps that settling, dying and
 * replaying are made of. Any thread; of one entry, whoever has it in hand.
 */
#ifndef BRIDGE_OUTBOX_FILE_MOVES_ENTRY_MOVES_H
#define BRIDGE_OUTBOX_FILE_MOVES_ENTRY_MOVES_H

#include "bridge/outbox/file/entry/entry_file.h"
#include "bridge/outbox/file/shared/shared.h"

/* swap.c: put content in the place of the entry with ref's stamp, with that mtime; the folder is
 * not synced. *how GONE: it is there. What comes out with another stamp but is the ref's event (by
 * its id and content) is as good. The reader need not look at it. */
MUST_CHECK enum status fs_swap(struct fs_shared *s, const struct fs_ref *ref, const char *name,
                               struct span content, int64_t mtime_ns, enum settled *how,
                               struct error *err);
/* The same with content that lies in tmp already, durable. It is gone from there afterwards. own:
 * not NULL where the reader need not look at it; what stamp it has now, of inode 0: nobody knows.
 */
MUST_CHECK enum status fs_swap_in(struct fs_shared *s, const struct fs_ref *ref, const char *name,
                                  const char *tmp, struct stamp *own, enum settled *how,
                                  struct error *err);

/* What came out of swaps is gone from tmp for good. Before the entry may leave the outbox: what a
 * power loss brings back there is told by its time, which a producer need not have synced, and
 * would go back as another one. */
MUST_CHECK enum status fs_sync_swapped(struct fs_site *s, enum side side, struct error *err);

/* free_name.c: move without replacing to the first free name of name_try, within one file system.
 */
MUST_CHECK enum status fs_move_beside(int from, const char *name, int to, const char *to_name,
                                      char target[NAME_SIZE], struct error *err);
/* The same. Onto another file system by a copy, which is durable there before the file goes; what a
 * crash left of that is recognised and finished. s: who is told of a sync that failed, NULL: nobody
 * but the caller, for what a crash left. */
MUST_CHECK enum status fs_to_free_name(struct fs_site *s, int from, const char *name, int to,
                                       const char *to_name, char target[NAME_SIZE],
                                       struct error *err);
/* Has b the bytes, size and mtime of a: is it what an earlier try copied? */
bool fs_is_copy(int from, const char *a, int to, const char *b);
/* Copy it durably into a folder of another file system, under a name that nobody looks at. */
MUST_CHECK enum status fs_copy(int from, const char *name, int to, char tmp[NAME_SIZE],
                               struct stat *copied, struct error *err);

/* carry.c: move without replacing, to a free name (name_try), into what lies at the name of `to`.
 * ST_NOT_FOUND: name is gone. */
MUST_CHECK enum status fs_carry(struct fs_site *s, int folder, const char *name, enum place to,
                                const char *to_name, struct error *err);
MUST_CHECK enum status fs_move_free(struct fs_site *s, enum place from, const char *name,
                                    enum place to, const char *to_name, struct error *err);

/* take_out.c: a name leaves its folder for tmp, where it is looked at while nobody else changes it.
 */
struct leftover;
MUST_CHECK enum status fs_pull(struct fs_site *s, const struct leftover *what, char tmp[NAME_SIZE],
                               struct stamp *now, struct error *err);
/* On another file system than tmp: nothing can be pulled */
bool fs_elsewhere(struct fs_site *s, enum place place);
/* What was pulled from that place is gone from there for good, if it is to be copied to a dlq/ on
 * another file system: a copy becomes durable at once, and with it the dead letter. So a crash
 * leaves it in tmp alone, under a name that says where its copy may lie (leftover_clear.c). */
MUST_CHECK enum status fs_leave_for_good(struct fs_site *s, enum place place, struct error *err);
/* Removes the file of that stamp; ST_NOT_FOUND: it is gone, or another one lies there. */
MUST_CHECK enum status fs_remove_same(struct fs_site *s, enum place place, const char *name,
                                      const struct stamp *stamp, struct error *err);
/* Back where it came from, in front of what arrived there meanwhile; both folders are synced. */
MUST_CHECK enum status fs_put_back(struct fs_site *s, enum place place, const char *name,
                                   const char *tmp, struct error *err);

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
void fs_move_letters(struct fs_shared *s, struct fs_letter *list, size_t count); /* of one side */
/* One that lies on the wrong side; durable. */
MUST_CHECK enum status fs_finish_dead(struct fs_shared *s, enum place place, const char *name,
                                      const char *to_name, struct error *err);
/* hidden_letters.c: what 0.1.0 hid, name_is_hidden */
void fs_bring_back(struct fs_shared *s, const char *name);

/* replay_far.c: what lies durable in tmp as `from` takes the place of dlq/file, of that stamp, and
 * becomes target in the outbox, for a dlq/ on another file system. raw: they are the bytes that a
 * description tells of. Durable. */
MUST_CHECK enum status fs_return_across(struct fs_site *s, enum side side, const char *file,
                                        const struct stamp *was, const char *from,
                                        const char *target, bool raw, struct error *err);

/* failing.c: one of those that failed, on its way */
struct fs_failed { /* as struct settling, of what this kind knows it by */
  struct fs_ref ref;
  struct failure why;
  bool dead;
  enum settled how;
  enum status status;
  struct error error;
};
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
/* Until what was written of them is durable, all at once; what fails has its status. All are of one
 * side. files: room for count. */
void fs_failing_wait(struct fs_site *s, struct fs_failing *const *list, struct durable_file *files,
                     size_t count);
/* raw_letters.c: those that are not objects go to dlq/, as fs_fail_refs; the folders they leave are
 * not synced. All are of one side. */
void fs_dead_raw_all(struct fs_shared *s, struct fs_failing *const *list,
                     struct durable_file *files, size_t count);
/* failed_entries.c: refused or dead, many at once: they wait for the disk together */
void fs_fail_refs(struct fs_shared *s, struct fs_failed *list, size_t count);

#endif
