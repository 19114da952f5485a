/* .busbridge/audit.log: a line for each change that somebody asked for. One thread at a time.
 * A crash may leave half a line, behind which the next begins. */
#include "bridge/outbox/file/site/site.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define AUDIT "audit.log"

static bool ends_in_a_line(int fd, off_t size) {
  char last = '\n';
  return size == 0 || (pread(fd, &last, 1, size - 1) == 1 && last == '\n');
}

/* A crash before the folder is synced loses an empty file, after it one that may hold the line. */
static enum status append(int folder, struct span line, struct error *err) {
  struct stat st;
  int own;
  enum status rc = durable_own_folder(folder, &own, err);
  if (rc != ST_OK) return rc;
  int fd = openat(folder, AUDIT, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return durable_sync_end(own, error_sys(err, errno, "opening %s", AUDIT), err);
  rc = fstat(fd, &st) == 0 ? ST_OK : error_sys(err, errno, "looking at %s", AUDIT);
  struct buffer text = {0};
  if (rc == ST_OK && !ends_in_a_line(fd, st.st_size)) buffer_add_char(&text, '\n');
  buffer_add(&text, line);
  if (rc == ST_OK) rc = buffer_status(&text, err);
  if (rc == ST_OK) rc = durable_append_sync(fd, buffer_span(&text), err);
  buffer_release(&text);
  close(fd);
  if (rc == ST_OK && st.st_size == 0) return durable_sync_end(own, rc, err);
  close(own);
  return rc;
}

/* A crash in between leaves no audit.log, which is made with the next line. */
static enum status make_room(int folder, struct error *err) {
  struct stat st;
  if (fstatat(folder, AUDIT, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size < STORE_AUDIT_MOST)
    return ST_OK;
  return durable_rename(folder, AUDIT, folder, AUDIT ".1", err);
}

enum status fs_audit(struct fs_site *s, struct span line, struct error *err) {
  int folder = state_folder(s->state);
  enum status st = make_room(folder, err);
  return st == ST_OK ? append(folder, line, err) : st;
}
