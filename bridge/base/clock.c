/* The system's clocks and random numbers; times of RFC 3339 to microseconds and back, whatever
 * locale and time zone; uuids.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/clock.h"

#include <sys/random.h>
#include <time.h>

static int64_t system_wall_us(void *ctx) {
  (void)ctx;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t system_mono_ns(void *ctx) {
  (void)ctx;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t system_random(void *ctx) {
  (void)ctx;
  uint64_t r;
  if (getrandom(&r, sizeof r, 0) == (ssize_t)sizeof r) return r;
  return (uint64_t)system_mono_ns(NULL) * 0x9e3779b97f4a7c15u;
}

const struct clock clock_system = {system_wall_us, system_mono_ns, system_random, NULL};

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's formula). */
static int64_t days_of(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

/* The other way, for the years 1 to 9999. */
static void date_of(int64_t days, unsigned *y, unsigned *m, unsigned *d) {
  unsigned all = (unsigned)(days + 719468), era = all / 146097, doe = all % 146097;
  unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), from_march = (5 * doy + 2) / 153;
  *m = from_march < 10 ? from_march + 3 : from_march - 9;
  *d = doy - (153 * from_march + 2) / 5 + 1;
  *y = yoe + era * 400 + (*m <= 2);
}

struct cursor {
  const char *at, *end;
};

static bool digits(struct cursor *c, unsigned n, int64_t *out) {
  *out = 0;
  if (c->end - c->at < (ptrdiff_t)n) return false;
  for (; n; n--, c->at++) {
    if (*c->at < '0' || *c->at > '9') return false;
    *out = *out * 10 + (*c->at - '0');
  }
  return true;
}

static bool literal(struct cursor *c, char x) {
  if (c->at == c->end || *c->at != x) return false;
  c->at++;
  return true;
}

static bool fraction(struct cursor *c, int64_t *us) {
  *us = 0;
  if (!literal(c, '.')) return true;
  unsigned n = 0;
  for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, n++)
    if (n < 6) *us = *us * 10 + (*c->at - '0');
  for (unsigned i = n; i < 6; i++) *us *= 10;
  return n >= 1 && n <= 9;
}

/* +hh, then mm and ss where they stand, all with colons or all without. */
static bool zone(struct cursor *c, int64_t *seconds) {
  *seconds = 0;
  if (c->at == c->end || literal(c, 'Z') || literal(c, 'z')) return c->at == c->end;
  bool minus = *c->at == '-';
  if (*c->at != '+' && !minus) return false;
  c->at++;
  int64_t h, m = 0, s = 0;
  if (!digits(c, 2, &h)) return false;
  bool colons = c->at < c->end && *c->at == ':';
  if (c->at < c->end && ((colons && !literal(c, ':')) || !digits(c, 2, &m))) return false;
  if (c->at < c->end && ((colons && !literal(c, ':')) || !digits(c, 2, &s))) return false;
  if (h > 23 || m > 59 || s > 59) return false;
  *seconds = (h * 3600 + m * 60 + s) * (minus ? -1 : 1);
  return c->at == c->end;
}

static bool leap(int64_t y) {
  return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool date_valid(int64_t y, int64_t m, int64_t d) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return y >= 1 && m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] + (m == 2 && leap(y));
}

bool time_parse(struct span text, int64_t *us) {
  if (!text.len) return false;
  struct cursor c = {text.ptr, text.ptr + text.len};
  int64_t y, mo, d, h, mi, s, frac, off;
  if (!digits(&c, 4, &y) || !literal(&c, '-') || !digits(&c, 2, &mo) || !literal(&c, '-') ||
      !digits(&c, 2, &d))
    return false;
  if (!literal(&c, 'T') && !literal(&c, 't') && !literal(&c, ' ')) return false;
  if (!digits(&c, 2, &h) || !literal(&c, ':') || !digits(&c, 2, &mi) || !literal(&c, ':') ||
      !digits(&c, 2, &s))
    return false;
  if (!fraction(&c, &frac) || !zone(&c, &off)) return false;
  if (!date_valid(y, mo, d) || h > 23 || mi > 59 || s > 59) return false;
  *us = ((days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s) - off) * 1000000 + frac;
  return true;
}

/* 0001-01-01T00:00:00 and the last microsecond of 9999: what four digits of a year can say. */
#define TIME_FIRST (INT64_C(-62135596800) * 1000000)
#define TIME_LAST (INT64_C(253402300800) * 1000000 - 1)

static char *put_digits(char *at, unsigned value, unsigned n) {
  for (unsigned i = n; i-- > 0; value /= 10) at[i] = (char)('0' + value % 10);
  return at + n;
}

const char *time_format(int64_t us, char out[TIME_TEXT]) {
  if (us < TIME_FIRST) us = TIME_FIRST;
  if (us > TIME_LAST) us = TIME_LAST;
  int64_t seconds = us / 1000000, micro = us % 1000000;
  if (micro < 0) micro += 1000000, seconds--;
  int64_t days = seconds / 86400, rest = seconds % 86400;
  if (rest < 0) rest += 86400, days--;
  unsigned year, month, day, second = (unsigned)rest;
  date_of(days, &year, &month, &day);
  char *at = put_digits(out, year, 4);
  *at++ = '-', at = put_digits(at, month, 2);
  *at++ = '-', at = put_digits(at, day, 2);
  *at++ = 'T', at = put_digits(at, second / 3600, 2);
  *at++ = ':', at = put_digits(at, second / 60 % 60, 2);
  *at++ = ':', at = put_digits(at, second % 60, 2);
  *at++ = '.', at = put_digits(at, (unsigned)micro, 6);
  memcpy(at, "+00:00", 7);
  return out;
}

void uuid_make(const struct clock *c, char out[37]) {
  uint64_t a = c->random(c->ctx), b = c->random(c->ctx);
  a = (a & ~UINT64_C(0xf000)) | 0x4000;                 /* version 4 */
  b = (b & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62); /* variant 1 */
  snprintf(out, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32),
           (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xffff, (unsigned)(b >> 48),
           (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}
