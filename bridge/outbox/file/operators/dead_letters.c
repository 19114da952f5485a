/* Dead letters chosen earlier, by name and time: read, purged, their bytes copied. A crash in a
 * purge leaves each one whole or gone; of a raw one perhaps the descriptor alone, which can be
 * purged.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/operators/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum status unlike(struct fs_look *l, struct letter *letter, enum place place,
                          const char *name, enum fs_read got) {
  struct error *err = &letter->error;
  const char *shown = place_path(place);
  struct stat st;
  switch (got) {
  case FS_READ:
  case FS_TOO_LARGE: return ST_OK;
  case FS_FAILED: return err->status;
  case FS_GONE: return error_set(err, ST_NOT_FOUND, "%s%s is gone", shown, name);
  case FS_UNSTABLE: return error_set(err, ST_BUSY, "%s%s is being written; try again", shown, name);
  case FS_UNREADABLE:
  case FS_ODD: break;
  }
  return fs_letter_unread(l->s->site, place, name, got, l->loaded.sys, &st, err);
}

static enum status look_at_letter(struct fs_look *l, struct letter *letter, enum place *place,
                                  char name[NAME_SIZE], struct entry_info *info) {
  struct error *err = &letter->error;
  if (!name_from(fs_token_name(SHELF_DEAD, span_of(letter->token), place), name))
    return error_set(err, ST_INVALID, "\"%s\" is not a dead letter's name (NAME.json)",
                     letter->token);
  enum fs_read got = fs_load(l->s->site, &l->loaded, *place, name, err);
  enum status st = unlike(l, letter, *place, name, got);
  if (st == ST_OK && got == FS_READ) st = fs_loaded_parse(&l->loaded, err);
  if (st != ST_OK) return st;
  fs_look_info(l, *place, name, got == FS_READ, info);
  int64_t when_us = info->failed_us != TIME_NONE ? info->failed_us : info->arrived_us;
  if (letter->when_us != TIME_NONE && letter->when_us != when_us)
    return error_set(err, ST_NOT_FOUND,
                     "%s%s is not the one that was chosen: it left and died again",
                     place_path(*place), name);
  return ST_OK;
}

bool fs_letter_look(struct fs_look *l, struct letter *letter, enum place *place,
                    char name[NAME_SIZE], struct entry_info *info) {
  letter->status = look_at_letter(l, letter, place, name, info);
  return letter->status == ST_OK;
}

void fs_left_dlq(struct fs_shared *s, struct span event, struct span reason) {
  fs_dead_figure(s, -1);
  if (s->site->c.dead_left) s->site->c.dead_left(s->site->c.dead_ctx, event, reason);
}

/* ---- purge ---- */

/* What is not an object goes in two steps, all of them together: the bytes, and when that is
 * durable their descriptors. A descriptor without bytes is still listed and can be purged, bytes
 * without a descriptor cannot. */
static enum status take_bytes(struct fs_site *s, enum place place, const char *name,
                              struct error *err) {
  char bytes[NAME_SIZE];
  name_with(name, ".raw", bytes);
  enum status st = durable_unlink(fs_folder(s, place), bytes, err);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Only the one that was looked at: it may be repaired, or have died again, at this moment. */
static enum status take_letter(struct fs_look *l, enum place place, const char *name,
                               const struct entry_info *info, struct error *err) {
  struct fs_shared *s = l->s;
  enum status st = fs_remove_same(s->site, place, name, &l->loaded.stamp, err);
  if (st == ST_OK) fs_left_dlq(s, info->name, info->reason);
  return st;
}

/* That of each place in which something was removed. */
static enum status sync_dead(struct fs_site *s, const bool *any, struct error *err) {
  enum status st = ST_OK;
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++)
    if (any[p]) st = fs_sync_place(s, (enum place)p, err);
  return st;
}

void fs_purge(struct fs_shared *s, struct letter *list, size_t count) {
  struct fs_look look = {.s = s};
  struct entry_info info;
  struct error err = {0};
  char name[NAME_SIZE];
  enum place place;
  bool any[PLACES] = {false}, bytes[PLACES] = {false}, raw = false;
  fs_look_around(look.s->site);
  for (struct letter *l = list; l < list + count; l++) {
    if (!fs_letter_look(&look, l, &place, name, &info)) continue;
    l->raw = info.raw;
    l->status = l->raw ? take_bytes(look.s->site, place, name, &l->error)
                       : take_letter(&look, place, name, &info, &l->error);
    any[place] |= l->status == ST_OK;
    bytes[place] |= l->raw;
    raw |= l->raw;
  }
  enum status st = sync_dead(look.s->site, bytes, &err);
  for (struct letter *l = list; st == ST_OK && raw && l < list + count; l++)
    if (l->status == ST_OK && l->raw && fs_letter_look(&look, l, &place, name, &info))
      l->status = take_letter(&look, place, name, &info, &l->error);
  fs_loaded_release(&look.loaded);
  if (st == ST_OK) st = sync_dead(look.s->site, any, &err);
  for (size_t i = 0; st != ST_OK && i < count; i++)
    if (list[i].status == ST_OK)
      list[i].status = error_set(&list[i].error, st, "%s: %s", list[i].token, err.text);
}

/* ---- bytes ---- */

static enum status read_at(int fd, const char *file, uint64_t from, size_t most, struct buffer *out,
                           uint64_t *size, struct error *err) {
  struct stat st;
  if (fstat(fd, &st) < 0) return error_sys(err, errno, "looking at %s", file);
  if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
    return error_set(err, ST_INVALID, "%s is not a regular file with one link", file);
  *size = (uint64_t)st.st_size;
  if (from >= *size) return ST_OK;
  if (most > *size - from) most = (size_t)(*size - from);
  buffer_reserve(out, most);
  for (size_t got = 0; !out->failed && got < most;) {
    ssize_t n = pread(fd, out->ptr + out->len, most - got, (off_t)(from + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_sys(err, errno, "reading %s", file);
    if (n == 0)
      return error_set(err, ST_BUSY, "%s became shorter while it was read; try again", file);
    out->len += (size_t)n;
    got += (size_t)n;
  }
  return buffer_status(out, err);
}

enum status fs_bytes(struct fs_site *s, const char *token, bool raw, uint64_t from, size_t most,
                     struct buffer *out, uint64_t *size, struct error *err) {
  enum place place;
  char letter[NAME_SIZE], name[NAME_SIZE];
  *size = 0;
  if (!name_from(fs_token_name(SHELF_DEAD, span_of(token), &place), letter))
    return error_set(err, ST_INVALID, "\"%s\" is not a dead letter's name (NAME.json)", token);
  name_with(letter, raw ? ".raw" : ".json", name);
  fs_look_around(s);
  if (fs_folder(s, place) < 0)
    return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(place), name);
  int fd = openat(fs_folder(s, place), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s%s", place_path(place), name);
  char shown[TOKEN_SIZE];
  snprintf(shown, sizeof shown, "%s%s", place_path(place), name);
  enum status st = read_at(fd, shown, from, most, out, size, err);
  close(fd);
  return st;
}
