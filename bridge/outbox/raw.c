#include "bridge/outbox/store_file.h"

#include <fcntl.h>

/* Dead letters whose bytes are no JSON object: <stem>.raw, unread, beside a descriptor <stem>.json that lists as the
 * others do. The descriptor is durable first. A crash between the two leaves the file in the outbox; it is refused
 * again, and the descriptor that names its inode is found and used. */

#define PAIRS 10000

static bool there(struct fs *s, const char *name, struct stat *st) {
  return fstatat(fs_folder(s, PLACE_DLQ), name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Why bytes are set aside unread; an event that is an object dies of anything else. */
static bool of_bytes(enum reason reason) {
  return (reason >= REASON_EMPTY_FILE && reason <= REASON_NOT_OBJECT) || reason == REASON_CRASHES_WORKER;
}

/* All 64 bits, which json_int has no room for. */
static bool inode_of(const struct json_doc *doc, uint64_t *inode) {
  uint32_t node = json_member(doc, 0, "inode");
  if (node == JSON_NONE || doc->nodes[node].type != JSON_NUMBER || !(doc->nodes[node].flags & JSON_INTEGER))
    return false;
  struct span text = json_slice(doc, node);
  *inode = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned digit = (unsigned)text.ptr[i] - '0';
    if (digit > 9 || __builtin_mul_overflow(*inode, 10, inode) || __builtin_add_overflow(*inode, digit, inode))
      return false;
  }
  return true;
}

/* An event may have a member inode and an empty payload too. It has a name; and where it died without one, a reason
 * that no bytes have, which its producer cannot write: the dead form sets it. */
bool fs_descriptor(const struct json_doc *doc, uint64_t *inode) {
  uint32_t payload = json_member(doc, 0, "payload"), name = json_member(doc, 0, "name");
  uint32_t reason = json_member(doc, 0, "reason");
  if (!inode_of(doc, inode)) return false;
  if (payload == JSON_NONE || doc->nodes[payload].type != JSON_OBJECT || doc->nodes[payload].count) return false;
  if (name != JSON_NONE && (doc->nodes[name].type != JSON_STRING || json_raw(doc, name).len)) return false;
  return reason == JSON_NONE ||
         (doc->nodes[reason].type == JSON_STRING && of_bytes(reason_from_word(json_raw(doc, reason))));
}

static bool describes(struct fs *s, const char *json, uint64_t inode) {
  struct fs_desk desk = {0};
  uint64_t named = 0;
  bool yes = fs_desk_read(s, &desk, PLACE_DLQ, json, NULL) == FS_READ && fs_desk_parse(&desk, NULL) == ST_OK &&
             fs_desk_is_object(&desk) && fs_descriptor(&desk.doc, &named) && named == inode;
  fs_desk_release(&desk);
  return yes;
}

static void descriptor(struct span stem, const struct stamp *stamp, const struct failure *why, struct buffer *out) {
  char time[TIME_TEXT];
  buffer_add_z(out, "{\"id\": ");
  json_write_string(out, stem);
  buffer_printf(out, ", \"name\": \"\", \"payload\": {}, \"created_at\": \"%s\", \"attempts\": %u",
                time_format(stamp->mtime_ns / 1000, time), why->attempts);
  buffer_add_z(out, ", \"dispatched_at\": null, \"last_error\": ");
  json_write_string(out, span_of(why->error ? why->error : reason_word(why->reason)));
  buffer_printf(out,
                ", \"failed_at\": \"%s\", \"status\": \"dlq\", \"storage_key\": ", time_format(why->failed_us, time));
  json_write_string(out, stem);
  enum reason reason = of_bytes(why->reason) ? why->reason : REASON_NOT_JSON; /* what fs_descriptor knows it by */
  buffer_printf(out, ", \"reason\": \"%s\", \"error_code\": ", reason_word(reason));
  if (why->error_code)
    json_write_int(out, why->error_code);
  else
    buffer_add_z(out, "null");
  buffer_printf(out, ", \"inode\": %llu}", (unsigned long long)stamp->inode);
}

static enum status write_descriptor(struct fs *s, const char *json, const struct stamp *stamp,
                                    const struct failure *why, struct error *err) {
  struct buffer text = {0};
  char tmp[NAME_SIZE];
  descriptor((struct span){json, strlen(json) - 5}, stamp, why, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = fs_tmp_write(s, buffer_span(&text), &stamp->mtime_ns, tmp, err);
  buffer_release(&text);
  if (st != ST_OK) return st;
  st = durable_move(state_tmp(s->c.state), tmp, fs_folder(s, PLACE_DLQ), json, err);
  if (st != ST_OK) fs_tmp_drop(s, tmp);
  return st == ST_OK ? durable_sync_folder(fs_folder(s, PLACE_DLQ), err) : st;
}

/* Not where a successor found the descriptor and moved the bytes by it, which is why they are gone. */
static void drop(struct fs *s, const char *json, const char *raw) {
  struct stat moved;
  if (there(s, raw, &moved)) return;
  enum status st = durable_unlink(fs_folder(s, PLACE_DLQ), json, NULL);
  (void)st; /* it stays as a dead letter without bytes; replaying it says so */
}

/* A free pair of names, its descriptor written; or the pair that an earlier try began with. */
static enum status choose_pair(struct fs *s, const char *name, const struct stamp *stamp, const struct failure *why,
                               char json[NAME_SIZE], char raw[NAME_SIZE], struct error *err) {
  struct stat st;
  for (unsigned n = 0; n < PAIRS; n++) {
    if (!name_with(name, n, ".json", json) || !name_with(name, n, ".raw", raw))
      return error_set(err, ST_INVALID, "the name %s is too long", name);
    if (there(s, raw, &st)) continue;
    if (there(s, json, &st)) {
      if (describes(s, json, stamp->inode)) return ST_OK;
      continue;
    }
    enum status written = write_descriptor(s, json, stamp, why, err);
    if (written != ST_EXISTS) return written;
  }
  return error_set(err, ST_EXISTS, "no free name for dlq/%s", name);
}

/* Moved unread, so it is only known afterwards that it was the same file: if not, it goes back. */
static enum status move_raw(struct fs *s, enum place place, const char *name, const struct stamp *stamp,
                            const char *raw, enum settled *how, struct error *err) {
  struct stat st;
  int dlq = fs_folder(s, PLACE_DLQ);
  if (!fs_unchanged(s, place, name, stamp, how)) return ST_OK;
  enum status moved = durable_move(fs_folder(s, place), name, dlq, raw, err);
  if (moved == ST_NOT_FOUND) {
    *how = SETTLED_VANISHED;
    return ST_OK;
  }
  if (moved != ST_OK) return moved;
  *how = SETTLED_GONE;
  if (!there(s, raw, &st) || st.st_ino == stamp->inode) return ST_OK;
  *how = SETTLED_CHANGED;
  return durable_move(dlq, raw, fs_folder(s, place), name, err);
}

enum status fs_dead_raw(struct fs *s, enum place place, const char *name, const struct stamp *stamp,
                        const struct failure *why, enum settled *how, struct error *err) {
  char json[NAME_SIZE], raw[NAME_SIZE];
  if (!fs_unchanged(s, place, name, stamp, how)) return ST_OK;
  enum status st = choose_pair(s, name, stamp, why, json, raw, err);
  if (st != ST_OK) return st;
  st = move_raw(s, place, name, stamp, raw, how, err);
  if (st != ST_OK) return st; /* both stay: the next try finds the descriptor */
  if (*how != SETTLED_GONE) {
    drop(s, json, raw);
    return ST_OK;
  }
  st = fs_sync_places(s, PLACE_DLQ, place, err);
  pthread_mutex_lock(&s->lock);
  s->figures.dead++;
  pthread_mutex_unlock(&s->lock);
  return st;
}
