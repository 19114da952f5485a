/* The PostgreSQL kind, by both names that libpq knows it by: the operations made of its steps.
 * Any thread; a crash rolls back what was not committed. */
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/postgres/postgres.h"
#include "bridge/outbox/postgres/steps.h"

static enum status open_postgres(const char *address, const struct store_options *options,
                                 void **out, struct error *err) {
  return db_open(&postgres_steps, address, options, out, err);
}

const struct store_ops store_postgresql_ops = {.scheme = "postgresql",
                                               .traits = DATABASE_TRAITS,
                                               .prepare = pg_prepare,
                                               .open = open_postgres,
                                               DATABASE_OPS};
const struct store_ops store_postgres_ops = {.scheme = "postgres",
                                             .traits = DATABASE_TRAITS,
                                             .prepare = pg_prepare,
                                             .open = open_postgres,
                                             DATABASE_OPS};
