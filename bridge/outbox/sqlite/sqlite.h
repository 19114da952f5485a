/* sqlite.h - inside bridge/outbox/sqlite only: the steps of bridge/outbox/database/steps.h in a
 * SQLite database, which is the application's: a file whose settings (journal_mode, user_version,
 * application_id) are never changed, and that is opened by SQLite alone, because closing any other
 * descriptor of it drops SQLite's locks. The lock that makes the outbox ours is a file of our own
 * beside it.
 *
 * Every change is BEGIN IMMEDIATE ... COMMIT on the writing connection; no read outlives its step.
 * One writer at a time makes seq the order of commits.
 */
#ifndef BRIDGE_OUTBOX_SQLITE_SQLITE_H
#define BRIDGE_OUTBOX_SQLITE_SQLITE_H

#include "bridge/outbox/database/steps.h"

#include <sqlite3.h>

#define SQLITE_KNOWN 1 /* the number of the last script in schemas/sql/sqlite */

/* Statements that are kept; all others are made for each use. */
enum sq_kept {
  SQ_BEGIN,
  SQ_COMMIT,
  SQ_ROLLBACK,
  SQ_OWNER,
  SQ_WITNESS,
  SQ_VERSION,
  SQ_ARRIVED,
  SQ_SCAN,
  SQ_DELETE,
  SQ_FORGET,
  SQ_KEPT
};

struct sq_side {
  sqlite3 *db;
  sqlite3_stmt *kept[SQ_KEPT];
  bool full; /* synchronous=FULL */
};

struct sq {
  char *path;
  bool create, there;
  const struct clock *clock;
  struct sq_side sides[2]; /* by enum db_side; db NULL: not open */
  int lock;                /* descriptor of our own file, -1: it is not ours */
  char token[37];          /* of the claim */
  /* The newest batch that we settled. Where it is not settled any more a copy was put back. digest
   * "": none. */
  struct manifest_name witness;
  bool unsynced;          /* something was committed that no FULL commit followed */
  int watch;              /* inotify, or -1 */
  int64_t version, quiet; /* data_version when nothing was behind quiet */
};

/* place.c. Can an outbox be kept in the file of that name? ST_NOT_FOUND: there is none. */
MUST_CHECK enum status sq_check_place(const char *path, struct error *err);
MUST_CHECK enum status sq_lock(struct sq *s, struct error *err); /* ST_BUSY */
MUST_CHECK enum status sq_lock_check(struct sq *s, struct error *err);
void sq_unlock(struct sq *s);
bool sq_owner(void *impl, struct store_owner *out);
void sq_space(void *impl, struct store_space *out);

/* connect.c */
MUST_CHECK enum status sq_open_file(const char *path, int flags, sqlite3 **out, struct error *err);
/* An error of a connection; rc: extended. doing: "reading rows". */
enum status sq_error(const char *path, sqlite3 *db, int rc, const char *doing, struct error *err);
/* Which version the tables are; 0: there are none. */
MUST_CHECK enum status sq_version(sqlite3 *db, const char *path, unsigned *version,
                                  struct error *err);
MUST_CHECK enum status sq_check_mode(sqlite3 *db, const char *path, struct error *err);
MUST_CHECK enum status sq_exec(sqlite3 *db, const char *path, const char *sql, const char *doing,
                               struct error *err);
enum status sq_open(const char *address, const struct store_options *options, void **out,
                    struct error *err);
void sq_close(void *impl);
/* The connection of a side, opened if it is not. */
MUST_CHECK enum status sq_side(struct sq *s, enum db_side side, struct error *err);

/* statement.c. Statements of a side: kept ones come back bound to nothing; made ones are finalised
 * by sq_done, too. */
struct sq_use {
  struct sq *s;
  struct sq_side *on;
  sqlite3_stmt *stmt;
  bool kept;
  int rc;
};
MUST_CHECK enum status sq_use_kept(struct sq *s, enum db_side side, enum sq_kept which,
                                   struct sq_use *u, struct error *err);
MUST_CHECK enum status sq_use_made(struct sq *s, enum db_side side, const char *sql,
                                   struct sq_use *u, struct error *err);
void sq_bind_text(struct sq_use *u, int at, struct span text); /* ptr NULL: NULL */
void sq_bind_blob(struct sq_use *u, int at, struct span bytes);
void sq_bind_int(struct sq_use *u, int at, int64_t n);
void sq_bind_time(struct sq_use *u, int at, int64_t us); /* TIME_NONE: NULL */
bool sq_row(struct sq_use *u);                           /* there is another row */
/* Ends it. What went wrong since it began, if anything. */
MUST_CHECK enum status sq_done(struct sq_use *u, const char *doing, struct error *err);
/* Of a column, borrowed until the next row. NULL: ptr NULL. */
struct span sq_text(struct sq_use *u, int column);
int64_t sq_time(struct sq_use *u, int column);
/* Copied. False: memory is out. */
MUST_CHECK bool sq_keep(struct sq_use *u, int column, struct arena *arena, struct span *out);

/* transact.c. A transaction of the writing side. */
enum { SQ_OWNED = 1, SQ_DURABLE = 2 };
MUST_CHECK enum status sq_begin(struct sq *s, unsigned needs, struct error *err);
/* Commits where st is ST_OK, else rolls back; err of a failed one is told. */
MUST_CHECK enum status sq_end(struct sq *s, enum status st, struct error *err);
/* On the writing side: our file lies there, and has what we settled. ST_BUSY: it went back. */
MUST_CHECK enum status sq_same(struct sq *s, struct error *err);
/* The one statement of a transaction. changes: NULL, or how many rows it changed. */
MUST_CHECK enum status sq_run(struct sq_use *u, int *changes, const char *doing, struct error *err);

/* The steps. */
enum status sq_make_id(void *, const char *, struct error *);
enum status sq_identify(void *, struct db_identity *, struct error *);
enum status sq_claim(void *, struct error *);
enum status sq_renew(void *, struct error *);
void sq_release(void *);
enum status sq_renew_id(void *, const char *, struct error *);
enum status sq_batch_write(void *, const struct db_batch *, struct error *);
enum status sq_batch_settle(void *, uint64_t, const char *, struct error *);
enum status sq_batch_remove(void *, uint64_t, const char *, struct error *);
enum status sq_batch_list(void *, bool (*)(void *, const struct db_batch *), void *,
                          struct error *);
enum status sq_batch_read(void *, uint64_t, const char *, struct arena *, struct db_batch *,
                          struct error *);
void sq_witness(struct sq *s, uint64_t number, const char *digest); /* its settling is committed */
/* Within a transaction: *closed, was there one? */
MUST_CHECK enum status sq_mark_settled(struct sq *s, uint64_t number, const char *digest,
                                       bool *closed, struct error *err);
enum status sq_settle(void *, struct db_change *, size_t, const struct manifest_name *, bool *,
                      struct error *);
enum status sq_replay(void *, struct db_letter *, size_t, int64_t, struct error *);
enum status sq_purge(void *, struct db_letter *, size_t, struct error *);
enum status sq_amend(void *, struct db_letter *, struct span, struct error *);
enum status sq_bury(void *, const struct db_row *, int64_t, int64_t *, struct error *);
enum status sq_insert(void *, const struct db_row *, int64_t *, struct error *);
enum status sq_sync(void *, struct error *);
enum status sq_text_replace(void *, const char *, struct span, struct error *);
enum status sq_text_append(void *, const char *, struct span, struct error *);
enum status sq_text_move(void *, const char *, const char *, struct error *);
enum status sq_text_remove(void *, const char *, bool, struct error *);
enum status sq_text_read(void *, const char *, uint64_t, size_t, struct buffer *, uint64_t *,
                         struct error *);
enum status sq_text_names(void *, const char *, bool (*)(void *, const char *), void *,
                          struct error *);
enum status sq_keys_due_add(void *, const struct key *, size_t, uint64_t, uint64_t *, uint64_t *,
                            struct error *);
enum status sq_keys_due_drop(void *, int64_t, uint64_t *, struct error *);
enum status sq_keys_due_read(void *, size_t, struct arena *, struct key *, size_t *, int64_t *,
                             struct error *);
enum status sq_keys_due_count(void *, uint64_t *, struct error *);
enum status sq_keys_due_has(void *, struct span, bool *, struct error *);
enum status sq_read(void *, const struct db_query *, struct db_page *, struct error *);
/* cut.c: the row of that rowid, too large to be read. ST_NOT_FOUND: it is gone by now. */
MUST_CHECK enum status sq_read_cut(struct sq *s, enum shelf shelf, int64_t rowid,
                                   struct db_row *row, struct arena *arena, struct error *err);
/* Of a pending row, on the writing side; and it becomes the one of that row of the dead ones, which
 * has as many bytes. */
MUST_CHECK enum status sq_payload_size(struct sq *s, int64_t seq, int64_t *size, struct error *err);
MUST_CHECK enum status sq_copy_payload(struct sq *s, int64_t seq, int64_t dead, struct error *err);
enum status sq_body(void *, enum shelf, int64_t, struct span, uint64_t, size_t, struct buffer *,
                    uint64_t *, struct error *);
enum status sq_sweep(void *, int64_t, int64_t, int64_t *, size_t, size_t *, struct error *);
enum status sq_arrived(void *, int64_t, bool *, struct error *);
int sq_watched(void *);
void sq_watched_take(void *);
void sq_watch_open(struct sq *s);
enum status sq_count(void *, enum db_side, unsigned, struct db_figures *, struct error *);
enum status sq_writable(void *, struct error *);
void sq_examine(void *, enum examination, struct examined *);
/* upkeep.c: the one of that number behind EXAMINE_FURTHER; check NULL: there is none. */
void sq_examine_further(const struct sq *s, unsigned which, struct examined *out);
/* prepare.c */
enum status sq_prepare(const char *address, struct store_preparation *p, struct error *err);

#endif
