/* bulk_parts.h - inside admin/bulk only. */
#ifndef ADMIN_BULK_PARTS_H
#define ADMIN_BULK_PARTS_H

#include "admin/bulk/bulk.h"
#include "admin/client/answer.h"
#include "admin/output/output.h"

struct bulk_going {
  struct bulk *bulk;
  struct client *client;
  uint64_t selection, total;
  uint64_t before;  /* of total, by commands before this one */
  uint64_t missing; /* ids that nothing has */
  struct json_doc doc;
  struct buffer json;   /* the last answer; doc is of it */
  struct buffer errors; /* lines, of this round */
  uint64_t round, error_lines;
};
uint64_t bulk_count(const struct bulk_going *g, const char *key);          /* of the last answer */
MUST_CHECK enum status bulk_read(struct bulk_going *g, struct error *err); /* json, into doc */
const char *bulk_verb(const struct bulk *b, bool done); /* "replay" or "replayed" */

/* bulk_ask.c: may it begin? CODE_OK, or why not; the selection was given up then. The last answer
 * tells what it is. */
int bulk_confirm(struct bulk_going *g, bool resumed);
/* bulk_export.c: everything of the selection into a new file, durable. */
MUST_CHECK enum status bulk_export(struct bulk_going *g, const char *path, struct error *err);
/* bulk_report.c */
void bulk_forecast(const struct bulk_going *g,
                   struct buffer *out);        /* "Would replay 12 dead letters", by topic ... */
void bulk_missing(const struct bulk_going *g); /* a note about ids that nothing has */
void bulk_take_errors(struct bulk_going *g);   /* of the last answer */
int bulk_conclude(struct bulk_going *g);
void bulk_give_up(struct bulk_going *g);

#endif
