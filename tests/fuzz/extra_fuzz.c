/* extra_fuzz.c - a decoded value and a header ce_extra, both any bytes: what comes back is JSON
 * that has all members of the value, and as many more as were put back. The first line is the
 * value. */
#include "bridge/encoding/catalog.h"

static uint32_t members_of(const struct json_doc *d) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < d->count; i++)
    if (d->nodes[i].type == JSON_OBJECT) count += d->nodes[i].count;
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  const char *end = size ? memchr(text, '\n', size) : NULL;
  if (!end) return 0;
  struct span value = {text, (size_t)(end - text)}, extra = {end + 1, size - value.len - 1};
  struct json_doc before = {0}, header = {0}, after = {0};
  struct buffer out = {0};
  size_t left = 0;
  buffer_add_char(&out, '<'); /* what is there stays */
  enum status st = catalog_put_back(value, extra, &out, &left, NULL);
  BUG_ON(st != ST_OK && (out.len != 1 || out.ptr[0] != '<'));
  if (st == ST_OK) {
    struct span made = {out.ptr + 1, out.len - 1};
    BUG_ON(json_scan(&before, value, NULL) != ST_OK || json_scan(&header, extra, NULL) != ST_OK);
    BUG_ON(left > header.nodes[0].count);
    bool sound = json_scan(&after, made, NULL) == ST_OK;
    BUG_ON(!sound && after.fault != JSON_TOO_DEEP); /* both were as deep as may be */
    uint32_t put = header.nodes[0].count - (uint32_t)left;
    BUG_ON(put == 0 && !span_eq(made, value));
    BUG_ON(sound && members_of(&after) < members_of(&before) + put);
  }
  json_doc_release(&before);
  json_doc_release(&header);
  json_doc_release(&after);
  buffer_release(&out);
  return 0;
}
