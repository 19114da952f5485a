/* Dates, times and uuids: between their texts and the integers and bytes that Avro keeps.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/types/logical.h"

#include "bridge/base/clock.h"
#include "bridge/base/text/escape.h"

#define DAY_US INT64_C(86400000000)

static const struct {
  const char *name;
  int64_t unit_us;
  unsigned digits; /* of a second's fraction */
} logicals[] = {
    [LOGICAL_NONE] = {"", 0, 0},
    [LOGICAL_DECIMAL] = {"decimal", 0, 0},
    [LOGICAL_UUID] = {"uuid", 0, 0},
    [LOGICAL_DATE] = {"date", DAY_US, 0},
    [LOGICAL_TIME_MILLIS] = {"time-millis", 1000, 3},
    [LOGICAL_TIME_MICROS] = {"time-micros", 1, 6},
    [LOGICAL_TIMESTAMP_MILLIS] = {"timestamp-millis", 1000, 3},
    [LOGICAL_TIMESTAMP_MICROS] = {"timestamp-micros", 1, 6},
    [LOGICAL_LOCAL_MILLIS] = {"local-timestamp-millis", 1000, 3},
    [LOGICAL_LOCAL_MICROS] = {"local-timestamp-micros", 1, 6},
};

const char *logical_name(enum logical l) {
  return logicals[l].name;
}

enum logical logical_of(struct span word) {
  for (int l = LOGICAL_DECIMAL; l <= LOGICAL_LOCAL_MICROS; l++)
    if (span_is(word, logicals[l].name)) return (enum logical)l;
  return LOGICAL_NONE;
}

/* Anything but zeros behind the digits that are kept? */
static bool is_finer(struct span text, unsigned digits) {
  const char *dot = memchr(text.ptr, '.', text.len);
  size_t i = dot ? (size_t)(dot - text.ptr) + 1 + digits : text.len;
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
    if (text.ptr[i] != '0') return true;
  return false;
}

static bool has_offset(struct span time) {
  for (size_t i = 0; i < time.len; i++)
    if (time.ptr[i] == '+' || time.ptr[i] == '-' || (time.ptr[i] | 0x20) == 'z') return true;
  return false;
}

/* The text as a time of its own, by what it lacks. */
static bool read_us(const char *head, struct span text, const char *tail, int64_t *us) {
  char whole[64];
  int len = snprintf(whole, sizeof whole, "%s%.*s%s", head, SPAN_ARGS(text), tail);
  return len > 0 && (size_t)len < sizeof whole && time_parse(span_of(whole), us);
}

#define DATE_CHARACTERS 10

const char *logical_read(enum logical l, struct span text, int64_t *out) {
  bool day = l == LOGICAL_DATE, clock = l == LOGICAL_TIME_MILLIS || l == LOGICAL_TIME_MICROS;
  int64_t us = 0;
  if (!text.len || text.len > 40 || memchr(text.ptr, '\0', text.len) ||
      (day && text.len != DATE_CHARACTERS) ||
      !read_us(clock ? "1970-01-01T" : "", text, day ? "T00:00:00" : "", &us))
    return day ? "that is not a date" : "that is not such a time";
  bool local = l == LOGICAL_LOCAL_MILLIS || l == LOGICAL_LOCAL_MICROS;
  struct span time = clock ? text
                     : day ? (struct span){0}
                           : (struct span){text.ptr + DATE_CHARACTERS, text.len - DATE_CHARACTERS};
  if ((local || clock) && has_offset(time)) return "with an offset";
  if (!day && is_finer(time, logicals[l].digits)) return "with digits beyond the unit";
  int64_t unit = logicals[l].unit_us;
  *out = us / unit - (us % unit < 0);
  return NULL;
}

bool logical_holds(enum logical l, int64_t value) {
  if (l != LOGICAL_TIME_MILLIS && l != LOGICAL_TIME_MICROS) return true;
  return value >= 0 && value < DAY_US / logicals[l].unit_us;
}

bool logical_write(enum logical l, int64_t value, struct buffer *out) {
  char text[TIME_TEXT];
  int64_t us, back;
  if (!logical_holds(l, value) || __builtin_mul_overflow(value, logicals[l].unit_us, &us))
    return false;
  struct span shown = span_of(time_format(us, text));
  if (!time_parse(shown, &back) || back != us) return false;
  size_t time = DATE_CHARACTERS + 1, offset = shown.len - 6;
  if (l == LOGICAL_DATE) shown.len = DATE_CHARACTERS;
  if (l == LOGICAL_TIME_MILLIS || l == LOGICAL_TIME_MICROS)
    shown = (struct span){shown.ptr + time, offset - time};
  if (l == LOGICAL_LOCAL_MILLIS || l == LOGICAL_LOCAL_MICROS) shown.len = offset;
  buffer_add(out, shown);
  return true;
}

bool uuid_read(struct span text, char out[UUID_BYTES]) {
  size_t n = 0;
  if (text.len != 36) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text.ptr[i] != '-') return false;
      continue;
    }
    int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
    if (high < 0 || low < 0) return false;
    out[n++] = (char)(high << 4 | low);
    i++;
  }
  return true;
}

void uuid_write(const char bytes[UUID_BYTES], struct buffer *out) {
  for (size_t i = 0; i < UUID_BYTES; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) buffer_add_char(out, '-');
    hex_write(out, (struct span){bytes + i, 1});
  }
}
