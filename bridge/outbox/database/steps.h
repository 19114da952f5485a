/* steps.h - what a database does for an outbox, one step at a time. Everything else that the
 * contract of a store asks for (what is in hand, scans, counts, entries, letters, the journal's
 * form) is done once, in this room, over a table of these steps; a kind of database is such a
 * table, and a room of its own. Its store_ops are made of it by database.h. How columns become an
 * event stands in row.h.
 *
 * A STEP IS ONE TRANSACTION and one round trip: it has happened whole, or not at all. It leaves
 * nothing open behind it: no transaction, no cursor, no lock, no name, no setting of the session.
 * Each is safe to be taken twice (the answer to the first was lost): the second finds it done and
 * says so as if it had done it, where nothing else is told below.
 *
 * OURS. db_claim makes the outbox ours by a new random token that is written where every other step
 * can see it. A step that is marked (owner) looks at the token within its own transaction, so that
 * nobody can take the outbox over between the look and the change (PostgreSQL: FOR SHARE on the row
 * that claim updates; SQLite: the write lock). Where it is another's by then the step is ST_BUSY,
 * err says who has it, and it changed nothing. An epoch alone is no guard: a server that lost its
 * last transactions gives the same one out again.
 *
 * SETTLE BY (seq, id), never by seq alone: a server that lost its last transactions gives the same
 * seq out again, for another row. Ids are compared byte by byte, whatever type or collation the
 * column has.
 *
 * WHAT IS DURABLE, that is: survives a loss of power of the database's machine (and is at a
 * synchronous standby, where there is one), whatever the session's or the role's defaults are:
 * every step marked (durable), once it returned ST_OK, and all that earlier steps and committed
 * transactions of others changed. Steps without the mark may be lost with the power, but only
 * together with all that came after them.
 *
 * SIDES. A kind has two connections at least, READING and WRITING. All steps of one side are
 * called one at a time (this room holds a lock for each), those of the two sides at the same time,
 * on any thread. A step of the reading side never waits for one of the writing side, and changes
 * nothing; it sees every transaction that was committed before it began. Connections that broke are
 * made again by the next step of their side. A store that was opened only to look (create false)
 * makes its writing connection when the first step of that side is taken (db_insert). A kind with a
 * lease has a third, KEEPING, for renew alone, so that it waits behind no other step.
 *
 * ERRORS. All steps: ST_OK; ST_NO_MEMORY; ST_UNAVAILABLE: no connection, a cut one, a lock of the
 * application's that was held for too long: later it works, and it may have happened; ST_NO_SPACE:
 * the database's disk is full, nothing happened; ST_DENIED: a right is missing, or it is read-only;
 * ST_INVALID: the tables are not there, not ours, older or newer than this program, or row-level
 * security would hide rows; ST_IO: damaged, or any other. err always says what to do, in one line,
 * and never holds a password or a payload. Further ones stand at the step. No step logs what it
 * returns.
 *
 * UNITS. Times: int64_t microseconds since 1970 UTC, TIME_NONE where there is none. seq: 1 and up.
 * Spans of a page live in its arena. */
#ifndef BRIDGE_OUTBOX_DATABASE_STEPS_H
#define BRIDGE_OUTBOX_DATABASE_STEPS_H

#include "bridge/event/key.h"
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/store.h"

/* ---- rows ---- */

#define DB_TEXT_MOST 1024 /* of a row that is cut, so many bytes of name, key and created_at */

/* One of SHELF_PENDING or SHELF_DEAD. There is no other shelf in a database. */
struct db_row {
  int64_t seq;
  struct span id; /* whole, whatever it is; the columns' own bytes, as all texts here */
  struct span name, key, created_at; /* created_at: text that time_parse reads */
  struct span payload, headers;      /* JSON text, if it is; headers.ptr NULL: there are none */
  bool cut;              /* larger than query.body: payload and headers are not given ({NULL, 0}) */
  uint64_t size;         /* of all these columns together, in bytes; exact where cut is false */
  uint64_t payload_size; /* always */
  int64_t arrived_us;    /* when it was inserted, by the database's clock */
  /* What we noted of it: of a pending one in the table of attempts, of a dead one in its row. */
  bool attempted; /* there is such a note */
  unsigned attempts;
  struct span last_error; /* ptr NULL: none */
  int64_t first_failed_us, failed_us;
  int64_t since_us; /* db_change.now_us of the last change; TIME_NONE: there was none */
  /* Of a dead one. */
  struct span reason, topic; /* topic.ptr NULL: not routed */
  int error_code;
};

/* Which rows of a shelf, in order of (seq, id by its bytes). Members that are 0 do not choose. */
struct db_query {
  enum shelf shelf;
  int64_t after; /* behind this seq; of SHELF_DEAD behind (after, after_id) */
  struct span after_id;
  int64_t seq; /* this one alone: of SHELF_DEAD there may be several with it */
  /* Whose id is, or begins with, this: by its bytes. It may take a look at every row, but of
   * SHELF_DEAD the whole id is found by an index. */
  struct span id;
  bool begins;
  int64_t since_us, until_us; /* arrived within, both ends included; TIME_NONE: any */
  /* Of a kind whose rows may be late: rows of these seqs, all below or at `after`, are looked for
   * in the same moment, and come first. Of SHELF_PENDING alone. */
  const int64_t *gaps;
  size_t gap_count;
  size_t rows;   /* at most so many, 1 and up */
  size_t bytes;  /* no further row once the page has so many of db_row.size */
  uint64_t body; /* a larger row is cut: its payload and headers, and long texts beyond
                    DB_TEXT_MOST, never cross into this process, whatever their size */
};

struct db_page {
  struct arena arena;
  struct db_row *rows;
  size_t count, cap;
  bool end; /* no row lay behind the last of these */
  /* Of such a kind, where there are rows: which transactions had ended in that moment (all below
   * this number) and begun (none from this one on). 0: not known. */
  int64_t ended, begun;
};
/* One row more, at the end, with nothing in it; NULL: memory is out. For the kinds. */
struct db_row *db_page_add(struct db_page *p);
void db_page_clear(struct db_page *p); /* keeps memory for the next one */
void db_page_release(struct db_page *p);

/* ---- changes ---- */

enum db_fate {
  DB_DONE,  /* out of SHELF_PENDING, with its note of attempts */
  DB_LATE,  /* the same; where it is not there, out of SHELF_DEAD */
  DB_RETRY, /* attempts, error, failed_us, now_us become its note of attempts; first_failed_us is
               the one that is noted already, else failed_us */
  DB_DEAD,  /* from SHELF_PENDING to SHELF_DEAD with all that is given here, first_failed_us as
               above; every column keeps its bytes, arrived_us its value */
  DB_AFRESH /* its note of attempts becomes: 0 attempts, no error, no times but since_us = now_us */
};
enum db_found { DB_NOWHERE, DB_WAS_PENDING, DB_WAS_DEAD };
struct db_change {
  enum db_fate fate;
  int64_t seq;
  struct span id;
  bool attempted; /* it may have a note of attempts; false: it has none, DB_DONE need not look */
  unsigned attempts;
  struct span error, reason, topic; /* topic.ptr NULL: none */
  int error_code;
  int64_t failed_us, now_us;
  enum db_found found; /* told: where it was. DB_NOWHERE: there is none of this seq and id */
};

struct db_letter { /* a dead letter that is to be replayed or purged */
  int64_t seq;
  struct span id;
  int64_t failed_us; /* it must have this one; TIME_NONE: any */
  /* Told: ST_OK; ST_NOT_FOUND: there is none (any more), or it has another failed_us; ST_EXISTS: a
   * pending row has its seq; ST_INVALID: the table does not take it. */
  enum status status;
};

/* ---- the journal ---- */

/* A row that a batch names: seq and id, or seq alone where id.ptr is NULL. */
struct db_named {
  int64_t seq;
  struct span id;
  size_t entry; /* the caller's number for it */
  bool missing; /* told by batch_write */
};

struct db_batch {
  uint64_t number;
  char digest[MANIFEST_DIGEST], before[MANIFEST_DIGEST]; /* number and digest name it */
  bool settled;
  int64_t made_us;            /* by the database's clock, when it was written */
  struct span nonce, entries; /* entries: bytes, at most MANIFEST_MAX; this room's form */
  struct db_named *rows;      /* to be written alone: those that are to be published */
  size_t row_count;
};

/* ---- who it is ---- */

struct db_identity {
  bool there;  /* the tables are there, and this program's */
  char id[37]; /* uuid text; "": nobody has opened it to change it yet */
};

struct db_figures {
  uint64_t pending, dead;
  int64_t last;      /* the highest seq that is pending; 0: none */
  int64_t oldest_us; /* arrived_us of the pending row of the lowest seq; TIME_NONE: none */
};
enum { DB_COUNT_PENDING = 1, DB_COUNT_DEAD = 2, DB_OLDEST = 4 }; /* last comes with PENDING */

/* ---- the table: each is required ---- */

enum db_side { SIDE_READING, SIDE_WRITING, SIDE_KEEPING };

struct db_steps {
  int64_t lease_ms; /* > 0: a claim ends by itself so long after the last claim or renew; renew is
                       called each third of it. 0: it ends with release, or with the process */
  bool late;        /* a row may become visible after one of a higher seq was: sweep finds it.
                       False: seq is the order of commits, and sweep is not called */

  /* -- opening: one thread, before all others -- */

  /* address: what stands behind "SCHEME:" in outbox.url (PostgreSQL: the whole url). Nothing is
   * made. create: tables that are missing, or of another version, are ST_NOT_FOUND or ST_INVALID,
   * and err names the command; else they are as if empty (db_identity.there false) where none are
   * there, so that whoever inspects finds nothing. ST_INVALID also: what is there cannot be an
   * outbox (say why and the command that
   * fixes it). */
  enum status (*open)(const char *address, const struct store_options *options, void **impl,
                      struct error *err);
  void (*close)(void *impl); /* gives a claim back, too */

  /* -- WRITING -- */

  /* (durable) This id, where it has none yet: two that make one at the same moment agree, since
   * identify tells which it is. */
  enum status (*make_id)(void *impl, const char *id, struct error *err);
  /* Ours from now on. ST_BUSY: another has it; err says who (host, pid) since when, and what to do.
   * It never waits: the caller asks again. Notes of attempts whose rows are gone go with it. */
  enum status (*claim)(void *impl, struct error *err);
  /* (owner) For lease_ms longer, on the side KEEPING. With lease_ms 0: is it still ours? Cheap, and
   * of the side WRITING. */
  enum status (*renew)(void *impl, struct error *err);
  void (*release)(void *impl); /* best effort */
  /* May be NULL, with standbys: nobody can be told. This process waits for the outbox; asked every
   * three seconds while it does. claim and close end it. */
  enum status (*stand_by)(void *impl, struct error *err);
  /* (owner, durable) Another id in place of the one that is there. */
  enum status (*renew_id)(void *impl, const char *id, struct error *err);

  /* (owner, durable) The batch, unsettled; made_us is the database's. Written twice (same number
   * and digest): once. Of a kind whose server may lose what it has shown (its crash takes commits
   * that did not wait for the disk): only while each of its rows is there in that moment, so that
   * with the list they are on the disk. ST_NOT_FOUND: those marked missing are not; nothing is
   * written. */
  enum status (*batch_write)(void *impl, const struct db_batch *b, struct error *err);
  /* (owner) ST_NOT_FOUND: there is none of that number and digest. ST_OK too where it is settled
   * already. */
  enum status (*batch_settle)(void *impl, uint64_t number, const char *digest, struct error *err);
  /* (owner) ST_OK too where it is gone. */
  enum status (*batch_remove)(void *impl, uint64_t number, const char *digest, struct error *err);
  /* (owner; durable where one of list is DB_RETRY, DB_DEAD or DB_AFRESH) All changes, and the batch
   * `closes` (NULL: none; number and digest are read) is settled with them; *closed tells whether
   * there was such a batch: where not, the changes are made all the same. At most STORE_ROWS, no
   * two of one seq and id. On any error no change was made, or, of ST_UNAVAILABLE, perhaps all:
   * then the caller takes the step again, and DB_NOWHERE is what it finds of what was done.
   * ST_INVALID with sys EPERM: the database refuses one of them, by a trigger or a foreign key of
   * the application's, also one that keeps the row without a word; the caller takes each by itself.
   */
  enum status (*settle)(void *impl, struct db_change *list, size_t count,
                        const struct manifest_name *closes, bool *closed, struct error *err);
  /* (owner, durable) Dead letters become pending again with their seq, id, arrived_us and all
   * columns, and a note as by DB_AFRESH. Each by itself: its status. */
  enum status (*replay)(void *impl, struct db_letter *list, size_t count, int64_t now_us,
                        struct error *err);
  /* (owner, durable) They are gone. Each by itself. */
  enum status (*purge)(void *impl, struct db_letter *list, size_t count, struct error *err);
  /* (owner, durable) Its payload is another one. Its status, ST_OK or ST_NOT_FOUND. ST_INVALID
   * too: the column does not take it. */
  enum status (*amend)(void *impl, struct db_letter *letter, struct span payload,
                       struct error *err);
  /* (owner, durable) One row more on SHELF_DEAD: what insert takes, and all that db_row has of a
   * dead one; arrived now, of a seq that was never given. ST_EXISTS: a dead row has this id. Taken
   * twice it is there twice, or ST_EXISTS. */
  enum status (*bury)(void *impl, const struct db_row *row, int64_t now_us, int64_t *seq,
                      struct error *err);
  /* (durable) One row more on SHELF_PENDING: id, name, key, payload, headers, created_at are taken,
   * the rest is the database's to say. Needs no claim. ST_EXISTS: a pending row has this id (it may
   * take a look at every row). ST_INVALID: the columns do not take it. *seq: its own. */
  enum status (*insert)(void *impl, const struct db_row *row, int64_t *seq, struct error *err);
  /* (durable) No more than that: all that was changed until now is durable. */
  enum status (*sync)(void *impl, struct error *err);

  /* Texts: small things by name ("note/cluster", "selection/3"), in one table. (owner, durable)
   * but for drafts, names that begin with "draft/", which need not be durable until they are
   * moved. name: printable ASCII, at most 100 bytes. */
  enum status (*text_replace)(void *impl, const char *name, struct span text, struct error *err);
  enum status (*text_append)(void *impl, const char *name, struct span text, struct error *err);
  /* Takes the other's name, and its place if there is one. ST_NOT_FOUND: there is none of `from`.
   */
  enum status (*text_move)(void *impl, const char *from, const char *to, struct error *err);
  /* ST_NOT_FOUND: there was none. begins: all whose names begin with it (ST_OK with none). */
  enum status (*text_remove)(void *impl, const char *name, bool begins, struct error *err);

  /* Due (keys_due.h): a queue. (owner, durable) All of list, at the end. Then while there are more
   * than most, the oldest eighth of most goes: *given_up, how many. *left: how many there are. */
  enum status (*keys_due_add)(void *impl, const struct key *list, size_t count, uint64_t most,
                              uint64_t *given_up, uint64_t *left, struct error *err);
  /* (owner) The oldest up to this number, which keys_due_read told, go. *left: how many there are.
   */
  enum status (*keys_due_drop)(void *impl, int64_t upto, uint64_t *left, struct error *err);

  /* -- READING -- */

  /* Who it is. */
  enum status (*identify)(void *impl, struct db_identity *out, struct error *err);
  /* Rows of the query behind each other into page, which is empty. */
  enum status (*read)(void *impl, const struct db_query *q, struct db_page *page,
                      struct error *err);
  /* seqs of pending rows in (from, upto], lowest first, at most `most` of them, whatever was seen
   * before: late ones are among them. One short statement. */
  enum status (*sweep)(void *impl, int64_t from, int64_t upto, int64_t *seqs, size_t most,
                       size_t *count, struct error *err);
  /* May a pending row with a seq behind this be there? Asked every few milliseconds while nothing
   * comes, so it has to be the cheapest that there is (10 us of the database's time). */
  enum status (*arrived)(void *impl, int64_t behind, bool *yes, struct error *err);
  /* A descriptor that becomes readable when something may have arrived, or -1: then arrived is all
   * there is. Any thread; the same one until close. */
  int (*watched)(void *impl);
  void (*watched_take)(void *impl); /* what it told is taken note of */
  /* Bytes of a payload: most of them from `from` on, appended; *size: all there are. It may be of
   * any size, and is not read whole. ST_NOT_FOUND: there is no such row. */
  enum status (*body)(void *impl, enum shelf shelf, int64_t seq, struct span id, uint64_t from,
                      size_t most, struct buffer *out, uint64_t *size, struct error *err);
  /* All batches without nonce and entries, in any order; false from visit ends it. */
  enum status (*batch_list)(void *impl, bool (*visit)(void *ctx, const struct db_batch *b),
                            void *ctx, struct error *err);
  /* before, nonce and entries too, in arena. ST_NOT_FOUND. */
  enum status (*batch_read)(void *impl, uint64_t number, const char *digest, struct arena *arena,
                            struct db_batch *out, struct error *err);
  /* Appended to out, most bytes from `from` on; *size: all there are. ST_NOT_FOUND. */
  enum status (*text_read)(void *impl, const char *name, uint64_t from, size_t most,
                           struct buffer *out, uint64_t *size, struct error *err);
  /* Names of texts that begin so, in any order; false from visit ends it. */
  enum status (*text_names)(void *impl, const char *begin,
                            bool (*visit)(void *ctx, const char *name), void *ctx,
                            struct error *err);
  /* The oldest, at most max, their spans in arena; *upto: for keys_due_drop. */
  enum status (*keys_due_read)(void *impl, size_t max, struct arena *arena, struct key *out,
                               size_t *count, int64_t *upto, struct error *err);
  enum status (*keys_due_count)(void *impl, uint64_t *count, struct error *err);
  enum status (*keys_due_has)(void *impl, struct span id, bool *has, struct error *err);

  /* -- either side: `side` says on which connection -- */

  /* What of figures is asked for, DB_COUNT_PENDING | ..., all of one moment. It may look at every
   * row. With a reader it is taken on the writing side, so that no settle of ours falls between it
   * and what is made of it. */
  enum status (*count)(void *impl, enum db_side side, unsigned what, struct db_figures *out,
                       struct error *err);

  /* -- any thread, beside all others: the kind locks for itself -- */

  /* Who has it; false: nobody. What cannot be told stays as it was given. */
  bool (*owner)(void *impl, struct store_owner *out);
  /* Who said within the last ten seconds that it waits; since_us: when. How many are in the list.
   */
  size_t (*standbys)(void *impl, struct store_owner list[STORE_STANDBYS]);
  /* condition.h, of this kind. examine is not asked of the second intake. */
  void (*space)(void *impl, struct store_space *out);
  void (*vitals)(void *impl, struct store_vitals *out); /* may be NULL; all but claimed_us */
  enum status (*writable)(void *impl, struct error *err);
  void (*examine)(void *impl, enum examination which, struct examined *out);
};

#endif
