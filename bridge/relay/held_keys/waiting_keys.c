/* The table of waiting keys; the caller holds relay.lock. A released key stays held until the fresh
 * scan asked for it has come along.
 * Any thread, under relay.lock; a crash leaves nothing. */
#include "bridge/relay/held_keys/waiting_keys.h"

#include "bridge/relay/rules.h"

enum { KEY_MOST = 1100, SCAN_EVERY_MS = 1000 };

struct wait_key {
  char file[256]; /* name of the entry that is waited for */
  uint64_t seen;  /* generation of the scan that last found the event */
  uint64_t from;  /* released: least generation that passes, 0 = its scan is not asked for yet */
  const struct schema_id *id; /* that it waits for, or NULL */
  bool released, held;        /* held: something went back because of it */
  struct span name;           /* the table's key, in the same allocation */
  char bytes[];
};

/* Topic number and key bytes as one span. */
static void name_of(unsigned topic, struct span key, char out[KEY_MOST], struct span *name) {
  int head = snprintf(out, KEY_MOST, "%u/", topic);
  if (key.len > KEY_MOST - (size_t)head) { /* a key this long is told by its digest */
    struct digest d = digest_of(key);
    head += snprintf(out + head, KEY_MOST - (size_t)head, "%016llx%016llx",
                     (unsigned long long)d.hi, (unsigned long long)d.lo);
    *name = (struct span){out, (size_t)head};
    return;
  }
  if (key.len) memcpy(out + head, key.ptr, key.len);
  *name = (struct span){out, (size_t)head + key.len};
}

static struct wait_key *find_waiting(const struct waiting *w, unsigned topic, struct span key,
                                     char room[KEY_MOST], struct span *name) {
  name_of(topic, key, room, name);
  return table_get(&w->keys, *name);
}

static void wait_for(struct waiting *w, struct wait_key *k, const struct schema_id *id) {
  w->for_ids += (id != NULL) - (size_t)(k->id != NULL);
  k->id = id;
}

static void drop_key(struct waiting *w, struct wait_key *k) {
  wait_for(w, k, NULL);
  table_remove(&w->keys, k->name);
  free(k);
}

void waiting_close(struct waiting *w) {
  size_t pos = 0;
  struct span key;
  void *value;
  while (table_each(&w->keys, &pos, &key, &value)) free(value);
  table_release(&w->keys);
}

bool waiting_add(struct waiting *w, unsigned topic, struct span key, struct span file,
                 uint64_t generation) {
  char room[KEY_MOST];
  struct span name;
  struct wait_key *k = find_waiting(w, topic, key, room, &name);
  if (k && !span_is(file, k->file) && !k->released)
    return true; /* it waits already, for an earlier one */
  if (!k) {
    k = malloc(sizeof *k + name.len);
    if (!k) return false;
    memcpy(k->bytes, name.ptr, name.len);
    k->held = false;
    k->id = NULL;
    k->name = (struct span){k->bytes, name.len};
    if (table_put(&w->keys, k->name, k) != ST_OK) {
      free(k);
      return false;
    }
  }
  wait_for(w, k, NULL);
  snprintf(k->file, sizeof k->file, "%.*s", SPAN_ARGS(file));
  k->seen = generation;
  k->from = 0;
  k->released = false;
  return true;
}

/* Keys whose fresh scan has come along are free again. */
static void sweep(struct waiting *w) {
  size_t pos = 0;
  struct span key;
  void *value;
  while (table_each(&w->keys, &pos, &key, &value)) {
    struct wait_key *k = value;
    if (!k->released || !k->from || k->from > w->latest) continue;
    drop_key(w, k); /* leaves its slot in place: the walk goes on behind it */
  }
}

bool waiting_holds(struct waiting *w, unsigned topic, struct span key, struct span file,
                   uint64_t generation) {
  if (generation > w->latest) {
    w->latest = generation;
    if (w->keys.count) sweep(w);
  }
  if (!w->keys.count) return false;
  char room[KEY_MOST];
  struct span name;
  struct wait_key *k = find_waiting(w, topic, key, room, &name);
  if (!k || (!k->released && span_is(file, k->file))) return false;
  if (k->released && k->from && generation >= k->from) return false;
  k->held = true;
  return true;
}

const char *waiting_file(const struct waiting *w, unsigned topic, struct span key) {
  char room[KEY_MOST];
  struct span name;
  const struct wait_key *k = w->keys.count ? find_waiting(w, topic, key, room, &name) : NULL;
  return k && !k->released ? k->file : NULL;
}

void waiting_for_id(struct waiting *w, unsigned topic, struct span key, struct span file,
                    const struct schema_id *id) {
  char room[KEY_MOST];
  struct span name;
  struct wait_key *k = find_waiting(w, topic, key, room, &name);
  if (k && !k->released && span_is(file, k->file)) wait_for(w, k, id);
}

static void release_key(struct waiting *w, struct wait_key *k) {
  BUG_ON_RULE(L17, k->released);
  wait_for(w, k, NULL);
  if (!k->held) { /* nothing went back because of it */
    drop_key(w, k);
    return;
  }
  k->released = true;
  k->from = 0;
  w->released = true;
}

void waiting_release(struct waiting *w, unsigned topic, struct span key, struct span file) {
  if (!w->keys.count) return;
  char room[KEY_MOST];
  struct span name;
  struct wait_key *k = find_waiting(w, topic, key, room, &name);
  if (k && !k->released && span_is(file, k->file)) release_key(w, k);
}

void waiting_release_file(struct waiting *w, struct span file) {
  size_t pos = 0;
  struct span key;
  void *value;
  while (table_each(&w->keys, &pos, &key, &value)) {
    struct wait_key *k = value;
    if (!k->released && span_is(file, k->file)) release_key(w, k);
  }
}

/* The one itself went back too, so that a scan is wanted whether others did or not. */
bool waiting_ripe(struct waiting *w) {
  size_t pos = 0;
  struct span key;
  void *value;
  bool some = false;
  while (w->for_ids && table_each(&w->keys, &pos, &key, &value)) {
    struct wait_key *k = value;
    if (!k->id || k->released || atomic_load(&k->id->id) == SCHEMA_NO_ID) continue;
    k->held = some = true;
    release_key(w, k);
  }
  return some;
}

/* An event that the last scan, read to its end with nothing left in hand, did not find is gone:
 * somebody took it away.
 */
static void release_lost(struct waiting *w, struct store *store) {
  size_t pos = 0;
  struct span key;
  void *value;
  if (!store_scanned(store, w->latest)) return;
  while (table_each(&w->keys, &pos, &key, &value)) {
    struct wait_key *k = value;
    if (k->released || k->seen >= w->latest) continue;
    wait_for(w, k, NULL);
    k->released = w->released = true;
    k->from = 0;
  }
}

void waiting_tick(struct waiting *w, struct store *store, int64_t now_ms, bool idle) {
  if (!w->keys.count || now_ms - w->scanned_ms < SCAN_EVERY_MS) return;
  if (idle) release_lost(w, store);
  waiting_ripe(w);
  if (!w->released) return;
  w->scanned_ms = now_ms;
  w->released = false;
  uint64_t from = w->asked =
      store_rescan_settled(store); /* what was held is in it, in front of what is newer */
  size_t pos = 0;
  struct span key;
  void *value;
  while (table_each(&w->keys, &pos, &key, &value)) {
    struct wait_key *k = value;
    if (k->released && !k->from) k->from = from;
  }
}

size_t waiting_count(const struct waiting *w) {
  return w->keys.count;
}
