/* Temporary files of ours in the folders of the outbox itself, which a crash left.
 * The reader's thread. */
#include "bridge/outbox/file/site/site.h"

#include <fcntl.h>

#define LITTER_AGE_US 3600000000 /* one that old is nobody's any more */

void fs_remove_litter(struct fs_site *s, enum place place, const char *name) {
  struct stat st;
  if (strncmp(name, FS_LITTER, strlen(FS_LITTER)) != 0) return;
  if (fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
    return;
  struct stamp stamp = fs_stamp_of(&st);
  if (clock_wall_us(s->clock) - stamp.ctime_ns / 1000 < LITTER_AGE_US) return;
  enum status gone = durable_unlink(fs_folder(s, place), name, NULL);
  (void)gone;
}
