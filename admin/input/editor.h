/* editor.h - a text in the operator's editor. One thread. */
#ifndef ADMIN_EDITOR_H
#define ADMIN_EDITOR_H

#include "admin/admin.h"

struct edited {
  char path[256]; /* of the file that the editor is given; "": there is none yet */
};
/* Writes text into a file of the operator's alone, opens $VISUAL or $EDITOR on it, and reads it
 * back: appended to out. Called again it opens the same file as it is. ST_UNSUPPORTED: no editor is
 * named; ST_CANCELLED: it ended with a failure. */
MUST_CHECK enum status editor_open(struct edited *e, struct span text, struct buffer *out,
                                   struct error *err);
void editor_remove(struct edited *e); /* the file */

#endif
