/* examination.h - what an examination found: a line each with a verdict, the evidence and what to do. What doctor and
 * verify answer is made of it. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_EXAMINATION_H
#define BRIDGE_SERVICE_EXAMINATION_H

#include "bridge/base/span.h"

enum examined { EXAMINED_OK, EXAMINED_SKIPPED, EXAMINED_WARNING, EXAMINED_FAILED };

struct examination {
  struct buffer text;
  bool open; /* the last one is not complete: examination_next may add to it */
  size_t count, failures;
  enum examined worst;
};
/* One finding. Then, where something is to be done, what. */
void examination_found(struct examination *x, const char *check, enum examined verdict, const char *fmt, va_list args)
    PRINTF_LIKE(4, 0);
void examination_next(struct examination *x, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* "verdict": the worst, "unreachable", "checks": [...] as members of an object: {"check","verdict":"ok|warning|failed|
 * skipped","found","next":text|null}. */
void examination_write(struct examination *x, bool unreachable, struct buffer *json, bool *first);
void examination_release(struct examination *x);

#endif
