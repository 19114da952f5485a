/* explain.h - the way of an event through the routing, and which setting says each part of it: for
 * busbridge route. Without outbox and worker; Kafka is asked for the number of partitions alone. */
#ifndef BRIDGE_SERVICE_TOPICS_EXPLAIN_H
#define BRIDGE_SERVICE_TOPICS_EXPLAIN_H

#include "bridge/settings/settings.h"

/* payload: an object's text; empty: the name alone is looked at, and what hangs on the payload is
 * null. *goes: it would be published. Appends
 * {"version":1,"name","event","namespace":..|null,"published":bool,"reason":..|null,
 * "error":..|null,"remedy":..|null,
 * "topic":..|null,"topic_by":..|null,"key":..|null,"key_fields":[..],"key_by":..|null,
 * "key_doubt":..|null,"partition":N|null,"partitions":N|null,
 * "kafka":..|null,"schema":..|null,"framing","content_type","timestamp","timestamp_by":..|null,
 * "headers":[{"name","value"}],"headers_by":..|null}; each _by is a key of the settings, "schema"
 * or "built in"; key_doubt: what is named as key and no schema has; kafka: why it gave no number.
 */
MUST_CHECK enum status route_explain(const struct settings *settings, struct span name,
                                     struct span payload, bool *goes, struct buffer *json,
                                     struct error *err);

#endif
