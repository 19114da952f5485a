/* finish.h - inside bridge/outbox/file only: the finisher's side, the one thread that settles: what
 * it has taken out and not synced yet, and the file of what is set aside.
 */
#ifndef BRIDGE_OUTBOX_FILE_SETTLING_FINISH_H
#define BRIDGE_OUTBOX_FILE_SETTLING_FINISH_H

#include "bridge/outbox/file/settling/aside.h"
#include "bridge/outbox/file/shared/shared.h"

struct fs_finisher {
  struct fs_site *site;
  struct fs_shared *shared;
  struct buffer added; /* lines that are not in the file of what is set aside yet */
  size_t lines;        /* in it */
  bool rewrite;        /* it is to be written anew */
  /* Monotonic: when each place, and tmp, was last found writable */
  int64_t probed_ns[PLACES + SIDES];
};

/* settle_rows.c: as the operation; and the mark of a batch's record alone */
enum status fs_settle(struct fs_finisher *s, struct settling *rows, size_t count,
                      const struct manifest_name *closes, enum closing *closing, struct error *err);
/* Refused or dead, of what this kind knows them by: after what was taken out before is durable,
 * else all stay. What moved and was not synced is owed to the next sync. err: not NULL. */
struct fs_failed;
MUST_CHECK enum status fs_fail(struct fs_finisher *s, struct fs_failed *list, size_t count,
                               struct error *err);
enum status fs_batch_settle(struct fs_site *s, const struct manifest_name *name, struct error *err);

/* settle.c: one row of FATE_DONE */
void fs_done(struct fs_finisher *s, struct settling *row);
/* As a late one, of what this kind knows it by. */
MUST_CHECK enum status fs_take_late(struct fs_finisher *s, const struct fs_ref *ref,
                                    enum settled *how, struct error *err);
enum status fs_sync(struct fs_finisher *s, struct error *err);
/* Before a folder is synced that entries were taken out of: where they went first, else a power
 * loss could leave them nowhere. What fails is told by fs_sync too (L11). err: not NULL. */
MUST_CHECK enum status fs_sync_first(struct fs_finisher *s, struct error *err);
void fs_sync_targets(struct fs_site *s); /* when the outbox is opened to be changed */
void fs_linger(struct fs_shared *s, const struct entry_ref *ref, bool on);
void fs_release(struct fs_shared *s, const struct entry_ref *ref);

/* aside.c. ST_INVALID: the file is damaged; err says what to do. */
MUST_CHECK enum status fs_aside_open(struct fs_finisher *s, struct error *err);
void fs_aside_release(struct fs_finisher *s);
/* As the operations. */
enum status fs_set_aside(struct fs_finisher *s, const struct entry_ref *ref, struct span id,
                         enum aside what, const struct failure *why, const struct error *hindrance,
                         struct error *err);
enum status fs_aside_sync(struct fs_finisher *s, struct error *err);
/* aside_tend.c: likewise */
void fs_aside_tend(struct fs_finisher *s);

/* hindrance.c: what to do about an errno. */
const char *fs_remedy(int sys);
/* Is it of the disk, the process or the machine, so that waiting is right? Any thread. */
bool fs_concerns_all(const struct error *why);
/* Is this error of one entry alone? Its folders are tried. */
bool fs_hinders_one(struct fs_finisher *s, enum place place, enum aside what,
                    const struct error *why);

#endif
