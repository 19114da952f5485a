/* reach.h - which JSON a type takes, and which branch of a union none ever reaches. Pure. Private.
 */
#ifndef BRIDGE_ENCODING_TYPES_REACH_H
#define BRIDGE_ENCODING_TYPES_REACH_H

#include "bridge/encoding/types/schema.h"
#include "bridge/json/json.h"

/* May a value of that JSON type fit a type at its place? False: never. */
bool use_takes(const struct use *u, enum json_type json);
/* Index of a branch whose every value fits one before it, by the JSON type; SCHEMA_NO_FIELD: there
 * is none that is sure. */
uint32_t union_unreachable(const struct type *t);
/* Is branch i reached by its other form alone: a decimal by digits in quotes, a time behind a
 * string by its count? */
bool union_other_form(const struct type *t, uint32_t i);

#endif
