/* Reads members of an answer, with a fallback where one is missing or of another type.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/answer.h"

enum status answer_scan(struct json_doc *doc, struct span text, struct error *err) {
  enum status st = json_scan(doc, text, err);
  if (st != ST_OK) return error_prefix(err, "The answer cannot be read");
  return doc->nodes[0].type == JSON_OBJECT
             ? ST_OK
             : error_set(err, ST_INVALID, "The answer is not a JSON object");
}

uint32_t answer_node(const struct json_doc *doc, uint32_t object, const char *key) {
  if (object == JSON_NONE || doc->nodes[object].type != JSON_OBJECT) return JSON_NONE;
  return json_member(doc, object, key);
}

int64_t answer_int(const struct json_doc *doc, uint32_t object, const char *key, int64_t fallback) {
  uint32_t node = answer_node(doc, object, key);
  int64_t n;
  return node != JSON_NONE && doc->nodes[node].type == JSON_NUMBER && json_int(doc, node, &n)
             ? n
             : fallback;
}

double answer_real(const struct json_doc *doc, uint32_t object, const char *key, double fallback) {
  uint32_t node = answer_node(doc, object, key);
  double x;
  return node != JSON_NONE && doc->nodes[node].type == JSON_NUMBER &&
                 json_double(doc, node, &x, NULL)
             ? x
             : fallback;
}

bool answer_bool(const struct json_doc *doc, uint32_t object, const char *key) {
  uint32_t node = answer_node(doc, object, key);
  return node != JSON_NONE && doc->nodes[node].type == JSON_TRUE;
}

bool answer_text(const struct json_doc *doc, uint32_t object, const char *key, struct buffer *out) {
  uint32_t node = answer_node(doc, object, key);
  if (node == JSON_NONE || doc->nodes[node].type != JSON_STRING) return false;
  json_unescape(doc, node, out);
  return true;
}

bool answer_each(const struct json_doc *doc, uint32_t array, uint32_t *node) {
  if (array == JSON_NONE || doc->nodes[array].type != JSON_ARRAY) return false;
  *node = *node == JSON_NONE ? array + 1 : doc->nodes[*node].next;
  return *node < doc->nodes[array].next;
}

bool answer_each_member(const struct json_doc *doc, uint32_t object, uint32_t *key,
                        uint32_t *node) {
  if (object == JSON_NONE || doc->nodes[object].type != JSON_OBJECT) return false;
  *key = *node == JSON_NONE ? object + 1 : doc->nodes[*node].next;
  *node = *key + 1;
  return *key < doc->nodes[object].next;
}
