/* forms.h - inside bridge/outbox/file only: which releases may work on what lies in .busbridge. Any
 * thread.
 */
#ifndef BRIDGE_OUTBOX_FILE_SITE_FORMS_H
#define BRIDGE_OUTBOX_FILE_SITE_FORMS_H

#include "bridge/base/status.h"

/* The format of .busbridge as a whole, which its marker tells. 1: that of 0.1.0, which writes none.
 * 2: the marker, and what stands in deploy/UPGRADING.md. A release that writes anything there in a
 * form that this one would misread counts it up. */
#define FORMAT 2
#define FORMAT_FILE "format"
/* folder: .busbridge. ST_UNSUPPORTED: of a later release; err names both, and that nothing was
 * changed. ST_INVALID: the marker is damaged. */
MUST_CHECK enum status forms_check(int folder, struct error *err);
bool forms_marked(int folder); /* has it the marker of this release's format? */

#endif
