/* sqlite.c - the bare loop that a relay of rows in SQLite is measured against: SQLite alone.
 *
 *   bench-sqlite lay FILE N   N rows of about 300 bytes, in transactions of 1,000
 *   bench-sqlite raw FILE     all of them, 1,000 at a time: read, their list written durably,
 *                             deleted one by one by (seq, id) in one transaction
 *
 * Results are one line of JSON.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 1000, ID_TEXT = 40 };

static sqlite3 *db;

static void must(int good, const char *what) {
  if (good) return;
  fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static void run(const char *sql) {
  must(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
}

static sqlite3_stmt *prepare(const char *sql) {
  sqlite3_stmt *stmt;
  must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) == SQLITE_OK, sql);
  return stmt;
}

static void done(sqlite3_stmt *stmt) {
  must(sqlite3_step(stmt) == SQLITE_DONE, sqlite3_sql(stmt));
  sqlite3_reset(stmt);
}

static uint64_t mix(uint64_t x) { /* splitmix64 */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static void lay(long count) {
  sqlite3_stmt *insert = prepare(
      "INSERT INTO busbridge_outbox (id, name, key, payload) VALUES (?1, 'quality.checked', "
      "?2, ?3)");
  char id[ID_TEXT], key[ID_TEXT], payload[400];
  size_t bytes = 0;
  for (long i = 0; i < count; i++) {
    if (i % BATCH == 0) run("BEGIN IMMEDIATE");
    uint64_t a = mix((uint64_t)i), b = mix(a);
    snprintf(id, sizeof id, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, (unsigned)(b >> 48) & 0xfff,
             (unsigned long long)(b & 0xffffffffffffu));
    snprintf(key, sizeof key, "ep-%03ld", i % 500);
    int n = snprintf(payload, sizeof payload,
                     "{\"content_id\": \"%s\", \"score\": %ld.5, \"check_types\": [\"grammar\", "
                     "\"rhythm\"], \"passed\": true, \"issues\": [], \"detailed_scores\": "
                     "{\"grammar\": 82.5, \"rhythm\": 90, \"%0120ld\": 1}}",
                     key, i % 100, i);
    sqlite3_bind_text(insert, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 3, payload, n, SQLITE_STATIC);
    done(insert);
    bytes += (size_t)n;
    if (i % BATCH == BATCH - 1 || i == count - 1) run("COMMIT");
  }
  run("PRAGMA wal_checkpoint(TRUNCATE)");
  printf("{\"entries\": %ld, \"bytes\": %zu}\n", count, bytes);
}

/* ---- the loop ---- */

struct row {
  int64_t seq;
  char id[ID_TEXT];
};

static size_t read_rows(sqlite3_stmt *read, int64_t after, struct row rows[BATCH], size_t *bytes) {
  size_t n = 0;
  sqlite3_bind_int64(read, 1, after);
  while (n < BATCH && sqlite3_step(read) == SQLITE_ROW) {
    rows[n].seq = sqlite3_column_int64(read, 0);
    snprintf(rows[n].id, ID_TEXT, "%s", (const char *)sqlite3_column_text(read, 1));
    for (int column = 2; column < 7; column++) {
      const unsigned char *text = sqlite3_column_text(read, column);
      if (text) *bytes += (size_t)sqlite3_column_bytes(read, column);
    }
    n++;
  }
  sqlite3_reset(read);
  return n;
}

static void write_list(sqlite3_stmt *list, int64_t number, const struct row *rows, size_t n) {
  char digest[40];
  snprintf(digest, sizeof digest, "%032lld", (long long)number);
  run("PRAGMA synchronous = FULL");
  run("BEGIN IMMEDIATE");
  sqlite3_bind_int64(list, 1, number);
  sqlite3_bind_text(list, 2, digest, -1, SQLITE_STATIC);
  sqlite3_bind_blob(list, 3, rows, (int)(n * 20), SQLITE_STATIC); /* as many bytes as a list has */
  done(list);
  run("COMMIT");
}

static void delete_rows(sqlite3_stmt *delete, const struct row *rows, size_t n) {
  run("PRAGMA synchronous = NORMAL");
  run("BEGIN IMMEDIATE");
  for (size_t i = 0; i < n; i++) {
    sqlite3_bind_int64(delete, 1, rows[i].seq);
    sqlite3_bind_text(delete, 2, rows[i].id, -1, SQLITE_STATIC);
    done(delete);
  }
  run("COMMIT");
}

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void raw(void) {
  static struct row rows[BATCH];
  sqlite3_stmt *read = prepare("SELECT seq, id, name, key, created_at, payload, headers FROM "
                               "busbridge_outbox WHERE seq > ?1 ORDER BY seq LIMIT 1000");
  sqlite3_stmt *list = prepare("INSERT INTO busbridge_batch (n, digest, before, nonce, made_us, "
                               "settled, entries) VALUES (?1, ?2, '', '', 0, 1, ?3)");
  sqlite3_stmt *delete = prepare("DELETE FROM busbridge_outbox WHERE seq = ?1 AND id = ?2");
  size_t all = 0, bytes = 0, n;
  int64_t after = 0, number = 0;
  double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  while ((n = read_rows(read, after, rows, &bytes)) > 0) {
    write_list(list, ++number, rows, n);
    delete_rows(delete, rows, n);
    after = rows[n - 1].seq;
    all += n;
  }
  printf("{\"entries\": %zu, \"bytes\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", all,
         bytes, seconds_of(CLOCK_MONOTONIC) - began, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  sqlite3_finalize(read);
  sqlite3_finalize(list);
  sqlite3_finalize(delete);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  must(sqlite3_open(argv[2], &db) == SQLITE_OK, argv[2]);
  run("PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF");
  if (strcmp(argv[1], "lay") == 0 && argc == 4)
    lay(atol(argv[3]));
  else if (strcmp(argv[1], "raw") == 0)
    raw();
  else
    return 2;
  sqlite3_close(db);
  return 0;
}
