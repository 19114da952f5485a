/* infer.h - the schema that fits payloads which are there: proposed from them, and held to them.
 *
 * A proposal takes every payload that it was made of with nothing left out and no digit lost; what
 * no other type takes becomes JSON text ("json": true). Fields that were absent or null somewhere
 * are nullable. Integers are int or long by what was seen, with a fraction double. Texts are a
 * uuid, a date, a time, a timestamp or a decimal (digits with a point, always as many behind it)
 * where all of them are. Enums are not guessed. One thread at a time.
 */
#ifndef BRIDGE_ENCODING_INFER_INFER_H
#define BRIDGE_ENCODING_INFER_INFER_H

#include "bridge/json/json.h"

struct inference;
MUST_CHECK enum status inference_open(struct inference **out, struct error *err);
void inference_close(struct inference *i); /* NULL is fine */
/* Takes one payload in, an object. ST_NO_MEMORY. */
MUST_CHECK enum status inference_add(struct inference *i, const struct json_doc *doc,
                                     uint32_t payload, struct error *err);
size_t inference_count(const struct inference *i);
/* The proposal for that event, from what was taken in so far: some lines of JSON, appended to out,
 * and kept for inference_check. ST_INVALID: it is not a schema that this release takes, as err
 * says.
 */
MUST_CHECK enum status inference_write(struct inference *i, struct span event, struct buffer *out,
                                       struct error *err);
/* Does a payload fit the proposal? ST_INVALID: err says what does not. */
MUST_CHECK enum status inference_check(struct inference *i, const struct json_doc *doc,
                                       uint32_t payload, struct error *err);

#endif
