/* Orders the files of one mtime by the created_at inside. A fast producer makes hundreds of them:
 * each is read once, and its text is kept for handing out while the group is small. The reader's
 * thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"

#define KEEP_BYTES (4u << 20) /* of texts and nodes: about 2 MiB of text */

void fs_group_clear(struct fs_reader *s) {
  s->group.count = s->group.next = 0;
  arena_reset(&s->group.arena);
  if (s->group.cap > 4096) {
    free(s->group.at);
    s->group.at = NULL;
    s->group.cap = 0;
  }
}

static struct span moved(struct span part, struct span from, struct span to, struct arena *arena,
                         bool *ok) {
  if (!part.len || (part.ptr >= from.ptr && part.ptr < from.ptr + from.len))
    return part.len ? (struct span){to.ptr + (part.ptr - from.ptr), part.len} : part;
  struct span copy = arena_span(arena, part);
  if (!copy.ptr) *ok = false;
  return copy;
}

bool fs_event_moved(const struct event *e, struct span from, struct span to, struct arena *arena,
                    struct event *out) {
  bool ok = true;
  *out = *e;
  struct span *parts[] = {&out->id,         &out->name,        &out->last_error,
                          &out->reason,     &out->storage_key, &out->traceparent,
                          &out->tracestate, &out->other_id,    &out->subject};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    *parts[i] = moved(*parts[i], from, to, arena, &ok);
  return ok;
}

static struct fs_cached *cache(struct fs_reader *s) {
  struct fs_loaded *d = &s->loaded;
  struct arena *a = &s->group.arena;
  size_t nodes = d->doc.count * sizeof *d->doc.nodes;
  if (a->used + d->len + nodes > KEEP_BYTES) return NULL;
  struct fs_cached *c = arena_alloc(a, sizeof *c);
  if (!c) return NULL;
  c->stamp = d->stamp;
  c->young = d->young;
  c->count = d->doc.count;
  c->text = arena_span(a, (struct span){d->text, d->len});
  c->nodes = arena_alloc(a, nodes);
  if (!c->text.ptr || !c->nodes) return NULL;
  memcpy(c->nodes, d->doc.nodes, nodes);
  return fs_event_moved(&d->event, d->doc.text, c->text, a, &c->event) ? c : NULL;
}

/* What cannot be read or is not ours comes by its mtime and is judged when its turn comes. */
static void peek(struct fs_reader *s, struct fs_member *m, const struct fs_slot *slot) {
  enum place place = (enum place)slot->place;
  m->created_us = slot->mtime_ns / 1000;
  m->cached = NULL;
  if (fs_hand_has(s->shared, place, fs_slot_name(slot), false)) return;
  if (fs_load(s->site, &s->loaded, place, fs_slot_name(slot), NULL) != FS_READ) return;
  if (!fs_may_parse(s->site, place, fs_slot_name(slot))) return;
  if (fs_loaded_parse(&s->loaded, NULL) != ST_OK || !fs_loaded_is_object(&s->loaded)) return;
  if (s->loaded.event.created_us != TIME_NONE) m->created_us = s->loaded.event.created_us;
  if (s->loaded.reason == REASON_NONE && fs_ours(place, &s->loaded.event)) m->cached = cache(s);
}

static int member_order(const void *a, const void *b, void *ctx) {
  const struct fs_member *x = a, *y = b;
  if (x->created_us != y->created_us) return x->created_us < y->created_us ? -1 : 1;
  (void)ctx; /* slots are in order of (name, place) already */
  return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static bool reserve(struct fs_group *g, size_t count) {
  if (count <= g->cap) return true;
  struct fs_member *at = realloc(g->at, count * sizeof *at);
  if (!at) return false;
  g->at = at;
  g->cap = count;
  return true;
}

/* The names of one mtime from names_next on. One alone, or a group that the window cut, goes
 * without looking inside. */
static void load_names(struct fs_reader *s) {
  struct fs_group *g = &s->group;
  const struct fs_slot *first = &s->shared->names.at[s->names_next];
  size_t end = s->names_next + 1;
  BUG_ON(s->names_next >= s->shared->names.count);
  BUG_ON_RULE(S10, s->names_next && first[-1].mtime_ns > first->mtime_ns);
  fs_group_clear(s);
  g->taken = atomic_load(&s->shared->taken);
  g->read_ns = clock_mono_ns(s->site->clock);
  bool alone =
      s->shared->names.one_group || (s->cursor.in_group && first->mtime_ns == s->cursor.mtime_ns);
  while (!alone && end < s->shared->names.count &&
         s->shared->names.at[end].mtime_ns == first->mtime_ns)
    end++;
  size_t count = end - s->names_next;
  if (!reserve(g, count)) { /* without memory for its order it still goes */
    count = g->cap ? 1 : 0;
    if (!count) return;
  }
  for (size_t i = 0; i < count; i++) {
    struct fs_member *m = &g->at[i];
    *m = (struct fs_member){.slot = (uint32_t)(s->names_next + i)};
    if (count > 1) peek(s, m, &s->shared->names.at[m->slot]);
  }
  if (count > 1) qsort_r(g->at, count, sizeof *g->at, member_order, NULL);
  g->count = count;
  s->names_next += count;
}

/* Only between two groups: the cursor cannot stand in one that was not cut. */
static bool only_reserve_left(const struct fs_reader *s) {
  const struct fs_names *n = &s->shared->names;
  size_t reserve = n->count / 16 < FS_FRONT ? n->count / 16 : FS_FRONT, at = s->names_next;
  return n->cut && !n->one_group && n->count - at <= reserve &&
         n->at[at - 1].mtime_ns != n->at[at].mtime_ns;
}

bool fs_window_left(const struct fs_reader *s) {
  if (s->group.next < s->group.count) return true;
  return s->names_next < s->shared->names.count && !only_reserve_left(s);
}

static void head_figure(struct fs_reader *s) {
  int64_t head = INT64_MAX;
  if (s->group.next < s->group.count)
    head = s->shared->names.at[s->group.at[s->group.next].slot].mtime_ns;
  else if (s->names_next < s->shared->names.count)
    head = s->shared->names.at[s->names_next].mtime_ns;
  mutex_lock(&s->shared->lock);
  BUG_ON(s->group.count > s->names_next);
  s->shared->figures.head_ns = head;
  s->shared->window_at =
      s->names_next - s->group.count; /* with the group at hand: one of it is just on its way */
  mutex_unlock(&s->shared->lock);
}

bool fs_group_pop(struct fs_reader *s, struct fs_candidate *c) {
  struct fs_group *g = &s->group;
  if (!fs_window_left(s)) return false;
  if (g->next == g->count) {
    load_names(s);
    if (!g->count) return false;
  }
  const struct fs_member *m = &g->at[g->next++];
  BUG_ON(m->slot >= s->shared->names.count);
  const struct fs_slot *slot = &s->shared->names.at[m->slot];
  *c = (struct fs_candidate){.source = FS_LISTED,
                             .place = (enum place)slot->place,
                             .mtime_ns = slot->mtime_ns,
                             .cached = m->cached,
                             .held = slot->flags & FS_HELD,
                             .twice = slot->flags & FS_TWICE};
  fs_name_copy(c->name, fs_slot_name(slot));
  head_figure(s);
  return true;
}
