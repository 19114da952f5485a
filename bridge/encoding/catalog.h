/* catalog.h - the schemas, and payload JSON <-> Avro by them.
 *
 * schemas/<namespace>/<event>.avsc is the schema of event <namespace>.<event> (one record of the
 * payload's fields; `extra`, a map of strings, takes unknown fields as JSON text);
 * schemas/envelope.avsc, else one that is built in, serves names without one. Types that several
 * name stand in files of schemas/.common/, older ones in schemas/.history/. All are read, checked
 * and compiled at open (links are followed, other names beginning with a dot and files other than
 * .avsc passed over). A catalog is used by one thread at a time (it keeps memory between calls).
 *
 * Values: a field whose schema says "json": true holds its member's JSON text. A member without a
 * field goes to `extra`; one that is itself named extra does too, so it comes back as it was. A
 * missing member takes its field's default; null where the schema takes none is a mismatch. Absent
 * and null are one in a field whose default is null: it is decoded as absent. A number in a double
 * field is decoded as a double (82 as 82.0); one it cannot keep (more than 17 digits, or an integer
 * between two doubles) is counted. The envelope is decoded to the payload in it.
 */
#ifndef BRIDGE_ENCODING_CATALOG_H
#define BRIDGE_ENCODING_CATALOG_H

#include "bridge/base/log.h"
#include "bridge/base/table.h"
#include "bridge/event/event.h"
#include "bridge/event/framing.h"

/* What becomes of a payload's member that has no field, where no map `extra` takes it. */
enum unknown_fields {
  UNKNOWN_CARRY,  /* it rides in the header ce_extra: catalog_carried */
  UNKNOWN_REFUSE, /* REASON_SCHEMA_MISMATCH */
  UNKNOWN_DROP    /* it is not published */
};

struct catalog_config {
  const char *folder; /* of the schemas; several: words */
  unsigned places;    /* for ids of the envelope, see catalog_id_at */
  enum framing framing;
  enum unknown_fields unknown_fields;
  bool refuse_names; /* a name without a schema, in a namespace that has some, is
                        REASON_UNKNOWN_EVENT */
};

struct catalog;
/* ST_INVALID names file, line and what is wrong with a schema; ST_NOT_FOUND the folder;
 * config is not kept. log: notes said once (a path left out, a
 * type whose numbers are cut, a name without a schema), may be NULL. */
MUST_CHECK enum status catalog_open(const struct catalog_config *config, struct log *log,
                                    struct catalog **out, struct error *err);
void catalog_close(struct catalog *c);
/* Any thread: from its next event on c has the schemas of fresh, which is taken. What was counted
 * goes on. What was replaced stays in memory: compare the texts first. */
void catalog_replace(struct catalog *c, struct catalog *fresh);
struct digest catalog_texts(const struct catalog *c); /* of all that it was made of */

/* That of schema i; of the envelope there is one for each place and kind of schema, which is what
 * the way of an event says. It lives as long as the catalog, or what it was given to. NULL: there
 * is none such. */
struct schema_id *catalog_id_at(const struct catalog *c, size_t i, unsigned place,
                                enum framing framing);

/* How the events that are encoded from now on go. */
struct catalog_way {
  const char *unknown_fields; /* "carry", "refuse", "drop"; NULL: what the config says */
  enum framing framing;       /* FRAMING_AUTO: what the config says */
  unsigned place;             /* of the envelope's id */
  bool trial;                 /* as if each id were known: nobody gets the bytes */
  const char *source;         /* of CloudEvents; NULL: none */
};
void catalog_way(struct catalog *c, const struct catalog_way *way);

/* The value of a Kafka record: framed bytes of the event's payload, appended to out (cleared of
 * nothing, so the caller notes the length before). The event has a payload. REASON_NONE, also when
 * memory is out: ask buffer_status(out) before using the bytes. REASON_SCHEMA_MISMATCH,
 * REASON_INTEGER_RANGE, REASON_HEADER_TOO_LARGE or REASON_UNKNOWN_EVENT: nothing was appended, and
 * err has a message such as "payload.score: expected double, found string \"A\"
 * (schemas/quality/checked.avsc)"; values are cut to 40 characters. created_us goes into the
 * envelope when the entry has no readable created_at. */
enum reason catalog_encode(struct catalog *c, const struct json_doc *doc, const struct event *event,
                           struct span canonical_name, int64_t created_us, struct buffer *out,
                           struct error *err);
/* Of the event that catalog_encode took last: its framing, and the id it was written with (NULL:
 * none is needed). Where there is no such id yet, catalog_encode appended nothing and found no
 * fault: the event waits. */
enum framing catalog_framing(const struct catalog *c);
struct schema_id *catalog_written(const struct catalog *c, int64_t *id);
bool catalog_waits(const struct catalog *c);

/* Of the event that catalog_encode took last, until it takes another: the header ce_extra (empty:
 * it needs none), and how many members had no place, carried or dropped. The header is one JSON
 * object on one line, at most CARRIED_MAX bytes (more is REASON_HEADER_TOO_LARGE): keys are JSON
 * Pointers from the payload on ("/lines/0/note"), values the members' text as it was written. */
#define CARRIED_MAX (32 * 1024)
struct span catalog_carried(const struct catalog *c);
size_t catalog_unplaced(const struct catalog *c);
/* Which schema it was encoded by, or held to; false: by none, its bytes are its payload's. */
bool catalog_encoded(const struct catalog *c, uint64_t *fingerprint);
/* The other way round: json, a decoded value, with the members that a header ce_extra carries,
 * behind those of their objects; appended to out. *left: how many of the header lead nowhere, or
 * where there is such a member already. ST_INVALID: the header is not a JSON object (nothing was
 * appended). Both may be foreign bytes. */
MUST_CHECK enum status catalog_put_back(struct span json, struct span extra, struct buffer *out,
                                        size_t *left, struct error *err);

/* A record's value back to one line of JSON, appended to out. The framing is found by content_type
 * (may be empty) and the bytes; raw Avro needs event_name, Confluent framing whoever knows the
 * schema of an id (catalog_resolver), else it is ST_UNSUPPORTED. Fields holding JSON text
 * (free-form objects, extra) come out as JSON, extras beside the other fields, so that the result
 * equals the payload. Foreign bytes are never trusted: ST_INVALID with the byte offset,
 * ST_NOT_FOUND for an unknown fingerprint, ST_TOO_LARGE beyond 16 MiB of output; out is then as it
 * was. */
MUST_CHECK enum status catalog_decode(struct catalog *c, struct span value,
                                      struct span content_type, struct span event_name,
                                      struct buffer *out, struct error *err);

/* The text of the schema with that id, appended to text. */
typedef enum status (*catalog_resolve_fn)(void *ctx, int64_t id, struct buffer *text,
                                          struct error *err);
void catalog_resolver(struct catalog *c, catalog_resolve_fn resolve, void *ctx);
/* Are two texts the same schema: canonical form and logical types? What cannot be read is not.
 * *form (may be NULL): a digest of both, of ours; it may be stored. Pure. */
bool catalog_same_schema(struct span theirs, struct span ours);
struct digest catalog_form(struct span text);
/* The same of texts of JSON Schema: are they the same JSON, however it is spelt? */
bool catalog_same_json(struct span theirs, struct span ours);
struct digest catalog_json_form(struct span text);

/* Walk the schemas in order of their names: i from 0; false at the end. canonical: Parsing
 * Canonical Form; lives as long as the catalog. */
struct schema;
struct catalog_schema {
  const char *event_name; /* "quality.checked", or "envelope" */
  const char
      *file; /* as messages name it, to be opened: "/etc/busbridge/schemas/quality/checked.avsc" */
  bool built_in;    /* no file has it */
  struct span text; /* as it was read; see catalog_whole_text */
  size_t fields;    /* of its record */
  uint32_t number;  /* of a frozen one, from 1; else 0 */
  bool whole;       /* the envelope: it carries any payload whole */
  struct span canonical;
  uint64_t fingerprint;
  const struct schema *schema;    /* for compatibility.h; lives as long as the catalog */
  struct span record;             /* full name */
  struct span key;                /* the field that says "key": true; empty: none does */
  uint64_t cut_numbers, left_out; /* counted since open */
};
bool catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out);
/* The frozen schemas of an event, n from 0 in the order of their numbers; false at the end. A name
 * without a pointer: those of all events, each one's behind each other. Values
 * in single-object framing of any of them are decoded. */
bool catalog_frozen(const struct catalog *c, struct span event_name, size_t n,
                    struct catalog_schema *out);
/* A schema's text with the types of .common/ in it, each where it is named first: whole, whatever
 * becomes of these files. text is that of a schema of this catalog. */
MUST_CHECK enum status catalog_whole_text(const struct catalog *c, struct span text,
                                          struct buffer *out, struct error *err);
/* Schema i as JSON Schema: which payloads are encoded by it (json_schema.h). root: how its
 * outermost record is referred to, "#"; place, before: where the other records that it names will
 * stand, and what stands before their names there, "#/$defs/" and "". Appended are its own schema,
 * one object, and to named the others, members of one. The envelope takes every object. */
struct catalog_json {
  const char *root, *place, *before;
  bool refuse; /* UNKNOWN_REFUSE holds */
};
MUST_CHECK enum status catalog_json_schema(const struct catalog *c, size_t i,
                                           const struct catalog_json *form, struct buffer *out,
                                           struct buffer *named, struct error *err);
/* What is likely to be a mistake in schema i, n from 0; false at the end. "line 7: ..."; it lives
 * as long as the catalog. */
bool catalog_note(const struct catalog *c, size_t i, size_t n, const char **text);

/* Which members of events of schema i had no place, n from 0 in the order they were met; false at
 * the end. *path is as of messages, with [] for every index, and lives as long as the catalog. At
 * most 100 of a schema, 1,000 in all. Any thread. */
bool catalog_left_out(struct catalog *c, size_t i, size_t n, struct span *path, uint64_t *count);

/* Has that event no schema, though its namespace has some? *near: the one that is likely to be
 * meant, or NULL; it lives as long as the catalog. Any thread. */
bool catalog_unknown(const struct catalog *c, struct span event_name, const char **near);
const char *catalog_near(const struct catalog *c,
                         struct span event_name); /* likewise, NULL: none */

/* What schema i has for a member of the payload, "customer.id" for one of a member. */
enum catalog_place {
  CATALOG_NONE,   /* no field; where the schema has `extra` it is carried there */
  CATALOG_SCALAR, /* a string, number, boolean or null */
  CATALOG_ARRAY,
  CATALOG_OBJECT, /* a record or a map */
  CATALOG_ANY     /* whatever the producer writes: JSON text, a value of a map */
};
enum catalog_place catalog_place(const struct catalog *c, size_t i, struct span path);
/* Which field is likely to be meant by that path (as word_nearest): what it returns stands between
 * *front and *behind, the parts of the path that are there ("customer.", ".id"). Empty: none. */
struct span catalog_near_field(const struct catalog *c, size_t i, struct span path,
                               struct span *front, struct span *behind);

#endif
