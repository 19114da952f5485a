/* Reads one entry's file, following no link and leaving its access time alone; parses it, and
 * judges its size. One thread for each struct fs_loaded.
 * A crash leaves nothing. */
#include "bridge/outbox/file/entry/entry_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define OUR_KEYS 65536 /* what a verdict adds: times, reason, last_error */

static const struct event no_event = {.payload = JSON_NONE,
                                      .created_us = TIME_NONE,
                                      .failed_us = TIME_NONE,
                                      .first_failed_us = TIME_NONE};

void fs_loaded_release(struct fs_loaded *d) {
  free(d->text);
  json_doc_release(&d->doc);
  arena_release(&d->arena);
  *d = (struct fs_loaded){0};
}

/* Without touching the access time where we may: reading is not to write to the disk. */
static int open_entry(int folder, const char *name) {
  int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int fd = openat(folder, name, flags | O_NOATIME);
  if (fd < 0 && errno == EPERM) fd = openat(folder, name, flags);
  return fd;
}

static enum fs_read open_failed(struct fs_loaded *d, int e, const char *name, struct error *err) {
  d->sys = e;
  switch (e) {
  case ENOENT: return FS_GONE;
  case ELOOP:
  case ENXIO: /* a socket */
  case ENODEV: return FS_ODD;
  case EMFILE:
  case ENFILE:
  case ENOMEM: error_sys(err, e, "opening %s", name); return FS_FAILED;
  default: return FS_UNREADABLE;
  }
}

static bool make_room(struct fs_loaded *d, size_t need) {
  if (need <= d->cap) return true;
  char *text = realloc(d->text, need);
  if (!text) return false;
  d->text = text;
  d->cap = need;
  return true;
}

/* One byte more is asked for than there should be: a file that grew meanwhile is seen. */
static enum fs_read read_text(struct fs_loaded *d, int fd, const char *name, struct error *err) {
  size_t size = (size_t)d->stamp.size;
  if (!make_room(d, size + 1)) {
    error_set(err, ST_NO_MEMORY, "no memory to read %s", name);
    return FS_FAILED;
  }
  for (d->len = 0; d->len <= size;) {
    ssize_t n = read(fd, d->text + d->len, size + 1 - d->len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      d->sys = errno;
      return FS_UNREADABLE;
    }
    if (n == 0) break;
    d->len += (size_t)n;
    if (d->len == size) return FS_READ; /* the common case: whole in one call, and not more */
  }
  return d->len == size ? FS_READ : FS_UNSTABLE;
}

/* Also one that is ahead of the clock. */
static bool is_young(const struct fs_site *s, const struct stamp *stamp) {
  int64_t latest = stamp->mtime_ns > stamp->ctime_ns ? stamp->mtime_ns : stamp->ctime_ns;
  return clock_wall_us(s->clock) - latest / 1000 < YOUNG_US;
}

static enum fs_read read_open(struct fs_site *s, struct fs_loaded *d, int fd, bool again,
                              const char *name, struct error *err) {
  struct stat st;
  if (fstat(fd, &st) < 0) {
    d->sys = errno;
    return FS_UNREADABLE;
  }
  if (st.st_nlink == 0) return FS_GONE;
  if (!S_ISREG(st.st_mode) || (st.st_nlink != 1 && !again)) return FS_ODD;
  d->stamp = fs_stamp_of(&st);
  d->young = is_young(s, &d->stamp);
  if ((uint64_t)st.st_size > s->c.max_entry_bytes + OUR_KEYS) return FS_TOO_LARGE;
  return read_text(d, fd, name, err);
}

static enum fs_read read_named(struct fs_site *s, struct fs_loaded *d, int folder, bool again,
                               const char *name, struct error *err) {
  d->len = 0;
  d->stamp = (struct stamp){0};
  d->doc.count = 0;
  d->event = no_event;
  if (folder < 0) return FS_GONE;
  int fd = open_entry(folder, name);
  if (fd < 0) return open_failed(d, errno, name, err);
  enum fs_read how = read_open(s, d, fd, again, name, err);
  close(fd);
  return how;
}

enum fs_read fs_load(struct fs_site *s, struct fs_loaded *d, enum place place, const char *name,
                     struct error *err) {
  d->limit = fs_shelf(place) == SHELF_DEAD ? SIZE_MAX : s->c.max_entry_bytes;
  d->lifting = s->lifting;
  d->typed = place_side(place) == SIDE_TYPED;
  return read_named(s, d, fs_folder(s, place), false, name, err);
}

enum fs_read fs_load_again(struct fs_site *s, struct fs_loaded *d, enum place place, int folder,
                           const char *name, struct error *err) {
  d->limit = s->c.max_entry_bytes;
  d->lifting = s->lifting;
  d->typed = place_side(place) == SIDE_TYPED;
  return read_named(s, d, folder, true, name, err);
}

/* An entry that was tried, or replayed, is larger by the keys it got. */
static bool is_ours(const struct fs_loaded *d) {
  return fs_loaded_is_object(d) && json_member(&d->doc, 0, "first_failed_at") != JSON_NONE;
}

static void judge_size(struct fs_loaded *d) {
  if (d->len <= d->limit || is_ours(d)) return;
  d->len = d->doc.count = 0; /* as if it had not been read */
  d->event = no_event;
  fs_loaded_too_large(d);
}

void fs_loaded_too_large(struct fs_loaded *d) {
  d->reason = REASON_TOO_LARGE;
  error_set(&d->error, ST_TOO_LARGE,
            "%lld bytes, more than the %zu that outbox.max_entry_bytes allows",
            (long long)d->stamp.size, d->limit);
}

enum status fs_loaded_parse(struct fs_loaded *d, struct error *err) {
  d->reason = REASON_NONE;
  d->error.text[0] = '\0';
  arena_reset(&d->arena);
  enum status st = json_scan(&d->doc, (struct span){d->text, d->len}, &d->error);
  if (st == ST_OK)
    d->reason = (d->typed ? event_read_typed : event_read)(&d->doc, d->lifting, &d->arena,
                                                           &d->event, &d->error);
  if (st == ST_INVALID) {
    d->reason = event_reason_of(d->doc.fault);
    d->event = no_event;
  }
  if (st == ST_NO_MEMORY || d->reason == REASON_NO_MEMORY)
    return error_set(err, ST_NO_MEMORY, "no memory to parse an entry");
  judge_size(d);
  return ST_OK;
}

bool fs_loaded_is_object(const struct fs_loaded *d) {
  return d->doc.fault == JSON_OK && d->doc.count > 0 && d->doc.nodes[0].type == JSON_OBJECT;
}

/* Of what is left in processing/ nobody knows how far it came, and the status does not tell. */
bool fs_ours(enum place place, const struct event *event) {
  bool dead = event->status == EVENT_DLQ && event->reason.len > 0;
  if (event->left) return false;
  if (place == PLACE_TYPED_PROCESSING) return !dead;
  return event->status == EVENT_PENDING || (event->status == EVENT_ABSENT && place != PLACE_FLAT);
}

bool fs_dead_form(const struct fs_loaded *d) {
  return (d->event.status == EVENT_DLQ && d->event.reason.len > 0) || fs_newer_form(&d->doc);
}

bool fs_newer_form(const struct json_doc *doc) {
  return json_member(doc, 0, "message_name") != JSON_NONE &&
         json_member(doc, 0, "original_error") != JSON_NONE &&
         json_member(doc, 0, "attempt_count") != JSON_NONE &&
         json_member(doc, 0, "status") == JSON_NONE;
}
