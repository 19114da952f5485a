/* report.h - what an examination found: a line each with a verdict, the evidence and what to do.
 * What doctor and verify answer is made of it. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_REPORT_H
#define BRIDGE_SERVICE_REPORT_H

#include "bridge/base/span.h"

enum report_verdict { REPORT_OK, REPORT_SKIPPED, REPORT_WARNING, REPORT_FAILED };

struct report {
  struct buffer text;
  bool open; /* the last one is not complete: report_next may add to it */
  size_t count, failures;
  enum report_verdict worst;
};
/* One finding. Then, where something is to be done, what. */
void report_found(struct report *x, const char *check, enum report_verdict verdict, const char *fmt,
                  va_list args) PRINTF_LIKE(4, 0);
void report_next(struct report *x, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* "verdict": the worst, "unreachable", "checks": [...] as members of an object:
 * {"check","verdict":"ok|warning|failed| skipped","found","next":text|null}. */
void report_write(struct report *x, bool unreachable, struct buffer *json, bool *first);
void report_release(struct report *x);

#endif
