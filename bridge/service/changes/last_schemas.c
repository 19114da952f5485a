/* The schemas as lines of a note, "EVENT TAB FINGERPRINT TAB TEXT", and those lines held against
 * what is in force.
 * Main thread, or the caller's; a crash leaves the old note or the new one. */
#include "bridge/service/changes/last_schemas.h"

#include "bridge/base/text/words.h"
#include "bridge/encoding/comparing/compatibility.h"

/* Of texts; the rest of a note that may be read is lines without one, which say less of a change.
 */
enum { TEXTS_MOST = NOTE_MOST / 2 };
#define NO_TEXT SPAN("-")

/* Ends of lines in a JSON text are white space. */
static void add_line(const struct catalog_schema *schema, struct span text, struct buffer *out) {
  buffer_printf(out, "%s\t%016llx\t", schema->event_name, (unsigned long long)schema->fingerprint);
  for (size_t i = 0; i < text.len; i++)
    buffer_add_char(out, (unsigned char)text.ptr[i] < ' ' ? ' ' : text.ptr[i]);
  buffer_add_char(out, '\n');
}

static enum status write_schemas(const struct catalog *c, struct buffer *out, struct error *err) {
  struct catalog_schema schema;
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && catalog_schema_at(c, i, &schema); i++) {
    struct buffer whole = {0};
    st = catalog_whole_text(c, schema.text, &whole, err);
    struct span text = span_trim(buffer_span(&whole));
    if (st == ST_OK) add_line(&schema, out->len + text.len < TEXTS_MOST ? text : NO_TEXT, out);
    buffer_release(&whole);
  }
  return st == ST_OK ? buffer_status(out, err) : st;
}

/* ---- lines ---- */

struct line {
  struct span event, print, text;
};

static bool next_line(struct span *rest, struct line *out) {
  while (rest->len) {
    struct span line = span_until(rest, '\n');
    out->event = span_until(&line, '\t');
    out->print = span_until(&line, '\t');
    out->text = line;
    if (out->text.len) return true; /* else not one of ours */
  }
  return false;
}

/* ---- what changed ---- */

struct changes {
  const struct catalog *catalog;
  schema_change_fn tell;
  void *ctx;
  struct buffer words;
  size_t at;                  /* the schema of the event before, or behind it: both are sorted */
  struct digest_set readable; /* prints of all that are in force or frozen */
};

static struct digest print_key(uint64_t print) {
  return (struct digest){print, 1};
}

static enum status collect_readable(struct changes *c, struct error *err) {
  struct catalog_schema one;
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && catalog_schema_at(c->catalog, i, &one); i++)
    st = digest_set_add(&c->readable, print_key(one.fingerprint));
  for (size_t n = 0; st == ST_OK && catalog_frozen(c->catalog, (struct span){0}, n, &one); n++)
    st = digest_set_add(&c->readable, print_key(one.fingerprint));
  return st == ST_OK ? st : error_set(err, st, "out of memory");
}

static bool is_readable(const struct changes *c, const struct line *was) {
  char print[17];
  snprintf(print, sizeof print, "%.*s", SPAN_ARGS(text_cut(was->print, sizeof print - 1)));
  return digest_set_has(&c->readable, print_key(strtoull(print, NULL, 16)));
}

static void first_reason(void *ctx, const struct incompatible *i) {
  struct buffer *words = ctx;
  if (!words->len) buffer_printf(words, "%.*s: %s", SPAN_ARGS(i->path), i->words);
}

/* A text that is not a schema (somebody else wrote the note) says nothing. */
static enum status compare_with(struct changes *c, const struct line *was,
                                const struct catalog_schema *now, struct error *err) {
  struct schema *old = NULL;
  bool compatible = true;
  buffer_clear(&c->words);
  enum status st = compatibility_read(was->text, &old, err);
  if (st != ST_OK) return st == ST_NO_MEMORY ? st : ST_OK;
  st = compatibility_check(now->schema, old, first_reason, &c->words, &compatible, err);
  compatibility_free(old);
  if (st != ST_OK) return st == ST_NO_MEMORY ? st : ST_OK;
  if (!compatible)
    c->tell(
        c->ctx, now->event_name, buffer_z(&c->words),
        "Consumers with the new schema cannot read the records that the old one wrote; busbridge "
        "schema check --against tells all of it");
  return ST_OK;
}

static enum status compare_line(struct changes *c, const struct line *was, struct error *err) {
  struct catalog_schema now;
  char event[EVENT_NAME_MAX + 1];
  int order = 1;
  while (catalog_schema_at(c->catalog, c->at, &now) &&
         (order = span_cmp(span_of(now.event_name), was->event)) < 0)
    c->at++;
  enum status st = order ? ST_OK : compare_with(c, was, &now, err);
  if (st != ST_OK || is_readable(c, was)) return st;
  snprintf(event, sizeof event, "%.*s", SPAN_ARGS(text_cut(was->event, EVENT_NAME_MAX)));
  c->tell(c->ctx, event,
          "its last schema is not in .history/, and records that it wrote are not readable",
          "Put the old file back, busbridge schema freeze it, then change it; or put it into "
          ".history/ of its folder");
  return ST_OK;
}

/* Both are sorted by the events' names. now: what is in force, from the event before on. */
static bool is_unchanged(const struct line *was, struct span *now) {
  struct span rest = *now;
  struct line is;
  while (next_line(&rest, &is)) {
    int order = span_cmp(is.event, was->event);
    if (!order) return span_eq(is.print, was->print) && span_eq(is.text, was->text);
    if (order > 0) return false;
    *now = rest;
  }
  return false;
}

enum status last_schemas_compare(const struct store *s, const struct catalog *c,
                                 schema_change_fn tell, void *ctx, bool *changed,
                                 struct error *err) {
  struct buffer was = {0}, is = {0};
  struct changes changes = {.catalog = c, .tell = tell, .ctx = ctx};
  struct line line;
  enum status st = write_schemas(c, &is, err);
  if (st == ST_OK) st = store_note_read(s, NOTE_SCHEMAS, &was, err);
  struct span rest = buffer_span(&was), now = buffer_span(&is);
  if (st == ST_TOO_LARGE) st = ST_NOT_FOUND; /* of one who wrote all of it */
  *changed = st == ST_NOT_FOUND || (st == ST_OK && !span_eq(rest, buffer_span(&is)));
  if (st == ST_NOT_FOUND) st = ST_OK;
  if (*changed && st == ST_OK) st = collect_readable(&changes, err);
  while (*changed && st == ST_OK && next_line(&rest, &line))
    if (!is_unchanged(&line, &now)) st = compare_line(&changes, &line, err);
  buffer_release(&changes.words);
  digest_set_release(&changes.readable);
  buffer_release(&was);
  buffer_release(&is);
  return st;
}

/* ---- by the owner ---- */

static void tell_log(void *ctx, const char *event, const char *words, const char *next) {
  log_write(ctx, LOG_WARNING, "service", "schema_changed", FIELDS(F_TEXT("name", event)),
            "The schema of %s changed: %s. %s", event, words, next);
}

void last_schemas_keep(struct store *s, const struct catalog *c, struct log *log) {
  struct error err = {0};
  struct buffer text = {0};
  bool changed = false;
  enum status st = last_schemas_compare(s, c, tell_log, log, &changed, &err);
  if (st == ST_OK && changed) st = write_schemas(c, &text, &err);
  if (st == ST_OK && changed) st = store_note_write(s, NOTE_SCHEMAS, buffer_span(&text), &err);
  buffer_release(&text);
  if (st != ST_OK)
    log_write(log, LOG_WARNING, "service", "schemas_not_kept", FIELDS(F_TEXT("error", err.text)),
              "A change of schemas is not told");
}
