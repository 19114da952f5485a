/* lookup.h - the one entry that an id, its beginning, or a storage key means. Private to
 * bridge/service. */
#ifndef BRIDGE_SERVICE_ENTRIES_LOOKUP_H
#define BRIDGE_SERVICE_ENTRIES_LOOKUP_H

#include "bridge/service/operations.h"

struct found { /* terminated texts, in the finding's arena */
  enum shelf shelf;
  struct span id, name, token, label, storage_key;
  bool raw;
};
#define LOOKUP_MOST 20
struct lookup {
  struct span wanted;
  struct arena arena; /* the caller may use it too */
  struct found list[LOOKUP_MOST];
  size_t count;
  bool exact, no_memory;
  const struct found *one; /* list[0]; behind it those of that storage key in other places */
};
/* which: LIST_PENDING, LIST_DEAD. ST_OK: f->one. ST_NOT_FOUND, without words: nothing is called so.
 * ST_EXISTS: it may mean several, err lists them. A zeroed finding, released in any case. */
MUST_CHECK enum status lookup_one(struct lookup *f, struct store *store, unsigned which,
                                  struct span id, struct error *err);
/* What it says of those in the list, of so many in all. ST_EXISTS. */
enum status lookup_ambiguous(const struct lookup *f, const struct store *store, uint64_t total,
                             struct error *err);
void lookup_release(struct lookup *f);

#endif
