/* dlq/ is counted by its names, anew when somebody else changed it. The reader's thread. */
#include "bridge/outbox/file/file.h"

#include <errno.h>

struct count {
  struct fs *s;
  uint64_t dead;
};

static bool count_name(void *ctx, const char *name, unsigned char type) {
  struct count *count = ctx;
  if (fs_is_letter(count->s, name, type)) count->dead++;
  if (*name == '.') fs_remove_litter(count->s, PLACE_DLQ, name);
  return true;
}

enum status fs_count_dead(struct fs *s, struct error *err) {
  struct stat st;
  struct count count = {.s = s};
  int folder = fs_folder(s, PLACE_DLQ);
  if (fstat(folder, &st) < 0) return error_sys(err, errno, "looking at dlq/");
  if (st.st_mtim.tv_sec == s->dead_seen.tv_sec && st.st_mtim.tv_nsec == s->dead_seen.tv_nsec)
    return ST_OK;
  enum status walked = folder_walk(folder, count_name, &count, err);
  if (walked != ST_OK) {
    error_prefix(err, "%s/dlq", state_path(s->state));
    return walked;
  }
  s->dead_seen = st.st_mtim;
  mutex_lock(&s->lock);
  s->figures.dead = count.dead;
  mutex_unlock(&s->lock);
  return ST_OK;
}
