/* schema_against.h - the schemas as they were: another folder, a git revision, the registry.
 * Private to the command. */
#ifndef ADMIN_SCHEMA_AGAINST_H
#define ADMIN_SCHEMA_AGAINST_H

#include "admin/commands/schema_verbs.h"

struct schema_past {
  struct schemas *schemas;
  struct buffer folders; /* words */
  char scratch[64]; /* of a revision or the registry: a folder of its own, which goes with it; or ""
                     */
  const char *revision, *origin; /* of which folders */
};

/* By --against, --against-git or --against-registry of the call. origin: the folders of today,
 * words. */
MUST_CHECK enum status schema_past_open(struct schema_past *p, const struct schema_call *c,
                                        const char *origin, struct error *err);
/* Files of a revision have names in the scratch folder: as people know them, "REV:folder/file".
 * json: they stand in strings of JSON. */
void schema_past_names(const struct schema_past *p, bool json, struct buffer *text);
void schema_past_close(struct schema_past *p);

#endif
