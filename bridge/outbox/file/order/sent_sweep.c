/* What lies in sent/ longer than outbox.sent_retention goes. The reader's thread.
 * A crash leaves what was not removed yet: the next sweep does it. */
#include "bridge/outbox/file/order/order.h"

#include <fcntl.h>

#define SWEEP_MOST 10000 /* files removed in one go */

struct sweep {
  enum place place;
  struct fs_site *s;
  int64_t before_ns;
  unsigned removed;
};

/* By ctime: when it was moved there; its mtime is that of its arrival. */
static bool sweep_name(void *ctx, const char *name, unsigned char type) {
  struct sweep *w = ctx;
  struct stat st;
  int folder = fs_folder(w->s, w->place);
  (void)type;
  if (*name == '.') fs_remove_litter(w->s, w->place, name);
  if (!name_is_entry(name) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
      !S_ISREG(st.st_mode))
    return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (stamp.ctime_ns < w->before_ns && durable_unlink(folder, name, NULL) == ST_OK) w->removed++;
  return w->removed < SWEEP_MOST;
}

/* That of the typed folder has what the older bus sent itself: it is not ours to tidy. */
static bool is_swept(const struct fs_site *s, enum place place) {
  return fs_shelf(place) == SHELF_SENT && place_side(place) == SIDE_FLAT &&
         fs_folder(s, place) >= 0;
}

void fs_sweep_sent(struct fs_reader *s) {
  if (s->site->c.sent_retention_ms <= 0) return;
  int64_t now = clock_wall_us(s->site->clock), every = s->site->c.sent_retention_ms * 1000 / 100;
  if (every > 3600000000) every = 3600000000;
  if (s->sent_swept_us != TIME_NONE && now >= s->sent_swept_us && now - s->sent_swept_us < every)
    return;
  struct sweep w = {.s = s->site, .before_ns = (now - s->site->c.sent_retention_ms * 1000) * 1000};
  enum status st = ST_OK;
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++) {
    w.place = (enum place)p;
    if (is_swept(s->site, w.place))
      st = folder_walk(fs_folder(s->site, w.place), sweep_name, &w, NULL);
  }
  if (st == ST_OK && w.removed < SWEEP_MOST) s->sent_swept_us = now;
  if (w.removed)
    log_write(s->site->log, LOG_INFO, "outbox", "sent_swept", FIELDS(F_INT("files", w.removed)),
              "Removed what lay in sent/ longer than outbox.sent_retention");
}
