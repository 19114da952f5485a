/* Tells the oldest pending names from what the reader knows, without a look at the folder. Window
 * and queue are the reader's, and others read them under the lock; what left the window and still
 * waits is in hand or parked.
 * The reader's thread and, under the lock, any; a crash leaves nothing. */
#include "bridge/outbox/file/shared/shared.h"

#include <fcntl.h>

#define CHUNK 256      /* names copied at a time */
#define CHUNKS_MAX 64u /* so many may be gone before the folder is looked at instead */

static int64_t end_of_window(const struct fs_names *n) {
  return n->cut && n->count ? n->at[n->count - 1].mtime_ns - n->one_group : INT64_MAX;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* What inotify told has no time yet. Too many: as far as the last of them reaches. */
static void keep_queue(struct fs_shared *s, int64_t *known_ns) {
  BUG_ON(s->queue_next > s->queue.count);
  size_t left = s->queue.count - s->queue_next, n = least(left, FS_FRONT);
  int64_t last_ns = INT64_MIN + 1;
  struct stat st;
  for (size_t i = 0; i < n; i++) {
    const struct fs_slot *slot = &s->queue.at[s->queue_next + i];
    enum place place = (enum place)slot->place;
    if (fstatat(fs_folder(s->site, place), fs_slot_name(slot), &st, AT_SYMLINK_NOFOLLOW) < 0)
      continue;
    last_ns = fs_stamp_of(&st).mtime_ns;
    mutex_lock(&s->lock);
    fs_names_keep(&s->ahead, place, fs_slot_name(slot), last_ns);
    mutex_unlock(&s->lock);
  }
  if (left > n && last_ns - 1 < *known_ns) *known_ns = last_ns - 1;
}

void fs_front_close(struct fs_shared *s) {
  if (!s->window_open) return; /* the listing before this one failed: what was kept then still is */
  const struct fs_names *n = &s->names;
  int64_t known_ns = end_of_window(n);
  mutex_lock(&s->lock);
  BUG_ON_RULE(S12, s->window_at > n->count);
  size_t end = s->window_at + least(n->count - s->window_at, FS_FRONT + 1);
  for (size_t i = s->window_at; i < end; i++)
    fs_names_keep(&s->ahead, (enum place)n->at[i].place, fs_slot_name(&n->at[i]),
                  n->at[i].mtime_ns);
  mutex_unlock(&s->lock);
  keep_queue(s, &known_ns);
  mutex_lock(&s->lock);
  s->window_open = false;
  s->known_ns = known_ns;
  mutex_unlock(&s->lock);
}

/* What was kept has been found again; what was given back, by a scan from the start. */
void fs_front_open(struct fs_shared *s, bool whole) {
  fs_names_clear(&s->ahead);
  s->window_open = true;
  s->window_at = 0;
  if (whole) fs_names_clear(&s->parked);
}

/* ---- telling ---- */

struct teller {
  struct fs_shared *s;
  fs_front_fn tell;
  void *ctx;
  size_t want, told; /* of the source at hand */
  int64_t after_ns, last_ns, known_ns;
  uint32_t listing; /* what all of it must come from */
  bool open;
};

static void known_to(struct teller *t, int64_t ns) {
  if (ns < t->known_ns) t->known_ns = ns;
}

/* Lock held. */
static bool unchanged(const struct teller *t) {
  return t->s->figures.listing == t->listing && t->s->window_open == t->open;
}

static bool enough(const struct teller *t) {
  return t->told > t->want;
}

static void tell_names(struct teller *t, const struct fs_names *names) {
  for (size_t i = 0; i < names->count && !enough(t); i++) {
    int64_t ns = t->tell(t->ctx, (enum place)names->at[i].place, fs_slot_name(&names->at[i]));
    if (ns == FS_NOT_THERE) continue;
    t->last_ns = ns;
    t->told++;
  }
}

static void begin_source(struct teller *t) {
  t->told = 0;
  t->last_ns = FS_NOT_THERE + 1;
}

static bool copy_slots(const struct fs_names *from, size_t at, size_t end, struct fs_names *to) {
  for (; at < end; at++) {
    const struct fs_slot *slot = &from->at[at];
    if (!fs_names_add(to, slot->mtime_ns, (enum place)slot->place, fs_slot_name(slot), false))
      return false;
  }
  return true;
}

/* The first slot that is not older. */
static size_t lower_bound(const struct fs_names *n, size_t from, int64_t mtime_ns) {
  size_t end = n->count;
  while (from < end) {
    size_t middle = from + (end - from) / 2;
    if (n->at[middle].mtime_ns < mtime_ns)
      from = middle + 1;
    else
      end = middle;
  }
  return from;
}

/* Sorted, so whatever comes behind the want oldest does not matter; most of it may be gone, though.
 */
static bool tell_window(struct teller *t) {
  struct fs_shared *s = t->s;
  struct fs_names copy;
  size_t at = 0;
  bool ok = true, more = true;
  begin_source(t);
  fs_names_init(&copy, CHUNK);
  for (unsigned n = 0; ok && more && !enough(t); n++) {
    fs_names_clear(&copy);
    mutex_lock(&s->lock);
    ok = unchanged(t);
    if (ok) {
      at = lower_bound(&s->names, at > s->window_at ? at : s->window_at, t->after_ns);
      size_t end = at + least(s->names.count - at, CHUNK);
      ok = copy_slots(&s->names, at, end, &copy);
      more = end < s->names.count && n < CHUNKS_MAX;
      if (!more)
        known_to(t,
                 end < s->names.count ? s->names.at[end].mtime_ns - 1 : end_of_window(&s->names));
      at = end;
    }
    mutex_unlock(&s->lock);
    if (ok) tell_names(t, &copy);
  }
  fs_names_release(&copy);
  return ok;
}

/* In the order they were told, which as a rule is that of their times. */
static bool tell_queue(struct teller *t) {
  struct fs_shared *s = t->s;
  struct fs_names copy;
  begin_source(t);
  fs_names_init(&copy, FS_FRONT);
  mutex_lock(&s->lock);
  size_t left = s->queue.count - s->queue_next, n = least(left, FS_FRONT);
  bool ok = unchanged(t) && copy_slots(&s->queue, s->queue_next, s->queue_next + n, &copy);
  mutex_unlock(&s->lock);
  if (ok) tell_names(t, &copy);
  if (left > n && !enough(t)) known_to(t, t->last_ns - 1);
  fs_names_release(&copy);
  return ok;
}

static void tell_oldest(struct teller *t, struct fs_names *names) {
  begin_source(t);
  fs_names_finish(names);
  tell_names(t, names);
  if (names->cut && !enough(t)) known_to(t, names->left_out_ns - 1);
}

static bool copy_all(const struct fs_names *from, struct fs_names *to) {
  if (!copy_slots(from, 0, from->count, to)) return false;
  to->cut = from->cut;
  to->left_out_ns = from->left_out_ns;
  return true;
}

/* Looked at last, and all at once: a name goes from the window to hand, from hand to the parked
 * ones. */
static bool tell_rest(struct teller *t, uint64_t *pending) {
  struct fs_shared *s = t->s;
  struct fs_names in_hand, parked, ahead;
  fs_names_init(&in_hand, FS_FRONT); /* most may be settled before they are looked at */
  fs_names_init(&parked, FS_FRONT);
  fs_names_init(&ahead, FS_FRONT);
  mutex_lock(&s->lock);
  bool ok = unchanged(t) && fs_hand_copy(s, t->after_ns, &in_hand) &&
            copy_all(&s->parked, &parked) && copy_all(&s->ahead, &ahead);
  if (!t->open) known_to(t, s->known_ns);
  *pending = fs_waiting(&s->figures);
  mutex_unlock(&s->lock);
  if (ok) tell_oldest(t, &in_hand);
  if (ok) tell_oldest(t, &parked);
  if (ok) tell_oldest(t, &ahead);
  fs_names_release(&in_hand);
  fs_names_release(&parked);
  fs_names_release(&ahead);
  return ok;
}

bool fs_front_tell(struct fs_shared *s, int64_t after_ns, size_t want, fs_front_fn tell, void *ctx,
                   int64_t *known_ns, uint64_t *pending) {
  struct teller t = {
      .s = s, .tell = tell, .ctx = ctx, .want = want, .after_ns = after_ns, .known_ns = INT64_MAX};
  mutex_lock(&s->lock);
  t.listing = s->figures.listing;
  t.open = s->window_open;
  mutex_unlock(&s->lock);
  bool ok = (!t.open || (tell_window(&t) && tell_queue(&t))) && tell_rest(&t, pending);
  *known_ns = t.known_ns;
  return ok;
}
