/* What a command says: messages on stderr, data on stdout, and an exit code.
 * The command's one thread; a crash leaves nothing. */
#include "admin/admin.h"
#include "bridge/base/text/words.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

PRINTF_LIKE(3, 0)
static void message(const struct admin *a, bool red, const char *fmt, va_list args) {
  char text[1024];
  struct buffer line = {0};
  vsnprintf(text, sizeof text, fmt, args);
  if (red && a->color_err) buffer_add_z(&line, "\x1b[31m");
  buffer_add_z(&line, "busbridge: ");
  text_printable(&line, span_of(text));
  if (red && a->color_err) buffer_add_z(&line, "\x1b[0m");
  buffer_add_char(&line, '\n');
  fwrite(line.ptr, 1, line.failed ? 0 : line.len, stderr);
  buffer_release(&line);
}

void complain(const struct admin *a, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  message(a, true, fmt, args);
  va_end(args);
}

void note(const struct admin *a, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  message(a, false, fmt, args);
  va_end(args);
}

int code_of(enum status st) {
  switch (st) {
  case ST_OK:
  case ST_AGAIN:
  case ST_END: return CODE_OK;
  case ST_INVALID: return CODE_USAGE;
  case ST_NOT_FOUND: return CODE_NOTHING;
  case ST_BUSY:
  case ST_UNAVAILABLE: return CODE_BUSY;
  case ST_CANCELLED: return CODE_INTERRUPTED;
  case ST_EXISTS:
  case ST_TOO_LARGE:
  case ST_DENIED:
  case ST_NO_SPACE:
  case ST_IO:
  case ST_NO_MEMORY:
  case ST_UNSUPPORTED: break;
  }
  return CODE_FAILURE;
}

int fail(const struct admin *a, const struct error *err) {
  complain(a, "%s", err->text);
  return code_of(err->status);
}

/* ---- stdout ---- */

/* A reader that went away (busbridge list | head) ends us as it would any other program. */
static void end_by_pipe(void) {
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}

int admin_flush(struct admin *a) {
  struct error err = {0};
  if (a->unwritten) return a->deed[0] ? CODE_OK : CODE_FAILURE;
  if (buffer_status(&a->out, &err) != ST_OK) return fail(a, &err);
  size_t done = 0;
  while (done < a->out.len) {
    ssize_t n = write(STDOUT_FILENO, a->out.ptr + done, a->out.len - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE && !a->deed[0]) end_by_pipe();
    if (n < 0) {
      complain(a, "Writing to standard output: %s%s%s", strerror(errno), a->deed[0] ? "; " : "",
               a->deed);
      a->unwritten = true;
      return a->deed[0] ? CODE_OK : CODE_FAILURE;
    }
    done += (size_t)n;
  }
  buffer_clear(&a->out);
  return CODE_OK;
}
