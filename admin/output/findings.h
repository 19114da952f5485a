/* findings.h - the answer of an examination (doctor, verify) on stdout:
 * {"verdict","unreachable","checks"}. */
#ifndef ADMIN_FINDINGS_H
#define ADMIN_FINDINGS_H

#include "admin/admin.h"
#include "admin/client/answer.h"

/* As a table, or as it is. Returns the exit code: CODE_OK, also with warnings; CODE_FAILURE when
 * something failed; CODE_BUSY when nothing else did than somebody who does not answer. */
int findings_print(struct admin *a, const struct json_doc *doc, bool as_json);

#endif
