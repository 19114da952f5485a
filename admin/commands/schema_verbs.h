/* schema_verbs.h - busbridge schema VERB: what each verb gets. Private to the command.
 *
 * To add one: a file of its name, admin/commands/schema_<verb>.c, with one function, declared here;
 * a row in the table of schema.c, which also has its options; its words for completion there; a
 * paragraph in busbridge.1.
 */
#ifndef ADMIN_SCHEMA_VERBS_H
#define ADMIN_SCHEMA_VERBS_H

#include "admin/admin.h"
#include "admin/client/answer.h"
#include "bridge/service/schemas/schemas.h"

struct schema_call {
  struct admin *a;
  struct schemas *schemas; /* opened, unless the verb opens them itself */
  char **words;            /* behind the verb */
  int count;
  const char *format;                        /* of LISTING_FORMATS */
  bool json;                                 /* the format is one of JSON */
  bool all;                                  /* --all */
  bool against_registry;                     /* --against-registry */
  bool dry_run;                              /* --dry-run */
  const char *extra;                         /* --extra */
  const char *export;                        /* --format of export, "": not given */
  const char *against, *against_git, *level; /* --against, --against-git, --compatibility */
  const char *type, *write;                  /* --type, --write */
  int code;                                  /* the exit code where the verb gives ST_OK */
};

enum status schema_list(struct schema_call *c, struct error *err);
enum status schema_show(struct schema_call *c, struct error *err);
enum status schema_check(struct schema_call *c, struct error *err);
/* check --against, --against-git, --against-registry; event: of this one alone, NULL: of all. */
enum status schema_compatible(struct schema_call *c, const char *event, struct error *err);
/* --against, --against-git */
enum status schema_diff(struct schema_call *c, struct error *err);
enum status schema_infer(struct schema_call *c, struct error *err); /* opens no schemas */
enum status schema_freeze(struct schema_call *c, struct error *err);
enum status schema_encode(struct schema_call *c, struct error *err);
enum status schema_decode(struct schema_call *c, struct error *err);
enum status schema_register(struct schema_call *c, struct error *err);
enum status schema_export(struct schema_call *c, struct error *err);

/* schema_words.c: a member's text, printable, to stdout; node 0: of the answer's root. */
void schema_add_text(struct admin *a, const struct json_doc *doc, uint32_t node, const char *key);
/* A word of the command line that is a folder: no event has a slash in its name, so one that is not
 * there is told as that. */
bool schema_is_folder(const char *path);

#endif
