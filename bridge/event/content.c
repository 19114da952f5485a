/* What an event says, as one number: by which two entries of one id are told apart.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/table.h"
#include "bridge/event/event.h"

static void put_number(unsigned char out[8], uint64_t n) {
  for (unsigned i = 0; i < 8; i++) out[i] = (unsigned char)(n >> 8 * i);
}

/* Of its tokens, so that the same data says the same whatever blanks lie between them: the two
 * buses write it in two ways. */
static uint64_t tokens(const struct json_doc *doc, uint32_t node) {
  uint64_t sum = 0;
  for (uint32_t at = node; at < doc->nodes[node].next; at++) {
    const struct json_node *n = &doc->nodes[at];
    bool whole = n->type != JSON_OBJECT && n->type != JSON_ARRAY;
    unsigned char part[24];
    put_number(part, sum);
    put_number(part + 8, (uint64_t)n->type << 32 | n->count);
    put_number(part + 16, whole ? fixed_hash(json_slice(doc, at)) : 0);
    sum = fixed_hash((struct span){(const char *)part, sizeof part});
  }
  return sum;
}

uint64_t event_content(const struct json_doc *doc, const struct event *e) {
  if (e->payload == JSON_NONE) return 0;
  uint64_t name = fixed_hash(e->name);
  uint64_t content = e->lifted ? tokens(doc, e->payload) : fixed_hash(json_slice(doc, e->payload));
  content ^= name << 1 | name >> 63;
  return content ? content : 1;
}
