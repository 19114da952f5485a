/* Everything that lies in the folders, told to verify as it is met: odd entries, strangers, what a
 * crash left. Nothing is sorted or kept, so memory does not grow with them.
 * Any thread. */
#include "bridge/outbox/file/operators/describe.h"
#include "bridge/outbox/file/settling/aside.h"

#include <fcntl.h>

#define LEFT_AFTER_US INT64_C(60000000)

/* What the relay and the commands keep in .busbridge beside the notes, and in its tmp while they
 * write; a name ends in * where more may follow. Whoever adds a file there adds its name here, else
 * verify calls it a stray one. */
static const char *const state_files[] = {
    "id",         "lock",      "tmp",          "hands",
    "reserve",    "metrics",   "replay-*",     "selections",
    "audit.log*", "aside",     "typed",        "batch-*",
    "settled-*",  "keys-due*", "control.sock", ".busbridge-probe",
    "format",     NULL};
static const char *const tmp_files[] = {"*.tmp",  "swap-*",  "gone-*",           "sent-*",
                                        "back-*", "home-*",  "batch-*",          "settled-*",
                                        "id.*",   "doctor*", ".busbridge-probe", NULL};
/* Of the outbox itself; lost+found stands in each file system's root. */
static const char *const folders[] = {"pending", "dlq", "sent", ".busbridge", "lost+found", NULL};

struct survey {
  struct fs_shared *s;
  struct fs_loaded loaded;
  enum place place;
  size_t limit, met; /* met: in this place */
  uint64_t left_out;
  store_survey_fn visit;
  void *ctx;
  bool stopped;
};

static bool tell_file(struct survey *v, enum oddity oddity, const char *folder, const char *name,
                      struct span id) {
  char path[NAME_SIZE + 32];
  snprintf(path, sizeof path, "%s%s", folder, name);
  v->stopped = !v->visit(v->ctx, &(struct survey_item){oddity, fs_shelf(v->place), path, id});
  return !v->stopped;
}

/* ---- entries ---- */

static bool is_inode(struct fs_site *s, enum place place, const char *name, uint64_t inode) {
  struct stat st;
  return fs_folder(s, place) >= 0 &&
         fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode;
}

/* Its own name, or the one it had before a number was put behind it. */
static bool lies_outside(struct fs_site *s, enum side side, const char *name, uint64_t inode) {
  char before[NAME_SIZE];
  fs_name_copy(before, name);
  for (int tries = 0; tries < 2; tries++) {
    for (unsigned p = 0; p < PLACES; p++)
      if (place_side((enum place)p) == side && fs_shelf((enum place)p) == SHELF_PENDING &&
          is_inode(s, (enum place)p, before, inode))
        return true;
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
  name_with(name, ".raw", raw);
  if (fstatat(fs_folder(v->s->site, v->place), raw, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return ODDITY_NONE;
  return lies_outside(v->s->site, place_side(v->place), name, inode) ? ODDITY_ON_ITS_WAY
                                                                     : ODDITY_BYTES_GONE;
}

/* False: it is not an entry of that place. */
static bool judge_name(struct survey *v, const char *name, enum oddity *oddity) {
  const struct fs_loaded *d = &v->loaded;
  bool newer = fs_newer_form(&d->doc);
  uint64_t inode;
  *oddity = ODDITY_NONE;
  if (fs_shelf(v->place) != SHELF_DEAD) {
    if (fs_dead_form(d)) *oddity = ODDITY_WRONG_SIDE;
    return *oddity != ODDITY_NONE || fs_ours(v->place, &d->event);
  }
  if (fs_descriptor(&d->doc, &inode)) *oddity = raw_oddity(v, name, inode);
  if (!newer && d->event.status == EVENT_PENDING) *oddity = ODDITY_WRONG_SIDE;
  return true;
}

static bool examine(struct survey *v, const char *name) {
  enum oddity oddity = ODDITY_NONE;
  struct fs_loaded *d = &v->loaded;
  if (v->limit && v->met == v->limit) {
    v->left_out++;
    return true;
  }
  v->met++;
  enum fs_read got = fs_load(v->s->site, d, v->place, name, NULL);
  if (got == FS_READ && fs_loaded_parse(d, NULL) != ST_OK) got = FS_FAILED;
  if (got == FS_TOO_LARGE)
    return tell_file(v, oddity, place_path(v->place), name, (struct span){0});
  if (got == FS_ODD || got == FS_UNREADABLE)
    return tell_file(v, got == FS_ODD ? ODDITY_NO_ENTRY : ODDITY_UNREADABLE, place_path(v->place),
                     name, (struct span){0});
  if (got != FS_READ) return true; /* gone, growing, or out of memory */
  if (fs_loaded_is_object(d) && !judge_name(v, name, &oddity)) return true;
  if (fs_shelf(v->place) != SHELF_DEAD && fs_aside_out(v->s, v->place, name, &d->stamp))
    oddity = ODDITY_ASIDE;
  return tell_file(v, oddity, place_path(v->place), name, d->event.id);
}

/* ---- other files ---- */

static bool matches(const char *pattern, const char *name) {
  size_t len = strlen(pattern), all = strlen(name);
  if (pattern[0] == '*') return all >= len - 1 && strcmp(name + all - (len - 1), pattern + 1) == 0;
  if (pattern[len - 1] == '*') return strncmp(name, pattern, len - 1) == 0;
  return strcmp(name, pattern) == 0;
}

static bool known(const char *const *patterns, const char *name) {
  for (; *patterns; patterns++)
    if (matches(*patterns, name)) return true;
  return false;
}

static bool is_note(const char *name) {
  for (unsigned n = 0; n < NOTES; n++) {
    const char *path = state_note_name((enum note)n); /* behind the folder */
    if (strcmp(strrchr(path, '/') + 1, name) == 0) return true;
  }
  return false;
}

/* Does it hold an event, under a name that nobody looks at? Not one that its producer is about to
 * rename. */
static bool holds_event(struct survey *v, const char *name) {
  struct fs_loaded *d = &v->loaded;
  if (fs_load(v->s->site, d, v->place, name, NULL) != FS_READ || fs_loaded_parse(d, NULL) != ST_OK)
    return false;
  if (!fs_loaded_is_object(d) || !d->event.id.len) return false;
  return name_is_hidden(name) ||
         clock_wall_us(v->s->site->clock) - d->stamp.ctime_ns / 1000 >= LEFT_AFTER_US;
}

/* Sockets, FIFOs and devices hold nothing. */
static bool stray(struct survey *v, int folder, const char *shown, const char *name) {
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) return true;
  return tell_file(v, ODDITY_STRAY, shown, name, (struct span){0});
}

static bool stray_entry(struct survey *v, const char *name) {
  if (holds_event(v, name))
    return tell_file(v, ODDITY_HIDDEN, place_path(v->place), name, v->loaded.event.id);
  return stray(v, fs_folder(v->s->site, v->place), place_path(v->place), name);
}

/* An event of that name does not describe it. What cannot be read now may. */
static bool raw_alone(struct survey *v, const char *name) {
  struct fs_loaded *d = &v->loaded;
  uint64_t inode;
  char json[NAME_SIZE + 1];
  snprintf(json, sizeof json, "%.*s.json", (int)strlen(name) - 4, name);
  enum fs_read got =
      strlen(json) < NAME_SIZE ? fs_load(v->s->site, d, v->place, json, NULL) : FS_GONE;
  bool read = got == FS_READ && fs_loaded_parse(d, NULL) == ST_OK;
  bool alone =
      got == FS_GONE || (read && !(fs_loaded_is_object(d) && fs_descriptor(&d->doc, &inode)));
  return !alone || tell_file(v, ODDITY_NOT_DESCRIBED, place_path(v->place), name, (struct span){0});
}

static bool left(struct survey *v, int folder, const char *shown, const char *name) {
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return true;
  int64_t age_us = clock_wall_us(v->s->site->clock) - fs_stamp_of(&st).ctime_ns / 1000;
  return age_us < LEFT_AFTER_US || tell_file(v, ODDITY_LEFT, shown, name, (struct span){0});
}

static bool meet(void *ctx, const char *name, unsigned char type) {
  struct survey *v = ctx;
  size_t len = strlen(name);
  (void)type;
  if (name_is_entry(name)) return fs_shelf(v->place) == SHELF_SENT || examine(v, name);
  if (strncmp(name, FS_LITTER, strlen(FS_LITTER)) == 0)
    return left(v, fs_folder(v->s->site, v->place), place_path(v->place), name);
  if (v->place == PLACE_FLAT && known(folders, name)) return true;
  if (fs_shelf(v->place) == SHELF_DEAD && len > 4 && strcmp(name + len - 4, ".raw") == 0)
    return raw_alone(v, name);
  return stray_entry(v, name);
}

static bool meet_state(void *ctx, const char *name, unsigned char type) {
  struct survey *v = ctx;
  (void)type;
  return is_note(name) || known(state_files, name) ||
         stray(v, state_folder(v->s->site->state), ".busbridge/", name);
}

static const char *tmp_path(enum side side) {
  return side == SIDE_TYPED ? "typed/.busbridge/tmp/" : ".busbridge/tmp/";
}

static bool meet_tmp(void *ctx, const char *name, unsigned char type) {
  struct survey *v = ctx;
  (void)type;
  int tmp = fs_tmp(v->s->site, v->place);
  const char *shown = tmp_path(place_side(v->place));
  return known(tmp_files, name) ? left(v, tmp, shown, name) : stray(v, tmp, shown, name);
}

static enum status walk_place(struct survey *v, enum place place, int folder, const char *shown,
                              folder_visit_fn visit, struct error *err) {
  v->place = place;
  v->met = 0;
  enum status st = folder < 0 || v->stopped ? ST_OK : folder_walk(folder, visit, v, err);
  if (st != ST_OK) error_prefix(err, "%s/%s", state_path(v->s->site->state), shown);
  return st;
}

enum status fs_survey(struct fs_shared *s, size_t limit, store_survey_fn visit, void *ctx,
                      uint64_t *left_out, struct error *err) {
  struct survey v = {.s = s, .limit = limit, .visit = visit, .ctx = ctx};
  enum status st = ST_OK;
  fs_look_around(s->site);
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++)
    st = walk_place(&v, (enum place)p, fs_folder(s->site, (enum place)p), place_path((enum place)p),
                    meet, err);
  if (st == ST_OK)
    st = walk_place(&v, PLACE_FLAT, state_folder(s->site->state), ".busbridge/", meet_state, err);
  for (unsigned side = 0; side < SIDES && st == ST_OK; side++) {
    enum place place = side == SIDE_TYPED ? PLACE_TYPED_PENDING : PLACE_FLAT;
    if (fs_state(s->site, place))
      st = walk_place(&v, place, fs_tmp(s->site, place), tmp_path((enum side)side), meet_tmp, err);
  }
  *left_out = v.left_out;
  fs_loaded_release(&v.loaded);
  return st;
}

bool fs_lies(struct fs_shared *s, const struct entry_ref *ref, struct span id) {
  struct fs_loaded loaded = {0};
  char name[NAME_SIZE];
  enum place place;
  bool lies = name_from(fs_token_name(ref->shelf, ref->token, &place), name) &&
              fs_load(s->site, &loaded, place, name, NULL) == FS_READ &&
              fs_loaded_parse(&loaded, NULL) == ST_OK && fs_loaded_is_object(&loaded) &&
              event_goes_by(&loaded.event, id) && !fs_aside_out(s, place, name, &loaded.stamp);
  fs_loaded_release(&loaded);
  return lies;
}
