/* names.h - inside bridge/outbox/file only: a bounded window of names in order of (mtime, name,
 * place), 56 bytes each. Its owner locks.
 */
#ifndef BRIDGE_OUTBOX_FILE_NAMES_NAMES_H
#define BRIDGE_OUTBOX_FILE_NAMES_NAMES_H

#include "bridge/outbox/file/names/ref.h"
#include "bridge/outbox/store.h"

#define FS_NAME_INLINE 46
#define FS_OUTSIDE 1
/* It was in hand when it was listed; in the queue: counted among the growing ones */
#define FS_HELD 2
#define FS_TWICE 4 /* it is in the queue too, where it is counted */
/* In the queue: it was told again and stands further back too, where it is counted */
#define FS_AGAIN 8
struct fs_slot {
  int64_t mtime_ns;
  uint8_t place;
  uint8_t flags; /* FS_OUTSIDE: the name is malloc'ed, its pointer stands in name; FS_HELD */
  char name[FS_NAME_INLINE]; /* terminated */
};
struct fs_names {
  struct fs_slot *at;
  size_t count, cap, limit; /* limit: SIZE_MAX = none */
  bool heap;                /* full: a max-heap now */
  bool cut;                 /* names were left out: more lies behind the last */
  bool one_group;           /* all are of one mtime, and the window cut it */
  int64_t left_out_ns;      /* smallest mtime left out */
  size_t doubles;           /* names told twice by a folder that changed while it was read */
};
struct fs_cursor {  /* where a listing goes on: after this */
  int64_t mtime_ns; /* INT64_MIN: from the start */
  bool in_group;    /* after name and place inside the group; else after the whole group */
  uint8_t place;
  char name[NAME_SIZE];
};
void fs_names_init(struct fs_names *n, size_t limit);
void fs_names_release(struct fs_names *n);
void fs_names_clear(struct fs_names *n);
/* Keeps it if it is among the oldest. False: memory is out. */
MUST_CHECK bool fs_names_add(struct fs_names *n, int64_t mtime_ns, enum place place,
                             const char *name, bool held);
/* The same; without memory for one it is as if there had been no room for it. */
void fs_names_keep(struct fs_names *n, enum place place, const char *name, int64_t mtime_ns);
/* Sorts; when cut, the last group of equal mtime is left to the next window, unless it is the only
 * one. */
void fs_names_finish(struct fs_names *n);
const char *fs_slot_name(const struct fs_slot *s);
static inline void fs_name_copy(char out[NAME_SIZE], const char *name) {
  size_t len = strnlen(name, NAME_SIZE - 1);
  memcpy(out, name, len);
  out[len] = '\0';
}
bool fs_cursor_before(const struct fs_cursor *c, int64_t mtime_ns, enum place place,
                      const char *name);
void fs_cursor_set(struct fs_cursor *c, const struct fs_names *n,
                   size_t count); /* behind the first count of n */

struct fs_key { /* a place and a name, for tables of them */
  struct span span;
  char bytes[NAME_SIZE + 1];
};
void fs_key_of(struct fs_key *k, enum place place, const char *name);

#endif
