/* list_output.h - objects of an answer in the forms of -o: the same for every command that lists
 * something. */
#ifndef ADMIN_LIST_OUTPUT_H
#define ADMIN_LIST_OUTPUT_H

#include "admin/admin.h"
#include "admin/output/output.h"

#define LISTING_FORMATS "table|wide|json|jsonl|name"

struct listing_column {
  struct column column;
  const char *key; /* member of the object: text, number, bool; "-" where it is null or not there */
  bool wide;       /* only in -o wide */
};
struct listing {
  const struct json_doc *doc;
  const uint32_t *nodes; /* the objects */
  size_t count;
  const struct listing_column *columns;
  size_t column_count;
  const char *name; /* member that -o name prints */
};
/* format: one of LISTING_FORMATS. Appends to a->out. */
MUST_CHECK enum status listing_print(struct admin *a, const struct listing *l, const char *format,
                                     struct error *err);

#endif
