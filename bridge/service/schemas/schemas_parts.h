/* schemas_parts.h - what stands behind schemas.h. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_SCHEMAS_SCHEMAS_PARTS_H
#define BRIDGE_SERVICE_SCHEMAS_SCHEMAS_PARTS_H

#include "bridge/service/plan/configure.h"
#include "bridge/service/schemas/schemas.h"

struct schemas {
  struct plan plan; /* the catalog is opened with single-object, whatever that says */
  struct routing *routing;
  struct catalog *catalog;
};

/* Which schema is that of the event, an alias of the routing too; ST_NOT_FOUND as schemas_text. */
MUST_CHECK enum status schemas_index(const struct schemas *s, struct span event, size_t *out,
                                     struct error *err);
/* "fingerprint" as people write it, and "wire", its bytes as they stand in a record. */
void schemas_write_fingerprint(const struct catalog_schema *schema, struct buffer *json,
                               bool *first);
/* "order.placed": {...}, "order.placed-shop.Line": {...}: members of an object at place
 * ("#/$defs/"), schema i as JSON Schema and the other records that it names. */
MUST_CHECK enum status schemas_write_among(const struct schemas *s, size_t i, const char *place,
                                           struct buffer *out, struct error *err);
/* The name of an event as a key that JSON Pointers and AsyncAPI take as it is. */
void schemas_key(struct span event, struct buffer *out);

#endif
