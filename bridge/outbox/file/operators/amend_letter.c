/* A dead letter is given another payload, or comes back from a copy. What is new is written under
 * a hidden name in dlq/ itself, which may be a file system of its own, and changes places with
 * what was there: a crash leaves the one or the other whole, and a hidden file that a scan removes.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/operators/describe.h"

#include <fcntl.h>
#include <unistd.h>

static void hidden_name(struct fs_site *s, char out[NAME_SIZE]) {
  snprintf(out, NAME_SIZE, FS_LITTER "%ld.%016llx.tmp", (long)getpid(),
           (unsigned long long)s->clock->random(s->clock->ctx));
}

static void drop(int folder, const char *name) {
  enum status gone = durable_unlink(folder, name, NULL);
  (void)gone; /* a later scan takes it */
}

static enum status changed(const char *name, struct error *err) {
  return error_set(err, ST_BUSY, "%s was changed at this moment; look at it again", name);
}

/* What came out must be what was read, else it goes back. */
static enum status exchange(struct fs_site *s, enum place place, int dlq, const char *tmp,
                            const char *name, const struct stamp *was, struct error *err) {
  struct stamp out;
  enum settled how;
  enum status st = durable_exchange(dlq, tmp, dlq, name, err);
  if (st == ST_UNSUPPORTED) {
    if (!fs_unchanged(s, place, name, was, &how)) return changed(name, err);
    return durable_rename(dlq, tmp, dlq, name, err);
  }
  if (st != ST_OK || (fs_stamp_at(dlq, tmp, &out) && fs_stamp_alike(&out, was))) return st;
  st = durable_exchange(dlq, tmp, dlq, name, err);
  return st == ST_OK ? changed(name, err) : st;
}

static enum status put(struct fs_site *s, enum place place, const char *name,
                       const struct stamp *was, struct span content, struct error *err) {
  char tmp[NAME_SIZE];
  int dlq;
  struct timespec mtime = {was->mtime_ns / 1000000000, was->mtime_ns % 1000000000};
  enum status st = fs_hold(s, place, &dlq, err);
  if (st != ST_OK) return st;
  hidden_name(s, tmp);
  st = durable_write_new(dlq, tmp, content, &mtime, err);
  if (st == ST_OK) {
    st = exchange(s, place, dlq, tmp, name, was, err);
    drop(dlq, tmp);
    enum status kept = fs_sync_held(s, place, dlq, st == ST_OK ? err : NULL);
    if (st == ST_OK) st = kept;
  }
  close(dlq);
  return st;
}

/* The text of one that is JSON, or the bytes beside the description of one that is not. */
static enum status amend(struct fs_look *l, enum place place, const char *name,
                         const struct entry_info *info, struct span payload, struct error *err) {
  const struct event_change change = {"payload", payload};
  struct buffer text = {0};
  struct stamp was = l->loaded.stamp;
  char raw[NAME_SIZE];
  if (info->foreign_form || !fs_loaded_is_object(&l->loaded))
    return error_set(err, ST_INVALID,
                     "%s%s has a form of its own, which is not rewritten; emit its payload under "
                     "its id, then purge it",
                     place_path(place), name);
  if (info->raw) {
    name_with(name, ".raw", raw);
    if (!fs_stamp_at(fs_folder(l->s->site, place), raw, &was))
      return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), raw);
    return put(l->s->site, place, raw, &was, payload, err);
  }
  event_rewrite(&l->loaded.doc, &change, 1, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = put(l->s->site, place, name, &was, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

enum status fs_amend(struct fs_shared *s, const char *token, int64_t when_us, struct span payload,
                     struct error *err) {
  struct fs_look look = {.s = s};
  struct letter letter = {.token = token, .when_us = when_us};
  struct entry_info info;
  char name[NAME_SIZE];
  enum place place;
  fs_look_around(s->site);
  enum status st = ST_OK;
  if (fs_letter_look(&look, &letter, &place, name, &info)) {
    st = amend(&look, place, name, &info, payload, err);
  } else {
    st = letter.status;
    if (err) *err = letter.error;
  }
  fs_loaded_release(&look.loaded);
  return st;
}

/* ---- one that comes back ---- */

static enum status place_new(int dlq, const char *tmp, const char *name, struct error *err) {
  enum status st = durable_move(dlq, tmp, dlq, name, err);
  if (st != ST_OK) drop(dlq, tmp);
  return st;
}

static enum status write_and_place(struct fs_site *s, int dlq, const char *name, struct span text,
                                   struct error *err) {
  char tmp[NAME_SIZE];
  hidden_name(s, tmp);
  enum status st = durable_write_new(dlq, tmp, text, NULL, err);
  return st == ST_OK ? place_new(dlq, tmp, name, err) : st;
}

/* Bytes before their description, as in a purge. */
static void take_back(struct fs_site *s, int dlq, const char *name, const char *bytes) {
  drop(dlq, bytes);
  if (!folder_has(dlq, bytes) && fs_sync_held(s, PLACE_DLQ, dlq, NULL) == ST_OK) drop(dlq, name);
}

/* The description tells which file it describes. */
static enum status describe(struct span text, int dlq, const char *tmp, struct buffer *out,
                            struct error *err) {
  struct json_doc doc = {0};
  struct stamp stamp;
  char number[24];
  enum status st = json_scan(&doc, text, err);
  if (st == ST_OK && !fs_stamp_at(dlq, tmp, &stamp))
    st = error_set(err, ST_IO, "a temporary file was removed: dlq/%s", tmp);
  if (st == ST_OK) {
    snprintf(number, sizeof number, "%llu", (unsigned long long)stamp.inode);
    event_rewrite(&doc, &(struct event_change){"inode", span_of(number)}, 1, out);
    st = buffer_status(out, err);
  }
  json_doc_release(&doc);
  return st;
}

/* The description comes first and is durable: bytes that nothing describes are no dead letter. */
static enum status bury_raw(struct fs_site *s, int dlq, const char *name,
                            const struct burial *letter, struct error *err) {
  char tmp[NAME_SIZE], bytes[NAME_SIZE];
  struct buffer text = {0};
  name_with(name, ".raw", bytes);
  if (folder_has(dlq, bytes)) return error_set(err, ST_EXISTS, "dlq/%s is there already", bytes);
  hidden_name(s, tmp);
  enum status st = durable_write_new(dlq, tmp, letter->raw, NULL, err);
  if (st != ST_OK) return st;
  st = describe(letter->text, dlq, tmp, &text, err);
  if (st == ST_OK) st = write_and_place(s, dlq, name, buffer_span(&text), err);
  bool described = st == ST_OK;
  if (st == ST_OK) st = fs_sync_held(s, PLACE_DLQ, dlq, err);
  if (st == ST_OK) st = durable_move(dlq, tmp, dlq, bytes, err);
  if (st != ST_OK) drop(dlq, tmp);
  if (st != ST_OK && described) take_back(s, dlq, name, bytes);
  buffer_release(&text);
  return st;
}

static enum status check_text(struct span text, struct error *err) {
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct event event = {0};
  struct error why = {0};
  enum status st = json_scan(&doc, text, &why);
  bool object = st == ST_OK && doc.nodes[0].type == JSON_OBJECT;
  if (object) event_parse(&doc, &arena, &event, &why);
  bool dead = object && (event.status == EVENT_DLQ || fs_newer_form(&doc));
  json_doc_release(&doc);
  arena_release(&arena);
  if (st == ST_NO_MEMORY) return error_set(err, st, "no memory for a letter");
  return dead ? ST_OK
              : error_set(err, ST_INVALID, "what is told of it is not a dead letter's: %s",
                          st != ST_OK ? why.text : "its status is not dlq");
}

enum status fs_bury(struct fs_shared *s, const struct burial *letter, struct buffer *label,
                    struct error *err) {
  char file[NAME_SIZE + 5], name[NAME_SIZE];
  int dlq;
  struct span key = letter->storage_key;
  snprintf(file, sizeof file, "%.*s.json", (int)(key.len < NAME_SIZE ? key.len : NAME_SIZE),
           key.ptr);
  if (!name_from(span_of(file), name))
    return error_set(err, ST_INVALID, "\"%s\" is not an entry's name (NAME.json)", file);
  enum status st = check_text(letter->text, err);
  if (st == ST_OK) st = fs_hold(s->site, PLACE_DLQ, &dlq, err);
  if (st != ST_OK) return st;
  st = letter->raw.ptr ? bury_raw(s->site, dlq, name, letter, err)
                       : write_and_place(s->site, dlq, name, letter->text, err);
  if (st == ST_OK) st = fs_sync_held(s->site, PLACE_DLQ, dlq, err);
  if (st == ST_OK) fs_dead_figure(s, 1);
  close(dlq);
  if (st == ST_OK && label) buffer_add_z(label, name);
  return st;
}
