#include "bridge/outbox/store_file.h"

#include <fcntl.h>
#include <unistd.h>

/* Moving into dlq/ and sent/: under a free name, and into the folder that lies at that name, whatever becomes of it in
 * between. */

#define FOLLOWED 8 /* exchanged that often while one file is moved, a folder is not usable */

static bool there(int folder, const char *name) {
  struct stat st;
  return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum status move_free(int from, const char *name, int to, const char *to_name, char target[NAME_SIZE],
                             struct error *err) {
  uint64_t which = 0;
  enum status st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    if (n == NAME_NUMBERED) which = name_which(from, name);
    name_try(to_name, n, which, ".json", target);
    st = durable_move(from, name, to, target, err);
  }
  return st;
}

struct carried { /* where it is: in its place, or in a folder that was moved away with it */
  int folder;
  char name[NAME_SIZE];
};

/* ST_AGAIN: the folder was exchanged meanwhile, and it went with the old one or did not go. */
static enum status try_carry(struct fs *s, struct carried *at, enum place to, const char *to_name, struct error *err) {
  char target[NAME_SIZE];
  int fd, source = at->folder;
  enum status st = fs_hold(s, to, &fd, err);
  if (st != ST_OK) return st;
  st = move_free(source, at->name, fd, to_name, target, err);
  bool right = fs_in_place(s, to, fd);
  if (st == ST_OK && !right) {
    at->folder = fd;
    fs_name_copy(at->name, target);
    return ST_AGAIN;
  }
  close(fd);
  if (st == ST_NOT_FOUND && there(source, at->name)) return ST_AGAIN; /* it was the folder that was not there */
  return st == ST_OK || right || st == ST_NOT_FOUND ? st : ST_AGAIN;
}

/* A crash in here leaves it in its place or in the folder: at worst in one that was moved away at that moment. */
enum status fs_move_free(struct fs *s, enum place from, const char *name, enum place to, const char *to_name,
                         struct error *err) {
  int place = fs_folder(s, from);
  struct carried at = {.folder = place};
  enum status st = ST_AGAIN;
  fs_name_copy(at.name, name);
  for (unsigned tries = 0; tries < FOLLOWED && st == ST_AGAIN; tries++) {
    int before = at.folder;
    st = try_carry(s, &at, to, to_name, err);
    if (before != place && before != at.folder) close(before);
  }
  if (st == ST_AGAIN) st = error_set(err, ST_IO, "%s is exchanged all the time", place_path(to));
  if (at.folder == place) return st;
  enum status back = st == ST_OK ? ST_OK : durable_move(at.folder, at.name, place, name, NULL);
  (void)back; /* else it lies in the folder that was moved away, as it would have a moment earlier */
  close(at.folder);
  return st;
}

enum status fs_finish_dead(struct fs *s, enum place place, const char *name, const char *to_name, struct error *err) {
  enum status st = fs_move_free(s, place, name, PLACE_DLQ, to_name, err);
  if (st == ST_OK) st = fs_sync_places(s, PLACE_DLQ, place, err);
  if (st != ST_OK) return st;
  pthread_mutex_lock(&s->lock);
  s->figures.dead++;
  pthread_mutex_unlock(&s->lock);
  return ST_OK;
}
