/* event.h - what lies in an outbox entry: JSON text <-> struct event. Pure; one thread at a time
 * per document.
 *
 * CONTRACT.md beside this file says what producers write: ten keys, any order, unknown keys kept.
 */
#ifndef BRIDGE_EVENT_EVENT_H
#define BRIDGE_EVENT_EVENT_H

#include "bridge/base/clock.h"
#include "bridge/json/json.h"

#define EVENT_ID_MAX 128
#define EVENT_NAME_MAX 200

/* Every reason an event can be set aside for, with its stable word, and what to do about it. One
 * row feeds the dead letter, the metrics label, the CLI and the manual. Words of the first group
 * equal json_fault_word. */
#define REASON_TABLE(X)                                                                            \
  X(NONE, "none", "")                                                                              \
  X(EMPTY_FILE, "empty_file", "The producer wrote nothing; ask it for the event again")            \
  X(NOT_JSON, "not_json", "Fix the text at the byte named, then replay it")                        \
  X(NOT_A_NUMBER, "not_a_number", "Replace NaN or Infinity by a number or null, then replay it")   \
  X(LONE_SURROGATE, "lone_surrogate",                                                              \
    "Replace the half surrogate at the byte named, then replay it")                                \
  X(INVALID_UTF8, "invalid_utf8", "Re-encode it as UTF-8, then replay it")                         \
  X(DUPLICATE_KEY, "duplicate_key", "Keep one of the two members named, then replay it")           \
  X(TOO_DEEP, "too_deep", "Nest at most 64 levels, then replay it")                                \
  X(TOO_LARGE, "too_large",                                                                        \
    "Raise outbox.max_entry_bytes or make the entry smaller, then replay it")                      \
  X(NOT_OBJECT, "not_an_object", "An entry is one JSON object; fix it, then replay it")            \
  X(MISSING_ID, "missing_id", "Give it an id of [A-Za-z0-9._-]{1,128}, then replay it")            \
  X(BAD_ID, "bad_id", "Give it an id of [A-Za-z0-9._-]{1,128}, then replay it")                    \
  X(MISSING_NAME, "missing_name", "Give it a name like episode.created, then replay it")           \
  X(BAD_NAME, "bad_name",                                                                          \
    "A name is namespace.event in [a-z0-9_.-]; fix it or add it to routing.aliases")               \
  X(UNKNOWN_NAMESPACE, "unknown_namespace",                                                        \
    "Add it to routing.namespaces or the name to routing.aliases, restart the worker, then "       \
    "replay it")                                                                                   \
  X(UNKNOWN_EVENT, "unknown_event",                                                                \
    "Add its schema, or the name to routing.aliases, restart the worker, then replay it")          \
  X(BAD_KEY, "bad_key",                                                                            \
    "A key is a string or a number; fix the field named, or name another as key and restart the "  \
    "worker; then replay it")                                                                      \
  X(BAD_HEADER, "bad_header",                                                                      \
    "A header is a string, a number or a boolean; fix the field named, or name another in the "    \
    "route and restart the worker; then replay it")                                                \
  X(BAD_TIME, "bad_time",                                                                          \
    "Kafka knows no time before 1970; fix created_at, or take timestamp = event out of the "       \
    "route and restart the worker; then replay it")                                                \
  X(BAD_PAYLOAD, "payload_not_object",                                                             \
    "The payload must be a JSON object; fix it, then replay it")                                   \
  X(SCHEMA_MISMATCH, "schema_mismatch",                                                            \
    "Fix the field named, or the schema and restart the worker; then replay it")                   \
  X(INTEGER_RANGE, "integer_out_of_range",                                                         \
    "An int has 32 bits, a long 64; fix the field, or make it a long in the schema; then replay "  \
    "it")                                                                                          \
  X(HEADER_TOO_LARGE, "header_too_large",                                                          \
    "Give the fields named a place in the schema, or a map of strings named extra, or set "        \
    "encoding.unknown_fields = drop (of an envelope encoding.envelope = drop; of a route's "       \
    "headers name smaller fields); restart the worker, then replay it")                            \
  X(RECORD_TOO_LARGE, "record_too_large",                                                          \
    "Raise kafka.message.max.bytes and the topic's max.message.bytes, then replay it")             \
  X(BROKER_REFUSED, "broker_refused",                                                              \
    "See last_error; fix the topic's configuration or the event, then replay it")                  \
  X(CRASHES_WORKER, "crashes_worker",                                                              \
    "Report it with the entry attached; it ended the worker twice")

enum reason {
#define X(name, word, remedy) REASON_##name,
  REASON_TABLE(X)
#undef X
      REASON_COUNT,
  REASON_NO_MEMORY =
      REASON_COUNT /* no reason to set anything aside: memory was out, give the entry back */
};
const char *reason_word(enum reason r);
const char *reason_remedy(enum reason r);
enum reason reason_from_word(struct span word); /* REASON_NONE when unknown */

enum event_status { EVENT_ABSENT, EVENT_PENDING, EVENT_DISPATCHED, EVENT_DLQ, EVENT_OTHER };

struct event {
  struct span id;   /* valid and unescaped, or empty */
  struct span name; /* unescaped, as the producer wrote it (aliases are resolved by routing) */
  uint32_t payload; /* node of the payload object, JSON_NONE when it has none */
  enum event_status status;
  int64_t created_us;      /* TIME_NONE: missing or unreadable, the file's mtime stands in */
  int64_t failed_us;       /* TIME_NONE: never failed */
  int64_t first_failed_us; /* TIME_NONE: as above */
  unsigned attempts;
  struct span last_error;  /* raw JSON value slice ("null" or a quoted string), or empty */
  struct span reason;      /* bytes between the quotes, or empty */
  struct span storage_key; /* bytes between the quotes, or empty */
  /* W3C Trace Context: the first valid traceparent of payload.metadata, the entry itself and its
   * member headers, and the tracestate beside it; else empty */
  struct span traceparent, tracestate;
  bool others; /* the entry has members beyond those of CONTRACT.md: event_rest tells */
  bool typed;  /* it is an entry of the older typed bus: CONTRACT.md 8 */
  bool bare;   /* typed, and no envelope lies between it and its payload */
  bool left;   /* typed, and a setting leaves it to others, whatever its status */

  /* Of an envelope in the payload: event_read, CONTRACT.md 7. */
  /* id, name, payload and created_us are the envelope's; of a bare one, the entry's in the same
   * way */
  bool lifted;
  struct span other_id; /* what it would go by if it were lifted, or were not; empty: the same */
  struct span subject;  /* lifted: the aggregate_id, unescaped; else empty */
};

/* Read doc (already scanned without fault) as an entry. Fills *out as far as it could be read, also
 * when it is refused. Unescaped bytes are put into arena where they differ from the text. Returns
 * REASON_NONE or why it can never be published (err says which key and what was found).
 * REASON_NOT_OBJECT, MISSING_ID, BAD_ID, MISSING_NAME, BAD_PAYLOAD.
 */
enum reason event_parse(const struct json_doc *doc, struct arena *arena, struct event *out,
                        struct error *err);
/* The same of an entry of the older typed bus, as it stands: nothing is lifted. Without a name that
 * is what is told, whatever else is wrong. */
enum reason event_parse_typed(const struct json_doc *doc, struct arena *arena, struct event *out,
                              struct error *err);
enum reason event_reason_of(enum json_fault fault); /* JSON_NO_MEMORY is not asked */

/* How names are judged that lie in an envelope. */
struct event_lifting {
  /* The name it is published by, terminated. False: it is none. */
  bool (*canonical)(const void *ctx, struct span seen, char out[EVENT_NAME_MAX + 1]);
  const void *ctx;
  bool flat_off;     /* those that their bridge copied to the flat outbox stay in it */
  bool generic_left; /* a GenericEvent of the typed bus is left */
};
/* event_parse, and what the bridge of the older typed bus wrote is lifted out of its envelope: *out
 * is then the event inside, its name canonical where it has one. Which payloads are lifted stands
 * in CONTRACT.md 7; any other stays as event_parse reads it, and so do all when lifting is NULL.
 * REASON_BAD_ID, BAD_PAYLOAD and MISSING_NAME also of the envelope, err then with a path in it
 * ("payload.event_id: ..."). */
enum reason event_read(const struct json_doc *doc, const struct event_lifting *lifting,
                       struct arena *arena, struct event *out, struct error *err);
/* An entry of the older typed bus: event_parse_typed, its event lifted out of the envelope that
 * every one has, or out of the entry itself where its payload is none (CONTRACT.md 8). lifting
 * NULL: its name is not judged. */
enum reason event_read_typed(const struct json_doc *doc, const struct event_lifting *lifting,
                             struct arena *arena, struct event *out, struct error *err);
/* Is that its id, lifted or not? So an entry is known again when the settings changed meanwhile. */
bool event_goes_by(const struct event *e, struct span id);
/* What of an entry is not published otherwise, as one line of JSON without a control byte; nothing
 * where there is none: members that CONTRACT.md does not know,
 * {"entry":{"tenant":"t-1"}}; of a lifted one all of the entry and its envelope. A typed one has
 * its class at least. */
void event_rest(const struct json_doc *doc, const struct event *e, struct buffer *out);

/* Digest of its name and its payload's text (of a lifted one without its blanks), the same on every
 * machine; 0: it has no payload. Two entries of one id that differ in it are two events. */
uint64_t event_content(const struct json_doc *doc, const struct event *e);

bool event_id_valid(struct span id); /* [A-Za-z0-9._-]{1,128} */
/* What a file named after a valid id is called, less its ending: the id, with "_" in front where it
 * begins with a dot, since such a name is not an entry's. */
void event_stem(struct span id, struct buffer *out);

/* The document again with some top-level members set: kept in place where they are, appended in the
 * order given where not; every other byte of text, unknown keys and the payload included, is copied
 * as it stands. At most 64 changes, of different keys. A document that is not an object is copied
 * as it is. */
struct event_change {
  const char *key;
  struct span json; /* the value's JSON text */
};
void event_rewrite(const struct json_doc *doc, const struct event_change *changes, size_t count,
                   struct buffer *out);

/* A new pending entry in the producers' own form (ten keys in their order, no newline). payload is
 * an object's JSON text. */
void event_write(struct span id, struct span name, struct span payload, int64_t created_us,
                 struct span storage_key, struct buffer *out);
/* The same in the form of the older typed bus: what happened then, without an envelope. */
void event_write_typed(struct span id, struct span type, struct span payload, int64_t occurred_us,
                       struct buffer *out);

#endif
