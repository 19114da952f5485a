/* resolve.h - do two types match, as Avro's schema resolution has it? Private.
 *
 * The greatest answer is meant: records that hold themselves match unless something in them does
 * not. Each pair of records is looked at once a round, and rounds go on until none turns out not to
 * match, so that an answer never stands on a guess.
 */
#ifndef BRIDGE_ENCODING_COMPARING_RESOLVE_H
#define BRIDGE_ENCODING_COMPARING_RESOLVE_H

#include "bridge/encoding/comparing/compatibility.h"
#include "bridge/encoding/types/schema.h"

struct resolver {
  struct table seen, bad; /* pairs of records */
  struct arena arena;
  unsigned depth;
  bool changed;       /* a pair turned out not to match in this round */
  enum status status; /* ST_NO_MEMORY, ST_TOO_LARGE: answers mean nothing */
};

/* Until the first of them was asked, nothing is known of records: ask for the roots. */
bool resolver_run(struct resolver *r, const struct use *reader, const struct use *writer);
/* Afterwards, of any two inside of them. */
bool resolver_fits(struct resolver *r, const struct use *reader, const struct use *writer);
void resolver_release(struct resolver *r);

/* Branches of a union; 0: it is none. */
uint32_t use_branches(const struct use *u);
struct use use_branch(const struct use *u, uint32_t i);

bool types_same_name(const struct type *reader, const struct type *writer);
bool types_promote(const struct type *reader, const struct type *writer); /* other kinds */
bool types_decimals_differ(const struct type *reader, const struct type *writer);
/* A symbol of the writer from *at on that the reader has not, and has no default for. */
bool types_missing_symbol(const struct type *reader, const struct type *writer, uint32_t *at);
/* The writer's field that a field is read from; NULL: none. */
const struct field *types_source(const struct field *f, const struct type *writer);
/* Puts a pair of records into t; false: it is there already, or memory is out. */
bool types_pair(struct resolver *r, struct table *t, const struct type *reader,
                const struct type *writer);

#endif
