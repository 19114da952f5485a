/* audit.h - the audit of an outbox (store_audit; in files .busbridge/audit.log): one line for each
 * change that somebody asked for. Private to bridge/service.
 *
 *   {"time":"...","uid":1000,"user":"tom","command":"replay","what":"reason=schema_mismatch",
 *    "counts":{"replayed":12}}                                                     in one line
 *
 * uid and user are null where they are not known (asked over TCP). A line is durable before
 * audit_write returns. At 1 MiB the file becomes audit.log.1, in place of the one before. A line
 * that cannot be written is named in the log: its change has happened. A crash may leave half a
 * line at the end; the next one begins behind it. Any thread.
 */
#ifndef BRIDGE_SERVICE_AUDIT_H
#define BRIDGE_SERVICE_AUDIT_H

#include "bridge/service/parts.h"

struct audit_count {
  const char *word;
  uint64_t count;
};
/* what: filter words, an id, a limit; may be empty. by NULL: not known. Nothing is written by an
 * INSPECT service. */
void audit_write(struct service *s, const struct caller *by, const char *command, struct span what,
                 const struct audit_count *counts, size_t count);
/* "tom", "uid 1000", "" where it is not known; for messages and for files that say who. */
void caller_name(const struct caller *by, char *out, size_t size);

#endif
