/* A bounded list of names in order of (mtime, name, place), a heap while it is full; the cursor
 * behind which the next window begins.
 * One thread at a time a list; a crash leaves nothing. */
#include "bridge/outbox/file/names/names.h"

#include "bridge/outbox/rules.h"

const char *fs_slot_name(const struct fs_slot *s) {
  if (!(s->flags & FS_OUTSIDE)) return s->name;
  char *name;
  memcpy(&name, s->name, sizeof name);
  return name;
}

static void slot_release(struct fs_slot *s) {
  if (!(s->flags & FS_OUTSIDE)) return;
  char *name;
  memcpy(&name, s->name, sizeof name);
  free(name);
}

static bool slot_fill(struct fs_slot *s, int64_t mtime_ns, enum place place, const char *name,
                      bool held) {
  _Static_assert(sizeof(char *) <= sizeof s->name, "a long name's pointer stands in its slot");
  _Static_assert(PLACES <= UINT8_MAX, "a place fits its slot");
  size_t len = strlen(name);
  s->mtime_ns = mtime_ns;
  s->place = (uint8_t)place;
  s->flags = held ? FS_HELD : 0;
  if (len < sizeof s->name) {
    memcpy(s->name, name, len + 1);
    return true;
  }
  s->flags |= FS_OUTSIDE;
  char *copy = strdup(name);
  memcpy(s->name, &copy, sizeof copy);
  return copy != NULL;
}

static int order(int64_t mtime, const char *name, unsigned place, const struct fs_slot *b) {
  if (mtime != b->mtime_ns) return mtime < b->mtime_ns ? -1 : 1;
  int c = strcmp(name, fs_slot_name(b));
  if (c) return c;
  return place == b->place ? 0 : place < b->place ? -1 : 1;
}

static int slot_order(const void *a, const void *b) {
  const struct fs_slot *x = a;
  return order(x->mtime_ns, fs_slot_name(x), x->place, b);
}

void fs_names_init(struct fs_names *n, size_t limit) {
  *n = (struct fs_names){.limit = limit, .left_out_ns = INT64_MAX};
}

void fs_names_clear(struct fs_names *n) {
  for (size_t i = 0; i < n->count; i++) slot_release(&n->at[i]);
  if (n->cap > 4096) { /* a large window does not stay in memory while nothing is to be done */
    free(n->at);
    n->at = NULL;
    n->cap = 0;
  }
  n->count = 0;
  n->heap = n->cut = n->one_group = false;
  n->left_out_ns = INT64_MAX;
}

void fs_names_release(struct fs_names *n) {
  fs_names_clear(n);
  free(n->at);
  fs_names_init(n, n->limit);
}

static bool grow(struct fs_names *n) {
  size_t cap = n->cap ? n->cap + n->cap / 2 : 64;
  if (cap > n->limit) cap = n->limit;
  struct fs_slot *at = realloc(n->at, cap * sizeof *at);
  if (!at) return false;
  n->at = at;
  n->cap = cap;
  return true;
}

/* The slot at i goes down until no child is greater: a max-heap, so that the newest name is the one
 * to leave. */
static void sift_down(struct fs_names *n, size_t i) {
  struct fs_slot moving = n->at[i];
  for (size_t child; (child = 2 * i + 1) < n->count; i = child) {
    if (child + 1 < n->count && slot_order(&n->at[child], &n->at[child + 1]) < 0) child++;
    if (slot_order(&moving, &n->at[child]) >= 0) break;
    n->at[i] = n->at[child];
  }
  n->at[i] = moving;
}

static void leave_out(struct fs_names *n, int64_t mtime_ns) {
  n->cut = true;
  if (mtime_ns < n->left_out_ns) n->left_out_ns = mtime_ns;
}

bool fs_names_add(struct fs_names *n, int64_t mtime_ns, enum place place, const char *name,
                  bool held) {
  BUG_ON_RULE(S12, n->count > n->limit || n->count > n->cap);
  if (n->count < n->limit) {
    if (n->count == n->cap && !grow(n)) return false;
    if (!slot_fill(&n->at[n->count], mtime_ns, place, name, held)) return false;
    n->count++;
    return true;
  }
  if (!n->heap) {
    for (size_t i = n->count / 2; i-- > 0;) sift_down(n, i);
    n->heap = true;
  }
  if (order(mtime_ns, name, place, &n->at[0]) > 0) {
    leave_out(n, mtime_ns);
    return true;
  }
  struct fs_slot fresh;
  if (!slot_fill(&fresh, mtime_ns, place, name, held)) return false;
  leave_out(n, n->at[0].mtime_ns);
  slot_release(&n->at[0]);
  n->at[0] = fresh;
  sift_down(n, 0);
  return true;
}

/* A folder that changes while it is read may tell a name twice. */
static void drop_doubles(struct fs_names *n) {
  size_t kept = n->count ? 1 : 0;
  for (size_t i = 1; i < n->count; i++) {
    if (slot_order(&n->at[kept - 1], &n->at[i]) == 0)
      slot_release(&n->at[i]);
    else
      n->at[kept++] = n->at[i];
  }
  n->doubles = n->count - kept;
  n->count = kept;
}

void fs_names_finish(struct fs_names *n) {
  if (n->count > 1) qsort(n->at, n->count, sizeof *n->at, slot_order);
  drop_doubles(n);
  n->heap = false;
  if (!n->cut || n->left_out_ns != n->at[n->count - 1].mtime_ns) return;
  size_t whole = n->count;
  while (whole > 0 && n->at[whole - 1].mtime_ns == n->left_out_ns) whole--;
  if (whole == 0) {
    n->one_group = true;
    return;
  }
  while (n->count > whole) slot_release(&n->at[--n->count]);
}

bool fs_cursor_before(const struct fs_cursor *c, int64_t mtime_ns, enum place place,
                      const char *name) {
  if (c->mtime_ns != mtime_ns) return c->mtime_ns < mtime_ns;
  if (!c->in_group) return c->mtime_ns == INT64_MIN;
  int by_name = strcmp(c->name, name);
  return by_name ? by_name < 0 : c->place < place;
}

void fs_cursor_set(struct fs_cursor *c, const struct fs_names *n, size_t count) {
  BUG_ON(count == 0 || count > n->count);
  const struct fs_slot *last = &n->at[count - 1];
  c->mtime_ns = last->mtime_ns;
  c->place = last->place;
  c->in_group = n->one_group;
  fs_name_copy(c->name, fs_slot_name(last));
}

void fs_key_of(struct fs_key *k, enum place place, const char *name) {
  size_t len = strnlen(name, NAME_SIZE - 1);
  k->bytes[0] = (char)('0' + place);
  memcpy(k->bytes + 1, name, len);
  k->span = (struct span){k->bytes, len + 1};
}

/* Without memory for one it is as if there had been no room for it. */
void fs_names_keep(struct fs_names *n, enum place place, const char *name, int64_t mtime_ns) {
  if (fs_names_add(n, mtime_ns, place, name, false)) return;
  n->cut = true;
  if (mtime_ns < n->left_out_ns) n->left_out_ns = mtime_ns;
}
