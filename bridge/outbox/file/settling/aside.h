/* aside.h - inside bridge/outbox/file only: entries that are set aside, because the file system
 * refuses to carry out what became of them. What store.h says of it stands there; this is how.
 *
 * The file .busbridge/aside: a first line "busbridge-aside 1", then one line an entry, words
 * divided by blanks:
 *   done|retry|dead flat|pending NAME inode size ctime mtime ID content since errno attempts failed
 *   reason code TOPIC ERROR WHY
 * Bytes of a text that would not be one word stand as %XX, an empty one as -. A later line of the
 * same place and name replaces the one before it. Lines are appended and synced; a crash leaves a
 * last line without its end, which does not count. It is written anew when entries have gone from
 * it.
 *
 * Rows are guarded by the lock. They are made, carried out and written by the settling thread alone
 * (finish.h).
 */
#ifndef BRIDGE_OUTBOX_FILE_SETTLING_ASIDE_H
#define BRIDGE_OUTBOX_FILE_SETTLING_ASIDE_H

#include "bridge/outbox/file/shared/shared.h"

struct fs_aside {
  struct span key; /* of the table: place and name */
  enum aside what;
  struct fs_ref ref;
  int64_t since_us;
  int sys;         /* errno of what hinders, 0 = another reason */
  const char *why; /* its words */
  struct failure failure;
  bool carried; /* carried out, or no longer there: goes from the file by the next sync */
  char bytes[]; /* of all texts */
};
/* Is what lies there set aside, and not to be handed out? By inode, size and mtime. */
bool fs_aside_out(struct fs_shared *s, enum place place, const char *name,
                  const struct stamp *stamp);
/* The same of what was read, by its id too. Else, if it was refused: its event gets the attempts
 * that are known of it. */
bool fs_aside_holds(struct fs_shared *s, enum place place, const char *name,
                    const struct stamp *stamp, struct entry *entry, struct arena *scratch);

/* Copies of all that are to be carried out. NULL: memory is out. */
struct fs_aside **fs_aside_copy(struct fs_shared *s, size_t *count);
void fs_aside_free(struct fs_aside **list, size_t count);
void fs_aside_carried(struct fs_shared *s, const struct fs_aside *copy); /* it is, or it is gone */

/* aside_text.c */
void fs_aside_print(const struct fs_aside *row, struct buffer *out);
MUST_CHECK enum status fs_aside_parse(struct span line, struct fs_aside **out, struct error *err);
/* A copy of all of it. NULL: memory is out. */
struct fs_aside *fs_aside_make(const struct fs_aside *from);

/* As the operation */
enum status fs_asides(struct fs_shared *s, size_t limit, store_aside_fn visit, void *ctx,
                      struct error *err);

#endif
