/* Is it one entry that the file system refuses to change, or all of them?
 * The finisher's thread; a crash leaves an empty file, which the next probe uses. */
#include "bridge/outbox/file/settling/finish.h"

#include <errno.h>
#include <unistd.h>

#define PROBE FS_LITTER "probe"
#define TMP(side) (PLACES + (side))  /* behind the places */
#define FRESH_NS INT64_C(1000000000) /* a probe tells of all that fail within a second */

bool fs_concerns_all(const struct error *why) {
  switch (why->sys) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
  case EROFS:
  case EMFILE:
  case ENFILE:
  case ENOMEM:
  case ESTALE:
  case ENODEV: return true;
  default:
    return why->status == ST_NO_SPACE || why->status == ST_NO_MEMORY ||
           why->status == ST_UNAVAILABLE;
  }
}

/* A crash in between leaves an empty file, which the next probe uses. */
static bool probe(int folder) {
  enum status st = durable_write_new(folder, PROBE, SPAN(""), NULL, NULL);
  if (st != ST_OK && st != ST_EXISTS) return false;
  return durable_unlink(folder, PROBE, NULL) == ST_OK;
}

bool state_hinders_one(const struct state *s, const struct error *why) {
  return why->sys && why->sys != ENOENT && !fs_concerns_all(why) && probe(state_folder(s));
}

/* The folder that lies at its name now. */
static bool probe_place(struct fs_site *s, unsigned place) {
  int fd = -1;
  if (place >= TMP(SIDE_FLAT)) {
    enum side side = (enum side)(place - TMP(SIDE_FLAT));
    return fs_keep_tmp(s, side, NULL) == ST_OK && probe(state_tmp(fs_side(s, side)));
  }
  if (fs_shelf((enum place)place) == SHELF_PENDING)
    return fs_in_place(s, (enum place)place, fs_folder(s, (enum place)place)) &&
           probe(fs_folder(s, (enum place)place));
  bool works = fs_hold(s, (enum place)place, &fd, NULL) == ST_OK && probe(fd);
  if (fd >= 0) close(fd);
  return works;
}

static bool can_change(struct fs_finisher *s, unsigned place) {
  int64_t now = clock_mono_ns(s->site->clock), *last = &s->probed_ns[place];
  if (*last && now >= *last && now - *last < FRESH_NS) return true;
  if (!probe_place(s->site, place)) return false;
  *last = now;
  return true;
}

/* The folder it lies in, tmp, and the one it goes to: if a file can be made and removed in each, it
 * is this one's. */
bool fs_hinders_one(struct fs_finisher *s, enum place place, enum aside what,
                    const struct error *why) {
  if (fs_concerns_all(why) || !fs_state(s->site, place)) return false;
  if (!can_change(s, place) || !can_change(s, TMP(place_side(place)))) return false;
  if (what == ASIDE_DEAD) return can_change(s, place_dead(place));
  return what != ASIDE_DONE || !s->site->c.keep_sent || can_change(s, place_sent(place));
}

const char *fs_remedy(int sys) {
  switch (sys) {
  case EPERM:
    return "lsattr tells whether it is immutable (chattr -ia FILE); in a sticky folder make it "
           "the worker's (chown)";
  case EACCES: return "Give the worker's user the right to read and remove it (chown or chmod)";
  case EBUSY: return "Something is mounted on it: umount FILE";
  case EIO: return "The disk cannot change it: check the file system (fsck), or restore the folder";
  case ENAMETOOLONG: return "Its name is too long to be moved: rename it";
  default: return "Fix what hinders it";
  }
}
