/* entries.h - the schemas of some folders: found, read, sorted by event name. Private.
 *
 * <folder>/<namespace>/<event>.avsc and <folder>/envelope.avsc; where no folder has that, the one
 * that is built in. Types of <folder>/.common/ may be named in all of them (commons.h). Links are
 * followed (a ConfigMap is made of them); other names that begin with a dot and files that do not
 * end in .avsc are passed over.
 */
#ifndef BRIDGE_ENCODING_FOLDERS_ENTRIES_H
#define BRIDGE_ENCODING_FOLDERS_ENTRIES_H

#include "bridge/encoding/catalog.h"
#include "bridge/encoding/folders/commons.h"
#include "bridge/encoding/types/schema.h"

#define ENVELOPE "envelope"
#define ENTRIES_MAX 20000
#define ENTRIES_BUILT_IN "(built in)/envelope.avsc"

struct entry {
  char *event_name; /* "quality.checked", or ENVELOPE */
  char *file;       /* folder and name, as a user can open it */
  struct schema schema;
  _Atomic uint64_t cut_numbers, left_out; /* the reader counts, others look */
  struct left_path *first_left;           /* left_out.h */
  size_t left_paths;
  struct schema_id id;
};

/* A schema as it once was: <folder>/.history/<namespace>/<event>.<n>.avsc, n from 1. */
struct frozen {
  char *event_name, *file;
  uint32_t number;
  struct schema schema;
};

struct entries {
  struct entry *list; /* sorted by event_name */
  size_t count, cap;
  struct digest texts; /* of all that was read */
  struct commons commons;
  struct frozen *frozen; /* sorted by event name and number */
  size_t frozen_count, frozen_cap;
};

/* folders: words, or the name of one folder whatever is in it. ST_NOT_FOUND: no such folder;
 * ST_INVALID: "<folder>/<file>: line 7: ...". On failure *out is empty. */
MUST_CHECK enum status entries_read(const char *folders, struct entries *out, struct error *err);
void entries_release(struct entries *e);
/* history.c: those of one folder are added; all are sorted; all go. */
MUST_CHECK enum status history_read(struct entries *e, const struct place *top, struct error *err);
void history_sort(struct entries *e);
void history_release(struct entries *e);

struct entry *entries_find(const struct entries *e, struct span event_name);

#endif
