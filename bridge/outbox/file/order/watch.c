/* inotify: the queue of what it told, in order, and the wait for more. The reader's thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Creation is watched in the outbox only while pending/ is missing: else each new file would be
 * told twice. */
#define MASK (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static void cannot_watch(struct fs_reader *s, const char *what) {
  if (s->watch_said) return;
  s->watch_said = true;
  log_write(s->site->log, LOG_WARNING, "outbox", "watch_failed",
            FIELDS(F_TEXT("error", strerror(errno))),
            "%s cannot be watched (raise fs.inotify.max_user_instances or max_user_watches); new "
            "entries are found by each flush.interval's scan only",
            what);
}

static void watch_place(struct fs_reader *s, enum place place) {
  struct buffer path = {0};
  bool there = fs_in_place(s->site, place, fs_folder(s->site, place));
  buffer_printf(&path, "%s/%s", state_path(fs_state(s->site, place)), place_folder(place));
  int wd = there ? inotify_add_watch(s->inotify, buffer_z(&path), MASK | IN_DONT_FOLLOW) : -1;
  if (there && wd < 0 && errno != ENOENT) cannot_watch(s, buffer_z(&path));
  if (s->watch[place] >= 0 && wd != s->watch[place]) inotify_rm_watch(s->inotify, s->watch[place]);
  s->watch[place] = wd;
  buffer_release(&path);
}

/* Not processing/: what lies there is ours only when it has not changed for long. */
void fs_watch_pending(struct fs_reader *s) {
  if (s->inotify < 0) return;
  const char *outbox = state_path(s->site->state);
  bool there = fs_in_place(s->site, PLACE_PENDING, fs_folder(s->site, PLACE_PENDING));
  s->watch[PLACE_FLAT] = inotify_add_watch(s->inotify, outbox, there ? MASK : MASK | IN_CREATE);
  if (s->watch[PLACE_FLAT] < 0) cannot_watch(s, outbox);
  watch_place(s, PLACE_PENDING);
  if (s->site->typed) watch_place(s, PLACE_TYPED_PENDING);
}

void fs_watch_open(struct fs_reader *s) {
  s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (s->inotify < 0)
    cannot_watch(s, state_path(s->site->state));
  else
    fs_watch_pending(s);
}

void fs_watch_close(struct fs_reader *s) {
  if (s->inotify >= 0) close(s->inotify);
  s->inotify = -1;
}

/* ---- what was told ---- */

enum { AGAIN_MOST = 4096 };

static struct digest name_digest(enum place place, const char *name) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  return digest_of(key.span);
}

void fs_queue_clear(struct fs_reader *s) {
  mutex_lock(&s->shared->lock);
  fs_names_clear(&s->shared->queue);
  s->shared->queue_next = s->queue_again = 0;
  mutex_unlock(&s->shared->lock);
  s->queue_taken = s->queue_mark = 0;
  digest_set_release(&s->told);
}

static int64_t mtime_of(struct fs_site *s, enum place place, const char *name) {
  struct stat st;
  return fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) == 0
             ? fs_stamp_of(&st).mtime_ns
             : 0;
}

static bool queue_add(struct fs_reader *s, enum place place, const char *name) {
  mutex_lock(&s->shared->lock);
  bool listing = s->shared->figures.listing_on; /* whose end counts the queue */
  bool counted = !listing && fs_growing_has(s, place, name);
  bool added =
      fs_names_add(&s->shared->queue, mtime_of(s->site, place, name), place, name, counted);
  if (added && !listing && !counted) {
    fs_arrives(&s->shared->figures);
    s->shared->figures.queued++;
  }
  mutex_unlock(&s->shared->lock);
  return added;
}

/* The last place of a name in the queue; as far from the end as is worth while. */
static size_t place_in_queue(const struct fs_shared *s, enum place place, const char *name,
                             bool *all) {
  size_t end = s->queue.count, from = s->queue_next;
  *all = end - from <= AGAIN_MOST;
  if (!*all) from = end - AGAIN_MOST;
  for (size_t i = end; i-- > from;) {
    const struct fs_slot *slot = &s->queue.at[i];
    if (slot->place == place && !(slot->flags & FS_AGAIN) && strcmp(fs_slot_name(slot), name) == 0)
      return i;
  }
  return SIZE_MAX;
}

/* With the time it had when it was told: a copy that keeps it (rsync, cp -p), not a new event. Of
 * what was told in one go nobody knows what lay there first, and within a tick two files have one
 * time. */
static bool is_copy(struct fs_reader *s, size_t at, int64_t mtime_ns) {
  bool young = clock_wall_us(s->site->clock) - mtime_ns / 1000 < YOUNG_US;
  return at < s->drain_from && s->shared->queue.at[at].mtime_ns == mtime_ns && !young;
}

/* Whoever writes a name again writes a new event: it comes behind what was told in between, not at
 * the place of the one that it put an end to. False: it is not in the queue any more. */
static bool push_again(struct fs_reader *s, enum place place, const char *name) {
  bool all;
  size_t at = place_in_queue(s->shared, place, name, &all);
  if (at == SIZE_MAX) return !all;
  int64_t mtime_ns = mtime_of(s->site, place, name);
  if (at + 1 == s->shared->queue.count || s->shared->queue.count >= s->site->c.window ||
      is_copy(s, at, mtime_ns))
    return true;
  mutex_lock(&s->shared->lock);
  if (fs_names_add(&s->shared->queue, mtime_ns, place, name,
                   s->shared->queue.at[at].flags & FS_HELD)) {
    s->shared->queue.at[at].flags |= FS_AGAIN;
    s->queue_again++;
  }
  mutex_unlock(&s->shared->lock);
  return true;
}

/* Bounded as a listing is: beyond that, the next scan finds the rest in order. */
static void push(struct fs_reader *s, enum place place, const char *name) {
  struct digest d = name_digest(place, name);
  if (digest_set_has(&s->told, d) && push_again(s, place, name)) return;
  if (s->shared->queue.count >= s->site->c.window || digest_set_add(&s->told, d) != ST_OK ||
      !queue_add(s, place, name))
    s->overflow = true;
}

static void told_name(struct fs_reader *s, enum place place, const struct inotify_event *e,
                      bool keep) {
  if (e->mask & IN_ISDIR) {
    if (place == PLACE_FLAT && fs_is_folder(SIDE_FLAT, e->name)) s->folders_changed = true;
    return;
  }
  if (!(e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) || !name_is_entry(e->name)) return;
  if ((e->mask & IN_MOVED_TO) && fs_own_is(s->shared, place, e->name)) return;
  if (fs_hand_has(s->shared, place, e->name, true)) return; /* looked at again when it is settled */
  if (keep) push(s, place, e->name);
}

static void told(struct fs_reader *s, const struct inotify_event *e, bool keep) {
  if (e->mask & IN_Q_OVERFLOW) {
    s->overflow = true;
    return;
  }
  enum place place = PLACE_FLAT;
  while (place < PLACES && e->wd != s->watch[place]) place++;
  if (place == PLACES) return; /* of a folder that was replaced */
  if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
    s->folders_changed = true;
  if (e->mask & IN_IGNORED) s->watch[place] = -1;
  if (e->len) told_name(s, place, e, keep);
}

void fs_watch_drain(struct fs_reader *s, bool keep) {
  _Alignas(struct inotify_event) char events[16384];
  s->since_drain = 0;
  s->drain_from = s->shared->queue.count;
  if (s->inotify < 0) return;
  for (;;) {
    ssize_t n = read(s->inotify, events, sizeof events);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    for (ssize_t at = 0; at < n;) {
      const struct inotify_event *e = (const struct inotify_event *)(events + at);
      told(s, e, keep);
      at += (ssize_t)(sizeof *e + e->len);
    }
  }
}

static void queue_used(struct fs_reader *s) {
  if (s->shared->queue.at[s->shared->queue_next++].flags & FS_AGAIN) s->queue_again--;
  s->queue_taken++;
  if (s->shared->queue_next < s->shared->queue.count)
    return; /* else mark and taken go on: they count names, not places */
  fs_names_clear(&s->shared->queue);
  s->shared->queue_next = 0;
  digest_set_release(&s->told);
}

bool fs_queue_pop(struct fs_reader *s, struct fs_candidate *c) {
  mutex_lock(&s->shared->lock);
  while (s->shared->queue_next < s->shared->queue.count &&
         s->shared->queue.at[s->shared->queue_next].flags & FS_AGAIN)
    queue_used(s);
  bool any = s->shared->queue_next < s->shared->queue.count;
  if (any) {
    const struct fs_slot *slot = &s->shared->queue.at[s->shared->queue_next];
    *c = (struct fs_candidate){.source = FS_TOLD, .place = (enum place)slot->place};
    fs_name_copy(c->name, fs_slot_name(slot));
    c->fresh = slot->flags & FS_HELD &&
               !fs_growing_has(s, c->place, c->name); /* it is not growing any more: taken */
    c->queued = !(slot->flags & FS_HELD);
    if (c->queued) {
      s->shared->figures.queued--;
      s->shared->figures.known++;
    }
    queue_used(s);
  }
  mutex_unlock(&s->shared->lock);
  return any;
}

bool fs_queue_has(const struct fs_reader *s, enum place place, const char *name) {
  return s->told.count && digest_set_has(&s->told, name_digest(place, name));
}

/* ---- waiting ---- */

void fs_wait(struct fs_reader *s, int64_t timeout_ms, enum fs_work work) {
  struct pollfd fds[2] = {{.fd = s->shared->wake_fd, .events = POLLIN},
                          {.fd = s->inotify, .events = POLLIN}};
  int64_t growing = fs_growing_wait_ms(s);
  if (work != FS_BLOCKED && growing >= 0 && (timeout_ms < 0 || growing < timeout_ms))
    timeout_ms = growing;
  if (work == FS_LEFT) timeout_ms = 0;
  if (timeout_ms > 3600000) timeout_ms = 3600000; /* an early return is allowed */
  int n = thread_poll(fds, s->inotify >= 0 && work != FS_BLOCKED ? 2 : 1, (int)timeout_ms);
  if (n > 0 && (fds[0].revents & POLLIN)) {
    wake_take(s->shared->wake_fd);
    atomic_store(&s->shared->woken, false);
  }
}
