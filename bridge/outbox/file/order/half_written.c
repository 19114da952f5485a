/* S14. Files that do not parse and may still be written: watched until they are old enough to be
 * judged. The reader's thread. Few as a rule; beyond FS_GROWING_MAX the next scan finds them.
 * A crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"

static struct fs_growing *find_growing(struct fs_reader *s, enum place place, const char *name) {
  for (size_t i = 0; i < s->growing_count; i++)
    if (s->growing[i].place == place && strcmp(s->growing[i].name, name) == 0)
      return &s->growing[i];
  return NULL;
}

static void figure(struct fs_reader *s) {
  mutex_lock(&s->shared->lock);
  s->shared->figures.growing = s->growing_count;
  mutex_unlock(&s->shared->lock);
}

static void drop_growing(struct fs_reader *s, struct fs_growing *g) {
  BUG_ON_RULE(S14, g < s->growing || g >= s->growing + s->growing_count);
  free(g->name);
  *g = s->growing[--s->growing_count];
  figure(s);
}

bool fs_growing_has(struct fs_reader *s, enum place place, const char *name) {
  return s->growing_count && find_growing(s, place, name);
}

bool fs_growing_forget(struct fs_reader *s, enum place place, const char *name) {
  struct fs_growing *g = s->growing_count ? find_growing(s, place, name) : NULL;
  if (g) drop_growing(s, g);
  return g != NULL;
}

/* The file's own times tell at once, as long as the clock did not step since the store was opened:
 * after a step only what was watched long enough counts. */
static bool old_enough(const struct fs_reader *s, const struct stamp *stamp) {
  int64_t wall = clock_wall_us(s->site->clock), mono = clock_mono_ns(s->site->clock);
  int64_t stepped = wall - mono / 1000 - s->clock_offset_us;
  int64_t touched = stamp->ctime_ns > stamp->mtime_ns ? stamp->ctime_ns : stamp->mtime_ns;
  return stepped < 1000000 && stepped > -1000000 &&
         wall - touched / 1000 >= s->site->c.settle_ms * 1000;
}

static void add_growing(struct fs_reader *s, const struct fs_candidate *c,
                        const struct stamp *stamp, int64_t now) {
  if (s->growing_count >= FS_GROWING_MAX) return;
  if (!s->growing && !(s->growing = malloc(FS_GROWING_MAX * sizeof *s->growing))) return;
  char *name = strdup(c->name);
  if (!name) return;
  s->growing[s->growing_count++] =
      (struct fs_growing){.place = c->place, .stamp = *stamp, .first_ns = now, .name = name};
  int64_t due = now + s->site->c.settle_ms * 1000000;
  if (s->growing_count == 1 || due < s->growing_due_ns) s->growing_due_ns = due;
  figure(s);
}

bool fs_growing_settled(struct fs_reader *s, const struct fs_candidate *c,
                        const struct stamp *stamp, bool *known) {
  int64_t now = clock_mono_ns(s->site->clock);
  struct fs_growing *g = s->growing_count ? find_growing(s, c->place, c->name) : NULL;
  *known = g != NULL;
  bool same = g && fs_stamp_same(&g->stamp, stamp);
  if (old_enough(s, stamp) || (same && now - g->first_ns >= s->site->c.settle_ms * 1000000)) {
    if (g) drop_growing(s, g);
    return true;
  }
  if (!g) {
    add_growing(s, c, stamp, now);
  } else if (!same) {
    g->stamp = *stamp;
    g->first_ns = now;
  }
  return false;
}

bool fs_growing_due(struct fs_reader *s, struct fs_candidate *c) {
  if (!s->growing_count) return false;
  int64_t now = clock_mono_ns(s->site->clock), next = INT64_MAX;
  if (now < s->growing_due_ns) return false;
  for (size_t i = 0; i < s->growing_count; i++) {
    struct fs_growing *g = &s->growing[i];
    int64_t due = g->first_ns + s->site->c.settle_ms * 1000000;
    if (due <= now) {
      *c = (struct fs_candidate){.source = FS_GROWN, .place = g->place};
      fs_name_copy(c->name, g->name);
      return true;
    }
    if (due < next) next = due;
  }
  s->growing_due_ns = next;
  return false;
}

int64_t fs_growing_wait_ms(struct fs_reader *s) {
  int64_t wait = -1, now = s->growing_count ? clock_mono_ns(s->site->clock) : 0;
  for (size_t i = 0; i < s->growing_count; i++) {
    int64_t left = (s->growing[i].first_ns + s->site->c.settle_ms * 1000000 - now) / 1000000 + 1;
    if (left < 0) left = 0;
    if (wait < 0 || left < wait) wait = left;
  }
  return wait;
}

void fs_growing_release(struct fs_reader *s) {
  while (s->growing_count) drop_growing(s, s->growing);
  free(s->growing);
  s->growing = NULL;
}
