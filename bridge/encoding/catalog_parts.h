/* catalog_parts.h - what the files of the catalog share. Private. */
#ifndef BRIDGE_ENCODING_CATALOG_PARTS_H
#define BRIDGE_ENCODING_CATALOG_PARTS_H

#include "bridge/base/table.h"
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/folders/event_schemas.h"
#include "bridge/encoding/left_out/left_out.h"
#include "bridge/encoding/values/encode.h"

enum { CATALOG_HEAD = 10 }; /* of single-object framing: C3 01 and the fingerprint */

struct set { /* what was read at once */
  struct event_schemas schemas;
  struct event_schema *envelope;
  struct schema_id *places; /* of the envelope, at each place as Avro and as JSON Schema */
  unsigned place_count;
  struct set *older;
};

/* The schema of an id, as a registry gave it. */
struct foreign {
  struct foreign *next;
  int64_t id;
  struct schema schema;
  bool envelope;
};

struct catalog {
  enum framing framing; /* of all */
  enum framing now;     /* of this event */
  unsigned place;
  bool trial;
  const char *source;
  struct schema_id *written;
  int64_t id;
  bool waits;
  struct foreign *foreign;
  catalog_resolve_fn resolve;
  void *resolve_ctx;
  bool refuse_names;
  struct log *log;
  struct table told; /* names without a schema that were logged */
  struct arena names;
  struct left_out left;
  _Atomic(struct set *) set;
  const struct event_schema *encoded; /* by which the last event was; NULL: by none */
  struct encoder encoder;             /* its memory is kept between calls */
  struct json_doc doc;                /* of JSON texts inside Avro */
  _Atomic(struct catalog *) next;     /* what catalog_replace gave */
};

static inline struct set *set_of(const struct catalog *c) {
  return atomic_load(&c->set);
}

/* The schema of an event: the envelope where it has none of its own. */
struct event_schema *catalog_event_schema(const struct catalog *c, struct span event_name);
/* catalog_ids.c: makes room for the ids of a set that was just read; ends it. */
MUST_CHECK enum status catalog_ids_open(struct set *set, unsigned places, struct error *err);
/* False: the event waits. */
bool catalog_ids_take(struct catalog *c, struct event_schema *e);
/* The schema that the resolver has for an id; asked once. */
MUST_CHECK enum status catalog_foreign(struct catalog *c, int64_t id, struct foreign **out,
                                       struct error *err);
void catalog_foreign_release(struct catalog *c);
/* What encoding.unknown_names says of a name without a schema: REASON_NONE, or err has words. */
enum reason catalog_refuse_name(const struct catalog *c, struct span name, struct error *err);
/* Logs a name that goes in the envelope though its namespace has schemas, once. */
void catalog_tell_name(struct catalog *c, struct span name);

#endif
