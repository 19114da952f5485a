/* schema_files.h - files below a folder of schemas: listed and read. Private.
 *
 * Links are followed (a ConfigMap is made of them); names that begin with a dot are passed over,
 * but for a folder that is asked for by name.
 */
#ifndef BRIDGE_ENCODING_FOLDERS_SCHEMA_FILES_H
#define BRIDGE_ENCODING_FOLDERS_SCHEMA_FILES_H

#include "bridge/base/span.h"

#define SCHEMA_SUFFIX ".avsc"

/* A place below a folder of schemas. */
struct schema_folder {
  int fd;
  struct span top;  /* the folder as it was named, without slashes at its end */
  const char *path; /* from there on, "order" or ".history/order"; NULL at the top */
  const char *ns;   /* the last part of it */
};

typedef enum status (*schema_file_fn)(void *ctx, const struct schema_folder *at, const char *name);

/* Calls fn for each name of a folder, in the order of their names; takes fd. */
MUST_CHECK enum status schema_files_each(int fd, const struct schema_folder *at, schema_file_fn fn,
                                         void *ctx, struct error *err);
/* The same of folder name below at. ST_NOT_FOUND: there is none, and nothing was said. */
MUST_CHECK enum status schema_files_below(const struct schema_folder *at, const char *name,
                                          schema_file_fn fn, void *ctx, struct error *err);
/* At most SCHEMA_MAX_BYTES. */
MUST_CHECK enum status schema_file_read(const struct schema_folder *at, const char *name,
                                        struct buffer *text, struct error *err);
/* "folder/order/placed.avsc", as messages name it and as it can be opened; NULL: no memory. */
char *schema_file_path(const struct schema_folder *at, const char *name);
/* Puts the path before the words of err, and returns st, but ST_INVALID for what would be taken for
 * the folder's own. */
enum status schema_file_fault(const struct schema_folder *at, const char *name, enum status st,
                              struct error *err);

#endif
