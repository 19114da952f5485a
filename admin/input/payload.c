/* Reads a payload whole from the command line, a file or standard input, but no more than an entry
 * may have.
 * The command's one thread; a crash leaves nothing. */
#include "admin/input/payload.h"

#include "bridge/base/disk/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum status read_limited(const struct admin *a, int fd, const char *name, struct buffer *out,
                                struct error *err) {
  size_t limit = (size_t)setting_number(a->settings, SETTING_OUTBOX_MAX_ENTRY_BYTES);
  enum status st = stream_read(fd, name, limit, out, err);
  if (st != ST_TOO_LARGE) return st;
  return error_set(err, st, "%s is larger than outbox.max_entry_bytes (%zu)", name, limit);
}

/* No file is called so, and who types a payload need not make one. */
static bool is_text(struct span what) {
  what = span_trim(what);
  return what.len && (*what.ptr == '{' || *what.ptr == '[');
}

enum status payload_read(const struct admin *a, const char *what, struct buffer *out,
                         struct error *err) {
  if (strcmp(what, "-") == 0) return read_limited(a, STDIN_FILENO, "standard input", out, err);
  if (is_text(span_of(what))) {
    buffer_add_z(out, what);
    return buffer_status(out, err);
  }
  int fd = open(what, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return error_sys(err, errno, "opening %s", what);
  enum status st = read_limited(a, fd, what, out, err);
  close(fd);
  return st;
}
