/* Entries in hand, names to be looked at again, and our own exchanges, which inotify reports like
 * arrivals; all under the lock.
 * Any thread, all under the lock; a crash leaves nothing. */
#include "bridge/outbox/file/shared/shared.h"

#include <fcntl.h>

struct hand {
  int64_t mtime_ns;
  uint32_t listing; /* number of the listing that counted it last */
  bool told;        /* inotify named it meanwhile */
  bool aside;       /* it was set aside: counted already */
  bool lingers;     /* a settled scan does not wait for it */
  struct span key;
  char bytes[]; /* of key */
};

bool fs_hand_has(struct fs_shared *s, enum place place, const char *name, bool told) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = table_get(&s->in_hand, key.span);
  if (h && told) h->told = true;
  mutex_unlock(&s->lock);
  return h != NULL;
}

enum status fs_hand_take(struct fs_shared *s, enum place place, const char *name, int64_t mtime_ns,
                         bool fresh) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  struct hand *h = malloc(sizeof *h + key.span.len);
  if (!h) return ST_NO_MEMORY;
  memcpy(h->bytes, key.span.ptr, key.span.len);
  *h = (struct hand){.mtime_ns = mtime_ns, .key = {h->bytes, key.span.len}};
  mutex_lock(&s->lock);
  enum status st = table_put(&s->in_hand, h->key, h);
  if (st == ST_OK && fresh) {
    fs_arrives(&s->figures);
    s->figures.known++;
  }
  if (st == ST_OK) atomic_fetch_add(&s->taken, 1);
  mutex_unlock(&s->lock);
  if (st != ST_OK) free(h);
  return st;
}

bool fs_hand_reserve(struct fs_shared *s, enum place place, const char *name) {
  struct fs_key key;
  if (fs_hand_take(s, place, name, INT64_MAX, false) != ST_OK) return false;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = table_get(&s->in_hand, key.span);
  BUG_ON_RULE(S1, !h);
  h->aside = true;
  mutex_unlock(&s->lock);
  return true;
}

static void push_again(struct fs_shared *s, enum place place, const char *name, bool fresh) {
  size_t len = strlen(name);
  struct fs_again *a = malloc(sizeof *a + len + 1);
  if (!a) return; /* the next scan finds it */
  a->next = NULL;
  a->fresh = fresh;
  a->place = place;
  memcpy(a->name, name, len + 1);
  if (!s->again) s->again_end = &s->again;
  *s->again_end = a;
  s->again_end = &a->next;
}

static void gone(struct fs_shared *s, const struct hand *h) {
  struct fs_figures *f = &s->figures;
  if (f->known) f->known--;
  f->gone++;
  if (f->listing_on && h->listing == f->listing) f->gone_during++;
}

/* The listing under way, or the last one, may have counted it already. */
static void returned(struct fs_shared *s, const struct hand *h) {
  struct fs_figures *f = &s->figures;
  bool listed = h->listing && h->listing == f->listing;
  f->returned++;
  if (listed && !f->listing_on) return;
  f->returning++;
  if (f->listing_on && !listed) f->late++;
}

static void count_end(struct fs_shared *s, const struct hand *h, enum fs_end how) {
  if (h->aside) return;
  switch (how) {
  case FS_END_GONE: gone(s, h); break;
  case FS_END_CHANGED: s->figures.gone++; break; /* what lies there now waits in its place */
  case FS_END_RETURNED: returned(s, h); break;
  case FS_END_STAYS: s->figures.given_back++; break;
  case FS_END_AGAIN:
  case FS_END_NOTHING: break;
  }
}

/* Is it to be looked at again, and as one not counted yet? A name told while it was in hand is: it
 * may be new bytes. */
static bool again_wanted(const struct fs_shared *s, const struct hand *h, enum fs_end how,
                         bool *fresh) {
  bool came = how == FS_END_NOTHING || how == FS_END_RETURNED || h->aside;
  *fresh = how == FS_END_GONE || (came && (!h->listing || h->listing != s->figures.listing));
  return h->told || how == FS_END_AGAIN || how == FS_END_CHANGED;
}

void fs_hand_end(struct fs_shared *s, enum place place, const char *name, enum fs_end how) {
  struct fs_key key;
  bool wake = false, fresh;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = table_remove(&s->in_hand, key.span);
  if (h) count_end(s, h, how);
  BUG_ON(h && h->lingers && !s->lingering);
  if (h && h->lingers) s->lingering--;
  BUG_ON_RULE(S11, s->lingering > s->in_hand.count);
  bool stays = how == FS_END_STAYS || how == FS_END_AGAIN || how == FS_END_CHANGED;
  if (h && stays && h->mtime_ns < s->figures.parked_ns) s->figures.parked_ns = h->mtime_ns;
  bool again = h && again_wanted(s, h, how, &fresh);
  if (again) push_again(s, place, name, fresh);
  if (h && (again || how == FS_END_STAYS)) fs_names_keep(&s->parked, place, name, h->mtime_ns);
  wake |= again;
  wake |= s->wanted_settled &&
          s->in_hand.count == s->lingering; /* the scan that waited for this may begin */
  mutex_unlock(&s->lock);
  free(h);
  if (wake) fs_wake(s);
}

void fs_hand_linger(struct fs_shared *s, enum place place, const char *name, bool on) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = table_get(&s->in_hand, key.span);
  if (h && h->lingers != on) {
    BUG_ON_RULE(S11, on ? s->lingering >= s->in_hand.count : !s->lingering);
    h->lingers = on;
    s->lingering = on ? s->lingering + 1 : s->lingering - 1;
  }
  bool wake = s->wanted_settled && s->in_hand.count == s->lingering;
  mutex_unlock(&s->lock);
  if (wake) fs_wake(s);
}

bool fs_hand_list(struct fs_shared *s, enum place place, const char *name) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = s->in_hand.count ? table_get(&s->in_hand, key.span) : NULL;
  if (h) h->listing = s->figures.listing;
  mutex_unlock(&s->lock);
  return h != NULL;
}

void fs_hand_unlist(struct fs_shared *s, enum place place, const char *name) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct hand *h = table_get(&s->in_hand, key.span);
  if (h)
    h->listing = 0;
  else if (s->figures.gone_during) /* settled since it was marked */
    s->figures.gone_during--;
  mutex_unlock(&s->lock);
}

struct fs_again *fs_again_pop(struct fs_shared *s) {
  mutex_lock(&s->lock);
  struct fs_again *a = s->again;
  if (a) s->again = a->next;
  mutex_unlock(&s->lock);
  return a;
}

void fs_again_clear(struct fs_shared *s) {
  for (struct fs_again *a; (a = fs_again_pop(s));) free(a);
}

void fs_dead_figure(struct fs_shared *s, int more) {
  mutex_lock(&s->lock);
  if (more > 0 || s->figures.dead) s->figures.dead += (uint64_t)(int64_t)more;
  mutex_unlock(&s->lock);
}

/* ---- our own exchanges ----
 *
 * inotify tells them like arrivals, and puts equal notices in a row together, so they cannot be
 * counted: what lies at the name tells. Its inode is known before the exchange, its ctime only
 * afterwards. They may be told after the entry has gone on to dlq/, so what is known of them stays
 * until there is too much of it. */

#define OWN_MAX 10000

struct own {
  uint64_t inode;
  int64_t ctime_ns; /* 0: not exchanged yet */
  struct span key;
  char bytes[];
};

static void free_all(struct table *t) {
  struct span key;
  void *value;
  for (size_t pos = 0; table_each(t, &pos, &key, &value);) free(value);
  table_clear(t);
}

/* Without memory, or when there are too many, the reader only looks once too often. */
void fs_own_begin(struct fs_shared *s, enum place place, const char *name, uint64_t inode) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  struct own *o = malloc(sizeof *o + key.span.len);
  if (!o) return;
  memcpy(o->bytes, key.span.ptr, key.span.len);
  o->inode = inode;
  o->ctime_ns = 0;
  o->key = (struct span){o->bytes, key.span.len};
  mutex_lock(&s->lock);
  if (s->own.count >= OWN_MAX) free_all(&s->own);
  free(table_remove(&s->own, key.span));
  if (table_put(&s->own, o->key, o) != ST_OK) free(o);
  mutex_unlock(&s->lock);
}

void fs_own_end(struct fs_shared *s, enum place place, const char *name,
                const struct stamp *stamp) {
  struct fs_key key;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct own *o = table_get(&s->own, key.span);
  if (o && stamp && o->inode == stamp->inode)
    o->ctime_ns = stamp->ctime_ns;
  else if (o)
    free(table_remove(&s->own, key.span));
  mutex_unlock(&s->lock);
}

bool fs_own_is(struct fs_shared *s, enum place place, const char *name) {
  struct fs_key key;
  struct stat st;
  bool own = false;
  fs_key_of(&key, place, name);
  mutex_lock(&s->lock);
  struct own *o = s->own.count ? table_get(&s->own, key.span) : NULL;
  if (o && fstatat(fs_folder(s->site, place), name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
    struct stamp now = fs_stamp_of(&st);
    own = now.inode == o->inode && (!o->ctime_ns || now.ctime_ns == o->ctime_ns);
  } else if (o) {
    own = true; /* moved on to dlq/: nothing to look at */
  }
  mutex_unlock(&s->lock);
  return own;
}

void fs_shared_release(struct fs_shared *s) {
  fs_again_clear(s);
  free_all(&s->in_hand);
  free_all(&s->own);
  table_release(&s->in_hand);
  table_release(&s->own);
}

int64_t fs_hand_oldest(struct fs_shared *s) {
  int64_t oldest = INT64_MAX;
  struct span key;
  void *value;
  for (size_t pos = 0; table_each(&s->in_hand, &pos, &key, &value);) {
    const struct hand *h = value;
    if (h->mtime_ns < oldest) oldest = h->mtime_ns;
  }
  return oldest;
}

bool fs_hand_copy(struct fs_shared *s, int64_t after_ns, struct fs_names *out) {
  struct span key;
  void *value;
  char name[NAME_SIZE];
  for (size_t pos = 0; table_each(&s->in_hand, &pos, &key, &value);) {
    const struct hand *h = value;
    if (h->mtime_ns < after_ns) continue;
    BUG_ON(key.len < 2 || key.len > NAME_SIZE); /* as fs_key_of makes them */
    memcpy(name, key.ptr + 1, key.len - 1);
    name[key.len - 1] = '\0';
    if (!fs_names_add(out, h->mtime_ns, (enum place)(key.ptr[0] - '0'), name, true)) return false;
  }
  return true;
}
