/* json_schema_text.h - the schema of an event as JSON Schema: what `schema export` prints, and what
 * is registered where its framing is confluent-json. Private to bridge/service. Any thread that may
 * use the catalog.
 */
#ifndef BRIDGE_SERVICE_PLAN_JSON_SCHEMA_TEXT_H
#define BRIDGE_SERVICE_PLAN_JSON_SCHEMA_TEXT_H

#include "bridge/service/plan/configure.h"

#define JSON_SCHEMA_BEGIN "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""

/* The title, and so the record of the subject, for events without a schema: any object, no
 * envelope.
 */
#define JSON_SCHEMA_ANY "busbridge.Payload"

/* catalog_json_schema of schema i, by what the settings say of members without a field. */
MUST_CHECK enum status json_schema_of(const struct plan *plan, const struct catalog *catalog,
                                      const struct routing *routing, size_t i,
                                      const struct catalog_json *form, struct buffer *out,
                                      struct buffer *named, struct error *err);
/* Schema i whole, with the records that it names in its $defs, appended to out. The same settings
 * and schemas make the same bytes. */
MUST_CHECK enum status json_schema_text(const struct plan *plan, const struct catalog *catalog,
                                        const struct routing *routing, size_t i, struct buffer *out,
                                        struct error *err);
#endif
