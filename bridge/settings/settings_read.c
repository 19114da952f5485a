/* A file of settings or of a secret, read whole.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

#include "bridge/base/disk/denial.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIPE_WAIT_MS = 5000 };

/* A pipe of the shell, as <(...) makes it, may be read; one that nobody writes to holds nothing up.
 */
static enum status await_bytes(int fd, const char *path, struct error *err) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (thread_poll(&p, 1, PIPE_WAIT_MS) != 0) return ST_OK;
  return error_set(
      err, ST_INVALID,
      "%s: nothing comes out of it; is it a FIFO or a terminal? A plain file is wanted", path);
}

enum status settings_read(const char *path, size_t limit, struct buffer *out, struct error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) {
    enum status st = error_sys(err, errno, "%s", path);
    error_denied(err, path, R_OK);
    return st;
  }
  enum status st = ST_OK;
  for (;;) {
    buffer_reserve(out, 4096);
    if ((st = buffer_status(out, err)) != ST_OK || (st = await_bytes(fd, path, err)) != ST_OK)
      break;
    ssize_t n = read(fd, out->ptr + out->len, 4096);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) st = error_sys(err, errno, "%s", path);
    if (n <= 0) break;
    out->len += (size_t)n;
    if (out->len > limit) {
      st = error_set(err, ST_TOO_LARGE, "%s: larger than %zu bytes; is it the right file?", path,
                     limit);
      break;
    }
  }
  close(fd);
  return st;
}
