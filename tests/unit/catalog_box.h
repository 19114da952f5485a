/* catalog_box.h - a catalog of schemas for each test, and the last event that went through it and
 * back. */
#ifndef TESTS_UNIT_CATALOG_BOX_H
#define TESTS_UNIT_CATALOG_BOX_H

#include "bridge/encoding/catalog.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_HEAD                                                                                 \
  "{\"id\": \"e-1\", \"name\": \"x.y\", \"created_at\": \"2025-09-22T03:04:05\", \"status\": \"pending\", "

/* A catalog, and the last event that went through it. */
struct run {
  char folder[64]; /* of schemas made by the test */
  char at[128];    /* the folder it was opened with */
  struct catalog *c;
  struct buffer entry, bytes, text;
  struct json_doc doc;
  struct arena arena;
  struct error err;
  int log_pipe[2];
  struct log *log;
};

static inline void open_catalog(struct run *r, const char *folder, enum framing framing,
                                bool strict) {
  struct catalog_config config = {.folder = folder,
                                  .framing = framing,
                                  .unknown_fields = strict ? UNKNOWN_REFUSE : UNKNOWN_CARRY};
  snprintf(r->at, sizeof r->at, "%s", folder);
  catalog_close(r->c);
  enum status st = catalog_open(&config, r->log, &r->c, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
}

static inline int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  folder_make(r->folder, sizeof r->folder, "encoding");
  assert_int_equal(pipe(r->log_pipe), 0);
  assert_int_equal(log_open(r->log_pipe[1], LOG_LOGFMT, LOG_INFO, &clock_system, &r->log), ST_OK);
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_SINGLE_OBJECT, false);
  *state = r;
  return 0;
}

static inline int teardown(void **state) {
  struct run *r = *state;
  catalog_close(r->c);
  log_close(r->log);
  close(r->log_pipe[0]);
  close(r->log_pipe[1]);
  buffer_release(&r->entry);
  buffer_release(&r->bytes);
  buffer_release(&r->text);
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  int rc = folder_remove(r->folder);
  free(r);
  return rc;
}

/* Everything logged since the last call. */
static inline const char *logged(struct run *r, char *text, size_t size) {
  static const char end[] = "(end)";
  assert_int_equal(write(r->log_pipe[1], end, sizeof end), sizeof end);
  ssize_t n = read(r->log_pipe[0], text, size - 1);
  assert_true(n > 0);
  text[n] = '\0';
  return text;
}

static inline void put(struct run *r, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", r->folder, name);
  char *slash = strrchr(path, '/');
  *slash = '\0';
  (void)mkdir(path, 0700);
  *slash = '/';
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

#define ENVELOPE_SCHEMA                                                                                    \
  "{\"type\": \"record\", \"name\": \"Envelope\", \"fields\": [{\"name\": \"id\", \"type\": \"string\"}, " \
  "{\"name\": \"name\", \"type\": \"string\"}, {\"name\": \"created_at\", \"type\": \"string\"}, "         \
  "{\"name\": \"payload\", \"type\": \"string\", \"json\": true}]}"

/* A catalog of one event t.e with the fields given, no framing. */
static inline void open_fields(struct run *r, const char *fields, bool strict) {
  struct buffer text = {0};
  buffer_printf(&text, "{\"type\": \"record\", \"name\": \"E\", \"fields\": [%s]}", fields);
  put(r, "envelope.avsc", ENVELOPE_SCHEMA);
  put(r, "t/e.avsc", buffer_z(&text));
  buffer_release(&text);
  open_catalog(r, r->folder, FRAMING_RAW, strict);
}

static inline enum reason encode_entry(struct run *r, const char *name, struct span entry) {
  struct event event;
  arena_reset(&r->arena);
  buffer_clear(&r->bytes);
  r->err = (struct error){0};
  buffer_clear(&r->entry);
  buffer_add(&r->entry, entry);
  assert_int_equal(json_scan(&r->doc, buffer_span(&r->entry), &r->err), ST_OK);
  assert_int_equal(event_parse(&r->doc, &r->arena, &event, &r->err), REASON_NONE);
  buffer_add_z(&r->bytes, "<"); /* what is there stays */
  enum reason reason =
      catalog_encode(r->c, &r->doc, &event, span_of(name), 1758510245000000, &r->bytes, &r->err);
  assert_int_equal(buffer_status(&r->bytes, NULL), ST_OK);
  assert_int_equal(r->bytes.ptr[0], '<');
  memmove(r->bytes.ptr, r->bytes.ptr + 1, --r->bytes.len);
  return reason;
}

static inline enum reason encode(struct run *r, const char *name, const char *payload) {
  struct buffer entry = {0};
  buffer_printf(&entry, ENTRY_HEAD "\"payload\": %s}", payload);
  enum reason reason = encode_entry(r, name, buffer_span(&entry));
  buffer_release(&entry);
  return reason;
}

static inline const char *decode_as(struct run *r, const char *content_type, const char *name) {
  buffer_clear(&r->text);
  buffer_add_z(&r->text, ">");
  enum status st = catalog_decode(r->c, buffer_span(&r->bytes), span_of(content_type),
                                  span_of(name), &r->text, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
  return buffer_z(&r->text) + 1;
}

static inline void assert_round(struct run *r, const char *name, const char *payload,
                                const char *back) {
  enum reason reason = encode(r, name, payload);
  if (reason != REASON_NONE) print_message("%s\n", r->err.text);
  assert_int_equal(reason, REASON_NONE);
  assert_string_equal(decode_as(r, "", name), back);
}

/* "@" in the text: the folder that the catalog was opened with. */
static inline void assert_refused(struct run *r, const char *name, const char *payload,
                                  enum reason reason, const char *text) {
  struct buffer said = {0};
  for (; *text; text++) *text == '@' ? buffer_add_z(&said, r->at) : buffer_add_char(&said, *text);
  assert_int_equal(encode(r, name, payload), reason);
  assert_string_equal(r->err.text, buffer_z(&said));
  assert_int_equal(r->bytes.len, 0);
  buffer_release(&said);
}

static inline void assert_hex(const struct run *r, const char *hex) {
  struct buffer made = {0};
  for (size_t i = 0; i < r->bytes.len; i++)
    buffer_printf(&made, "%02x", (unsigned char)r->bytes.ptr[i]);
  assert_string_equal(buffer_z(&made), hex);
  buffer_release(&made);
}

/* Bytes on the wire */

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
