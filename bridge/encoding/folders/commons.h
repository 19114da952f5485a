/* commons.h - named types of files of their own, <folder>/.common/<any>.avsc. Private. */
#ifndef BRIDGE_ENCODING_FOLDERS_COMMONS_H
#define BRIDGE_ENCODING_FOLDERS_COMMONS_H

#include "bridge/encoding/folders/schema_files.h"
#include "bridge/encoding/types/schema.h"

struct commons {
  struct table by_name; /* full name -> struct common */
  struct arena arena;
  struct digest texts; /* of all, whatever their order */
};

/* Adds those of one folder, at its top. ST_INVALID names the file: it is not JSON, defines no named
 * type, or one that another file defines. */
MUST_CHECK enum status commons_read(struct commons *c, const struct schema_folder *top,
                                    struct error *err);
/* Once all are read: each is held to be a schema, also one that nobody names. */
MUST_CHECK enum status commons_check(struct commons *c, struct error *err);
void commons_release(struct commons *c);

#endif
