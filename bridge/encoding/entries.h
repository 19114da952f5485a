/* entries.h - the schemas of a folder: found, read, sorted by event name. Private.
 *
 * <folder>/<namespace>/<event>.avsc and <folder>/envelope.avsc. Links are followed (a ConfigMap is
 * made of them); names that begin with a dot and files that do not end in .avsc are passed over.
 */
#ifndef BRIDGE_ENCODING_ENTRIES_H
#define BRIDGE_ENCODING_ENTRIES_H

#include "bridge/encoding/schema.h"

#define ENVELOPE "envelope"
#define ENTRIES_MAX 4096

struct entry {
  char *event_name; /* "quality.checked", or ENVELOPE */
  char *file;       /* folder and name, as a user can open it */
  struct schema schema;
  uint64_t cut_numbers, left_out;
  struct left_path *first_left; /* left_out.h */
  size_t left_paths;
};

struct entries {
  struct entry *list; /* sorted by event_name */
  size_t count, cap;
};

/* ST_NOT_FOUND: no such folder; ST_INVALID: "<folder>/<file>: line 7: ...". On failure *out is
 * empty. */
MUST_CHECK enum status entries_read(const char *folder, struct entries *out, struct error *err);
void entries_release(struct entries *e);
struct entry *entries_find(const struct entries *e, struct span event_name);

#endif
