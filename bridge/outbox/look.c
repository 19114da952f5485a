#include "bridge/outbox/store_file.h"

#include <fcntl.h>

/* ---- what one file says ---- */

static struct span text_member(struct fs_desk *d, const char *key) {
  struct span text = {NULL, 0};
  uint32_t node = json_member(&d->doc, 0, key);
  if (node == JSON_NONE || d->doc.nodes[node].type != JSON_STRING || !json_text(&d->doc, node, &d->arena, &text))
    return (struct span){NULL, 0};
  return text;
}

static int64_t time_member(struct fs_desk *d, const char *key) {
  int64_t us;
  return time_parse(text_member(d, key), &us) ? us : TIME_NONE;
}

static void newer_info(struct fs_desk *d, struct entry_info *info) {
  int64_t attempts = 0;
  json_int(&d->doc, json_member(&d->doc, 0, "attempt_count"), &attempts);
  info->foreign_form = true;
  info->name = text_member(d, "message_name");
  info->last_error = text_member(d, "original_error");
  info->failed_us = time_member(d, "last_failed_at");
  info->created_us = time_member(d, "first_failed_at");
  info->attempts = attempts > 0 && attempts < INT32_MAX ? (unsigned)attempts : 0;
  if (d->event.id.len) info->id = d->event.id;
}

static void flat_info(struct fs_desk *d, struct entry_info *info) {
  const struct event *e = &d->event;
  if (e->id.len) info->id = e->id;
  info->name = e->name;
  info->created_us = e->created_us;
  info->failed_us = e->failed_us;
  info->attempts = e->attempts;
  info->last_error = text_member(d, "last_error");
  info->topic = text_member(d, "topic");
  if (e->reason.len) info->reason = e->reason;
}

static void raw_info(struct fs *s, const char *name, struct fs_desk *d, struct entry_info *info) {
  uint64_t inode;
  char raw[NAME_SIZE];
  struct stat st;
  info->raw = info->place == PLACE_DLQ && fs_descriptor(&d->doc, &inode);
  if (info->raw && name_with(name, 0, ".raw", raw) &&
      fstatat(fs_folder(s, PLACE_DLQ), raw, &st, AT_SYMLINK_NOFOLLOW) == 0)
    info->size = (uint64_t)st.st_size;
}

static void object_info(struct fs *s, const char *name, struct fs_desk *d, struct entry_info *info) {
  uint32_t payload = json_member(&d->doc, 0, "payload");
  if (payload != JSON_NONE) info->payload_size = d->doc.nodes[payload].len;
  if (info->place == PLACE_DLQ && fs_newer_form(&d->doc))
    newer_info(d, info);
  else
    flat_info(d, info);
  raw_info(s, name, d, info);
}

bool fs_look_at(struct fs_look *l, enum place place, const char *name, struct entry_info *info) {
  struct fs_desk *d = &l->desk;
  enum fs_read got = fs_desk_read(l->s, d, place, name, NULL);
  if (got == FS_READ && fs_desk_parse(d, NULL) != ST_OK) return false;
  if (got != FS_READ && got != FS_TOO_LARGE) return false;
  bool object = fs_desk_is_object(d);
  if (object && place != PLACE_DLQ && !fs_ours(place, d->event.status)) {
    if (d->event.status != EVENT_DLQ) fs_foreign_add(l->s, &d->stamp);
    return false;
  }
  size_t stem = strlen(name) - 5;
  memcpy(l->stem, name, stem);
  *info = (struct entry_info){.place = place,
                              .file = name,
                              .id = {l->stem, stem},
                              .created_us = TIME_NONE,
                              .failed_us = TIME_NONE,
                              .mtime_us = d->stamp.mtime_ns / 1000,
                              .size = (uint64_t)d->stamp.size};
  enum reason why = got == FS_TOO_LARGE ? REASON_TOO_LARGE : d->reason;
  if (object) object_info(l->s, name, d, info);
  if (why != REASON_NONE && !info->reason.len && !info->foreign_form) info->reason = span_of(reason_word(why));
  return true;
}

/* ---- the list ---- */

struct list {
  struct fs_look look;
  struct fs_names names;
  struct fs_cursor cursor;
  enum place place;
  uint64_t total;
  bool failed; /* memory */
};

static bool list_name(void *ctx, const char *name, unsigned char type) {
  struct list *l = ctx;
  struct stat st;
  (void)type;
  if (!name_is_entry(name)) return true;
  if (fstatat(fs_folder(l->look.s, l->place), name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1) return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (l->place != PLACE_DLQ && fs_foreign_known(l->look.s, &stamp)) return true;
  l->total++;
  if (fs_cursor_before(&l->cursor, stamp.mtime_ns, l->place, name) &&
      !fs_names_add(&l->names, stamp.mtime_ns, l->place, name, false))
    l->failed = true;
  return !l->failed;
}

static enum status list_window(struct list *l, unsigned which, struct error *err) {
  static const enum place places[] = {PLACE_FLAT, PLACE_PENDING, PLACE_DLQ};
  enum status st = ST_OK;
  l->total = 0;
  fs_names_clear(&l->names);
  for (unsigned i = 0; i < 3 && st == ST_OK; i++) {
    l->place = places[i];
    int folder = fs_folder(l->look.s, l->place);
    if (folder < 0 || !(which & (l->place == PLACE_DLQ ? LIST_DEAD : LIST_PENDING))) continue;
    st = folder_walk(folder, list_name, l, err);
    if (st == ST_OK && l->failed) st = error_set(err, ST_NO_MEMORY, "no memory for the list");
    if (st != ST_OK) error_prefix(err, "%s/%s", state_path(l->look.s->c.state), place_path(l->place));
  }
  if (st == ST_OK) fs_names_finish(&l->names);
  return st;
}

/* False: enough were visited. */
static bool visit_window(struct list *l, size_t limit, size_t *visited, store_visit_fn visit, void *ctx,
                         uint64_t *skipped) {
  struct entry_info info;
  for (size_t i = 0; i < l->names.count; i++) {
    const struct fs_slot *slot = &l->names.at[i];
    if (limit && *visited == limit) return false;
    if (!fs_look_at(&l->look, (enum place)slot->place, fs_slot_name(slot), &info)) {
      ++*skipped;
      continue;
    }
    ++*visited;
    if (!visit(ctx, &info)) return false;
  }
  return !limit || *visited < limit;
}

/* A short list keeps few names; only when files that are not ours took their places is a large window read. */
enum status fs_list(void *impl, unsigned which, size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                    struct error *err) {
  struct fs *s = impl;
  struct list l = {.look.s = s, .cursor.mtime_ns = INT64_MIN};
  size_t visited = 0;
  uint64_t skipped = 0;
  bool first = true;
  enum status st;
  *total = 0;
  fs_names_init(&l.names, limit && limit < s->c.window / 2 ? 2 * limit : s->c.window);
  while ((st = list_window(&l, which, err)) == ST_OK) {
    if (first) *total = l.total;
    first = false;
    if (!visit_window(&l, limit, &visited, visit, ctx, &skipped) || !l.names.cut) break;
    fs_cursor_set(&l.cursor, &l.names);
    fs_names_release(&l.names);
    fs_names_init(&l.names, s->c.window);
  }
  *total = *total > skipped ? *total - skipped : 0;
  fs_names_release(&l.names);
  fs_desk_release(&l.look.desk);
  return st;
}

/* ---- counting ---- */

struct tally {
  struct fs *s;
  enum place place;
  struct store_counts *out;
  int64_t oldest_ns;
};

static bool tally_name(void *ctx, const char *name, unsigned char type) {
  struct tally *t = ctx;
  struct stat st;
  (void)type;
  if (!name_is_entry(name)) return true;
  if (fstatat(fs_folder(t->s, t->place), name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1) {
    t->out->odd++;
  } else if (t->place == PLACE_DLQ) {
    t->out->dead++;
  } else if (fs_foreign_known(t->s, &stamp)) {
    t->out->foreign++;
  } else {
    t->out->pending++;
    if (stamp.mtime_ns < t->oldest_ns) t->oldest_ns = stamp.mtime_ns;
  }
  return true;
}

static enum status tally_folders(struct fs *s, struct store_counts *out, struct error *err) {
  struct tally t = {.s = s, .out = out, .oldest_ns = INT64_MAX};
  enum status st = ST_OK;
  for (unsigned p = PLACE_FLAT; p <= PLACE_DLQ && st == ST_OK; p++) {
    t.place = (enum place)p;
    if (fs_folder(s, t.place) >= 0) st = folder_walk(fs_folder(s, t.place), tally_name, &t, err);
    if (st != ST_OK) error_prefix(err, "%s/%s", state_path(s->c.state), place_path(t.place));
  }
  if (t.oldest_ns != INT64_MAX) out->oldest_us = t.oldest_ns / 1000;
  out->exact = true;
  return st;
}

enum status fs_counts(void *impl, struct store_counts *out, struct error *err) {
  struct fs *s = impl;
  *out = (struct store_counts){.oldest_us = TIME_NONE};
  if (s->c.inspect) return tally_folders(s, out, err);
  pthread_mutex_lock(&s->lock);
  const struct fs_figures *f = &s->figures;
  out->pending = f->known + f->queued;
  out->in_hand = s->in_hand.count;
  out->dead = f->dead;
  out->growing = f->growing;
  out->unreadable = f->unreadable;
  out->odd = f->odd;
  out->foreign = f->foreign;
  out->exact = s->scanned > 0;
  int64_t oldest = fs_hands_oldest(s);
  if (f->head_ns < oldest) oldest = f->head_ns;
  if (f->parked_ns < oldest) oldest = f->parked_ns;
  if (oldest != INT64_MAX) out->oldest_us = oldest / 1000;
  pthread_mutex_unlock(&s->lock);
  return ST_OK;
}
