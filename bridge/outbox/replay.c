#include "bridge/outbox/store_file.h"

#include <errno.h>
#include <fcntl.h>

/* Back to pending: first the move out of dlq/, then the pending form in its place. A crash in between leaves the dead
 * form in the outbox, which whoever reads it next moves back to dlq/: the replay did not happen. The name is in hand
 * meanwhile, so that our own reader does not do so. */

static enum status gone(const char *name, struct error *err) {
  return error_set(err, ST_NOT_FOUND, "dlq/%s is gone", name);
}

static enum status claim(struct fs *s, enum place place, const char *name, struct error *err) {
  enum status st = fs_hand_take(s, place, name, INT64_MAX, false);
  if (st == ST_EXISTS) return error_set(err, ST_BUSY, "%s%s is on its way to Kafka", place_path(place), name);
  return st == ST_OK ? st : error_set(err, st, "no memory to replay %s", name);
}

static bool stamp_at(struct fs *s, enum place place, const char *name, struct stamp *stamp) {
  struct stat st;
  if (fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
  *stamp = fs_stamp_of(&st);
  return true;
}

static void left_dlq(struct fs *s) {
  pthread_mutex_lock(&s->lock);
  if (s->figures.dead) s->figures.dead--;
  pthread_mutex_unlock(&s->lock);
}

/* The move is taken back when the second step fails; if that fails too, the next reader does it. What somebody else put
 * there meanwhile stays. */
static enum status undo(struct fs *s, const struct stamp *moved, const char *name, const char *target, enum status st,
                        struct error *err) {
  struct stamp now;
  enum status back = ST_NOT_FOUND;
  if (stamp_at(s, PLACE_FLAT, target, &now) && now.inode == moved->inode)
    back = durable_move(fs_folder(s, PLACE_FLAT), target, fs_folder(s, PLACE_DLQ), name, NULL);
  if (back == ST_OK) back = fs_sync_places(s, PLACE_DLQ, PLACE_FLAT, NULL);
  (void)back;
  return st != ST_OK ? st : error_set(err, ST_NOT_FOUND, "%s changed while it was replayed; try again", name);
}

static enum status move_and_swap(struct fs *s, const struct stamp *read, const char *name, const char *target,
                                 struct span text, struct error *err) {
  struct stamp stamp;
  enum settled how = SETTLED_CHANGED;
  enum status st = durable_move(fs_folder(s, PLACE_DLQ), name, fs_folder(s, PLACE_FLAT), target, err);
  if (st == ST_NOT_FOUND) return gone(name, err);
  if (st == ST_EXISTS) return error_set(err, ST_EXISTS, "the outbox has an entry %s already", target);
  if (st != ST_OK) return st;
  if (!stamp_at(s, PLACE_FLAT, target, &stamp)) return gone(name, err);
  if (stamp.inode == read->inode && stamp.size == read->size)
    st = fs_swap(s, PLACE_FLAT, target, &stamp, text, false, &how, err);
  if (st != ST_OK || how == SETTLED_CHANGED) return undo(s, &stamp, name, target, st, err);
  if (how == SETTLED_VANISHED) return gone(name, err);
  left_dlq(s);
  return fs_sync_places(s, PLACE_FLAT, PLACE_DLQ, err);
}

static enum status replay_object(struct fs *s, const struct stamp *read, const char *name, const char *target,
                                 struct span text, struct error *err) {
  enum status st = claim(s, PLACE_FLAT, target, err);
  if (st != ST_OK) return st;
  st = move_and_swap(s, read, name, target, text, err);
  fs_hand_end(s, PLACE_FLAT, target, FS_END_NOTHING);
  return st;
}

/* ---- the three forms of a dead letter ---- */

static enum status replay_flat(struct fs *s, struct fs_desk *d, const char *name, struct error *err) {
  struct buffer text = {0};
  enum status st = fs_pending_form(d, &text, err);
  if (st == ST_OK) st = replay_object(s, &d->stamp, name, name, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

static struct span string_member(struct fs_desk *d, const char *key) {
  struct span text = {NULL, 0};
  uint32_t node = json_member(&d->doc, 0, key);
  if (node != JSON_NONE && d->doc.nodes[node].type == JSON_STRING && !json_text(&d->doc, node, &d->arena, &text))
    text = (struct span){NULL, 0};
  return text;
}

/* The newer producer's form is never rewritten in dlq/: its reader drops a file with any other key. */
static enum status replay_newer(struct fs *s, struct fs_desk *d, const char *name, struct error *err) {
  struct span id = string_member(d, "id"), event = string_member(d, "message_name");
  uint32_t payload = json_member(&d->doc, 0, "payload");
  char target[NAME_SIZE];
  int64_t created;
  if (!event_id_valid(id) || payload == JSON_NONE || d->doc.nodes[payload].type != JSON_OBJECT)
    return error_set(err, ST_INVALID, "dlq/%s has no usable id and payload; mend it, then replay it", name);
  snprintf(target, sizeof target, "%.*s.json", SPAN_ARGS(id));
  if (!time_parse(string_member(d, "first_failed_at"), &created)) created = d->stamp.mtime_ns / 1000;
  struct buffer text = {0};
  event_write(id, event, json_slice(&d->doc, payload), created, id, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = replay_object(s, &d->stamp, name, target, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

/* As its bytes are now, mended or not. A crash between the two steps leaves a descriptor without bytes: if they are
 * refused again, it is used again. */
static enum status move_raw(struct fs *s, const char *name, const char *raw, struct error *err) {
  int dlq = fs_folder(s, PLACE_DLQ);
  enum status st = durable_move(dlq, raw, fs_folder(s, PLACE_FLAT), name, err);
  if (st == ST_NOT_FOUND)
    return error_set(err, ST_NOT_FOUND, "dlq/%s is gone, only its description is left; purge it", raw);
  if (st == ST_EXISTS) return error_set(err, ST_EXISTS, "the outbox has an entry %s already", name);
  if (st == ST_OK) st = durable_unlink(dlq, name, err);
  if (st != ST_OK) return st;
  left_dlq(s);
  return fs_sync_places(s, PLACE_FLAT, PLACE_DLQ, err);
}

static enum status replay_raw(struct fs *s, const char *name, struct error *err) {
  char raw[NAME_SIZE];
  if (!name_with(name, 0, ".raw", raw)) return error_set(err, ST_INVALID, "the name %s is too long", name);
  enum status st = claim(s, PLACE_FLAT, name, err);
  if (st != ST_OK) return st;
  st = move_raw(s, name, raw, err);
  fs_hand_end(s, PLACE_FLAT, name, FS_END_NOTHING);
  return st;
}

static enum status read_one(struct fs *s, struct fs_desk *d, enum place place, const char *name, struct error *err) {
  enum fs_read got = fs_desk_read(s, d, place, name, err);
  if (got == FS_FAILED) return err->status;
  if (got == FS_GONE) return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  if (got == FS_UNREADABLE) return error_sys(err, d->sys, "reading %s%s", place_path(place), name);
  enum status st = got == FS_READ ? fs_desk_parse(d, err) : ST_OK;
  if (st == ST_OK && !fs_desk_is_object(d))
    st = error_set(err, ST_INVALID, "%s%s is no JSON object; mend it, then replay it", place_path(place), name);
  return st;
}

static enum status replay_dead(struct fs *s, struct fs_desk *d, const char *name, struct error *err) {
  uint64_t inode;
  enum status st = read_one(s, d, PLACE_DLQ, name, err);
  if (st != ST_OK) return st;
  if (fs_descriptor(&d->doc, &inode)) return replay_raw(s, name, err);
  if (fs_newer_form(&d->doc)) return replay_newer(s, d, name, err);
  return replay_flat(s, d, name, err);
}

/* ---- an entry that is pending: anew, with attempts 0 ---- */

static enum status restart(struct fs *s, struct fs_desk *d, enum place place, const char *name, struct error *err) {
  struct buffer text = {0};
  enum settled how = SETTLED_GONE;
  enum status st = read_one(s, d, place, name, err);
  if (st == ST_OK && !fs_ours(place, d->event.status))
    st = error_set(err, ST_INVALID, "%s%s is not pending", place_path(place), name);
  if (st == ST_OK) st = fs_pending_form(d, &text, err);
  if (st == ST_OK) st = fs_swap(s, place, name, &d->stamp, buffer_span(&text), false, &how, err);
  if (st == ST_OK && how != SETTLED_GONE) st = error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  if (st == ST_OK) st = fs_sync_places(s, place, place, err);
  buffer_release(&text);
  return st;
}

static enum status replay_pending(struct fs *s, struct fs_desk *d, enum place place, const char *name,
                                  struct error *err) {
  enum status st = claim(s, place, name, err);
  if (st != ST_OK) return st;
  st = restart(s, d, place, name, err);
  fs_hand_end(s, place, name, FS_END_STAYS);
  return st;
}

enum status fs_replay(void *impl, enum place place, const char *file, struct error *err) {
  struct fs *s = impl;
  struct fs_desk desk = {0};
  struct error local = {0};
  char name[NAME_SIZE];
  if (!err) err = &local;
  if (!fs_name(span_of(file), name) || place == PLACE_SENT)
    return error_set(err, ST_INVALID, "\"%s\" is no dead letter's name (NAME.json)", file);
  if (fs_folder(s, place) < 0) return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  enum status st = place == PLACE_DLQ ? replay_dead(s, &desk, name, err) : replay_pending(s, &desk, place, name, err);
  fs_desk_release(&desk);
  return st;
}
