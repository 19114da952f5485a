/* answer.h - reading the JSON that operations give. Members that are missing or of another type
 * read as the fallback, so that an older worker and a newer command understand each other. */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include "bridge/json/json.h"

/* text must live as long as doc. */
MUST_CHECK enum status answer_scan(struct json_doc *doc, struct span text, struct error *err);
int64_t answer_int(const struct json_doc *doc, uint32_t object, const char *key, int64_t fallback);
double answer_real(const struct json_doc *doc, uint32_t object, const char *key, double fallback);
bool answer_bool(const struct json_doc *doc, uint32_t object, const char *key);
/* Unescaped text appended to out (nothing for null); false when it is not text. */
bool answer_text(const struct json_doc *doc, uint32_t object, const char *key, struct buffer *out);
/* Node of an object or array member, JSON_NONE when it is not there. */
uint32_t answer_node(const struct json_doc *doc, uint32_t object, const char *key);
/* Walk an array: *node is JSON_NONE at first; false at the end. */
bool answer_each(const struct json_doc *doc, uint32_t array, uint32_t *node);
/* Walk an object's members likewise: *key, then its value is *node. */
bool answer_each_member(const struct json_doc *doc, uint32_t object, uint32_t *key, uint32_t *node);

#endif
