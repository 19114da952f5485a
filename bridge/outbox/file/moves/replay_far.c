/* Back to pending out of a dlq/ on another file system, where one rename cannot do it:
 *
 *   its pending form, or its bytes, lie in tmp, durable, under a name that says of which file of
 *     dlq/ they are
 *   that file goes, durably; a crash before: it is there, so what lies in tmp is dropped
 *   what lies in tmp moves into the outbox; a crash before: it is not there, so that is done now
 *
 * So it is never both, and the next holder of the lock knows which. In a copy that was put back
 * inodes are others: there the letter is known by what it says, and by its time.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

#include <fcntl.h>
#include <unistd.h>

/* The inode in dlq/; did dlq/ lie elsewhere; is it the bytes of a raw one */
#define FORM "home-%llx-%u-%u-"

static void name_of(uint64_t inode, bool elsewhere, bool raw, const char *target,
                    char out[NAME_SIZE]) {
  char whole[2 * NAME_SIZE];
  snprintf(whole, sizeof whole, FORM "%s", (unsigned long long)inode, elsewhere, raw, target);
  name_try(whole, 0, 0, ".json", out); /* a very long one is cut */
}

static enum status into_outbox(int tmp, const char *file, int home, const char *name) {
  char target[NAME_SIZE];
  enum status st = fs_to_free_name(NULL, tmp, file, home, name, target, NULL);
  return st == ST_OK ? durable_sync_folder(home, NULL) : st;
}

enum status fs_return_across(struct fs_site *s, enum side side, const char *file,
                             const struct stamp *was, const char *from, const char *target,
                             bool raw, struct error *err) {
  enum place place = side == SIDE_TYPED ? PLACE_TYPED_ERRORED : PLACE_DLQ;
  int tmp = fs_tmp(s, place), dlq = fs_folder(s, place), home = fs_folder(s, place_home(place));
  const char *shown = place_path(place);
  char back[NAME_SIZE];
  struct stat st;
  if (fstatat(home, target, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return error_set(err, ST_EXISTS, "the outbox has an entry %s already", target);
  bool there = fstatat(dlq, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
  struct stamp now = there ? fs_stamp_of(&st) : (struct stamp){0};
  if (!there || !fs_stamp_same(&now, was))
    return error_set(err, ST_NOT_FOUND, "%s%s changed or is gone", shown, file);
  name_of(now.inode, folder_elsewhere(fs_root(s, place), place_folder(place)), raw, target, back);
  enum status done = durable_move(tmp, from, tmp, back, err);
  if (done == ST_OK) done = fs_sync_fd(s, tmp, err);
  if (done == ST_OK) done = durable_remove_copied(dlq, file, &st, err);
  if (done != ST_OK) {
    if (fstatat(dlq, file, &st, AT_SYMLINK_NOFOLLOW) == 0) fs_tmp_drop(s, place, back);
    return done == ST_NOT_FOUND
               ? error_set(err, ST_IO, "%s%s changed while it was replayed", shown, file)
               : done;
  }
  done = fs_sync_place(s, place, err);
  char free_name[NAME_SIZE];
  enum status came = fs_to_free_name(s, tmp, back, home, target, free_name, NULL);
  if (came == ST_OK) came = fs_sync_place(s, place_home(place), NULL);
  if (came == ST_OK) return done;
  return error_set(
      err, ST_IO,
      "%s lies in .busbridge/tmp/%s; the next start of the worker brings it to the outbox", target,
      back);
}

/* ---- what a crash left ---- */

struct search {
  int tmp, dlq;
  const char *file, *target;
  uint64_t inode;
  int64_t mtime_ns; /* of what lies in tmp, which has the letter's */
  bool raw, found, unclear;
};

/* Whoever repairs a letter where it lies keeps its name and inode; who touches it, its words. */
static bool search_name(void *ctx, const char *name, unsigned char type) {
  struct search *s = ctx;
  struct stat st;
  (void)type;
  if (*name == '.' || fstatat(s->dlq, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  bool inode = st.st_ino == s->inode, named = strcmp(name, s->target) == 0;
  if (!inode && fs_stamp_of(&st).mtime_ns != s->mtime_ns) return true;
  enum status same = ST_NOT_FOUND;
  if (fs_is_copy(s->tmp, s->file, s->dlq, name) || (inode && (named || s->raw)))
    same = ST_OK;
  else if (!s->raw)
    same = fs_two_forms(s->tmp, s->file, s->dlq, name);
  s->found = same == ST_OK;
  s->unclear |= same != ST_OK && same != ST_NOT_FOUND;
  return !s->found;
}

/* The description of bytes that are back, unless its name was cut. */
static void drop_description(int dlq, const char *name, const char *file) {
  char raw[NAME_SIZE];
  struct stat st;
  name_with(name, ".raw", raw);
  if (leftover_cut(file) || fstatat(dlq, raw, &st, AT_SYMLINK_NOFOLLOW) == 0) return;
  enum status gone = durable_unlink(dlq, name, NULL);
  (void)gone; /* it stays as a dead letter without bytes, which can be purged */
}

bool leftover_return(int tmp, int root, enum side side, const char *file) {
  const char *dead = place_folder(side == SIDE_TYPED ? PLACE_TYPED_ERRORED : PLACE_DLQ);
  const char *home = place_folder(side == SIDE_TYPED ? PLACE_TYPED_PENDING : PLACE_FLAT);
  unsigned long long inode;
  unsigned elsewhere, raw;
  int at = -1, flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (sscanf(file, FORM "%n", &inode, &elsewhere, &raw, &at) != 3 || at < 0 ||
      !name_is_entry(file + at))
    return false;
  struct stat st;
  struct search search = {.tmp = tmp,
                          .dlq = openat(root, dead, flags),
                          .file = file,
                          .target = file + at,
                          .inode = inode,
                          .raw = raw != 0};
  int to = openat(root, home, flags);
  /* Not mounted now: nobody can tell. It stays. */
  bool known = search.dlq >= 0 && to >= 0 && (!elsewhere || folder_elsewhere(root, dead));
  if (fstatat(tmp, file, &st, AT_SYMLINK_NOFOLLOW) < 0) known = false;
  if (known) search.mtime_ns = fs_stamp_of(&st).mtime_ns;
  if (known && folder_walk(search.dlq, search_name, &search, NULL) == ST_OK &&
      (search.found || !search.unclear)) {
    enum status done =
        search.found ? durable_unlink(tmp, file, NULL) : into_outbox(tmp, file, to, file + at);
    if (done == ST_OK && !search.found && raw) drop_description(search.dlq, file + at, file);
  }
  if (search.dlq >= 0) close(search.dlq);
  if (to >= 0) close(to);
  return true;
}
