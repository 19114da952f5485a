/* Types without parts as JSON Schema: numbers by their range, texts by a pattern.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/json_schema/json_schema.h"

#include "bridge/json/json.h"

/* Of a calendar whose every day there is, as time_parse has it: years 0001 to 9999. */
#define YEAR "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP_YEAR "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
#define DATE                                                                                       \
  "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"         \
  "|02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP_YEAR "-02-29)"
#define TIME "([01][0-9]|2[0-3])(:[0-5][0-9]){2}"
#define MILLIS "([.][0-9]{1,3}0{0,6})?"
#define MICROS "([.][0-9]{1,6}0{0,3})?"
#define OFFSET "([Zz]|[+-]([01][0-9]|2[0-3])((:[0-5][0-9]){1,2}|([0-5][0-9]){1,2})?)?"

#define BASE64 "[A-Za-z0-9+/]"
#define ONE_BYTE BASE64 "[AQgw]=="
#define TWO_BYTES BASE64 "{2}[AEIMQUYcgkosw048]="

/* With ^ and $ around it. To some languages $ is also the place before a line's end, so that one
 * is ruled out by itself. */
static void put_pattern(struct buffer *out, const char *pattern, const char *more) {
  buffer_printf(out, "{\"type\": \"string\"%s, \"pattern\": ", more);
  struct buffer text = {0};
  buffer_printf(&text, "^%s$", pattern);
  json_write_string(out, buffer_span(&text));
  out->failed |= text.failed;
  buffer_release(&text);
  buffer_add_z(out, ", \"not\": {\"pattern\": \"\\n\"}}");
}

static void put_range(struct buffer *out, int64_t least, int64_t most) {
  buffer_printf(out, "{\"type\": \"integer\", \"minimum\": %lld, \"maximum\": %lld}",
                (long long)least, (long long)most);
}

/* ---- times ---- */

static void put_time(const struct type *t, struct buffer *out) {
  static const char *const patterns[] = {
      [LOGICAL_DATE] = DATE,
      [LOGICAL_TIME_MILLIS] = TIME MILLIS,
      [LOGICAL_TIME_MICROS] = TIME MICROS,
      [LOGICAL_TIMESTAMP_MILLIS] = DATE "[Tt ]" TIME MILLIS OFFSET,
      [LOGICAL_TIMESTAMP_MICROS] = DATE "[Tt ]" TIME MICROS OFFSET,
      [LOGICAL_LOCAL_MILLIS] = DATE "[Tt ]" TIME MILLIS,
      [LOGICAL_LOCAL_MICROS] = DATE "[Tt ]" TIME MICROS,
  };
  bool clock = t->logical == LOGICAL_TIME_MILLIS || t->logical == LOGICAL_TIME_MICROS;
  int64_t day = t->logical == LOGICAL_TIME_MILLIS ? INT64_C(86400000) : INT64_C(86400000000);
  bool small = t->kind == KIND_INT;
  buffer_add_z(out, "{\"anyOf\": [");
  put_range(out,
            clock   ? 0
            : small ? INT32_MIN
                    : INT64_MIN,
            clock   ? day - 1
            : small ? INT32_MAX
                    : INT64_MAX);
  buffer_add_z(out, ", ");
  put_pattern(out, patterns[t->logical], "");
  buffer_add_z(out, "]}");
}

/* ---- decimals ---- */

enum { DIGITS_SAID = 308 }; /* more before the point no double has */

static void put_digits(const struct type *t, struct buffer *out) {
  struct buffer pattern = {0};
  uint32_t whole = t->precision - t->scale;
  buffer_add_z(&pattern, "-?((0");
  if (whole == 1)
    buffer_add_z(&pattern, "|[1-9]");
  else if (whole)
    buffer_printf(&pattern, "|[1-9][0-9]{0,%u}", whole - 1);
  if (t->scale)
    buffer_printf(&pattern, ")([.][0-9]{1,%u}0*)?", t->scale);
  else
    buffer_add_z(&pattern, ")([.]0+)?");
  /* how many digits an exponent makes of it cannot be said */
  buffer_add_z(&pattern, "|(0|[1-9][0-9]*)([.][0-9]+)?[eE][+-]?[0-9]+)");
  put_pattern(out, buffer_z(&pattern), "");
  out->failed |= pattern.failed;
  buffer_release(&pattern);
}

static void put_bound(struct buffer *out, const char *word, const char *sign, uint32_t zeros) {
  buffer_printf(out, ", \"%s\": %s1", word, sign);
  while (zeros--) buffer_add_char(out, '0');
}

/* Not by multipleOf: 19.90 is none of 0.01 where numbers are doubles. */
static void put_decimal(const struct type *t, struct buffer *out) {
  uint32_t whole = t->precision - t->scale;
  buffer_printf(out, "{\"anyOf\": [{\"type\": \"%s\"", t->scale ? "number" : "integer");
  if (whole <= DIGITS_SAID) {
    put_bound(out, "exclusiveMinimum", "-", whole);
    put_bound(out, "exclusiveMaximum", "", whole);
  }
  buffer_add_z(out, "}, ");
  put_digits(t, out);
  buffer_add_z(out, "]}");
}

/* ---- the others ---- */

static void put_fixed(uint32_t size, struct buffer *out) {
  static const char *const patterns[] = {"(" BASE64 "{4})*", "(" BASE64 "{4})*" ONE_BYTE,
                                         "(" BASE64 "{4})*" TWO_BYTES};
  char length[64];
  uint32_t letters = (size + 2) / 3 * 4;
  snprintf(length, sizeof length, ", \"minLength\": %u, \"maxLength\": %u", letters, letters);
  put_pattern(out, patterns[size % 3], length);
}

static void put_bytes(const struct type *t, struct buffer *out) {
  if (t->logical == LOGICAL_DECIMAL)
    put_decimal(t, out);
  else if (t->logical == LOGICAL_UUID)
    put_pattern(out, "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "");
  else if (t->kind == KIND_FIXED)
    put_fixed(t->size, out);
  else if (t->kind == KIND_BYTES)
    put_pattern(out, "(" BASE64 "{4})*(" ONE_BYTE "|" TWO_BYTES ")?", "");
  else
    buffer_add_z(out, "{\"type\": \"string\"}");
}

static void put_symbols(const struct type *t, struct buffer *out) {
  buffer_add_z(out, "{\"enum\": [");
  for (uint32_t i = 0; i < t->count; i++) {
    if (i) buffer_add_z(out, ", ");
    json_write_string(out, t->symbols[i]);
  }
  buffer_add_z(out, "]}");
}

void json_schema_scalar(const struct type *t, struct buffer *out) {
  switch (t->kind) {
  case KIND_NULL: buffer_add_z(out, "{\"type\": \"null\"}"); return;
  case KIND_BOOLEAN: buffer_add_z(out, "{\"type\": \"boolean\"}"); return;
  case KIND_INT:
  case KIND_LONG:
    if (t->logical)
      put_time(t, out);
    else
      put_range(out, t->kind == KIND_INT ? INT32_MIN : INT64_MIN,
                t->kind == KIND_INT ? INT32_MAX : INT64_MAX);
    return;
  case KIND_FLOAT: /* what lies half way to the next one that a float had, and beyond */
    buffer_add_z(out, "{\"type\": \"number\", \"exclusiveMinimum\": -3.4028235677973366e38, "
                      "\"exclusiveMaximum\": 3.4028235677973366e38}");
    return;
  case KIND_DOUBLE:
    buffer_add_z(out, "{\"type\": \"number\", \"minimum\": -1.7976931348623157e308, "
                      "\"maximum\": 1.7976931348623157e308}");
    return;
  case KIND_BYTES:
  case KIND_STRING:
  case KIND_FIXED: put_bytes(t, out); return;
  case KIND_ENUM: put_symbols(t, out); return;
  case KIND_ARRAY:
  case KIND_MAP:
  case KIND_RECORD:
  case KIND_UNION: break;
  }
  BUG_ON(true);
}
