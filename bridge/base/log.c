#include "bridge/base/log.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

enum { EVENTS = 64, BURST = 10 };
#define SPELL_NS (INT64_C(10) * 1000000000)

/* How often one event was written in its current spell of 10 s. */
struct repeat {
  char name[64];
  int64_t since_ns;
  unsigned seen;
};

struct log {
  int fd;
  bool json;
  _Atomic int level;
  const struct clock *clock;
  pthread_mutex_t lock;
  struct buffer line;
  struct repeat repeats[EVENTS];
};

enum status log_open(int fd, enum log_format format, enum log_level level, const struct clock *clock,
                     struct log **out) {
  struct log *log = calloc(1, sizeof *log);
  if (!log) return ST_NO_MEMORY;
  log->fd = fd;
  log->json = format == LOG_JSON || (format == LOG_AUTO && !isatty(fd));
  log->level = level;
  log->clock = clock;
  pthread_mutex_init(&log->lock, NULL);
  *out = log;
  return ST_OK;
}

void log_close(struct log *log) {
  if (!log) return;
  pthread_mutex_destroy(&log->lock);
  buffer_release(&log->line);
  free(log);
}

void log_set_level(struct log *log, enum log_level level) {
  log->level = level;
}

bool log_enabled(const struct log *log, enum log_level level) {
  return log && (int)level >= log->level;
}

/* A JSON string; also the quoted form of logfmt. Bytes that are no UTF-8 become U+FFFD, control bytes \u00xx. */
static void add_quoted(struct buffer *b, struct span s) {
  buffer_add_char(b, '"');
  while (s.len) {
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = span_utf8_prefix((struct span){s.ptr, s.len < 4 ? s.len : 4});
    if (c == '"' || c == '\\')
      buffer_printf(b, "\\%c", c);
    else if (c == '\n')
      buffer_add_z(b, "\\n");
    else if (c < 0x20 || c == 0x7f)
      buffer_printf(b, "\\u%04x", c);
    else if (n == 0)
      buffer_add_z(b, "\xEF\xBF\xBD");
    else if (c == 0xC2 && (unsigned char)s.ptr[1] < 0xA0)
      buffer_printf(b, "\\u%04x", (unsigned char)s.ptr[1]); /* C1 controls */
    else
      buffer_append(b, s.ptr, c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4);
    size_t used = n == 0 || c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    s.ptr += used;
    s.len -= used;
  }
  buffer_add_char(b, '"');
}

static bool plain(struct span s) {
  for (size_t i = 0; i < s.len; i++)
    if (s.ptr[i] <= ' ' || s.ptr[i] == '"' || s.ptr[i] == '=' || s.ptr[i] == '\\' || s.ptr[i] == 0x7f) return false;
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
  case LOG_FLOAT: snprintf(number, sizeof number, "%.6g", isfinite(f->real) ? f->real : 0.0); break;
  case LOG_END: return;
  }
  add_bare(log, f->key, number);
}

/* False: this one is only counted. *skipped: how many were, when a new spell begins. */
static bool may_write(struct log *log, const char *component, const char *event, unsigned *skipped) {
  char name[sizeof log->repeats[0].name];
  snprintf(name, sizeof name, "%s/%s", component, event);
  int64_t now = clock_mono_ns(log->clock);
  struct repeat *slot = &log->repeats[0];
  for (size_t i = 0; i < EVENTS; i++) {
    struct repeat *r = &log->repeats[i];
    if (!strcmp(r->name, name)) {
      slot = r;
      break;
    }
    if (r->since_ns < slot->since_ns || !r->name[0]) slot = r; /* the stalest gives way */
    if (!r->name[0]) break;
  }
  *skipped = 0;
  if (strcmp(slot->name, name) != 0 || now - slot->since_ns > SPELL_NS) {
    if (!strcmp(slot->name, name) && slot->seen > BURST) *skipped = slot->seen - BURST;
    memcpy(slot->name, name, sizeof name);
    slot->since_ns = now;
    slot->seen = 0;
  }
  return ++slot->seen <= BURST;
}

static void put_line(struct log *log) {
  const char *at = log->line.ptr;
  size_t left = log->line.len;
  while (left) {
    ssize_t n = write(log->fd, at, left);
    if (n <= 0) return; /* the next line tries again; a relay does not stop for its log */
    at += n;
    left -= (size_t)n;
  }
}

static void begin_line(struct log *log, enum log_level level, struct span msg, const char *component,
                       const char *event) {
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

static void end_line(struct log *log) {
  buffer_add_z(&log->line, log->json ? "}\n" : "\n");
  if (!log->line.failed) put_line(log);
}

void log_write(struct log *log, enum log_level level, const char *component, const char *event,
               const struct log_field *fields, const char *fmt, ...) {
  if (!log_enabled(log, level)) return;
  char msg[1200];
  va_list args;
  va_start(args, fmt);
  vsnprintf(msg, sizeof msg, fmt, args);
  va_end(args);
  unsigned skipped = 0;
  pthread_mutex_lock(&log->lock);
  if (level == LOG_DEBUG || may_write(log, component, event, &skipped)) {
    begin_line(log, level, span_of(msg), component, event);
    for (const struct log_field *f = fields; f && f->type != LOG_END; f++) add_field(log, f);
    if (skipped) add_field(log, &F_INT("repeated", skipped));
    end_line(log);
  }
  pthread_mutex_unlock(&log->lock);
}
