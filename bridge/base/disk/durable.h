/* durable.h - the only place that calls fsync, rename, unlink and creates files that must survive.
 *
 * All names are relative to an open folder descriptor and never followed through links. Functions
 * whose name ends in _sync return success only after the kernel confirmed both file and folder; a
 * failed fsync is never retried as if it had worked: the caller keeps the old state. Short writes
 * and EINTR are handled. Any thread.
 *
 * Every call passes one numbered fault point, so that a test can make the n-th one fail, or end the
 * process before or after it (durable_set_hook; the library itself never sets one).
 */
#ifndef BRIDGE_BASE_DISK_DURABLE_H
#define BRIDGE_BASE_DISK_DURABLE_H

#include "bridge/base/span.h"

#include <sys/stat.h>
#include <sys/types.h>

/* Write content to folder/name (made new, mode 0660 & ~umask), fsync it, close it. Fails ST_EXISTS
 * if name is there. On failure nothing of that name remains, unless the disk refuses to remove it;
 * a crash may leave it half written, so nobody may look for it before a rename. The folder is not
 * synced. mtime: NULL = now. */
MUST_CHECK enum status durable_write_new(int folder, const char *name, struct span content,
                                         const struct timespec *mtime, struct error *err);
/* The same in two steps: begin writes and leaves it open in *fd, end fsyncs and closes. Only end's
 * ST_OK says that it is on the disk; where either fails, nothing of that name remains, as above.
 * end with fd -1 does nothing. */
MUST_CHECK enum status durable_write_begin(int folder, const char *name, struct span content,
                                           const struct timespec *mtime, int *fd,
                                           struct error *err);
MUST_CHECK enum status durable_write_end(int folder, const char *name, int fd, struct error *err);
/* end of many at once, from several threads: a disk flushes for all who wait together, so that this
 * costs a tenth of one after the other; where there is nothing to wait for, no thread is started.
 * Each has a status of its own. */
struct durable_file {
  const char *name;
  int fd;
  enum status status;
  struct error error;
};
void durable_write_end_all(int folder, struct durable_file *list, size_t count);
/* Replace folder/name by content: temporary file tmp_folder/<name>.<pid>.tmp, fsync, rename, folder
 * fsync. For state files. tmp_folder and folder must be on one file system. A failure leaves the
 * old content, or the new one whole where only the last step, the folder's fsync, failed: then
 * either of them may be there after a power loss. */
MUST_CHECK enum status durable_replace(int tmp_folder, int folder, const char *name,
                                       struct span content, struct error *err);
/* rename from/a to to/b without replacing (ST_EXISTS if b is there; ST_UNSUPPORTED: another file
 * system). No sync. Where RENAME_NOREPLACE is missing it links and unlinks: a crash or failure in
 * between leaves both names, which the same call finishes. */
MUST_CHECK enum status durable_move(int from, const char *a, int to, const char *b,
                                    struct error *err);
/* Copy the regular file from/a to to/tmp, made new, with its bytes, holes and mtime, fsynced: for
 * another file system, where the caller moves it to its name and syncs that folder. *copied: what a
 * was. ST_BUSY: a changed meanwhile. On failure nothing of that name remains; a crash may leave it.
 */
MUST_CHECK enum status durable_copy(int from, const char *a, int to, const char *tmp,
                                    struct stat *copied, struct error *err);
/* Then take from/a out, if it is still what was copied (else ST_BUSY). No sync. */
MUST_CHECK enum status durable_remove_copied(int from, const char *a, const struct stat *copied,
                                             struct error *err);
/* Swap two names atomically (renameat2 EXCHANGE); ST_NOT_FOUND if either is gone; ST_UNSUPPORTED
 * where the file system lacks it. No sync. */
MUST_CHECK enum status durable_exchange(int from, const char *a, int to, const char *b,
                                        struct error *err);
/* Plain replacing rename. No sync. */
MUST_CHECK enum status durable_rename(int from, const char *a, int to, const char *b,
                                      struct error *err);
MUST_CHECK enum status durable_unlink(int folder, const char *name,
                                      struct error *err); /* ST_NOT_FOUND if gone */
MUST_CHECK enum status durable_sync_folder(int folder, struct error *err);
/* The same by a descriptor of the caller's own, taken before the folder is changed. The kernel
 * tells that something could not be written once per open file, to whoever syncs first: of a
 * descriptor that threads share, another one may have been told. end: what was done is durable, if
 * so_far is ST_OK, which is returned else; closes own. */
MUST_CHECK enum status durable_own_folder(int folder, int *own, struct error *err);
MUST_CHECK enum status durable_sync_end(int own, enum status so_far, struct error *err);
/* Append to the end of an open file and fsync it; on failure it is cut back to its old length (best
 * effort). */
MUST_CHECK enum status durable_append_sync(int fd, struct span content, struct error *err);
/* mkdir unless there; opens it O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC into *fd. The parent is synced when
 * it was made; when that fails the folder is taken away again, so that the next call does not take
 * it for durable. */
MUST_CHECK enum status durable_folder(int parent, const char *name, mode_t mode, int *fd,
                                      struct error *err);

/* Read a whole regular file of at most limit bytes, appended to out (unchanged on failure).
 * ST_TOO_LARGE beyond, ST_INVALID for anything but a regular file. No links followed; never blocks
 * on a FIFO. No fault point. */
MUST_CHECK enum status file_read(int folder, const char *name, size_t limit, struct buffer *out,
                                 struct error *err);

/* What an open file, pipe or terminal gives up to its end, appended to out. name is for messages.
 * ST_TOO_LARGE: more than limit bytes. No fault point. */
MUST_CHECK enum status stream_read(int fd, const char *name, size_t limit, struct buffer *out,
                                   struct error *err);

/* RENAME: also EXCHANGE. UNLINK: also taking away a folder. LINK: the fallback of durable_move. */
enum durable_op {
  DURABLE_OPEN,
  DURABLE_WRITE,
  DURABLE_FSYNC,
  DURABLE_RENAME,
  DURABLE_UNLINK,
  DURABLE_LINK,
  DURABLE_MKDIR,
  DURABLE_TIMES,
  DURABLE_TRUNCATE
};
/* Test hook: called before (after=false) and after each system call that changes the disk, clean-up
 * included; returns 0 or an errno: before, to fail with instead of making the call, after, to fail
 * with although it was made. NULL switches it off. Not for use while other threads run. */
typedef int (*durable_hook_fn)(void *ctx, enum durable_op op, const char *name, bool after);
void durable_set_hook(durable_hook_fn hook, void *ctx);

#endif
