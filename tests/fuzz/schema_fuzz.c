/* schema_fuzz.c - any text as a schema. What is accepted has a canonical form that is accepted too
 * and is its own canonical form; what is refused says so with a line. avro-c is given nothing that
 * makes it fall over. */
#include "bridge/encoding/types/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct schema s, again;
  struct error err = {0};
  enum status st = schema_read((struct span){(const char *)data, size}, NULL, &s, &err);
  if (st != ST_OK) {
    BUG_ON(st != ST_TOO_LARGE && (st != ST_INVALID || strncmp(err.text, "line ", 5) != 0));
    return 0;
  }
  BUG_ON(schema_read(s.canonical, NULL, &again, &err) != ST_OK);
  BUG_ON(!span_eq(again.canonical, s.canonical) || again.fingerprint != s.fingerprint);
  schema_release(&again);
  schema_release(&s);
  return 0;
}
