/* excerpt.h - the bytes around a place in a text, fit for a terminal: where an entry went wrong.
 * Pure; private to bridge/service. */
#ifndef BRIDGE_SERVICE_ENTRIES_EXCERPT_H
#define BRIDGE_SERVICE_ENTRIES_EXCERPT_H

#include "bridge/base/span.h"

struct excerpt {
  size_t line, column;         /* from 1; column in characters */
  struct buffer before, after; /* of that line, printable (text_printable), cut with ... */
};
/* Around byte `at` (up to text.len). A zeroed excerpt; released in any case. */
void excerpt_make(struct excerpt *e, struct span text, size_t at);
void excerpt_release(struct excerpt *e);

#endif
