/* payload.h - a payload from the command line, a file or standard input. */
#ifndef ADMIN_PAYLOAD_H
#define ADMIN_PAYLOAD_H

#include "admin/admin.h"

/* what: "-" is standard input, what begins with { or [ is the text itself, any other is a file.
 * Appended to out; ST_TOO_LARGE: more than outbox.max_entry_bytes. */
MUST_CHECK enum status payload_read(const struct admin *a, const char *what, struct buffer *out,
                                    struct error *err);

#endif
