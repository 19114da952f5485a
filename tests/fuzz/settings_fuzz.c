/* The text of busbridge.conf: whatever stands in it, it is taken or refused with words, and nothing
 * is read beyond it.
 */
#include "bridge/settings/settings_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error err = {0};
  struct buffer warnings = {0};
  struct loading l = {calloc(1, sizeof(struct settings)), &warnings, &err, false, NULL};
  if (!l.s) return 0;
  enum status st = settings_defaults(l.s, &err);
  if (st == ST_OK) st = settings_parse_file(&l, "fuzz", (struct span){(const char *)data, size});
  BUG_ON(st != ST_OK && err.text[0] == '\0');
  const char *key, *value;
  for (size_t i = 0; st == ST_OK && settings_kafka(l.s, i, &key, &value); i++)
    BUG_ON(key[0] == '\0' || span_utf8_prefix(span_of(value)) != strlen(value));
  struct setting_route route;
  for (size_t i = 0; st == ST_OK && settings_route(l.s, i, &route); i++)
    BUG_ON(!route.attribute || span_utf8_prefix(span_of(route.value)) != strlen(route.value));
  settings_free(l.s);
  buffer_release(&warnings);
  return 0;
}
