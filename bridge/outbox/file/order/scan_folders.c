/* Before each listing: whose outbox is it, and which folders lie at their names now? The reader's
 * thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The outbox's identity and its position in Kafka lie inside it, so another folder in its place is
 * not taken over. */
static enum status check_outbox(const struct state *side, struct error *err) {
  struct stat path, open_one;
  const char *where = state_path(side);
  if (fstat(state_outbox(side), &open_one) < 0)
    return error_sys(err, errno, "looking at the outbox %s", where);
  if (stat(where, &path) < 0)
    return error_sys(err, errno, "the outbox folder %s is gone; put it back", where);
  if (folder_same(&path, &open_one)) return ST_OK;
  return error_set(
      err, ST_NOT_FOUND,
      "another folder lies in the place of the outbox %s; put the old one back or restart the "
      "worker",
      where);
}

/* Said once, and again when it has worked meanwhile. The scan goes on: the moves that need it wait
 * and say so. */
static void check_place(struct fs_reader *s, enum place place) {
  struct error err = {0};
  bool waits = fs_shelf(place) == SHELF_PENDING;
  bool works = !waits || fs_check_mounts(s->site, place_side(place), &err) == ST_OK;
  works = works && fs_take_place(s->site, place, &err) == ST_OK;
  if (!works && !s->place_said[place])
    log_write(s->site->log, LOG_WARNING, "outbox", waits ? "pending_unreadable" : "folder_unusable",
              FIELDS(F_TEXT("place", place_path(place)), F_TEXT("error", err.text)),
              "Fix it, with rights for uid %ld; each scan tries again", (long)geteuid());
  s->place_said[place] = !works;
}

/* What is in hand out of the old one is settled there first: else it would be sent again once that
 * comes back. */
static bool pending_waits(struct fs_reader *s, enum place place) {
  mutex_lock(&s->shared->lock);
  bool wait = s->shared->in_hand.count > 0 && !s->pending_waits[place];
  mutex_unlock(&s->shared->lock);
  s->pending_waits[place] = wait;
  if (wait) fs_rescan_settled(s->shared);
  return wait;
}

static void check_pending(struct fs_reader *s, enum place place) {
  struct stat now;
  int known = fs_folder(s->site, place);
  if (fstatat(fs_root(s->site, place), place_folder(place), &now, AT_SYMLINK_NOFOLLOW) < 0) return;
  if (!S_ISDIR(now.st_mode)) {
    char shown[sizeof "typed/processing/"];
    snprintf(shown, sizeof shown, "%.*s", (int)strlen(place_path(place)) - 1, place_path(place));
    fs_odd(s, PLACE_FLAT, shown, &now);
  } else if (known < 0 || fs_in_place(s->site, place, known) || !pending_waits(s, place))
    check_place(s, place);
}

enum status fs_check_folders(struct fs_reader *s, struct error *err) {
  enum status st = check_outbox(s->site->state, err);
  if (st == ST_OK && s->site->typed) st = check_outbox(s->site->typed, err);
  if (st != ST_OK) return st;
  s->folders_changed = false;
  for (unsigned p = PLACE_PENDING; p < PLACES; p++) {
    enum place place = (enum place)p;
    if (!fs_state(s->site, place)) continue;
    if (fs_shelf(place) == SHELF_PENDING) check_pending(s, place);
    if (fs_shelf(place) == SHELF_DEAD || (fs_shelf(place) == SHELF_SENT && s->site->c.keep_sent))
      check_place(s, place);
  }
  for (unsigned side = 0; side < SIDES; side++) {
    if (!fs_side(s->site, (enum side)side)) continue;
    enum status tmp = fs_keep_tmp(s->site, (enum side)side, NULL);
    (void)tmp; /* who writes there says so */
  }
  fs_watch_pending(s);
  return ST_OK;
}
