/* A manifest as a value: its digest, its name.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/manifest.h"

#include "bridge/base/text/escape.h"

#include <inttypes.h>

void manifest_release(struct manifest *m) {
  arena_release(&m->arena);
  *m = (struct manifest){0};
}

bool manifest_digest_valid(struct span s) {
  return s.len == MANIFEST_DIGEST - 1 && hex_lower(s);
}

void manifest_label(const struct manifest_name *name, char out[MANIFEST_LABEL]) {
  snprintf(out, MANIFEST_LABEL, "%s-%" PRIu64 "-%s", name->settled ? "settled" : "batch",
           name->number, name->digest);
}
