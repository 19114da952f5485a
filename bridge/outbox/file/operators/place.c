/* What is said of the folder as a whole: its room, whether it may be written, how many names it
 * has. Any thread; it changes nothing.
 * A crash leaves nothing. */
#include "bridge/outbox/file/site/site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Entries are inodes: some file systems make them as they need them. */
static void take_space(const struct state *side, struct store_space *out) {
  struct statvfs now;
  if (fstatvfs(state_outbox(side), &now) != 0) return;
  int64_t bytes = (int64_t)now.f_bavail * (int64_t)now.f_frsize, entries = (int64_t)now.f_favail;
  if (!out->known || bytes < out->bytes) out->bytes = bytes;
  if (now.f_files > 0 && (out->entries < 0 || entries < out->entries)) out->entries = entries;
  out->known = true;
}

/* Of two sides the one with less: what is full holds up its producers. */
void fs_space(const struct fs_site *s, struct store_space *out) {
  *out = (struct store_space){.entries = -1};
  for (unsigned side = 0; side < SIDES; side++)
    if (fs_side(s, (enum side)side)) take_space(fs_side(s, (enum side)side), out);
}

/* Those that are there: pending/ and dlq/ are made when they are needed. */
static enum status check_folder(const struct state *side, const char *folder, struct error *err) {
  if (faccessat(state_outbox(side), folder, R_OK | W_OK | X_OK, AT_EACCESS) == 0) return ST_OK;
  bool needed = *folder == '.';
  if (errno == ENOENT && !needed) return ST_OK;
  return error_sys(err, errno, "%s/%s", state_path(side), folder);
}

enum status fs_writable(const struct fs_site *s, struct error *err) {
  static const char *const of_each[] = {".", ".busbridge", ".busbridge/tmp"};
  enum status st = ST_OK;
  for (unsigned side = 0; side < SIDES; side++)
    for (unsigned i = 0; i < 3 && st == ST_OK && fs_side(s, (enum side)side); i++)
      st = check_folder(fs_side(s, (enum side)side), of_each[i], err);
  for (unsigned p = PLACE_PENDING; p < PLACES && st == ST_OK; p++)
    if (fs_state(s, (enum place)p) && fs_shelf((enum place)p) != SHELF_SENT)
      st = check_folder(fs_state(s, (enum place)p), place_folder((enum place)p), err);
  return st;
}

static bool is_plain(int folder, const struct dirent *e) {
  struct stat st;
  if (e->d_type != DT_UNKNOWN) return e->d_type == DT_REG;
  return fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* A pass without stat is ten times cheaper than one with it. */
static uint64_t count_names(int parent, const char *folder) {
  uint64_t names = 0;
  int fd = openat(parent, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    if (fd >= 0) close(fd);
    return 0;
  }
  for (struct dirent *e; (e = readdir(dir)) != NULL;)
    names += name_is_entry(e->d_name) && is_plain(fd, e);
  closedir(dir);
  return names;
}

uint64_t fs_count_names(const struct fs_site *s, unsigned which) {
  uint64_t names = 0;
  for (unsigned p = 0; p < PLACES; p++) {
    enum shelf shelf = fs_shelf((enum place)p);
    unsigned asked = shelf == SHELF_PENDING ? LIST_PENDING : shelf == SHELF_DEAD ? LIST_DEAD : 0;
    if (which & asked && fs_state(s, (enum place)p))
      names += count_names(fs_root(s, (enum place)p), place_folder((enum place)p));
  }
  return names;
}
