/* answers.h - what an answer of a registry means. Pure. Private to bridge/registry. */
#ifndef BRIDGE_REGISTRY_ANSWERS_H
#define BRIDGE_REGISTRY_ANSWERS_H

#include "bridge/json/json.h"
#include "bridge/registry/registry.h"

enum registry_op {
  OP_LOOK_UP,
  OP_REGISTER,
  OP_COMPATIBLE,
  OP_VERSIONS,
  OP_VERSION,
  OP_ID,
  OP_CLUSTER,
  OP_TOKEN
};
const char *registry_op_word(enum registry_op op);

/* root: the answer's JSON, JSON_NONE: it is none. error_code: -1 where it has none. */
enum registry_said registry_judge(enum registry_op op, int code, bool json, int64_t error_code);
/* Why it is NOWHERE, in words: "404 without an error code: there is no registry at this URL". */
void registry_judge_words(int code, bool json, int64_t error_code, struct buffer *out);

#endif
