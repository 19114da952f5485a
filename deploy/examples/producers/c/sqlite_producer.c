/* sqlite_producer FILE ORDER REFERENCE: pays an order; its event is written with it, or neither is.
 * Build: cc sqlite_producer.c -lsqlite3 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* Rows changed, or -1. */
static int run(sqlite3 *db, const char *sql, const char *a, const char *b) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (code == SQLITE_OK && a) code = sqlite3_bind_text(statement, 1, a, -1, SQLITE_STATIC);
  if (code == SQLITE_OK && b) code = sqlite3_bind_text(statement, 2, b, -1, SQLITE_STATIC);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  int changed = code == SQLITE_DONE ? sqlite3_changes(db) : -1;
  if (changed < 0) fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
  sqlite3_finalize(statement);
  return changed;
}

static int pay(sqlite3 *db, const char *order, const char *reference) {
  return run(db, "UPDATE orders SET status = 'paid' WHERE id = ? AND status = 'open'", order,
             NULL) == 1 &&
         run(db,
             "INSERT INTO busbridge_outbox (id, name, key, payload) VALUES "
             "(lower(hex(randomblob(16))), 'order.paid', ?1, json_object('order_id', ?1, "
             "'paid_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))",
             order, NULL) == 1 &&
         run(db, "INSERT INTO payments (reference, order_id) VALUES (?, ?)", reference, order) == 1;
}

int main(int argc, char **argv) {
  sqlite3 *db = NULL;
  if (argc != 4 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
    fprintf(stderr, "sqlite_producer FILE ORDER REFERENCE: %s\n", db ? sqlite3_errmsg(db) : "");
    sqlite3_close(db);
    return EXIT_FAILURE;
  }
  sqlite3_busy_timeout(db, 10000);
  /* A plain BEGIN fails at the first write where another writer was quicker. */
  int begun = run(db, "BEGIN IMMEDIATE", NULL, NULL) >= 0;
  int paid = begun && pay(db, argv[2], argv[3]) && run(db, "COMMIT", NULL, NULL) >= 0;
  if (begun && !paid && !sqlite3_get_autocommit(db))
    run(db, "ROLLBACK", NULL, NULL); /* the event goes with it */
  sqlite3_close(db);
  return paid ? EXIT_SUCCESS : EXIT_FAILURE;
}
