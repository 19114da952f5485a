/* avro.c - the encoder, for other implementations to be held against
 * (tests/integration/avro_test.py).
 *
 * Reads lines of words divided by tabs, answers each with one line:
 *   compatible READER WRITER   yes, or no and the reasons: WORD PATH, divided by tabs
 *   canonical SCHEMA           the canonical form and the fingerprint
 *   encode SCHEMA JSON         the value's bytes in hex
 *   decode SCHEMA HEX          the value as JSON
 * What is refused is answered by "error" and the words. */
#include "bridge/encoding/comparing/compatibility.h"
#include "bridge/encoding/values/decode.h"
#include "bridge/encoding/values/encode.h"

static void reason(void *ctx, const struct incompatible *i) {
  buffer_printf(ctx, "\t%s %.*s", incompatibility_name(i->what), SPAN_ARGS(i->path));
}

static enum status compatible(const char **words, struct buffer *out, struct error *err) {
  struct schema *reader = NULL, *writer = NULL;
  struct buffer reasons = {0};
  bool yes = false;
  enum status st = compatibility_read(span_of(words[1]), &reader, err);
  if (st == ST_OK) st = compatibility_read(span_of(words[2]), &writer, err);
  if (st == ST_OK) st = compatibility_check(reader, writer, reason, &reasons, &yes, err);
  BUG_ON(st == ST_OK && yes == (reasons.len > 0));
  if (st == ST_OK) buffer_add_z(out, yes ? "yes" : "no");
  if (st == ST_OK) buffer_add(out, buffer_span(&reasons));
  compatibility_free(reader);
  compatibility_free(writer);
  buffer_release(&reasons);
  return st;
}

static enum status canonical(struct schema *s, struct buffer *out) {
  buffer_add(out, s->canonical);
  buffer_printf(out, "\t%016llx", (unsigned long long)s->fingerprint);
  return ST_OK;
}

static enum status encode(struct schema *s, const char *text, struct buffer *out,
                          struct error *err) {
  struct json_doc doc = {0};
  struct buffer bytes = {0};
  struct encoder e = {.doc = &doc, .out = &bytes, .err = err};
  enum status st = json_scan(&doc, span_of(text), err);
  if (st == ST_OK && encode_use(&e, &s->root, 0) != REASON_NONE) st = ST_INVALID;
  for (size_t i = 0; st == ST_OK && i < bytes.len; i++)
    buffer_printf(out, "%02x", (unsigned char)bytes.ptr[i]);
  encoder_release(&e);
  json_doc_release(&doc);
  buffer_release(&bytes);
  return st;
}

static enum status decode(struct schema *s, const char *hex, struct buffer *out,
                          struct error *err) {
  struct json_doc doc = {0};
  struct buffer bytes = {0};
  for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2) buffer_add_char(&bytes, (char)byte);
  enum status st =
      decode_value(&s->root, buffer_span(&bytes), 0, (struct span){NULL, 0}, &doc, out, err);
  json_doc_release(&doc);
  buffer_release(&bytes);
  return st;
}

static enum status answer(const char **words, struct buffer *out, struct error *err) {
  if (strcmp(words[0], "compatible") == 0) return compatible(words, out, err);
  struct schema s;
  enum status st = schema_read(span_of(words[1]), NULL, &s, err);
  if (st != ST_OK) return st;
  if (strcmp(words[0], "canonical") == 0)
    st = canonical(&s, out);
  else if (strcmp(words[0], "encode") == 0)
    st = encode(&s, words[2], out, err);
  else
    st = decode(&s, words[2], out, err);
  schema_release(&s);
  return st;
}

int main(void) {
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    const char *words[3] = {"", "", ""};
    char *rest = line;
    struct buffer out = {0};
    struct error err = {0};
    for (size_t i = 0; i < 3 && rest; i++) words[i] = strsep(&rest, "\t\n");
    enum status st = answer(words, &out, &err);
    if (st == ST_OK)
      printf("%s\n", buffer_z(&out));
    else
      printf("error\t%s\n", err.text);
    fflush(stdout);
    buffer_release(&out);
  }
  free(line);
  return 0;
}
