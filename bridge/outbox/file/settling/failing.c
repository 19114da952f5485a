/* Those that failed, on their way: what was written of them becomes durable, all at once.
 * Any thread; a crash leaves files in tmp. */
#include "bridge/outbox/file/moves/entry_moves.h"

/* That took a while: whose outbox is it now? */
static void still_ours(struct fs_site *s, struct fs_failing *const *list, size_t count) {
  struct error err = {0};
  if (fs_check(s, &err) == ST_OK) return;
  for (size_t i = 0; i < count; i++) {
    if (!fs_going(list[i])) continue;
    list[i]->f->status = err.status;
    list[i]->f->error = err;
  }
}

void fs_failing_wait(struct fs_site *s, struct fs_failing *const *list, struct durable_file *files,
                     size_t count) {
  size_t open = 0;
  for (size_t i = 0; i < count; i++)
    if (list[i]->fd >= 0)
      files[open++] = (struct durable_file){.name = list[i]->tmp, .fd = list[i]->fd};
  if (open) durable_write_end_all(fs_tmp(s, list[0]->f->ref.place), files, open);
  const struct durable_file *file = files;
  for (size_t i = 0; i < count; i++) {
    struct fs_failing *m = list[i];
    if (m->fd < 0) continue;
    m->fd = -1;
    m->written = file->status == ST_OK;
    if (!m->written && fs_going(m)) {
      m->f->status = file->status;
      m->f->error = file->error;
    }
    file++;
  }
  if (open) still_ours(s, list, count);
}
