/* Formats log lines, limits how often one event is written, and writes without ever waiting for
 * whoever reads.
 * Any thread; a crash leaves the lines that were written, and loses what a slow reader had not
 * taken. */
#include "bridge/base/log.h"

#include "bridge/base/text/words.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS = 64, BURST = 10 };
/* How a write is kept from waiting for whoever reads. OWN: a description of our own, O_NONBLOCK;
 * the descriptor's is shared with others, whom it would surprise. */
enum way { WAY_PLAIN, WAY_OWN, WAY_SOCKET, WAY_ASK };
#define SPELL_NS (INT64_C(10) * 1000000000)

/* How often one event was written in its current spell of 10 s. Longer names are told apart by
 * their beginning. */
struct repeat {
  char component[24], event[40];
  enum log_level level; /* of the last one */
  int64_t since_ns;
  unsigned seen; /* 0: this one is free */
};

struct log {
  int fd; /* not the caller's with WAY_OWN */
  enum way way;
  bool json, torn; /* torn: the last line was written in part */
  _Atomic uint64_t dropped;
  uint64_t unsaid; /* of them */
  _Atomic int level;
  const struct clock *clock;
  struct mutex lock;
  struct buffer line;
  struct repeat repeats[EVENTS];
};

/* A file does not make anybody wait. The others are opened anew by their descriptor's name where
 * that is allowed; else it is asked before each piece whether it would be taken, which leaves a gap
 * for others that write there too. */
static enum way way_of(int *fd) {
  struct stat st;
  char name[40];
  if (fstat(*fd, &st) < 0) return WAY_PLAIN;
  if (S_ISSOCK(st.st_mode)) return WAY_SOCKET;
  if (!S_ISFIFO(st.st_mode) && !isatty(*fd)) return WAY_PLAIN;
  snprintf(name, sizeof name, "/proc/self/fd/%d", *fd);
  int own = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own < 0) return WAY_ASK;
  *fd = own;
  return WAY_OWN;
}

void log_hold_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    bool closed = fcntl(fd, F_GETFD) < 0 && errno == EBADF;
    if (closed && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
      return; /* the lowest one free */
  }
}

enum status log_open(int fd, enum log_format format, enum log_level level,
                     const struct clock *clock, struct log **out) {
  struct log *log = calloc(1, sizeof *log);
  if (!log) return ST_NO_MEMORY;
  log->json = format == LOG_JSON || (format == LOG_AUTO && !isatty(fd));
  log->way = way_of(&fd);
  log->fd = fd;
  log->level = level;
  log->clock = clock;
  mutex_init(&log->lock);
  *out = log;
  return ST_OK;
}

void log_set_level(struct log *log, enum log_level level) {
  log->level = level;
}

bool log_enabled(const struct log *log, enum log_level level) {
  return log && (int)level >= log->level;
}

/* A JSON string; also the quoted form of logfmt. Bytes that are not UTF-8 become U+FFFD, control
 * bytes \u00xx. */
static void add_quoted(struct buffer *b, struct span s) {
  buffer_add_char(b, '"');
  for (size_t bytes; s.len; s = (struct span){s.ptr + bytes, s.len - bytes}) {
    int control = text_control(s, &bytes);
    if (control == '\n')
      buffer_add_z(b, "\\n");
    else if (control >= 0)
      buffer_printf(b, "\\u%04x", (unsigned)control);
    else if (control == TEXT_FOREIGN)
      buffer_add_z(b, "\xEF\xBF\xBD");
    else if (*s.ptr == '"' || *s.ptr == '\\')
      buffer_printf(b, "\\%c", *s.ptr);
    else
      buffer_append(b, s.ptr, bytes);
  }
  buffer_add_char(b, '"');
}

static bool plain(struct span s) {
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') return false;
  }
  return s.len > 0;
}

static void add_text(struct log *log, const char *key, struct span value) {
  struct buffer *b = &log->line;
  if (log->json)
    buffer_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", key);
  else
    buffer_printf(b, "%s%s=", b->len ? " " : "", key);
  if (log->json || !plain(value))
    add_quoted(b, value);
  else
    buffer_add(b, value);
}

static void add_bare(struct log *log, const char *key, const char *value) {
  struct buffer *b = &log->line;
  if (log->json)
    buffer_printf(b, "%s\"%s\":%s", b->len > 1 ? "," : "", key, value);
  else
    buffer_printf(b, "%s%s=%s", b->len ? " " : "", key, value);
}

static void add_field(struct log *log, const struct log_field *f) {
  char number[40];
  switch (f->type) {
  case LOG_TEXT: add_text(log, f->key, f->text); return;
  case LOG_INT: snprintf(number, sizeof number, "%lld", (long long)f->number); break;
  case LOG_FLOAT:
    snprintf(number, sizeof number, isfinite(f->real) ? "%.6g" : "null", f->real);
    break;
  case LOG_END: return;
  }
  add_bare(log, f->key, number);
}

static ssize_t put_bytes(const struct log *log, const char *at, size_t len) {
  struct pollfd p = {.fd = log->fd, .events = POLLOUT};
  switch (log->way) {
  case WAY_SOCKET: return send(log->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
  case WAY_ASK:
    if (thread_poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT)) return -1;
    return write(log->fd, at,
                 len < PIPE_BUF ? len : PIPE_BUF); /* so much a pipe takes when it takes anything */
  case WAY_PLAIN:
  case WAY_OWN: break;
  }
  return write(log->fd, at, len);
}

/* A relay does not stop for its log: false, what cannot be written now is dropped, and the next
 * line tries again. */
static bool put_line(struct log *log) {
  const char *at = log->line.ptr;
  size_t left = log->line.len;
  if (log->torn && put_bytes(log, "\n", 1) != 1) return false;
  log->torn = false;
  while (left) {
    errno = 0;
    ssize_t n = put_bytes(log, at, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return log->torn && left == 1; /* all but its end, which comes with the next line */
    at += n;
    left -= (size_t)n;
    log->torn = left > 0;
  }
  return true;
}

static void begin_line(struct log *log, enum log_level level, struct span msg,
                       const char *component, const char *event) {
  static const char *const words[] = {"debug", "info", "warning", "error"};
  char ts[TIME_TEXT];
  buffer_clear(&log->line);
  if (log->json) buffer_add_char(&log->line, '{');
  add_text(log, "ts", span_of(time_format(clock_wall_us(log->clock), ts)));
  add_text(log, "level", span_of(words[level]));
  add_text(log, "msg", msg);
  add_text(log, "event", span_of(event));
  add_text(log, "component", span_of(component));
}

static bool end_line(struct log *log) {
  buffer_add_z(&log->line, log->json ? "}\n" : "\n");
  return !log->line.failed && put_line(log);
}

/* False: nothing is taken yet. */
static bool say_dropped(struct log *log) {
  if (!log->unsaid) return true;
  begin_line(log, LOG_WARNING,
             SPAN("Lines of the log were dropped: whoever takes them was too slow, or could not"),
             "log", "lines_dropped");
  add_field(log, &F_INT("lines", log->unsaid));
  if (!end_line(log)) return false;
  log->unsaid = 0;
  return true;
}

static void write_line(struct log *log, enum log_level level, struct span msg,
                       const char *component, const char *event, const struct log_field *fields) {
  bool written = say_dropped(log);
  if (written) {
    begin_line(log, level, msg, component, event);
    for (const struct log_field *f = fields; f && f->type != LOG_END; f++) add_field(log, f);
    written = end_line(log);
  }
  log->unsaid += !written;
  log->dropped += !written;
}

/* Says how many lines were only counted, and frees the place. */
static void end_spell(struct log *log, struct repeat *r) {
  if (r->seen > BURST && log_enabled(log, r->level)) {
    write_line(log, r->level, SPAN("this was said more often than written"), r->component, r->event,
               FIELDS(F_INT("repeated", r->seen - BURST)));
  }
  r->seen = 0;
}

uint64_t log_dropped(const struct log *log) {
  return log ? log->dropped : 0;
}

void log_close(struct log *log) {
  if (!log) return;
  for (size_t i = 0; i < EVENTS; i++) end_spell(log, &log->repeats[i]);
  say_dropped(log);
  if (log->way == WAY_OWN) close(log->fd);
  mutex_destroy(&log->lock);
  buffer_release(&log->line);
  free(log);
}

static bool is_event(const struct repeat *r, const char *component, const char *event) {
  return r->seen && strncmp(r->component, component, sizeof r->component - 1) == 0 &&
         strncmp(r->event, event, sizeof r->event - 1) == 0;
}

/* The event's place: its own, else a free one, else the stalest one's, which gives way. Ends the
 * spells that are over on the way, so that a burst nobody repeats is summed up too. */
static struct repeat *spell_of(struct log *log, const char *component, const char *event,
                               int64_t now) {
  struct repeat *own = NULL, *other = &log->repeats[0];
  for (size_t i = 0; i < EVENTS; i++) {
    struct repeat *r = &log->repeats[i];
    if (r->seen && now - r->since_ns > SPELL_NS) end_spell(log, r);
    if (is_event(r, component, event)) own = r;
    if (other->seen && (!r->seen || r->since_ns < other->since_ns)) other = r;
  }
  if (own) return own;
  end_spell(log, other);
  snprintf(other->component, sizeof other->component, "%s", component);
  snprintf(other->event, sizeof other->event, "%s", event);
  other->since_ns = now;
  return other;
}

/* False: this one is only counted. */
static bool may_write(struct log *log, enum log_level level, const char *component,
                      const char *event) {
  struct repeat *r = spell_of(log, component, event, clock_mono_ns(log->clock));
  r->level = level;
  return ++r->seen <= BURST;
}

void log_write(struct log *log, enum log_level level, const char *component, const char *event,
               const struct log_field *fields, const char *fmt, ...) {
  if (!log_enabled(log, level)) return;
  char msg[1200];
  va_list args;
  va_start(args, fmt);
  vsnprintf(msg, sizeof msg, fmt, args);
  va_end(args);
  mutex_lock(&log->lock);
  if (level == LOG_DEBUG || may_write(log, level, component, event))
    write_line(log, level, span_of(msg), component, event, fields);
  mutex_unlock(&log->lock);
}
