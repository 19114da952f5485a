/* findings.h - what an examination found: a line each with a verdict, the evidence and what to do. What doctor and
 * verify answer is made of it. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_FINDINGS_H
#define BRIDGE_SERVICE_FINDINGS_H

#include "bridge/base/span.h"

enum finding { FINDING_OK, FINDING_SKIPPED, FINDING_WARNING, FINDING_FAILED };

struct findings {
  struct buffer text;
  bool open; /* the last one is not complete: findings_next may add to it */
  size_t count, failures;
  enum finding worst;
};
/* One finding. Then, where something is to be done, what. */
void findings_add(struct findings *f, const char *check, enum finding verdict, const char *fmt, va_list args)
    PRINTF_LIKE(4, 0);
void findings_next(struct findings *f, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* "verdict": the worst, "unreachable", "checks": [...] as members of an object: {"check","verdict":"ok|warning|failed|
 * skipped","found","next":text|null}. */
void findings_write(struct findings *f, bool unreachable, struct buffer *json, bool *first);
void findings_release(struct findings *f);

#endif
