/* Tokens: a row's number and id as one word.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/table.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/outbox/database/row.h"

#include <inttypes.h>

enum { DIGEST_DIGITS = 32 };

static void digest_text(struct span id, char out[DIGEST_DIGITS + 1]) {
  struct digest d = digest_fixed(id);
  snprintf(out, DIGEST_DIGITS + 1, "%016" PRIx64 "%016" PRIx64, d.hi, d.lo);
}

size_t row_token(int64_t seq, struct span id, char out[ROW_TOKEN_MOST]) {
  char digits[DIGEST_DIGITS + 1];
  size_t len = number_digits((uint64_t)seq, out);
  bool valid = event_id_valid(id);
  if (!valid) digest_text(id, digits);
  out[len++] = valid ? '-' : '+';
  struct span rest = valid ? id : (struct span){digits, DIGEST_DIGITS};
  memcpy(out + len, rest.ptr, rest.len);
  len += rest.len;
  out[len] = '\0';
  return len;
}

bool row_name_read(struct span token, struct row_name *out) {
  size_t digits = 0;
  uint64_t seq;
  while (digits < token.len && token.ptr[digits] >= '0' && token.ptr[digits] <= '9') digits++;
  if (digits == token.len) return false;
  out->digest = token.ptr[digits] == '+';
  out->id = (struct span){token.ptr + digits + 1, token.len - digits - 1};
  if (!number_parse((struct span){token.ptr, digits}, INT64_MAX, &seq)) return false;
  out->seq = (int64_t)seq;
  if (out->digest) return out->id.len == DIGEST_DIGITS && hex_lower(out->id);
  return token.ptr[digits] == '-' && event_id_valid(out->id);
}

bool row_is(const struct db_row *row, const struct row_name *name) {
  char digits[DIGEST_DIGITS + 1];
  if (row->seq != name->seq) return false;
  if (!name->digest) return span_eq(row->id, name->id);
  digest_text(row->id, digits);
  return span_is(name->id, digits) && !event_id_valid(row->id);
}
