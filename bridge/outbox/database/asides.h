/* asides.h - inside bridge/outbox/database only: a row that is set aside. */
#ifndef BRIDGE_OUTBOX_DATABASE_ASIDES_H
#define BRIDGE_OUTBOX_DATABASE_ASIDES_H

#include "bridge/outbox/database/parts.h"

struct db_aside { /* its texts end with NUL and live in bytes */
  enum aside what;
  int64_t seq;
  struct span token, id;
  uint64_t content;
  int64_t since_us;
  const char *why;
  struct failure failure;
  char bytes[];
};

#define ASIDE_NAME_MOST 40
#define ASIDE_REMEDY                                                                               \
  "Let the database delete rows of the outbox: a trigger or a foreign key of the application's "   \
  "refuses it"
struct span db_aside_key(const struct db_aside *row);       /* in the table */
void db_aside_name(int64_t seq, char out[ASIDE_NAME_MOST]); /* of its text */
/* Those that the database has, each to take, which frees it. */
MUST_CHECK enum status
db_asides_each(struct db *d, enum status (*take)(void *, struct db_aside *, struct error *),
               void *ctx, struct error *err);

#endif
