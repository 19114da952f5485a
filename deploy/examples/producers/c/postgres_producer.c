/* postgres_producer postgresql://... ORDER REFERENCE: pays an order; its event is written with it,
 * or neither is. Build: cc postgres_producer.c -I/usr/include/postgresql -lpq */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows changed, or -1. */
static int run(PGconn *db, const char *sql, int count, const char *const *values) {
  PGresult *answer = PQexecParams(db, sql, count, NULL, values, NULL, NULL, 0);
  int done = PQresultStatus(answer) == PGRES_COMMAND_OK;
  int changed = done ? (int)strtol(PQcmdTuples(answer), NULL, 10) : -1;
  if (!done) fprintf(stderr, "%s: %s", sql, PQerrorMessage(db));
  PQclear(answer);
  return changed;
}

/* First the row that the event is about: whoever else pays this order waits there, so events are
 * numbered in the order of the changes. The id is the database's own (a uuid): RETURNING would need
 * more rights. */
static int pay(PGconn *db, const char *order, const char *reference) {
  const char *booking[] = {order, reference};
  return run(db, "UPDATE orders SET status = 'paid' WHERE id = $1 AND status = 'open'", 1,
             &order) == 1 &&
         run(db,
             "INSERT INTO busbridge.outbox (name, key, payload) VALUES ('order.paid', $1, "
             "json_build_object('order_id', $1::text, 'paid_at', clock_timestamp()))",
             1, &order) == 1 &&
         run(db, "INSERT INTO payments (order_id, reference) VALUES ($1, $2)", 2, booking) == 1;
}

/* COMMIT of a transaction that failed succeeds, as a ROLLBACK: its answer says which. */
static int commit(PGconn *db) {
  PGresult *answer = PQexec(db, "COMMIT");
  int done = PQresultStatus(answer) == PGRES_COMMAND_OK && !strcmp(PQcmdStatus(answer), "COMMIT");
  if (!done) fprintf(stderr, "COMMIT: %s", PQerrorMessage(db));
  PQclear(answer);
  return done;
}

int main(int argc, char **argv) {
  PGconn *db = argc == 4 ? PQconnectdb(argv[1]) : NULL;
  if (PQstatus(db) != CONNECTION_OK) {
    fprintf(stderr, "postgres_producer postgresql://... ORDER REFERENCE: %s", PQerrorMessage(db));
    PQfinish(db);
    return EXIT_FAILURE;
  }
  int begun = run(db, "BEGIN", 0, NULL) >= 0;
  int paid = begun && pay(db, argv[2], argv[3]) && commit(db);
  if (begun && !paid) run(db, "ROLLBACK", 0, NULL); /* the event goes with it */
  PQfinish(db);
  return paid ? EXIT_SUCCESS : EXIT_FAILURE;
}
