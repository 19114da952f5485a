/* log.h - one line per fact on stderr: logfmt on a terminal, JSON otherwise.
 *
 * Each line has ts, level, msg, component and `event`, a stable word operators can match on, plus
 * fields. Values are escaped (no control byte reaches the terminal); nobody passes a payload or a
 * secret. Keys, components and events are literals. The same event of the same component is written
 * at most 10 times in 10 s, then counted; when the 10 s are over the next line above debug, or
 * log_close, is preceded by one line of that event with the count in `repeated` (debug is not
 * limited). Any thread may write; a line is one write(2). Nobody waits for whoever reads: a line
 * that a pipe, a terminal or a socket does not take at once is dropped and counted, as one that
 * cannot be written; the next begins on a fresh line, behind one that says how many were. The
 * descriptor's own flags stay as they are.
 */
#ifndef BRIDGE_BASE_LOG_H
#define BRIDGE_BASE_LOG_H

#include "bridge/base/clock.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_LOGFMT, LOG_JSON };

struct log;

struct log_field {
  const char *key;
  enum { LOG_END = 0, LOG_TEXT, LOG_INT, LOG_FLOAT } type;
  struct span text;
  int64_t number;
  double real;
};
#define F_TEXT(k, z) ((struct log_field){.key = (k), .type = LOG_TEXT, .text = span_of(z)})
#define F_SPAN(k, s) ((struct log_field){.key = (k), .type = LOG_TEXT, .text = (s)})
#define F_INT(k, n) ((struct log_field){.key = (k), .type = LOG_INT, .number = (int64_t)(n)})
/* One that is not finite is written as null. */
#define F_FLOAT(k, f) ((struct log_field){.key = (k), .type = LOG_FLOAT, .real = (f)})
/* FIELDS(F_TEXT("topic", t), F_INT("partition", p)) or NO_FIELDS */
#define FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.key = NULL, .type = LOG_END}})
#define NO_FIELDS ((const struct log_field *)NULL)

/* First of all in a program: of the three standard descriptors those that are closed are held by
 * /dev/null, else the next file that is opened is one of them, and words meant for people go into
 * it. What is written to a closed standard output fails, as it should. */
void log_hold_descriptors(void);
MUST_CHECK enum status log_open(int fd, enum log_format format, enum log_level level,
                                const struct clock *clock, struct log **out);
void log_close(struct log *log);             /* NULL is fine; does not close fd */
uint64_t log_dropped(const struct log *log); /* lines so far; NULL log: 0 */
void log_set_level(struct log *log, enum log_level level);
bool log_enabled(const struct log *log, enum log_level level); /* NULL log: false */
/* log may be NULL: nothing is written. msg is one sentence that says what to do next where
 * something is to be done. */
void log_write(struct log *log, enum log_level level, const char *component, const char *event,
               const struct log_field *fields, const char *fmt, ...) PRINTF_LIKE(6, 7);

#endif
