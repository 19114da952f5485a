/* shape.h - what was seen of the values at one place of payloads. Private. */
#ifndef BRIDGE_ENCODING_INFER_SHAPE_H
#define BRIDGE_ENCODING_INFER_SHAPE_H

#include "bridge/base/table.h"
#include "bridge/encoding/types/logical.h"
#include "bridge/json/json.h"

#define SHAPE_MEMBERS 1000 /* of one object; one with more is a map */
#define SHAPE_DEPTH 12     /* of objects and arrays; what is deeper is JSON text */

/* What texts may be: bits. */
enum { TEXT_UUID = 1, TEXT_DATE = 2, TEXT_TIME = 4, TEXT_TIMESTAMP = 8, TEXT_DECIMAL = 16 };

struct member {
  struct span name; /* unescaped */
  struct shape *shape;
  struct member *next;
};

struct shape {
  uint64_t seen, nulls, booleans, numbers, texts, arrays, objects;
  bool wide;                    /* a whole number beyond int */
  bool fraction;                /* a number written with a point or an exponent */
  bool rounds;                  /* a number that a double does not keep */
  bool beyond;                  /* a whole number beyond long */
  unsigned text;                /* TEXT_..., of all texts so far; meaningless without any */
  uint32_t before, behind;      /* digits of decimals: the most before the point, all behind it */
  struct shape *items;          /* of arrays; of an object with too many members */
  struct member *first, **last; /* in the order they were met */
  struct table by_name;
  size_t members;
  bool odd_names; /* a member whose name no field can have */
};

/* Takes a value in. false: memory is out. */
MUST_CHECK bool shape_take(struct shape *s, const struct json_doc *doc, uint32_t node,
                           struct arena *arena, unsigned depth);
void shape_release(struct shape *s); /* the tables; the rest is the arena's */

#endif
