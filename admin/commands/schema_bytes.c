/* busbridge schema encode, decode: in base64, as tail prints what it cannot decode.
 * The command's one thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "admin/input/payload.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

enum status schema_encode(struct schema_call *c, struct error *err) {
  const char *file = c->count > 1 ? c->words[1] : "-";
  struct buffer payload = {0}, value = {0}, extra = {0}, shown = {0};
  enum status st = payload_read(c->a, file, &payload, err);
  if (st == ST_OK)
    st = schemas_encode(c->schemas, span_of(c->words[0]), buffer_span(&payload), &value, &extra,
                        err);
  if (st == ST_INVALID || st == ST_NOT_FOUND) err->status = ST_IO;
  if (st == ST_OK) {
    base64_write(&c->a->out, buffer_span(&value));
    buffer_add_char(&c->a->out, '\n');
  }
  if (st == ST_OK && extra.len && admin_flush(c->a) == CODE_OK) {
    text_printable(&shown, buffer_span(&extra));
    note(c->a, "beside it goes the header ce_extra: %s", buffer_z(&shown));
  }
  buffer_release(&payload);
  buffer_release(&value);
  buffer_release(&extra);
  buffer_release(&shown);
  return st;
}

enum status schema_decode(struct schema_call *c, struct error *err) {
  const char *file = c->count > 0 ? c->words[0] : "-";
  struct buffer text = {0}, value = {0};
  size_t left = 0;
  char count[COUNTED_TEXT];
  enum status st = payload_read(c->a, file, &text, err);
  if (st == ST_OK && !base64_read(span_trim(buffer_span(&text)), &value))
    st = error_set(err, ST_INVALID, "%s is not base64", file);
  if (st == ST_OK)
    st = schemas_decode(c->schemas, buffer_span(&value), span_of(c->extra), &c->a->out, &left, err);
  if (st == ST_OK) buffer_add_char(&c->a->out, '\n');
  if (left && admin_flush(c->a) == CODE_OK)
    note(c->a, "%s of the header no place in this value",
         counted_text(left, "member has", "members have", count));
  if (st == ST_INVALID || st == ST_NOT_FOUND) err->status = ST_IO;
  buffer_release(&text);
  buffer_release(&value);
  return st;
}
