#include "bridge/outbox/left.h"
#include "bridge/outbox/store_file.h"

#include <fcntl.h>
#include <unistd.h>

/* Dead letters whose bytes are no JSON object: <stem>.raw, unread, beside a descriptor <stem>.json that lists as the
 * others do. The descriptor is durable first. A crash between the two leaves the file in the outbox; it is refused
 * again, and the descriptor that names its inode is found and used. */

#define FOLLOWED 8 /* exchanged that often meanwhile, dlq/ is not usable */

struct pair { /* of names in dlq, which is our own descriptor of that folder */
  struct fs *s;
  int dlq;
  bool copied; /* the bytes lie there already, on another file system than the outbox */
  char json[NAME_SIZE], raw[NAME_SIZE];
};

static bool there(int folder, const char *name, struct stat *st) {
  return fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0;
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

/* dlq/ lies on another file system. */
static enum status copy_in(struct pair *p, int from, const char *name, const char *to_name, struct stat *copied,
                           struct error *err) {
  char tmp[NAME_SIZE];
  enum status st = fs_copy(from, name, p->dlq, tmp, copied, err);
  if (st != ST_OK) return st;
  st = durable_move(p->dlq, tmp, p->dlq, to_name, err);
  if (st == ST_OK) return ST_OK;
  enum status gone = durable_unlink(p->dlq, tmp, NULL);
  (void)gone; /* it goes with what a crash leaves */
  return st;
}

static enum status write_descriptor(struct pair *p, const struct stamp *stamp, const struct failure *why,
                                    struct error *err) {
  struct buffer text = {0};
  struct stat copied;
  char tmp[NAME_SIZE];
  descriptor((struct span){p->json, strlen(p->json) - 5}, stamp, why, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = fs_tmp_write(p->s, buffer_span(&text), &stamp->mtime_ns, tmp, err);
  buffer_release(&text);
  if (st != ST_OK) return st;
  st = durable_move(state_tmp(p->s->c.state), tmp, p->dlq, p->json, err);
  bool elsewhere = st == ST_UNSUPPORTED;
  if (elsewhere) st = copy_in(p, state_tmp(p->s->c.state), tmp, p->json, &copied, err);
  if (elsewhere || st != ST_OK) fs_tmp_drop(p->s, tmp);
  return st == ST_OK ? durable_sync_folder(p->dlq, err) : st;
}

/* Not where a successor found the descriptor and moved the bytes by it, which is why they are gone. */
static void drop(const struct pair *p) {
  struct stat moved;
  if (there(p->dlq, p->raw, &moved)) return;
  enum status st = durable_unlink(p->dlq, p->json, NULL);
  (void)st; /* it stays as a dead letter without bytes; replaying it says so */
}

/* A free pair of names, its descriptor written; or the pair that an earlier try began with. */
static enum status choose_pair(struct pair *p, int from, const char *name, const struct stamp *stamp,
                               const struct failure *why, struct error *err) {
  uint64_t which[3] = {stamp->inode, (uint64_t)stamp->size, (uint64_t)stamp->mtime_ns};
  uint64_t digest = digest_fixed((struct span){(const char *)which, sizeof which}).lo;
  struct stat st;
  for (unsigned n = 0; n < NAME_TRIES; n++) {
    name_try(name, n, digest, ".json", p->json);
    name_with(p->json, ".raw", p->raw);
    if (there(p->dlq, p->raw, &st)) {
      p->copied = fs_is_copy(from, name, p->dlq, p->raw) && describes(p->s, p->json, stamp->inode);
      if (p->copied) return ST_OK;
      continue;
    }
    if (there(p->dlq, p->json, &st)) {
      if (describes(p->s, p->json, stamp->inode)) return ST_OK;
      continue;
    }
    enum status written = write_descriptor(p, stamp, why, err);
    if (written != ST_EXISTS) return written;
  }
  return error_set(err, ST_EXISTS, "no free name for dlq/%s", name);
}

/* Out of tmp to another file system. A crash before it goes there brings it back to the outbox: whoever refuses it
 * again finds the copy. ST_AGAIN: dlq/ was exchanged meanwhile, and nothing of it stays there. */
static enum status copy_raw(struct pair *p, const char *tmp, struct error *err) {
  int from = state_tmp(p->s->c.state);
  struct stat was;
  if (!there(from, tmp, &was)) return error_set(err, ST_IO, "a temporary file was removed");
  enum status st = p->copied ? ST_OK : copy_in(p, from, tmp, p->raw, &was, err);
  if (st != ST_OK) return st;
  st = durable_sync_folder(p->dlq, err);
  if (st == ST_OK && fs_in_place(p->s, PLACE_DLQ, p->dlq)) return durable_remove_copied(from, tmp, &was, err);
  if (st != ST_OK) return st;
  enum status gone = durable_unlink(p->dlq, p->raw, NULL);
  (void)gone; /* it is in a folder that was moved away */
  drop(p);
  return ST_AGAIN;
}

/* Moved unread, by way of tmp, where it is known whether it was the same file: if not, it goes back. */
static enum status move_raw(struct pair *p, enum place place, const char *name, const struct stamp *stamp,
                            enum settled *how, struct error *err) {
  const struct left left = {.kind = LEFT_BACK, .old = *stamp, .place = place, .name = name};
  char tmp[NAME_SIZE];
  struct stamp now;
  enum status st = fs_pull(p->s, &left, tmp, &now, err);
  if (st == ST_NOT_FOUND) *how = SETTLED_VANISHED;
  if (st != ST_OK) return st == ST_NOT_FOUND ? ST_OK : st;
  *how = left_same(&now, stamp) ? SETTLED_GONE : SETTLED_CHANGED;
  if (*how == SETTLED_GONE)
    st = p->copied ? ST_UNSUPPORTED : durable_move(state_tmp(p->s->c.state), tmp, p->dlq, p->raw, err);
  if (st == ST_UNSUPPORTED) st = copy_raw(p, tmp, err);
  if (*how == SETTLED_GONE && st == ST_OK) return ST_OK;
  enum status back = fs_put_back(p->s, place, name, tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

/* It went along with a folder that was moved away. */
static bool bring_back(const struct pair *p, int from, const char *name, struct stamp *stamp) {
  struct stat st;
  if (durable_move(p->dlq, p->raw, from, name, NULL) != ST_OK) return false;
  if (there(from, name, &st) && st.st_ino == stamp->inode) stamp->ctime_ns = fs_stamp_of(&st).ctime_ns;
  drop(p);
  return true;
}

/* Into dlq/ as it is held. ST_AGAIN: another folder lies there now; stamp is what it has after coming back. */
static enum status dead_raw(struct pair *p, enum place place, const char *name, struct stamp *stamp,
                            const struct failure *why, enum settled *how, struct error *err) {
  int from = fs_folder(p->s, place);
  if (!fs_unchanged(p->s, place, name, stamp, how)) return ST_OK;
  enum status st = choose_pair(p, from, name, stamp, why, err);
  if (st == ST_OK && !fs_unchanged(p->s, place, name, stamp, how)) {
    drop(p);
    return ST_OK;
  }
  if (st == ST_OK) st = move_raw(p, place, name, stamp, how, err);
  bool right = fs_in_place(p->s, PLACE_DLQ, p->dlq);
  struct stat back;
  if (st == ST_AGAIN && there(from, name, &back) && back.st_ino == stamp->inode)
    stamp->ctime_ns = fs_stamp_of(&back).ctime_ns; /* it was pulled out and put back */
  if (st != ST_OK) return right ? st : ST_AGAIN;   /* both stay: the next try finds the descriptor */
  if (*how == SETTLED_GONE && !right && bring_back(p, from, name, stamp)) return ST_AGAIN;
  if (*how == SETTLED_GONE) return durable_sync_folder(p->dlq, err);
  drop(p);
  return ST_OK;
}

enum status fs_dead_raw(struct fs *s, enum place place, const char *name, const struct stamp *stamp,
                        const struct failure *why, enum settled *how, struct error *err) {
  struct stamp now = *stamp;
  enum status st = ST_AGAIN;
  for (unsigned tries = 0; tries < FOLLOWED && st == ST_AGAIN; tries++) {
    struct pair p = {.s = s};
    st = fs_hold(s, PLACE_DLQ, &p.dlq, err);
    if (st == ST_OK) st = dead_raw(&p, place, name, &now, why, how, err);
    if (p.dlq >= 0) close(p.dlq);
  }
  if (st == ST_AGAIN) st = error_set(err, ST_IO, "dlq/ is exchanged all the time");
  if (st == ST_NOT_FOUND) st = err->status = ST_IO; /* that would be the entry's */
  if (st != ST_OK || *how != SETTLED_GONE) return st;
  pthread_mutex_lock(&s->lock);
  s->figures.dead++;
  pthread_mutex_unlock(&s->lock);
  return fs_sync_places(s, place, place, err);
}
