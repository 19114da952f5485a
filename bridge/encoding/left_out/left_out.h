/* left_out.h - members of payloads that have no place in their schema: by path how often, and told
 * once. Private.
 *
 * Paths come from outside: at most LEFT_OF_TYPE of one schema and LEFT_MAX of all are told apart.
 */
#ifndef BRIDGE_ENCODING_LEFT_OUT_LEFT_OUT_H
#define BRIDGE_ENCODING_LEFT_OUT_LEFT_OUT_H

#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/folders/event_schemas.h"
#include "bridge/encoding/left_out/carry.h"
#include "bridge/encoding/values/encode.h"

#define LEFT_OF_TYPE 100
#define LEFT_MAX 1000

struct left_path {  /* in the order they were met, from first_left of the event_schema on */
  struct span path; /* "payload.lines[].note": whatever the index */
  uint64_t count;
  struct left_path *next;
};

struct left_out {
  enum unknown_fields policy, usual; /* of the events at hand; as the config says */
  struct log *log;                   /* may be NULL */
  struct carry_walk walk;
  struct buffer carried; /* the header of the event encoded last */

  struct mutex lock;    /* what is below, and what event schemas have of it */
  struct table by_path; /* "event path" -> struct left_path */
  struct arena arena;
  struct buffer name;
};

void left_out_init(struct left_out *l, enum unknown_fields policy, struct log *log);
void left_out_release(struct left_out *l);

/* e has encoded that payload, and found members without a place. Puts their header into l->carried
 * where they are carried; REASON_HEADER_TOO_LARGE, with e->err: it would be too long. */
enum reason left_out_carry(struct left_out *l, struct encoder *e, uint32_t payload);
/* Counts them by their paths, and says each that is met for the first time. Without memory nothing
 * is kept. */
void left_out_note(struct left_out *l, struct event_schema *of, struct encoder *e,
                   uint32_t payload);
/* The schema of an event was read anew: what was met under the old one is now under the new. */
void left_out_go_on(struct left_out *l, const struct event_schema *before,
                    struct event_schema *now);
/* The n-th path, as catalog_left_out. Any thread. */
bool left_out_at(struct left_out *l, const struct event_schema *of, size_t n, struct span *path,
                 uint64_t *count);

#endif
