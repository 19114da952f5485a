/* catalog_parts.h - what the files of the catalog share. Private. */
#ifndef BRIDGE_ENCODING_CATALOG_PARTS_H
#define BRIDGE_ENCODING_CATALOG_PARTS_H

#include "bridge/base/table.h"
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/encode.h"
#include "bridge/encoding/entries.h"
#include "bridge/encoding/left_out.h"

#include <stdatomic.h>

#define NEEDS_REGISTRY                                                                             \
  "Confluent framing needs a schema registry (registry.url), which a later release brings"
#define TYPE_AVRO "application/avro"
#define TYPE_CONFLUENT "application/vnd.confluent.avro"
#define TYPE_JSON "application/json"

enum { CATALOG_HEAD = 10 }; /* of single-object framing: C3 01 and the fingerprint */

struct set { /* what was read at once */
  struct entries entries;
  struct entry *envelope;
  struct set *older;
};

struct catalog {
  enum framing framing;
  bool refuse_names;
  struct log *log;
  struct table told; /* names without a schema that were logged */
  struct arena names;
  struct left_out left;
  _Atomic(struct set *) set;
  const struct entry *encoded;    /* by which the last event was; NULL: by none */
  struct encoder encoder;         /* its memory is kept between calls */
  struct json_doc doc;            /* of JSON texts inside Avro */
  _Atomic(struct catalog *) next; /* what catalog_replace gave */
};

static inline struct set *set_of(const struct catalog *c) {
  return atomic_load(&c->set);
}

/* The schema of an event: the envelope where it has none of its own. */
struct entry *catalog_entry(const struct catalog *c, struct span event_name);
/* What encoding.unknown_names says of a name without a schema: REASON_NONE, or err has words. */
enum reason catalog_refuse_name(const struct catalog *c, struct span name, struct error *err);
/* Logs a name that goes in the envelope though its namespace has schemas, once. */
void catalog_tell_name(struct catalog *c, struct span name);

#endif
