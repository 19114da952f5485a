/* Disk kept for one manifest: on a full disk publishing is what frees space, and it needs a
 * manifest first. A crash may leave it unmade; the next batch that is settled makes it.
 * One thread at a time, the publisher's or the finisher's. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/records/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define RESERVE "reserve"
enum { RESERVE_BYTES = 2 * 1024 * 1024 }; /* on a disk that keeps blocks for itself too */
_Static_assert(RESERVE_BYTES >= 2 * MANIFEST_MOST, "it holds the largest manifest there can be");

bool reserve_give_up(int folder, struct log *log) {
  struct error err = {0};
  if (durable_unlink(folder, RESERVE, &err) != ST_OK) return false;
  log_write(
      log, LOG_WARNING, "outbox", "reserve_used", NO_FIELDS,
      "The disk is full; the reserve of .busbridge is given up for the manifest of the next batch");
  return true;
}

/* As far as the disk allows: a file system that is full stays so until entries have gone. One that
 * a power loss cut short is made anew. */
void reserve_keep(int folder, struct log *log) {
  struct stat st;
  struct error err = {0};
  bool there = fstatat(folder, RESERVE, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (there && st.st_size >= RESERVE_BYTES) return;
  if (there && durable_unlink(folder, RESERVE, &err) != ST_OK) return;
  struct span zeros = {calloc(1, RESERVE_BYTES), RESERVE_BYTES};
  if (zeros.ptr && durable_write_new(folder, RESERVE, zeros, NULL, &err) != ST_OK)
    log_write(log, LOG_DEBUG, "outbox", "reserve_missing", FIELDS(F_TEXT("error", err.text)),
              "No space for the reserve yet");
  free((char *)zeros.ptr);
}
