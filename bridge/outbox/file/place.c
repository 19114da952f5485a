/* What is said of the folder as a whole: its room, whether it may be written, how many names it
 * has. Any thread; it changes nothing.
 * A crash leaves nothing. */
#include "bridge/outbox/file/shared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

void fs_space(const struct fs_site *s, struct store_space *out) {
  struct statvfs now;
  *out = (struct store_space){.files = -1};
  if (fstatvfs(state_outbox(s->state), &now) != 0) return;
  out->known = true;
  out->bytes = (int64_t)now.f_bavail * (int64_t)now.f_frsize;
  if (now.f_files > 0)
    out->files = (int64_t)now.f_favail; /* some file systems make inodes as they need them */
}

/* Those that are there: pending/ and dlq/ are made when they are needed. */
enum status fs_writable(const struct fs_site *s, struct error *err) {
  static const char *const folders[] = {".", "pending", "dlq", ".busbridge", ".busbridge/tmp"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    if (faccessat(state_outbox(s->state), folders[i], R_OK | W_OK | X_OK, AT_EACCESS) == 0)
      continue;
    bool needed = folders[i][0] == '.';
    if (errno == ENOENT && !needed) continue;
    return error_sys(err, errno, "%s/%s", state_path(s->state), folders[i]);
  }
  return ST_OK;
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
  int outbox = state_outbox(s->state);
  uint64_t names =
      which & LIST_PENDING ? count_names(outbox, ".") + count_names(outbox, "pending") : 0;
  return which & LIST_DEAD ? names + count_names(outbox, "dlq") : names;
}
