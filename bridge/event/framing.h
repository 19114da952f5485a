/* framing.h - how the value of a record is framed, and under which subject its schema is
 * registered: the words of the settings, and what each means for a record. Pure.
 *
 *   single-object     C3 01, CRC-64-AVRO of the canonical form little-endian, Avro
 *   confluent         00, id of the registry in 4 bytes big-endian, Avro
 *   confluent-header  Avro alone; the header __value_schema_id holds 00 and that id
 *   confluent-json    00, the id of a JSON Schema, the payload's bytes as they are
 *   raw               Avro alone
 *   json              the payload's bytes as they are
 *   cloudevents       one JSON object: a CloudEvent whose data is the payload
 */
#ifndef BRIDGE_EVENT_FRAMING_H
#define BRIDGE_EVENT_FRAMING_H

#include "bridge/base/clock.h"

#include <stdatomic.h>

enum framing {
  FRAMING_SINGLE_OBJECT,
  FRAMING_CONFLUENT,
  FRAMING_RAW,
  FRAMING_JSON,
  FRAMING_CONFLUENT_HEADER,
  FRAMING_CLOUDEVENTS,
  FRAMING_CONFLUENT_JSON,
  FRAMING_AUTO /* as of all events; of these: single-object, with a registry confluent */
};
const char *framing_word(enum framing f);
bool framing_parse(struct span word, enum framing *out); /* "auto" too */
const char *framing_content_type(enum framing f);
bool framing_needs_id(enum framing f);           /* of a registry */
const char *framing_schema_type(enum framing f); /* what has that id: "AVRO", "JSON"; "": none */
bool framing_is_json(enum framing f);            /* it carries the payload whole */
/* How a record was framed, by its content type, what stands in its header __value_schema_id, and
 * its value: each empty where it has none. */
enum framing framing_seen(struct span content_type, struct span id, struct span value);

#define HEADER_SCHEMA_ID "__value_schema_id"
enum { SCHEMA_ID_BYTES = 5 };
/* 00 and the id. */
void schema_id_write(int64_t id, unsigned char out[SCHEMA_ID_BYTES]);
/* False: these are no such bytes. */
bool schema_id_read(struct span bytes, int64_t *id);

/* The id that a registry has for a schema: whoever asks it sets it, the encoder takes what it
 * finds. Any thread. */
#define SCHEMA_NO_ID INT64_C(-1)
enum { SCHEMA_PARTITIONS = 32 };
struct schema_id {
  _Atomic int64_t id;  /* SCHEMA_NO_ID: none is known, and its events wait */
  _Atomic bool wanted; /* some do */
  /* Of what was published since it was looked at last: how many, first and last offset by
   * partition (those beyond the table are only counted). */
  _Atomic int64_t published, beyond, first[SCHEMA_PARTITIONS], last[SCHEMA_PARTITIONS];
};
void schema_id_clear(struct schema_id *s);
void schema_id_looked(struct schema_id *s); /* what was published before is right */
void schema_id_published(struct schema_id *s, int partition, int64_t offset);

enum subject_naming {
  SUBJECT_TOPIC_RECORD, /* TOPIC-RECORD */
  SUBJECT_RECORD,       /* RECORD, its full name */
  SUBJECT_TOPIC,        /* TOPIC-value: of a topic with one type of event */
  SUBJECT_AUTO          /* as of all events: TOPIC_RECORD */
};
enum { SUBJECT_NAMINGS = SUBJECT_AUTO };
bool subject_parse(struct span word, enum subject_naming *out); /* "none" is SUBJECT_AUTO */

#endif
