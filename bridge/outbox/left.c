#include "bridge/outbox/left.h"

#include "bridge/base/durable.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORM "swap-%llx-%llx-%llx-%llx-%u-"
enum { ENDING = sizeof ".json" - 1 };

void left_name(const struct left *l, char out[NAME_SIZE]) {
  int head = snprintf(out, NAME_SIZE, FORM, (unsigned long long)l->content, (unsigned long long)l->old.inode,
                      (unsigned long long)l->old.size, (unsigned long long)l->old.mtime_ns, (unsigned)l->place);
  size_t room = NAME_SIZE - 1 - (size_t)head, len = strlen(l->name);
  BUG_ON(!name_is_entry(l->name));
  bool cut = len > room;
  size_t stem = cut ? room - ENDING : len - ENDING;
  memcpy(out + head, l->name, stem);
  memcpy(out + (size_t)head + stem, ".json", ENDING + 1);
}

static bool parse(const char *file, struct left *l) {
  unsigned long long content, inode, size, mtime_ns;
  unsigned place;
  int at = -1;
  if (sscanf(file, FORM "%n", &content, &inode, &size, &mtime_ns, &place, &at) != 5 || at < 0) return false;
  if ((place != PLACE_FLAT && place != PLACE_PENDING) || !name_is_entry(file + at)) return false;
  *l = (struct left){.content = content,
                     .old = {.inode = inode, .size = (int64_t)size, .mtime_ns = (int64_t)mtime_ns},
                     .place = (enum place)place,
                     .name = file + at};
  return true;
}

/* Our own text, not exchanged or exchanged back, or the bytes that were read. */
static bool known(const struct left *l, const struct stat *st) {
  int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
  return st->st_ino == l->content ||
         (st->st_ino == l->old.inode && st->st_size == l->old.size && mtime_ns == l->old.mtime_ns);
}

static void remove_file(int tmp, const char *file) {
  enum status st = durable_unlink(tmp, file, NULL);
  (void)st; /* it stays until next time */
}

/* As it would have been: exchanged back where our text still lies, else beside what lies there. A crash in between
 * leaves our own text in tmp. */
static enum status bring_back(int tmp, int folder, const char *file, const struct left *l) {
  struct stat now;
  char target[NAME_SIZE];
  enum status st = ST_EXISTS;
  if (fstatat(folder, l->name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == l->content) {
    st = durable_exchange(tmp, file, folder, l->name, NULL);
    if (st == ST_OK) remove_file(tmp, file);
    return st;
  }
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    name_try(l->name, n, name_which(tmp, file), ".json", target);
    st = durable_move(tmp, file, folder, target, NULL);
  }
  return st;
}

void left_clear(int tmp, int outbox, const char *file) {
  struct left l;
  struct stat st;
  if (fstatat(tmp, file, &st, AT_SYMLINK_NOFOLLOW) < 0) return;
  if (!parse(file, &l) || known(&l, &st)) {
    remove_file(tmp, file);
    return;
  }
  int folder = outbox;
  if (l.place == PLACE_PENDING) folder = openat(outbox, "pending", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return;
  enum status done = bring_back(tmp, folder, file, &l);
  if (done == ST_OK) done = durable_sync_folder(folder, NULL);
  (void)done; /* else it is found where it was, or where it is now */
  if (folder != outbox) close(folder);
}
