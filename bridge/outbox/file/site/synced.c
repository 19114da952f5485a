/* Folders are made durable one at a time, and a failure is kept until store_sync told it (L11): the
 * kernel tells it to whoever asks first, on whichever thread, and says yes to the next one, who
 * would close a batch whose removals were lost.
 * Any thread; a crash leaves a folder as it was synced last. */
#include "bridge/outbox/file/site/site.h"

/* place: whose folder it is, NULL: tmp, or one that was moved away. */
static enum status sync_folder(struct fs_site *s, const enum place *place, int folder,
                               struct error *err) {
  struct error why = {0};
  mutex_lock(&s->syncing);
  enum status st = durable_sync_folder(folder, &why);
  if (st != ST_OK && place)
    error_prefix(&why, "%s/%s", state_path(fs_state(s, *place)), place_inside(*place));
  if (st != ST_OK && s->unsynced.status == ST_OK) s->unsynced = why;
  BUG_ON_RULE(S8, st != ST_OK && s->unsynced.status == ST_OK);
  mutex_unlock(&s->syncing);
  if (st != ST_OK && err) *err = why;
  return st;
}

enum status fs_sync_fd(struct fs_site *s, int folder, struct error *err) {
  return sync_folder(s, NULL, folder, err);
}

enum status fs_sync_held(struct fs_site *s, enum place place, int folder, struct error *err) {
  enum status st = sync_folder(s, &place, folder, err);
  if (st != ST_OK) atomic_store(&s->dirty[place], true);
  return st;
}

enum status fs_sync_place(struct fs_site *s, enum place place, struct error *err) {
  return fs_sync_held(s, place, fs_folder(s, place), err);
}

enum status fs_sync_places(struct fs_site *s, enum place a, enum place b, struct error *err) {
  enum status st = fs_sync_place(s, a, err);
  return st == ST_OK && a != b ? fs_sync_place(s, b, err) : st;
}

enum status fs_unsynced(struct fs_site *s, struct error *err) {
  mutex_lock(&s->syncing);
  enum status st = s->unsynced.status;
  if (st != ST_OK && err) *err = s->unsynced;
  s->unsynced = (struct error){0};
  mutex_unlock(&s->syncing);
  return st;
}
