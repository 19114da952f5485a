/* A heap of records whose oldest goes when one more comes than is wanted.
 * One thread; a crash leaves nothing. */
#include "bridge/service/topics/newest.h"

#include "bridge/base/table.h"

struct kept {
  int64_t time_ms; /* none of its partition before it has a later one */
  uint64_t place;  /* how many were put before it */
  char *text;
  size_t len;
  bool damaged;
};
struct partition { /* the latest time that came of it */
  char *name;
  int64_t latest_ms;
};
struct newest {
  struct kept *heap; /* the oldest is the first */
  size_t count, cap, taken;
  uint64_t most, put;
  bool sorted;
  struct partition *partitions;
  size_t partition_count;
};

struct newest *newest_open(uint64_t most) {
  struct newest *n = calloc(1, sizeof *n);
  if (n) n->most = most;
  return n;
}

void newest_close(struct newest *n) {
  if (!n) return;
  for (size_t i = 0; i < n->count; i++) free(n->heap[i].text);
  for (size_t i = 0; i < n->partition_count; i++) free(n->partitions[i].name);
  free(n->heap);
  free(n->partitions);
  free(n);
}

static int older(const void *a, const void *b) {
  const struct kept *x = a, *y = b;
  if (x->time_ms != y->time_ms) return x->time_ms < y->time_ms ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

static void swap(struct newest *n, size_t a, size_t b) {
  struct kept kept = n->heap[a];
  n->heap[a] = n->heap[b];
  n->heap[b] = kept;
}

static void sift_up(struct newest *n, size_t at) {
  for (; at && older(&n->heap[at], &n->heap[(at - 1) / 2]) < 0; at = (at - 1) / 2)
    swap(n, at, (at - 1) / 2);
}

static void sift_down(struct newest *n) {
  for (size_t at = 0, child; (child = 2 * at + 1) < n->count; at = child) {
    if (child + 1 < n->count && older(&n->heap[child + 1], &n->heap[child]) < 0) child++;
    if (older(&n->heap[at], &n->heap[child]) <= 0) return;
    swap(n, at, child);
  }
}

/* NULL: memory is out. */
static struct partition *partition_of(struct newest *n, const struct message *m) {
  char name[300];
  snprintf(name, sizeof name, "%s/%d", m->topic, m->partition);
  for (size_t i = 0; i < n->partition_count; i++)
    if (!strcmp(n->partitions[i].name, name)) return &n->partitions[i];
  struct partition *grown =
      realloc(n->partitions, (n->partition_count + 1) * sizeof *n->partitions);
  if (!grown) return NULL;
  n->partitions = grown;
  struct partition *p = &grown[n->partition_count];
  *p = (struct partition){.name = strdup(name), .latest_ms = INT64_MIN};
  n->partition_count += p->name != NULL;
  return p->name ? p : NULL;
}

static bool room_for_one(struct newest *n) {
  if (n->count < n->cap) return true;
  size_t cap = n->cap ? n->cap * 2 : 16;
  struct kept *grown = realloc(n->heap, cap * sizeof *grown);
  if (!grown) return false;
  n->heap = grown;
  n->cap = cap;
  return true;
}

enum status newest_put(struct newest *n, const struct message *m, struct span text, bool damaged,
                       struct error *err) {
  struct partition *p = partition_of(n, m);
  struct kept kept = {.place = n->put++, .len = text.len, .damaged = damaged};
  kept.text = p && room_for_one(n) ? malloc(text.len + 1) : NULL;
  if (!kept.text) return error_set(err, ST_NO_MEMORY, "Out of memory");
  memcpy(kept.text, text.ptr ? text.ptr : "", text.len);
  if (m->timestamp_ms > p->latest_ms) p->latest_ms = m->timestamp_ms;
  kept.time_ms = p->latest_ms;
  n->heap[n->count++] = kept;
  sift_up(n, n->count - 1);
  if (n->count <= n->most) return ST_OK;
  free(n->heap[0].text);
  n->heap[0] = n->heap[--n->count];
  sift_down(n);
  return ST_OK;
}

bool newest_take(struct newest *n, struct span *text, bool *damaged) {
  if (!n->sorted && n->count) qsort(n->heap, n->count, sizeof *n->heap, older);
  n->sorted = true;
  if (n->taken == n->count) return false;
  const struct kept *kept = &n->heap[n->taken++];
  *text = (struct span){kept->text, kept->len};
  *damaged = kept->damaged;
  return true;
}
