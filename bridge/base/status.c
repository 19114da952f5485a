/* Fills error texts, cut at a whole character; maps errno to a status; ends the process with one
 * line when an invariant is broken.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/status.h"
#include "bridge/base/span.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

/* Takes the beginning of a character off the end of a text that filled all its room. Bytes before
 * it that are not UTF-8 (a file name may hold any) stay. */
static void cut_whole(char *text, size_t size) {
  size_t len = strnlen(text, size - 1), at = len;
  if (len < size - 1) return;
  while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80) at--;
  if (at == 0 || (unsigned char)text[at - 1] < 0xC0) return;
  if (span_utf8_prefix((struct span){text + at - 1, len - at + 1}) == 0) text[at - 1] = '\0';
}

static void fill_error(struct error *err, enum status st, int sys, const char *fmt, va_list args) {
  err->status = st;
  err->sys = sys;
  err->cause = 0;
  vsnprintf(err->text, sizeof err->text, fmt, args);
  cut_whole(err->text, sizeof err->text);
}

enum status error_set(struct error *err, enum status st, const char *fmt, ...) {
  if (err) {
    va_list args;
    va_start(args, fmt);
    fill_error(err, st, 0, fmt, args);
    va_end(args);
  }
  return st;
}

static enum status status_of_errno(int errnum) {
  switch (errnum) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
  case EMFILE:
  case ENFILE: return ST_NO_SPACE;
  case EACCES:
  case EPERM:
  case EROFS: return ST_DENIED;
  case ENOENT:
  case ENOTDIR: return ST_NOT_FOUND;
  case EEXIST:
  case ENOTEMPTY: return ST_EXISTS;
  case ENOMEM: return ST_NO_MEMORY;
  default: return ST_IO;
  }
}

enum status error_sys(struct error *err, int errnum, const char *fmt, ...) {
  enum status st = status_of_errno(errnum);
  if (!err) return st;
  va_list args;
  va_start(args, fmt);
  fill_error(err, st, errnum, fmt, args);
  va_end(args);
  size_t len = strlen(err->text);
  char words[128];
  snprintf(err->text + len, sizeof err->text - len, ": %s",
           strerror_r(errnum, words, sizeof words));
  cut_whole(err->text, sizeof err->text);
  return st;
}

enum status error_prefix(struct error *err, const char *fmt, ...) {
  if (!err) return ST_IO; /* which one nobody knows, but never a success */
  char before[sizeof err->text], after[sizeof err->text];
  va_list args;
  va_start(args, fmt);
  vsnprintf(before, sizeof before, fmt, args);
  va_end(args);
  memcpy(after, err->text, sizeof after);
  size_t head = strnlen(before, sizeof err->text - 3);
  memcpy(err->text, before, head);
  snprintf(err->text + head, sizeof err->text - head, ": %s", after);
  cut_whole(err->text, sizeof err->text);
  return err->status;
}

const char *status_name(enum status st) {
  switch (st) {
  case ST_OK: return "ok";
  case ST_AGAIN: return "again";
  case ST_END: return "end";
  case ST_NOT_FOUND: return "not found";
  case ST_EXISTS: return "exists";
  case ST_INVALID: return "invalid";
  case ST_TOO_LARGE: return "too large";
  case ST_BUSY: return "busy";
  case ST_DENIED: return "denied";
  case ST_UNAVAILABLE: return "unavailable";
  case ST_NO_SPACE: return "no space";
  case ST_IO: return "input or output failed";
  case ST_NO_MEMORY: return "out of memory";
  case ST_UNSUPPORTED: return "unsupported";
  case ST_CANCELLED: return "cancelled";
  }
  return "unknown";
}

_Noreturn void bug_abort(const char *file, int line, const char *what) {
  char text[600];
  int len = snprintf(text, sizeof text, "busbridge: bug: %s:%d: %s; please report this line\n",
                     file, line, what);
  struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (thread_poll(&p, 1, 0) > 0 && p.revents & POLLOUT) { /* it ends also where nobody reads */
    ssize_t n =
        write(STDERR_FILENO, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
    (void)n;
  }
  abort();
}
