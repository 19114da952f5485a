/* A command's settings, its log, and whether it may use colours.
 * The command's one thread; a crash leaves nothing. */
#include "admin/admin.h"

#include "bridge/service/plan/configure.h"

#include <unistd.h>

void admin_appearance(struct admin *a) {
  const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
  bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
  bool automatic = !dumb && (!no_color || !*no_color), always = strcmp(a->color, "always") == 0;
  bool never = strcmp(a->color, "never") == 0;
  a->interactive = isatty(STDERR_FILENO) && !dumb;
  a->color_out = always || (!never && automatic && isatty(STDOUT_FILENO));
  a->color_err = always || (!never && automatic && isatty(STDERR_FILENO));
}

static enum status open_log(struct admin *a, struct error *err) {
  const char *format = setting_text(a->settings, SETTING_LOG_FORMAT);
  const char *level = setting_text(a->settings, SETTING_LOG_LEVEL);
  enum log_format f = strcmp(format, "json") == 0     ? LOG_JSON
                      : strcmp(format, "logfmt") == 0 ? LOG_LOGFMT
                                                      : LOG_AUTO;
  enum log_level l = strcmp(level, "debug") == 0 ? LOG_DEBUG : LOG_INFO;
  /* What a command has to say it says itself; the log of the parts is for those who ask. */
  if (!a->verbose) l = LOG_ERROR;
  return log_open(STDERR_FILENO, f, l, a->clock, &a->log) == ST_OK
             ? ST_OK
             : error_set(err, ST_NO_MEMORY, "Out of memory");
}

bool admin_settings(struct admin *a, struct error *err) {
  struct buffer warnings = {0};
  struct configure from = {.file = a->config,
                           .environment = a->environment,
                           .overrides = a->overrides,
                           .override_count = a->override_count};
  admin_appearance(a);
  enum status st = configure_load(&from, &a->settings, &warnings, err);
  if (st == ST_NOT_FOUND || st == ST_DENIED)
    err->status = ST_INVALID; /* of the file: wrong usage, not an empty answer */
  if (st == ST_OK) st = open_log(a, err);
  if (warnings.len > 0) {
    struct span text = span_trim(buffer_span(&warnings));
    for (const char *line = text.ptr, *end = text.ptr + text.len; line < end;) {
      const char *stop = memchr(line, '\n', (size_t)(end - line));
      if (!stop) stop = end;
      note(a, "warning: %.*s", (int)(stop - line), line);
      line = stop + 1;
    }
  }
  buffer_release(&warnings);
  return st == ST_OK;
}
