/* The text of an entry after a verdict: with its attempts and error, in the dead form, or pending
 * again.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/moves/entry_moves.h"

/* Members of an entry that a verdict sets. Values that vary are built in one buffer; the list holds
 * offsets until then.
 */
#define CHANGES 16
struct changes {
  struct buffer text;
  const char *key[CHANGES];
  size_t at[CHANGES], len[CHANGES];
  size_t count;
};

static void change_begin(struct changes *c, const char *key) {
  BUG_ON(c->count == CHANGES);
  c->key[c->count] = key;
  c->at[c->count] = c->text.len;
}

static void change_end(struct changes *c) {
  c->len[c->count] = c->text.len - c->at[c->count];
  c->count++;
}

static void change_text(struct changes *c, const char *key, struct span value) {
  change_begin(c, key);
  json_write_string(&c->text, value);
  change_end(c);
}

static void change_int(struct changes *c, const char *key, int64_t value) {
  change_begin(c, key);
  json_write_int(&c->text, value);
  change_end(c);
}

static void change_null(struct changes *c, const char *key) {
  change_begin(c, key);
  buffer_add_z(&c->text, "null");
  change_end(c);
}

static void change_time(struct changes *c, const char *key, int64_t us) {
  char text[TIME_TEXT];
  change_text(c, key, span_of(time_format(us, text)));
}

static enum status changes_apply(struct changes *c, const struct json_doc *doc, struct buffer *out,
                                 struct error *err) {
  struct event_change list[CHANGES];
  for (size_t i = 0; i < c->count; i++)
    list[i] = (struct event_change){c->key[i], {c->text.ptr + c->at[i], c->len[i]}};
  enum status st = buffer_status(&c->text, err);
  if (st != ST_OK) return st;
  event_rewrite(doc, list, c->count, out);
  return buffer_status(out, err);
}

/* ---- the forms ---- */

static const char *words(const struct failure *why) {
  return why->error ? why->error : reason_word(why->reason);
}

static int64_t first_failure(const struct fs_loaded *d, const struct failure *why) {
  return d->event.first_failed_us != TIME_NONE ? d->event.first_failed_us : why->failed_us;
}

static enum status retry_form(const struct fs_loaded *d, const struct failure *why,
                              struct buffer *out, struct error *err) {
  struct changes c = {0};
  change_int(&c, "attempts", why->attempts);
  change_text(&c, "last_error", span_of(words(why)));
  change_time(&c, "failed_at", why->failed_us);
  change_time(&c, "first_failed_at", first_failure(d, why));
  enum status st = changes_apply(&c, &d->doc, out, err);
  buffer_release(&c.text);
  return st;
}

static bool lacks(const struct fs_loaded *d, const char *key) {
  return json_member(&d->doc, 0, key) == JSON_NONE;
}

/* The producers' keys that are missing are added, so that their own tools list it; what they wrote
 * stays. */
static enum status dead_form(const struct fs_loaded *d, const char *name, const struct failure *why,
                             struct buffer *out, struct error *err) {
  struct changes c = {0};
  if (lacks(d, "created_at")) change_time(&c, "created_at", d->stamp.mtime_ns / 1000);
  change_int(&c, "attempts", why->attempts);
  if (!d->typed && lacks(d, "dispatched_at")) change_null(&c, "dispatched_at");
  change_text(&c, "last_error", span_of(words(why)));
  change_time(&c, "failed_at", why->failed_us);
  change_text(&c, "status", d->typed ? SPAN("errored") : SPAN("dlq"));
  if (!d->typed && lacks(d, "storage_key"))
    change_text(&c, "storage_key", (struct span){name, strlen(name) - 5});
  change_text(&c, "reason", span_of(reason_word(why->reason)));
  if (why->error_code)
    change_int(&c, "error_code", why->error_code);
  else
    change_null(&c, "error_code");
  if (why->topic)
    change_text(&c, "topic", span_of(why->topic));
  else
    change_null(&c, "topic");
  change_time(&c, "first_failed_at", first_failure(d, why));
  enum status st = changes_apply(&c, &d->doc, out, err);
  buffer_release(&c.text);
  return st;
}

enum status fs_failed_form(const struct fs_loaded *d, const char *name, const struct fs_failed *f,
                           struct buffer *out, struct error *err) {
  return f->dead ? dead_form(d, name, &f->why, out, err) : retry_form(d, &f->why, out, err);
}

enum status fs_pending_form(const struct fs_loaded *d, struct buffer *out, struct error *err) {
  static const char *const cleared[] = {"reason", "error_code", "topic", "first_failed_at"};
  struct changes c = {0};
  change_int(&c, "attempts", 0);
  change_null(&c, "last_error");
  change_null(&c, "failed_at");
  change_text(&c, "status", SPAN("pending"));
  for (size_t i = 0; i < sizeof cleared / sizeof *cleared; i++)
    if (!lacks(d, cleared[i])) change_null(&c, cleared[i]);
  enum status st = changes_apply(&c, &d->doc, out, err);
  buffer_release(&c.text);
  return st;
}
