/* Whether an outbox's tables are made, brought to this program's version, or left.
 * Any thread; a crash leaves it as it was. */
#include "bridge/outbox/database/database.h"

enum status db_judge_version(const char *database, const struct store_preparation *p,
                             struct error *err) {
  if (p->was > p->known)
    return error_set(
        err, ST_UNSUPPORTED,
        "the outbox in %s is of version %u, made by a newer program; this one knows %u", database,
        p->was, p->known);
  if (p->fresh && p->was && p->was < p->known)
    return error_set(
        err, ST_EXISTS,
        "there is an outbox of version %u in %s; bring it to %u with: busbridge outbox "
        "migrate",
        p->was, database, p->known);
  if (!p->fresh && !p->was)
    return error_set(
        err, ST_NOT_FOUND,
        "there is no outbox in the database %s; make its tables with: busbridge outbox "
        "init",
        database);
  return ST_OK;
}
