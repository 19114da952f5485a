/* payload.h - a payload from a file or standard input. */
#ifndef ADMIN_PAYLOAD_H
#define ADMIN_PAYLOAD_H

#include "admin/admin.h"

/* file: "-" is standard input. Appended to out; ST_TOO_LARGE: more than outbox.max_entry_bytes. */
MUST_CHECK enum status payload_read(const struct admin *a, const char *file, struct buffer *out,
                                    struct error *err);

#endif
