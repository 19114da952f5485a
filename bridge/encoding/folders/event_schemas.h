/* event_schemas.h - the schemas of some folders: found, read, sorted by event name. Private.
 *
 * <folder>/<namespace>/<event>.avsc and <folder>/envelope.avsc; where no folder has that, the one
 * that is built in. Types of <folder>/.common/ may be named in all of them (commons.h). Links are
 * followed (a ConfigMap is made of them); other names that begin with a dot and files that do not
 * end in .avsc are passed over.
 */
#ifndef BRIDGE_ENCODING_FOLDERS_EVENT_SCHEMAS_H
#define BRIDGE_ENCODING_FOLDERS_EVENT_SCHEMAS_H

#include "bridge/encoding/catalog.h"
#include "bridge/encoding/folders/commons.h"
#include "bridge/encoding/types/schema.h"

#define ENVELOPE "envelope"
#define EVENT_SCHEMAS_MAX 20000
#define ENVELOPE_BUILT_IN "(built in)/envelope.avsc"

struct event_schema {
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

struct event_schemas {
  struct event_schema *list; /* sorted by event_name */
  size_t count, cap;
  struct digest texts; /* of all that was read */
  struct commons commons;
  struct frozen *frozen; /* sorted by event name and number */
  size_t frozen_count, frozen_cap;
};

/* folders: words, or the name of one folder whatever is in it. ST_NOT_FOUND: no such folder;
 * ST_INVALID: "<folder>/<file>: line 7: ...". On failure *out is empty. */
MUST_CHECK enum status event_schemas_read(const char *folders, struct event_schemas *out,
                                          struct error *err);
void event_schemas_release(struct event_schemas *e);
/* history.c: those of one folder are added; all are sorted; all go. */
MUST_CHECK enum status history_read(struct event_schemas *e, const struct schema_folder *top,
                                    struct error *err);
void history_sort(struct event_schemas *e);
void history_release(struct event_schemas *e);

struct event_schema *event_schemas_find(const struct event_schemas *e, struct span event_name);

#endif
