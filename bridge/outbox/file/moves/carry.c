/* Moves into dlq/ and sent/, under a free name, into whichever folder lies there now. A crash
 * leaves the file as free_name.c says, at worst in a folder that was moved away at that moment.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"

#include <unistd.h>

#define FOLLOWED 8 /* exchanged that often while one file is moved, a folder is not usable */

struct carried { /* where it is: in its place, or in a folder that was moved away with it */
  int folder;
  char name[NAME_SIZE];
};

/* ST_AGAIN: the folder was exchanged meanwhile, and it went with the old one or did not go. */
static enum status try_carry(struct fs_site *s, struct carried *at, enum place to,
                             const char *to_name, struct error *err) {
  char target[NAME_SIZE];
  int fd, source = at->folder;
  enum status st = fs_hold(s, to, &fd, err);
  if (st != ST_OK) return st;
  st = fs_to_free_name(s, source, at->name, fd, to_name, target, err);
  bool right = fs_in_place(s, to, fd);
  if (st == ST_OK && !right) {
    at->folder = fd;
    fs_name_copy(at->name, target);
    return ST_AGAIN;
  }
  close(fd);
  if (st == ST_NOT_FOUND && folder_has(source, at->name))
    return ST_AGAIN; /* it was the folder that was not there */
  return st == ST_OK || right || st == ST_NOT_FOUND ? st : ST_AGAIN;
}

/* A crash in here leaves it in its place or in the folder: at worst in one that was moved away at
 * that moment. */
enum status fs_carry(struct fs_site *s, int place, const char *name, enum place to,
                     const char *to_name, struct error *err) {
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
  (void)
      back; /* else it lies in the folder that was moved away, as it would have a moment earlier */
  close(at.folder);
  return st;
}

enum status fs_move_free(struct fs_site *s, enum place from, const char *name, enum place to,
                         const char *to_name, struct error *err) {
  return fs_carry(s, fs_folder(s, from), name, to, to_name, err);
}
