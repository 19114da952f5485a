/* clock.h - time and randomness, passed in so that tests choose them.
 *
 * Wall times are int64_t microseconds since 1970 UTC; TIME_NONE means "not known". Monotonic times
 * are int64_t nanoseconds of CLOCK_MONOTONIC and only ever subtracted. Durations in settings are
 * int64_t milliseconds.
 */
#ifndef BRIDGE_BASE_CLOCK_H
#define BRIDGE_BASE_CLOCK_H

#include "bridge/base/span.h"

#define TIME_NONE INT64_MIN

struct clock {
  int64_t (*wall_us)(void *ctx);
  int64_t (*mono_ns)(void *ctx);
  uint64_t (*random)(void *ctx); /* 64 random bits */
  void *ctx;
};
extern const struct clock clock_system; /* any thread */

static inline int64_t clock_wall_us(const struct clock *c) {
  return c->wall_us(c->ctx);
}
static inline int64_t clock_mono_ns(const struct clock *c) {
  return c->mono_ns(c->ctx);
}
static inline int64_t clock_mono_ms(const struct clock *c) {
  return c->mono_ns(c->ctx) / 1000000;
}

/* ISO 8601 as producers write it: date, 'T' or a space, time, 1-9 fraction digits (cut to
 * microseconds), offset
 * "+hh:mm", "+hhmm", "+hh", "Z" or none (UTC); an offset may have seconds, the letters may be
 * small. False for anything else. */
bool time_parse(struct span text, int64_t *us);
#define TIME_TEXT 40
/* "2025-09-22T03:04:05.123456+00:00": always six digits and +00:00. Times outside the years 1 to
 * 9999 (so TIME_NONE too) become the nearest one inside. out has TIME_TEXT bytes; returns out. */
const char *time_format(int64_t us, char out[TIME_TEXT]);
/* A new random uuid4 in text, 36 characters and a NUL. */
void uuid_make(const struct clock *c, char out[37]);

#endif
