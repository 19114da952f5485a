/* How every check says what it found.
 * One thread; a crash leaves nothing. */
#include "bridge/service/doctor/parts.h"

void doctor_found(struct doctor *d, const char *check, enum report_verdict verdict, const char *fmt,
                  ...) {
  va_list args;
  va_start(args, fmt);
  report_found(&d->found, check, verdict, fmt, args);
  va_end(args);
}

void doctor_next(struct doctor *d, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  report_next(&d->found, fmt, args);
  va_end(args);
}
