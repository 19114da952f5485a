/* finding.h - the one entry that an id, its beginning, or the stem of a file means. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_FINDING_H
#define BRIDGE_SERVICE_FINDING_H

#include "bridge/service/operations.h"

struct found { /* terminated texts, in the finding's arena */
  enum place place;
  struct span id, name, file;
  bool raw;
};
#define FINDING_MOST 20
struct finding {
  struct span wanted;
  struct arena arena; /* the caller may use it too */
  struct found list[FINDING_MOST];
  size_t count;
  bool exact, no_memory;
  const struct found *one; /* list[0]; behind it those whose files are named so in other places */
};
/* which: LIST_PENDING, LIST_DEAD. ST_OK: f->one. ST_NOT_FOUND, without words: nothing is called so. ST_EXISTS: it may
 * mean several, err lists them. A zeroed finding, released in any case. */
MUST_CHECK enum status finding_one(struct finding *f, struct store *store, unsigned which, struct span id,
                                   struct error *err);
void finding_release(struct finding *f);

#endif
