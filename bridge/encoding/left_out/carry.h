/* carry.h - members of a payload that have no place in its schema: where each stands, and the
 * header that carries them. Private.
 *
 * The header is one JSON object: {"/lines/0/note": "a", "/x": 1.50}. Keys are JSON Pointers (RFC
 * 6901) from the payload on, values the members' text as it was written, in the payload's order, on
 * one line and without a control byte.
 */
#ifndef BRIDGE_ENCODING_LEFT_OUT_CARRY_H
#define BRIDGE_ENCODING_LEFT_OUT_CARRY_H

#include "bridge/json/json.h"

struct carry_walk {
  const struct json_doc *doc;
  const uint32_t *keys; /* of the members, in the document's order */
  size_t count;
  /* Set here for each member while visit is called: */
  struct buffer pointer; /* as JSON text without its quotes */
  struct buffer shape;   /* "payload.lines[].note": whatever the index */
  struct buffer token;
  size_t at;
  bool (*visit)(struct carry_walk *w, uint32_t key); /* false: it ends here */
  void *ctx;
};
/* One pass over what is below root, however many they are. False: visit or memory ended it. The
 * buffers are the caller's to release (carry_release). */
bool carry_each(struct carry_walk *w, uint32_t root);
void carry_release(struct carry_walk *w);

/* The header, appended to out. False: it would be longer than max; out is then as it was. Memory is
 * told by out->failed. */
bool carry_write(struct carry_walk *w, uint32_t root, size_t max, struct buffer *out);

#endif
