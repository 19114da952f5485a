/* schemas.h - the Avro schemas for people: which there are, and whether a payload fits. Without
 * outbox, worker, broker.
 *
 * One thread. Answers are appended as one JSON value.
 */
#ifndef BRIDGE_SERVICE_SCHEMAS_SCHEMAS_H
#define BRIDGE_SERVICE_SCHEMAS_SCHEMAS_H

#include "bridge/base/log.h"
#include "bridge/settings/settings.h"

struct schemas;
/* folder NULL: the one in the settings. Opening checks all of them: ST_INVALID names file, line and
 * what is wrong; ST_NOT_FOUND the folder that was given. */
MUST_CHECK enum status schemas_open(const struct settings *settings, const char *folder,
                                    struct schemas **out, struct error *err);
void schemas_close(struct schemas *s); /* NULL is fine */
const char *schemas_folder(const struct schemas *s);

/* {"version":1,"folder","schemas":[{"event","fields":N,"file","fingerprint":"16 hex digits",
 * "wire":"its bytes in a record","notes":["line 7: ...", ...]}]}; notes: likely mistakes */
MUST_CHECK enum status schemas_list(struct schemas *s, struct buffer *json, struct error *err);
/* The file's text. ST_NOT_FOUND: err says which may have been meant. An alias of the routing is
 * resolved. */
MUST_CHECK enum status schemas_text(struct schemas *s, struct span event, struct buffer *out,
                                    struct error *err);
/* Would the relay publish this payload under that name? reason, error and remedy are those of the
 * dead letter it would become. own: it has a schema of its own (else it goes in the envelope, near
 * names what may have been meant).
 * {"version":1,"event","name","topic","schema","own":bool,"near":..|null,"fits":bool,
 * "reason":..|null,"error":..|null,
 * "remedy":..|null,"left_out":N,"unknown_fields":"carry"|"drop"|"whole","unknown":["payload.b",
 * ...],"cut_numbers":N}
 */
MUST_CHECK enum status schemas_check(struct schemas *s, struct span event, struct span payload,
                                     struct buffer *json, struct error *err);
/* The record's value in single-object framing, and its header ce_extra (nothing: it has none).
 * ST_INVALID: it would be a dead letter; err has its reason and error. */
MUST_CHECK enum status schemas_encode(struct schemas *s, struct span event, struct span payload,
                                      struct buffer *value, struct buffer *extra,
                                      struct error *err);
/* A record's value to JSON, by whichever schema there is or was (catalog_decode), with the members
 * of its header ce_extra (empty: it has none) where they were. *left: how many of them have no
 * place there. ST_INVALID: one of the two is none. */
MUST_CHECK enum status schemas_decode(struct schemas *s, struct span value, struct span extra,
                                      struct buffer *out, size_t *left, struct error *err);
/* Writes the schema as it is, whole, as the next one of its history; where it is the last one there
 * already, nothing is written (frozen is false).
 * {"version":1,"event","number":N,"file","frozen":bool} */
MUST_CHECK enum status schemas_freeze(struct schemas *s, struct span event, struct buffer *json,
                                      struct error *err);
/* Registers the schema of an event (empty: all that are published) in the registry, under the
 * subjects by which the worker looks them up, where the event's framing names an id; the envelope
 * in each topic that may have such events without a schema. dry_run: asks the registry whether it
 * would take them. refused: by its rules of compatibility, error is its reason. ST_UNAVAILABLE: the
 * registry is not there; ST_INVALID: none is set.
 * {"version":1,"registry":"http://...","dry_run":bool,"schemas":[{"event","subject",
 * "framing","outcome":"there"|"registered"|"would_register"|"refused"|"not_needed","id":N|null,
 * "error":..|null}],"there":N,"registered":N,"would_register":N,"refused":N,"not_needed":N} */
MUST_CHECK enum status schemas_register(struct schemas *s, struct span event, bool dry_run,
                                        struct buffer *json, struct error *err);
/* JSON Schema (2020-12) of the payloads that the worker publishes under that name; empty: of all
 * events, in its $defs by their names. */
MUST_CHECK enum status schemas_json_schema(struct schemas *s, struct span event, struct buffer *out,
                                           struct error *err);
/* AsyncAPI 3.0: the topics with the events in them, by the routes of the settings; event not empty:
 * that event alone. */
MUST_CHECK enum status schemas_asyncapi(struct schemas *s, struct span event, struct buffer *out,
                                        struct error *err);

/* schema_diff.c: what changed since before, of one event (empty: of all), and who reads what then.
 * {"version":1,"differences":[{"event","what":"FIELD_ADDED","path","message","new_reads_old":bool,
 * "old_reads_new":bool,"file","line","against_file","against_line"} or
 * {"event","what":"EVENT_ADDED"|"EVENT_REMOVED","file"}]} */
MUST_CHECK enum status schemas_diff(const struct schemas *s, const struct schemas *before,
                                    struct span only, struct buffer *json, struct error *err);
/* The same against the last frozen version of each. ST_NOT_FOUND: there is none. */
MUST_CHECK enum status schemas_diff_frozen(const struct schemas *s, struct span only,
                                           struct buffer *json, struct error *err);
/* The same of two files alone, whichever events they are of: "event" is the name of the newer file.
 * ST_INVALID: one is not a schema, or names types of other files. */
MUST_CHECK enum status schemas_diff_files(const char *before, const char *now, struct buffer *json,
                                          struct error *err);
/* schema_infer.c: a schema for an event, from the payloads of that name in the outbox (which:
 * SCHEMA_SOURCES); *count: of how many. All that it was made of are encoded by it once more.
 * Without schemas and without worker. ST_NOT_FOUND: there are none. */
#define SCHEMA_SOURCES "pending|dlq|all"
struct clock;
MUST_CHECK enum status schemas_infer(const struct settings *settings, const struct clock *clock,
                                     struct span event, const char *which, struct buffer *text,
                                     size_t *count, struct error *err);
/* schemas_fetch.c: what the registry has under the subjects of our events, its newest 50 versions,
 * as schemas in a folder that is there and empty; *left: how many are there as JSON Schema, and are
 * not in it. ST_UNAVAILABLE: the registry is not there. */
MUST_CHECK enum status schemas_fetch(struct schemas *s, const char *folder, size_t *left,
                                     struct error *err);
/* schema_levels.c: are the schemas compatible with those of before, by a level of SCHEMA_LEVELS?
 * only: of this event alone (empty: of all). Backward: what the older schema wrote is read with the
 * newer one; forward: the other way round; transitive: with the frozen ones of both as well.
 * "gone": events that have no schema any more. ST_NOT_FOUND: neither has that event.
 * {"version":1,"level","against","compatible":bool,"checked":N,"gone":["order.old"],"incompatible":
 * [{"event","direction":"backward"|"forward","what":"TYPE_MISMATCH","path","message","file","line",
 * "against_file","against_line"}]} */
#define SCHEMA_LEVELS                                                                              \
  "NONE|BACKWARD|BACKWARD_TRANSITIVE|FORWARD|FORWARD_TRANSITIVE|FULL|FULL_TRANSITIVE"
MUST_CHECK enum status schemas_compatible(const struct schemas *s, const struct schemas *before,
                                          const char *level, struct span only, struct buffer *json,
                                          struct error *err);

#endif
