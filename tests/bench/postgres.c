/* postgres.c - the bare loop that a relay of rows in PostgreSQL is measured against: libpq alone.
 *
 *   bench-postgres lay URL N   N rows of about 300 bytes in the outbox, in one COPY
 *   bench-postgres raw URL     all of them, 1,000 at a time: read, their list written durably,
 *                              deleted by (seq, id) in one statement that nobody waits for
 *
 * Results are one line of JSON. wal: bytes that the server wrote meanwhile.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 1000, ID_TEXT = 40, LIST_BYTES = 20 };

static PGconn *db;

static PGresult *ask(const char *sql, int count, const char *const *values) {
  PGresult *r = PQexecParams(db, sql, count, NULL, values, NULL, NULL, 0);
  ExecStatusType status = PQresultStatus(r);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN) return r;
  fprintf(stderr, "%s: %s", sql, PQerrorMessage(db));
  exit(1);
}

static void run(const char *sql) {
  PQclear(ask(sql, 0, NULL));
}

static uint64_t mix(uint64_t x) { /* splitmix64 */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static int row_text(long i, char *line, size_t size) {
  uint64_t a = mix((uint64_t)i), b = mix(a);
  return snprintf(line, size,
                  "%08x-%04x-4%03x-8%03x-%012llx\tquality.checked\tep-%03ld\t"
                  "{\"content_id\": \"ep-%03ld\", \"score\": %ld.5, \"check_types\": [\"grammar\", "
                  "\"rhythm\"], \"passed\": true, \"issues\": [], \"detailed_scores\": "
                  "{\"grammar\": 82.5, \"rhythm\": 90, \"%0120ld\": 1}}\n",
                  (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff,
                  (unsigned)(b >> 48) & 0xfff, (unsigned long long)(b & 0xffffffffffffu), i % 500,
                  i % 500, i % 100, i);
}

static void lay(long count) {
  char line[600];
  size_t bytes = 0;
  run("COPY busbridge.outbox (id, name, key, payload) FROM STDIN");
  for (long i = 0; i < count; i++) {
    int n = row_text(i, line, sizeof line);
    if (PQputCopyData(db, line, n) != 1) break;
    bytes += (size_t)n;
  }
  PQclear(PQputCopyEnd(db, NULL) == 1 ? PQgetResult(db) : NULL);
  PQclear(PQgetResult(db));
  run("VACUUM ANALYZE busbridge.outbox");
  run("CHECKPOINT");
  printf("{\"entries\": %ld, \"bytes\": %zu}\n", count, bytes);
}

/* ---- the loop ---- */

struct lists {
  char seqs[BATCH * 24], ids[BATCH * (ID_TEXT + 1)];
};

static void fill_lists(const PGresult *rows, struct lists *l) {
  size_t seq = 0, id = 0;
  for (int i = 0; i < PQntuples(rows); i++) {
    char before = i ? ',' : '{';
    seq += (size_t)snprintf(l->seqs + seq, 24, "%c%s", before, PQgetvalue(rows, i, 0));
    id += (size_t)snprintf(l->ids + id, ID_TEXT + 1, "%c%s", before, PQgetvalue(rows, i, 1));
  }
  memcpy(l->seqs + seq, "}", 2);
  memcpy(l->ids + id, "}", 2);
}

static void write_list(long number, int count) {
  static char entries[2 + 2 * BATCH * LIST_BYTES + 1] = "\\x";
  char n[24], digest[40];
  memset(entries + 2, 'a', (size_t)(2 * count * LIST_BYTES));
  entries[2 + 2 * count * LIST_BYTES] = 0;
  snprintf(n, sizeof n, "%ld", number);
  snprintf(digest, sizeof digest, "%032ld", number);
  const char *values[] = {n, digest, entries};
  PQclear(ask("WITH s AS MATERIALIZED (SELECT set_config('synchronous_commit', 'on', true)) "
              "INSERT INTO busbridge.batch (lane, n, digest, before, nonce, entries) "
              "SELECT 0, $1::int8, $2, '', '', $3::bytea FROM s",
              3, values));
}

static void delete_rows(const struct lists *l) {
  const char *values[] = {l->seqs, l->ids};
  PQclear(
      ask("WITH s AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)) "
          "DELETE FROM busbridge.outbox o USING s, unnest($1::int8[], $2::text[]) AS c (seq, id) "
          "WHERE o.seq = c.seq AND o.id = c.id",
          2, values));
}

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void raw(void) {
  static struct lists lists;
  long number = 0;
  size_t all = 0;
  char after[24] = "0";
  double began = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (;;) {
    const char *values[] = {after};
    PGresult *rows = ask("SELECT seq, id, name, key, created_at, payload, headers FROM "
                         "busbridge.outbox WHERE seq > $1::int8 ORDER BY seq LIMIT 1000",
                         1, values);
    int n = PQntuples(rows);
    if (n) {
      fill_lists(rows, &lists);
      snprintf(after, sizeof after, "%s", PQgetvalue(rows, n - 1, 0));
      write_list(++number, n);
      delete_rows(&lists);
      all += (size_t)n;
    }
    PQclear(rows);
    if (!n) break;
  }
  printf("{\"entries\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", all,
         seconds_of(CLOCK_MONOTONIC) - began, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  db = PQconnectdb(argv[2]);
  if (PQstatus(db) != CONNECTION_OK) {
    fprintf(stderr, "%s", PQerrorMessage(db));
    return 1;
  }
  if (strcmp(argv[1], "lay") == 0 && argc == 4)
    lay(atol(argv[3]));
  else if (strcmp(argv[1], "raw") == 0)
    raw();
  else
    return 2;
  PQfinish(db);
  return 0;
}
