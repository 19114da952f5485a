/* One file as lists and `show` tell of it.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/operators/describe.h"

#include "bridge/base/disk/denial.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static struct span text_member(struct fs_loaded *d, const char *key) {
  struct span text = {NULL, 0};
  uint32_t node = json_member(&d->doc, 0, key);
  if (node == JSON_NONE || d->doc.nodes[node].type != JSON_STRING ||
      !json_text(&d->doc, node, &d->arena, &text))
    return (struct span){NULL, 0};
  return text;
}

static int64_t time_member(struct fs_loaded *d, const char *key) {
  int64_t us;
  return time_parse(text_member(d, key), &us) ? us : TIME_NONE;
}

static void newer_info(struct fs_loaded *d, struct entry_info *info) {
  int64_t attempts = 0;
  json_int(&d->doc, json_member(&d->doc, 0, "attempt_count"), &attempts);
  info->foreign_form = true;
  info->event = NULL;
  info->name = text_member(d, "message_name");
  info->last_error = text_member(d, "original_error");
  info->failed_us = time_member(d, "last_failed_at");
  info->created_us = info->first_failed_us = time_member(d, "first_failed_at");
  info->attempts = attempts > 0 && attempts < INT32_MAX ? (unsigned)attempts : 0;
  struct span id = text_member(d, "id"); /* on both sides */
  if (event_id_valid(id)) info->id = id;
}

static void flat_info(struct fs_loaded *d, struct entry_info *info) {
  const struct event *e = &d->event;
  if (e->id.len) info->id = e->id;
  info->name = e->name;
  info->created_us = e->created_us;
  info->failed_us = e->failed_us;
  info->first_failed_us = e->first_failed_us;
  info->attempts = e->attempts;
  info->last_error = text_member(d, "last_error");
  info->topic = text_member(d, "topic");
  if (e->reason.len) info->reason = e->reason;
}

static void raw_info(struct fs_site *s, enum place place, const char *name, struct fs_loaded *d,
                     struct entry_info *info) {
  uint64_t inode;
  char raw[NAME_SIZE];
  struct stat st;
  info->raw = info->shelf == SHELF_DEAD && fs_descriptor(&d->doc, &inode);
  name_with(name, ".raw", raw);
  if (info->raw && fstatat(fs_folder(s, place), raw, &st, AT_SYMLINK_NOFOLLOW) == 0)
    info->size = (uint64_t)st.st_size;
}

static void object_info(struct fs_site *s, enum place place, const char *name, struct fs_loaded *d,
                        struct entry_info *info) {
  info->doc = &d->doc;
  info->event = &d->event;
  info->payload = json_member(&d->doc, 0, "payload");
  if (info->payload != JSON_NONE) info->payload_size = d->doc.nodes[info->payload].len;
  if (info->shelf == SHELF_DEAD && fs_newer_form(&d->doc))
    newer_info(d, info);
  else
    flat_info(d, info);
  raw_info(s, place, name, d, info);
}

void fs_look_info(struct fs_look *l, enum place place, const char *name, bool read,
                  struct entry_info *info) {
  struct fs_loaded *d = &l->loaded;
  size_t stem = strlen(name) - 5;
  memcpy(l->stem, name, stem);
  const char *token = fs_token(place, name, l->token);
  *info = (struct entry_info){.shelf = fs_shelf(place),
                              .token = token,
                              .label = token + strlen(token) - strlen(name),
                              .storage_key = {l->stem, stem},
                              .id = {l->stem, stem},
                              .created_us = TIME_NONE,
                              .failed_us = TIME_NONE,
                              .first_failed_us = TIME_NONE,
                              .arrived_us = d->stamp.mtime_ns / 1000,
                              .size = (uint64_t)d->stamp.size,
                              .payload = JSON_NONE};
  if (read) info->text = (struct span){d->text, d->len};
  enum reason why = read ? d->reason : REASON_TOO_LARGE;
  if (read && fs_loaded_is_object(d)) object_info(l->s->site, place, name, d, info);
  if (why == REASON_NONE || info->foreign_form) return;
  if (!info->reason.len) info->reason = span_of(reason_word(why));
  if (!info->last_error.len && read) info->last_error = span_of(d->error.text);
}

/* The bytes of a file with a second name may be anybody's: they are told to nobody. */
enum status fs_letter_unread(struct fs_site *s, enum place place, const char *name,
                             enum fs_read got, int sys, struct stat *st, struct error *err) {
  const char *shown = place_path(place);
  *st = (struct stat){0};
  int known = fstatat(fs_folder(s, place), name, st, AT_SYMLINK_NOFOLLOW);
  if (got == FS_UNREADABLE) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s%s", state_path(fs_state(s, place)), place_inside(place),
             name);
    enum status unread = error_sys(err, sys, "reading %s%s", shown, name);
    error_denied(err, path, R_OK);
    return unread;
  }
  if (known < 0 || !S_ISREG(st->st_mode))
    return error_set(err, ST_INVALID, "%s%s is not a regular file", shown, name);
  return error_set(
      err, ST_INVALID,
      "%s%s has %lu names (hard links), so it is left alone unread. Remove the others (find / "
      "-samefile '%s/%s/%s'), or this one",
      shown, name, (unsigned long)st->st_nlink, state_path(fs_state(s, place)), place_folder(place),
      name);
}

/* A dead letter that is left unread is counted, and one that waits and may not be read stays: each
 * is told by its name, its times and why. */
static bool look_unread(struct fs_look *l, enum place place, const char *name, enum fs_read got,
                        struct entry_info *info) {
  struct fs_loaded *d = &l->loaded;
  struct stat st;
  bool dead = fs_shelf(place) == SHELF_DEAD;
  if (dead ? got != FS_ODD && got != FS_UNREADABLE : got != FS_UNREADABLE || l->all) return false;
  if (fs_letter_unread(l->s->site, place, name, got, d->sys, &st, &d->error) == ST_OK ||
      !S_ISREG(st.st_mode))
    return false;
  d->stamp = fs_stamp_of(&st);
  fs_look_info(l, place, name, false, info);
  info->reason = (struct span){0}; /* it stands in the file */
  info->unread = true;
  info->last_error = span_of(d->error.text);
  return true;
}

bool fs_look_at(struct fs_look *l, enum place place, const char *name, struct entry_info *info) {
  struct fs_loaded *d = &l->loaded;
  enum fs_read got =
      l->all ? fs_load_again(l->s->site, d, place, fs_folder(l->s->site, place), name, NULL)
             : fs_load(l->s->site, d, place, name, NULL);
  if (got == FS_READ && fs_loaded_parse(d, NULL) != ST_OK) got = FS_FAILED;
  l->got = got;
  if (got != FS_READ && got != FS_TOO_LARGE) return look_unread(l, place, name, got, info);
  if (fs_loaded_is_object(d) && fs_shelf(place) != SHELF_DEAD && !fs_ours(place, &d->event)) {
    if (d->event.status != EVENT_DLQ) fs_foreign_add(l->s, &d->stamp);
    return false;
  }
  fs_look_info(l, place, name, got == FS_READ, info);
  return true;
}

void fs_whereabouts(const struct fs_site *s, enum shelf shelf, const char *token, bool raw,
                    struct buffer *out) {
  enum place place;
  struct span name = fs_token_name(shelf, span_of(token), &place);
  const struct state *side = fs_state(s, place);
  if (!side) return;
  if (raw && span_ends(name, ".json")) name.len -= strlen(".json");
  buffer_printf(out, "%s/%s%.*s%s", state_path(side), place_inside(place), SPAN_ARGS(name),
                raw ? ".raw" : "");
}

enum status fs_look_op(struct fs_shared *s, enum shelf shelf, const char *token,
                       store_visit_fn visit, void *ctx, struct error *err) {
  struct fs_look look = {.s = s};
  struct entry_info info;
  char name[NAME_SIZE];
  enum place place;
  enum status st = ST_OK;
  fs_look_around(look.s->site);
  struct span shown = fs_token_name(shelf, span_of(token), &place);
  if (name_from(shown, name) && fs_look_at(&look, place, name, &info))
    visit(ctx, &info);
  else
    st = error_set(err, ST_NOT_FOUND, "%s%.*s is gone", place_path(place), SPAN_ARGS(shown));
  fs_loaded_release(&look.loaded);
  return st;
}
