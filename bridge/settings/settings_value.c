/* What a value may look like, by type; what its range is, in words; and which known word is nearest
 * to one mistyped.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/settings/settings_private.h"

#include <ctype.h>

struct unit {
  const char *word;
  int64_t factor;
};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}, {"d", DAY}};
static const struct unit size_units[] = {{"", 1},         {"B", 1},          {"KiB", KIB},
                                         {"MiB", MIB},    {"GiB", GIB},      {"kB", 1000},
                                         {"MB", 1000000}, {"GB", 1000000000}};
#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* "-12ms" -> -12 and "ms"; false when it does not begin with a number. Too many digits stick at the
 * end of the range.
 */
static bool number_and_rest(struct span text, int64_t *number, struct span *rest) {
  size_t i = text.len > 0 && text.ptr[0] == '-' ? 1 : 0, first = i;
  int64_t sign = i ? -1 : 1, n = 0;
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
    if (__builtin_mul_overflow(n, 10, &n) ||
        __builtin_add_overflow(n, sign * (text.ptr[i] - '0'), &n))
      n = sign > 0 ? INT64_MAX : INT64_MIN;
  *number = n;
  *rest = (struct span){text.ptr + i, text.len - i};
  return i > first;
}

static void print_unit(struct buffer *out, int64_t n, const struct unit *units, size_t count,
                       size_t smallest) {
  const struct unit *best = &units[smallest];
  for (size_t i = 0; i < count; i++)
    if (n != 0 && n % units[i].factor == 0 && units[i].factor > best->factor) best = &units[i];
  buffer_printf(out, "%lld%s", (long long)(n / best->factor), best->word);
}

static void print_value(const struct setting_row *row, int64_t n, struct buffer *out) {
  if (row->type == SETTING_DURATION)
    print_unit(out, n, time_units, COUNT_OF(time_units), n == 0 ? 1 : 0);
  else if (row->type == SETTING_BYTES)
    print_unit(out, n, size_units, 5, 0); /* the binary ones */
  else
    buffer_printf(out, "%lld", (long long)n);
}

void setting_range(const struct setting_row *row, struct buffer *out) {
  if (row->type != SETTING_NUMBER && row->type != SETTING_DURATION && row->type != SETTING_BYTES)
    return;
  if (row->high == INT64_MAX) buffer_add_z(out, "at least ");
  print_value(row, row->low, out);
  if (row->high == INT64_MAX) return;
  buffer_add_z(out, " to ");
  print_value(row, row->high, out);
}

static enum status in_range(const struct setting_row *row, int64_t n, struct error *why) {
  if (n >= row->low && n <= row->high) return ST_OK;
  struct buffer range = {0};
  setting_range(row, &range);
  error_set(why, ST_INVALID, "out of range, which is %s", buffer_z(&range));
  buffer_release(&range);
  return ST_INVALID;
}

/* "1.5s": *number becomes 15 and *scale 10. False where no digits, or too many of them, follow the
 * point. */
static bool take_fraction(struct span text, int64_t *number, struct span *rest, int64_t *scale) {
  size_t digits = 0;
  if (rest->len == 0 || rest->ptr[0] != '.') return true;
  if (text.ptr[0] == '-') return false;
  for (*rest = (struct span){rest->ptr + 1, rest->len - 1};
       rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9'; digits++) {
    if (digits == 9 || __builtin_mul_overflow(*number, 10, number)) return false;
    *number += rest->ptr[0] - '0';
    *scale *= 10;
    *rest = (struct span){rest->ptr + 1, rest->len - 1};
  }
  return digits > 0;
}

static enum status parse_unit(const struct setting_row *row, struct span text,
                              const struct unit *units, size_t count, const char *complaint,
                              int64_t *number, struct error *why) {
  struct span rest;
  int64_t scale = 1;
  if (!number_and_rest(text, number, &rest) || !take_fraction(text, number, &rest, &scale))
    return error_set(why, ST_INVALID, "%s", complaint);
  for (size_t i = 0; i < count; i++) {
    if (!span_is(rest, units[i].word)) continue;
    bool negative = *number < 0;
    if (__builtin_mul_overflow(*number, units[i].factor, number))
      *number = negative ? INT64_MIN : INT64_MAX;
    /* A row without an upper limit still refuses what does not fit its type. */
    if (*number == INT64_MAX) return error_set(why, ST_INVALID, "too large a number");
    if (*number % scale != 0)
      return error_set(why, ST_INVALID, "is not a whole number of %s",
                       units[0].word[0] ? "ms" : "bytes");
    *number /= scale;
    return in_range(row, *number, why);
  }
  return error_set(why, ST_INVALID, "%s", complaint);
}

static enum status parse_bool(struct span text, int64_t *number, struct error *why) {
  static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off",
                                                                              "0"};
  for (size_t i = 0; i < COUNT_OF(yes); i++) {
    *number = span_is(text, yes[i]);
    if (*number || span_is(text, no[i])) return ST_OK;
  }
  return error_set(why, ST_INVALID, "must be true or false");
}

static enum status parse_choice(const struct setting_row *row, struct span text,
                                struct error *why) {
  struct span rest = span_of(row->choices), word;
  struct buffer list = {0};
  bool found = false;
  while (!found && span_word(&rest, &word)) {
    found = span_eq(word, text);
    buffer_printf(&list, "%s%.*s", list.len ? ", " : "", SPAN_ARGS(word));
  }
  struct span near = setting_nearest_choice(row, text);
  if (!found && near.len > 0)
    error_set(why, ST_INVALID, "must be one of %s; did you mean %.*s?", buffer_z(&list),
              SPAN_ARGS(near));
  else if (!found)
    error_set(why, ST_INVALID, "must be one of %s", buffer_z(&list));
  buffer_release(&list);
  return found ? ST_OK : ST_INVALID;
}

enum status setting_parse(const struct setting_row *row, struct span text, int64_t *number,
                          struct error *why) {
  struct span rest;
  *number = 0;
  switch (row->type) {
  case SETTING_TEXT: return ST_OK;
  case SETTING_BOOL: return parse_bool(text, number, why);
  case SETTING_CHOICE: return parse_choice(row, text, why);
  case SETTING_DURATION:
    return parse_unit(row, text, time_units, COUNT_OF(time_units),
                      "a duration needs a unit: ms, s, m, h or d (like 30s)", number, why);
  case SETTING_BYTES:
    return parse_unit(
        row, text, size_units, COUNT_OF(size_units),
        "a size is a whole number, with KiB, MiB, GiB, kB, MB, GB or nothing after it (like 4MiB)",
        number, why);
  case SETTING_NUMBER:
    if (number_and_rest(text, number, &rest) && rest.len == 0) return in_range(row, *number, why);
    return error_set(why, ST_INVALID, "must be a whole number");
  }
  return error_set(why, ST_INVALID, "no such type");
}

/* Letters of either case are alike; in a variable the dots of a key are underscores. */
static struct span fold(struct span s, bool variable, char out[WORD_FAR]) {
  if (s.len > WORD_FAR) return s;
  for (size_t i = 0; i < s.len; i++)
    out[i] = variable && s.ptr[i] == '.' ? '_' : (char)tolower((unsigned char)s.ptr[i]);
  return (struct span){out, s.len};
}

static size_t distance(struct span a, struct span b, bool variable) {
  char folded[2][WORD_FAR];
  return word_distance(fold(a, variable, folded[0]), fold(b, variable, folded[1]));
}

static const char *nearest(struct span key, bool variable) {
  const char *best = NULL;
  size_t least = key.len / 4 + 1; /* further off is another word */
  for (int i = 0; i < SETTING_COUNT; i++) {
    const char *known = setting_row((enum setting)i)->key;
    size_t d = distance(key, span_of(known), variable);
    /* "interval" for flush.interval: the group was forgotten */
    if (key.len > 3 && strlen(known) > key.len && known[strlen(known) - key.len - 1] == '.' &&
        !memcmp(known + strlen(known) - key.len, key.ptr, key.len))
      d = 0;
    if (d > least || (d == least && best)) continue;
    least = d;
    best = known;
  }
  return best;
}

const char *setting_nearest(struct span key) {
  if (span_is(key, "bootstrap.servers")) return "kafka.bootstrap.servers";
  return nearest(key, false);
}

const char *setting_nearest_variable(struct span name) {
  return nearest(name, true);
}

struct span setting_nearest_choice(const struct setting_row *row, struct span text) {
  struct span rest = span_of(row->choices), word, best = SPAN("");
  size_t least = text.len / 3 + 1;
  while (span_word(&rest, &word)) {
    size_t d = distance(text, word, false);
    if (d > least || (d == least && best.len > 0)) continue;
    least = d;
    best = word;
  }
  return best;
}
