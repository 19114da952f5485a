/* left_out.h - members of payloads that have no place in their schema: by path how often, and told
 * once. Private.
 *
 * Paths come from outside: at most LEFT_OF_TYPE of one schema and LEFT_MAX of all are told apart.
 */
#ifndef BRIDGE_ENCODING_LEFT_OUT_H
#define BRIDGE_ENCODING_LEFT_OUT_H

#include "bridge/base/log.h"
#include "bridge/base/table.h"
#include "bridge/encoding/entries.h"
#include "bridge/json/json.h"

#define LEFT_OF_TYPE 100
#define LEFT_MAX 1000

struct left_path {  /* in the order they were met, from entry.first_left on */
  struct span path; /* "payload.lines[].note": whatever the index */
  uint64_t count;
  struct left_path *next;
};

struct left_out {
  struct table by_path; /* "event path" -> struct left_path */
  struct arena arena;
  struct buffer path, name;
};

/* The member whose key is at node was left out of an event of e. True: the path is met for the
 * first time, and is in l->path. Without memory nothing is kept. */
bool left_out_met(struct left_out *l, struct entry *e, const struct json_doc *doc, uint32_t node);
void left_out_release(struct left_out *l);

#endif
