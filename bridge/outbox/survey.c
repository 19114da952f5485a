#include "bridge/outbox/store_file.h"

#include <fcntl.h>

/* Everything that lies in the folders, as it is met: nothing is sorted or kept, so memory does not grow with them. */

#define LEFT_AFTER_US INT64_C(60000000)

struct survey {
  struct fs *s;
  struct fs_desk desk;
  enum place place;
  size_t limit, met; /* met: in this place */
  uint64_t left_out;
  store_survey_fn visit;
  void *ctx;
  bool stopped;
};

static bool tell(struct survey *v, enum oddity oddity, const char *folder, const char *name, struct span id) {
  char path[NAME_SIZE + 32];
  snprintf(path, sizeof path, "%s%s", folder, name);
  v->stopped = !v->visit(v->ctx, &(struct survey_item){oddity, v->place, path, id});
  return !v->stopped;
}

/* ---- entries ---- */

static bool is_inode(struct fs *s, enum place place, const char *name, uint64_t inode) {
  struct stat st;
  return fs_folder(s, place) >= 0 && fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
         st.st_ino == inode;
}

/* Its own name, or the one it had before a number was put behind it. */
static bool lies_outside(struct fs *s, const char *name, uint64_t inode) {
  char before[NAME_SIZE];
  fs_name_copy(before, name);
  for (int tries = 0; tries < 2; tries++) {
    if (is_inode(s, PLACE_FLAT, before, inode) || is_inode(s, PLACE_PENDING, before, inode)) return true;
    char *number = strstr(before, "__");
    for (char *next; number && (next = strstr(number + 1, "__"));) number = next;
    if (!number) return false;
    memcpy(number, ".json", 6); /* "__1.json" is longer */
  }
  return false;
}

static enum oddity raw_oddity(struct survey *v, const char *name, uint64_t inode) {
  char raw[NAME_SIZE];
  struct stat st;
  if (name_with(name, 0, ".raw", raw) && fstatat(fs_folder(v->s, PLACE_DLQ), raw, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return ODDITY_NONE;
  return lies_outside(v->s, name, inode) ? ODDITY_ON_ITS_WAY : ODDITY_BYTES_GONE;
}

/* False: it is no entry of that place. */
static bool judge(struct survey *v, const char *name, enum oddity *oddity) {
  const struct fs_desk *d = &v->desk;
  bool newer = fs_newer_form(&d->doc);
  uint64_t inode;
  *oddity = ODDITY_NONE;
  if (v->place != PLACE_DLQ) {
    if (newer || (d->event.status == EVENT_DLQ && d->event.reason.len)) *oddity = ODDITY_WRONG_SIDE;
    return *oddity != ODDITY_NONE || fs_ours(v->place, d->event.status);
  }
  if (fs_descriptor(&d->doc, &inode)) *oddity = raw_oddity(v, name, inode);
  if (!newer && d->event.status == EVENT_PENDING) *oddity = ODDITY_WRONG_SIDE;
  return true;
}

static bool examine(struct survey *v, const char *name) {
  enum oddity oddity = ODDITY_NONE;
  struct fs_desk *d = &v->desk;
  if (v->limit && v->met == v->limit) {
    v->left_out++;
    return true;
  }
  v->met++;
  enum fs_read got = fs_desk_read(v->s, d, v->place, name, NULL);
  if (got == FS_READ && fs_desk_parse(d, NULL) != ST_OK) got = FS_FAILED;
  if (got == FS_TOO_LARGE) return tell(v, oddity, place_path(v->place), name, (struct span){0});
  if (got != FS_READ) return true; /* gone, or no file of ours to read */
  if (fs_desk_is_object(d) && !judge(v, name, &oddity)) return true;
  return tell(v, oddity, place_path(v->place), name, d->event.id);
}

/* ---- other files ---- */

static bool raw_alone(struct survey *v, const char *name) {
  char json[NAME_SIZE];
  struct stat st;
  size_t stem = strlen(name) - 4;
  int need = snprintf(json, sizeof json, "%.*s.json", (int)stem, name);
  if (need < 0 || need >= NAME_SIZE || fstatat(fs_folder(v->s, PLACE_DLQ), json, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return true;
  return tell(v, ODDITY_NOT_DESCRIBED, place_path(PLACE_DLQ), name, (struct span){0});
}

static bool left(struct survey *v, int folder, const char *shown, const char *name) {
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return true;
  int64_t age_us = clock_wall_us(v->s->c.clock) - fs_stamp_of(&st).ctime_ns / 1000;
  return age_us < LEFT_AFTER_US || tell(v, ODDITY_LEFT, shown, name, (struct span){0});
}

static bool meet(void *ctx, const char *name, unsigned char type) {
  struct survey *v = ctx;
  size_t len = strlen(name);
  (void)type;
  if (name_is_entry(name)) return examine(v, name);
  if (v->place == PLACE_FLAT && strncmp(name, FS_LITTER, strlen(FS_LITTER)) == 0)
    return left(v, fs_folder(v->s, PLACE_FLAT), "", name);
  if (v->place == PLACE_DLQ && len > 4 && strcmp(name + len - 4, ".raw") == 0) return raw_alone(v, name);
  return true;
}

static bool meet_tmp(void *ctx, const char *name, unsigned char type) {
  struct survey *v = ctx;
  (void)type;
  return left(v, state_tmp(v->s->c.state), ".busbridge/tmp/", name);
}

enum status fs_survey(void *impl, size_t limit, store_survey_fn visit, void *ctx, uint64_t *left_out,
                      struct error *err) {
  struct fs *s = impl;
  struct survey v = {.s = s, .limit = limit, .visit = visit, .ctx = ctx};
  enum status st = ST_OK;
  for (unsigned p = PLACE_FLAT; p <= PLACE_DLQ && st == ST_OK && !v.stopped; p++) {
    v.place = (enum place)p;
    v.met = 0;
    if (fs_folder(s, v.place) >= 0) st = folder_walk(fs_folder(s, v.place), meet, &v, err);
    if (st != ST_OK) error_prefix(err, "%s/%s", state_path(s->c.state), place_path(v.place));
  }
  v.place = PLACE_FLAT;
  if (st == ST_OK && !v.stopped && state_tmp(s->c.state) >= 0)
    st = folder_walk(state_tmp(s->c.state), meet_tmp, &v, err);
  *left_out = v.left_out;
  fs_desk_release(&v.desk);
  return st;
}

bool fs_lies(void *impl, const struct entry_ref *ref, struct span id) {
  struct fs *s = impl;
  struct fs_desk desk = {0};
  char name[NAME_SIZE];
  bool lies = fs_name(ref->name, name) && fs_desk_read(s, &desk, ref->place, name, NULL) == FS_READ &&
              fs_desk_parse(&desk, NULL) == ST_OK && fs_desk_is_object(&desk) && span_eq(desk.event.id, id);
  fs_desk_release(&desk);
  return lies;
}
