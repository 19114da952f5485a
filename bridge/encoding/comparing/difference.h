/* difference.h - what changed between two schemas of an event, and what each change means for
 * readers. By Avro's schema resolution, as compatibility.h. Pure; any thread, as long as both live.
 */
#ifndef BRIDGE_ENCODING_COMPARING_DIFFERENCE_H
#define BRIDGE_ENCODING_COMPARING_DIFFERENCE_H

#include "bridge/encoding/comparing/compatibility.h"

#define DIFFERENCE_TABLE(X)                                                                        \
  X(FIELD_ADDED)                                                                                   \
  X(FIELD_REMOVED)                                                                                 \
  X(FIELD_RENAMED)                                                                                 \
  X(FIELDS_REORDERED)                                                                              \
  X(DEFAULT_CHANGED)                                                                               \
  X(TYPE_CHANGED)                                                                                  \
  X(NAME_CHANGED)                                                                                  \
  X(LOGICAL_TYPE_CHANGED)                                                                          \
  X(SIZE_CHANGED)                                                                                  \
  X(SYMBOLS_CHANGED)                                                                               \
  X(BRANCH_ADDED)                                                                                  \
  X(BRANCH_REMOVED)                                                                                \
  X(JSON_CHANGED)                                                                                  \
  X(KEY_CHANGED)
enum difference_kind {
#define X(word) word,
  DIFFERENCE_TABLE(X)
#undef X
};
const char *difference_name(enum difference_kind k); /* "FIELD_ADDED" */

struct difference {
  enum difference_kind what;
  struct span path;   /* as of struct incompatible */
  const char *words;  /* "int is long now" */
  bool new_reads_old; /* this change lets readers with the new schema read older records */
  bool old_reads_new;
  struct schema_place before, now;
};
typedef void (*difference_fn)(void *ctx, const struct difference *d);
/* Tells each change, in the new schema's order; what it is told of lives for the call. A record
 * that stands at several places is told of once. ST_NO_MEMORY, ST_TOO_LARGE as compatibility_check.
 */
MUST_CHECK enum status schema_differences(const struct schema *before, const struct schema *now,
                                          difference_fn fn, void *ctx, struct error *err);

#endif
