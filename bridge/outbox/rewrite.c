#include "bridge/outbox/store_file.h"

/* Members of an entry that a verdict sets. Values that vary are built in one buffer; the list holds offsets until then.
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

static enum status changes_apply(struct changes *c, const struct json_doc *doc, struct buffer *out, struct error *err) {
  struct event_change list[CHANGES];
  for (size_t i = 0; i < c->count; i++) list[i] = (struct event_change){c->key[i], {c->text.ptr + c->at[i], c->len[i]}};
  enum status st = buffer_status(&c->text, err);
  if (st != ST_OK) return st;
  event_rewrite(doc, list, c->count, out);
  return buffer_status(out, err);
}

/* ---- the forms ---- */

static const char *words(const struct failure *why) {
  return why->error ? why->error : reason_word(why->reason);
}

static int64_t first_failure(const struct fs_desk *d, const struct failure *why) {
  return d->event.first_failed_us != TIME_NONE ? d->event.first_failed_us : why->failed_us;
}

static enum status retry_form(const struct fs_desk *d, const struct failure *why, struct buffer *out,
                              struct error *err) {
  struct changes c = {0};
  change_int(&c, "attempts", why->attempts);
  change_text(&c, "last_error", span_of(words(why)));
  change_time(&c, "failed_at", why->failed_us);
  change_time(&c, "first_failed_at", first_failure(d, why));
  enum status st = changes_apply(&c, &d->doc, out, err);
  buffer_release(&c.text);
  return st;
}

static bool lacks(const struct fs_desk *d, const char *key) {
  return json_member(&d->doc, 0, key) == JSON_NONE;
}

/* The producers' keys that are missing are added, so that their own tools list it; what they wrote stays. */
static enum status dead_form(const struct fs_desk *d, const char *name, const struct failure *why, struct buffer *out,
                             struct error *err) {
  struct changes c = {0};
  if (lacks(d, "created_at")) change_time(&c, "created_at", d->stamp.mtime_ns / 1000);
  change_int(&c, "attempts", why->attempts);
  if (lacks(d, "dispatched_at")) change_null(&c, "dispatched_at");
  change_text(&c, "last_error", span_of(words(why)));
  change_time(&c, "failed_at", why->failed_us);
  change_text(&c, "status", SPAN("dlq"));
  if (lacks(d, "storage_key")) change_text(&c, "storage_key", (struct span){name, strlen(name) - 5});
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

enum status fs_pending_form(const struct fs_desk *d, struct buffer *out, struct error *err) {
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

/* ---- the verdicts ---- */

/* ST_OK: the desk holds the event of that ref; *now is the ref with the stamp it has by now, but for its mtime, which
 * is its place in the order. ST_AGAIN: it does not, *how says why. */
static enum status read_same(struct fs *s, struct fs_desk *d, const struct entry_ref *ref, const char *name,
                             struct entry_ref *now, enum settled *how, struct error *err) {
  int folder = fs_folder(s, ref->place);
  enum fs_read got = fs_desk_reread(s, d, folder, name, err);
  *now = *ref;
  *how = got == FS_GONE ? SETTLED_VANISHED : SETTLED_CHANGED;
  if (got == FS_FAILED) return err->status;
  if (got == FS_UNREADABLE) return error_sys(err, d->sys, "reading %s%s", place_path(ref->place), name);
  if (got == FS_GONE || got == FS_ODD) return ST_AGAIN;
  bool sure = fs_stamp_same(&d->stamp, &ref->stamp) && (!ref->young || !ref->id.len);
  if (sure) return got == FS_READ ? fs_desk_parse(d, err) : ST_OK;
  enum status st = fs_same(s, d, folder, place_path(ref->place), name, ref, how, err);
  if (st != ST_OK) return st;
  if (*how != SETTLED_GONE || !fs_ours(ref->place, d->event.status)) {
    if (*how != SETTLED_VANISHED) *how = SETTLED_CHANGED;
    return ST_AGAIN;
  }
  now->stamp = d->stamp;
  return ST_OK;
}

static enum status retry(struct fs *s, struct fs_desk *d, const struct entry_ref *ref, const char *name,
                         const struct failure *why, enum settled *how, struct error *err) {
  struct buffer text = {0};
  struct entry_ref now;
  enum status st = read_same(s, d, ref, name, &now, how, err);
  if (st == ST_OK && !fs_desk_is_object(d)) st = error_set(err, ST_INVALID, "%s is no JSON object", name);
  if (st == ST_OK) st = retry_form(d, why, &text, err);
  if (st == ST_OK) st = fs_swap(s, &now, name, buffer_span(&text), ref->stamp.mtime_ns, true, how, err);
  if (st == ST_OK && *how == SETTLED_GONE) st = fs_sync_places(s, ref->place, ref->place, err);
  buffer_release(&text);
  return st == ST_AGAIN ? ST_OK : st;
}

static enum status dead(struct fs *s, struct fs_desk *d, const struct entry_ref *ref, const char *name,
                        const struct failure *why, enum settled *how, struct error *err) {
  struct buffer text = {0};
  struct entry_ref now;
  if (why->reason == REASON_CRASHES_WORKER) /* not to be parsed again */
    return fs_dead_raw(s, ref->place, name, &ref->stamp, why, how, err);
  enum status st = read_same(s, d, ref, name, &now, how, err);
  if (st == ST_OK && !fs_desk_is_object(d)) return fs_dead_raw(s, ref->place, name, &ref->stamp, why, how, err);
  if (st == ST_OK) st = dead_form(d, name, why, &text, err);
  if (st == ST_OK) st = fs_swap(s, &now, name, buffer_span(&text), ref->stamp.mtime_ns, true, how, err);
  /* a crash here leaves the dead form in the outbox: whoever reads it next finishes the move */
  if (st == ST_OK && *how == SETTLED_GONE) st = fs_finish_dead(s, ref->place, name, name, err);
  if (st == ST_NOT_FOUND) {
    *how = SETTLED_VANISHED;
    st = ST_OK;
  }
  buffer_release(&text);
  return st == ST_AGAIN ? ST_OK : st;
}

typedef enum status (*verdict_fn)(struct fs *, struct fs_desk *, const struct entry_ref *, const char *,
                                  const struct failure *, enum settled *, struct error *);

static enum status settle(struct fs *s, verdict_fn verdict, enum fs_end gone, const struct entry_ref *ref,
                          const struct failure *why, enum settled *how, struct error *err) {
  struct fs_desk desk = {0};
  struct error local = {0};
  char name[NAME_SIZE];
  if (!err) err = &local;
  *how = SETTLED_CHANGED;
  if (!fs_name(ref->name, name)) return error_set(err, ST_INVALID, "\"%.*s\" is no entry's name", SPAN_ARGS(ref->name));
  enum status st = verdict(s, &desk, ref, name, why, how, err);
  enum fs_end end = *how == SETTLED_GONE ? gone : *how == SETTLED_VANISHED ? FS_END_GONE : FS_END_AGAIN;
  if (st == ST_OK) fs_hand_end(s, ref->place, name, end); /* else it stays in hand: the caller tries again */
  fs_desk_release(&desk);
  return st;
}

enum status fs_retry(void *impl, const struct entry_ref *ref, const struct failure *why, enum settled *how,
                     struct error *err) {
  return settle(impl, retry, FS_END_STAYS, ref, why, how, err);
}

enum status fs_dead(void *impl, const struct entry_ref *ref, const struct failure *why, enum settled *how,
                    struct error *err) {
  return settle(impl, dead, FS_END_GONE, ref, why, how, err);
}
