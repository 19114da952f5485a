/* postgres.h - inside bridge/outbox/postgres only: the steps of bridge/outbox/database/steps.h in
 * SQL. Each is one statement, which is one transaction.
 *
 * How statements are written here (pg_step): @outbox is a table of ours, with its schema; ^text is
 * pg_catalog.text; {=} is OPERATOR(pg_catalog.=), since operators are looked up in search_path like
 * everything else. ~ stands behind what looks whose it is: and it has not gone back (witness).
 * '#outbox' is that table in a string. Every first argument of a step of the owner is its token.
 */
#ifndef BRIDGE_OUTBOX_POSTGRES_POSTGRES_H
#define BRIDGE_OUTBOX_POSTGRES_POSTGRES_H

#include "bridge/outbox/database/steps.h"
#include "bridge/outbox/postgres/connection.h"
#include "bridge/outbox/prepare.h"

#include <stdatomic.h>

#define PG_MIGRATION 1 /* the newest of schemas/sql/postgres */
#define PG_LEASE_MS 10000
#define PG_ROW_BYTES 4096

struct postgres {
  struct pg_address address;
  const struct clock *clock;
  struct pg_connection *sides[3]; /* enum db_side */
  char *schema;                   /* quoted */
  char token[37];                 /* of our claim, or of the one that is tried; "": none */
  bool stands_by;                 /* others were told so */
  bool claiming;                  /* nobody knows yet whether it got there */
  /* The newest batch whose settling we were told of. Where it is not settled any more the server
   * has lost what it said it did: it went back. digest "": none. */
  struct manifest_name witness;
  /* An append that nobody knows of whether it got there: taken again it has the same mark. */
  char appended[104], mark[37];
  struct buffer appended_text;
  int64_t row_bytes;      /* the reading side's: what its rows are like; PG_ROW_BYTES and more */
  atomic_llong dead_rows; /* of outbox, as the last count found them */
};

/* steps.c. It connects when the first step is taken. */
MUST_CHECK enum status pg_new(const char *address, const struct clock *clock, struct postgres **out,
                              struct error *err);
void pg_close(void *);
/* prepare.c: of prepare.h */
enum status pg_prepare(const char *address, struct store_preparation *p, struct error *err);

/* One of one side. answer may be NULL. */
MUST_CHECK enum status pg_step(struct postgres *p, enum db_side side, const char *sql,
                               const struct pg_args *args, struct pg_answer *answer,
                               struct error *err);
/* Of the owner: the answer's first column says whether it still is. On ST_OK the answer is the
 * caller's, in any other case there is none. */
MUST_CHECK enum status pg_owner_step(struct postgres *p, const char *sql,
                                     const struct pg_args *args, bool durable,
                                     struct pg_answer *answer, struct error *err);
/* The same on another side; nothing is said of what is durable. */
MUST_CHECK enum status pg_owner_step_on(struct postgres *p, enum db_side side, const char *sql,
                                        const struct pg_args *args, struct pg_answer *answer,
                                        struct error *err);
/* What was committed did not wait for its standby: ST_UNAVAILABLE, so that it is taken again. */
MUST_CHECK enum status pg_durable(const struct pg_answer *a, struct error *err);
/* ST_BUSY: that owner has it. */
MUST_CHECK enum status pg_busy(const struct postgres *p, struct span owner, int64_t since_us,
                               struct error *err);
/* Begins the arguments of such a step: $1, the token. */
struct pg_args pg_owner_args(const struct postgres *p);

/* Whose it is looked at within the step; nobody takes it over before the step has ended. */
#define MINE                                                                                       \
  "mine AS MATERIALIZED (SELECT 1 FROM @lane WHERE lane {=} 0 AND token {=} $1~ FOR SHARE)"
/* The same of a step that is to be durable. It changes a row in any case: where a commit wrote
 * nothing, nobody waits for what others wrote before. */
#define ON_DISK "^set_config('synchronous_commit', 'on', true)"
#define MINE_DURABLE                                                                               \
  "mine AS (UPDATE @lane SET changes = changes {+} 1 WHERE lane {=} 0 AND token {=} $1~ "          \
  "RETURNING " ON_DISK ")"
#define HELD "EXISTS (SELECT FROM mine)"
#define COUNT_MINE "(SELECT ^count(*) FROM mine)"

/* claim.c */
enum status pg_make_id(void *, const char *id, struct error *);
enum status pg_claim(void *, struct error *);
enum status pg_renew(void *, struct error *);
void pg_release(void *);
enum status pg_renew_id(void *, const char *id, struct error *);
bool pg_owner(void *, struct store_owner *);
enum status pg_stand_by(void *, struct error *);
void pg_stand_down(struct postgres *p); /* it waits no more */
size_t pg_standbys(void *, struct store_owner[STORE_STANDBYS]);
/* journal.c */
void pg_witness(struct postgres *p, uint64_t number, const char *digest); /* it is told settled */
enum status pg_batch_write(void *, const struct db_batch *, struct error *);
enum status pg_batch_settle(void *, uint64_t, const char *, struct error *);
enum status pg_batch_remove(void *, uint64_t, const char *, struct error *);
enum status pg_batch_list(void *, bool (*)(void *, const struct db_batch *), void *,
                          struct error *);
enum status pg_batch_read(void *, uint64_t, const char *, struct arena *, struct db_batch *,
                          struct error *);
/* settle.c */
enum status pg_settle(void *, struct db_change *, size_t, const struct manifest_name *, bool *,
                      struct error *);
/* dead_letters.c */
enum status pg_replay(void *, struct db_letter *, size_t, int64_t, struct error *);
enum status pg_purge(void *, struct db_letter *, size_t, struct error *);
enum status pg_amend(void *, struct db_letter *, struct span, struct error *);
enum status pg_bury(void *, const struct db_row *, int64_t, int64_t *, struct error *);
enum status pg_insert(void *, const struct db_row *, int64_t *, struct error *);
enum status pg_sync(void *, struct error *);
/* texts.c */
enum status pg_text_replace(void *, const char *, struct span, struct error *);
enum status pg_text_append(void *, const char *, struct span, struct error *);
enum status pg_text_move(void *, const char *, const char *, struct error *);
enum status pg_text_remove(void *, const char *, bool, struct error *);
enum status pg_text_read(void *, const char *, uint64_t, size_t, struct buffer *, uint64_t *,
                         struct error *);
enum status pg_text_names(void *, const char *, bool (*)(void *, const char *), void *,
                          struct error *);
/* keys_due.c */
enum status pg_keys_due_add(void *, const struct key *, size_t, uint64_t, uint64_t *, uint64_t *,
                            struct error *);
enum status pg_keys_due_drop(void *, int64_t, uint64_t *, struct error *);
enum status pg_keys_due_read(void *, size_t, struct arena *, struct key *, size_t *, int64_t *,
                             struct error *);
enum status pg_keys_due_count(void *, uint64_t *, struct error *);
enum status pg_keys_due_has(void *, struct span, bool *, struct error *);
/* rows.c */
enum status pg_read(void *, const struct db_query *, struct db_page *, struct error *);
enum status pg_body(void *, enum shelf, int64_t, struct span, uint64_t, size_t, struct buffer *,
                    uint64_t *, struct error *);
/* looks.c */
enum status pg_identify(void *, struct db_identity *, struct error *);
enum status pg_sweep(void *, int64_t, int64_t, int64_t *, size_t, size_t *, struct error *);
enum status pg_arrived(void *, int64_t, bool *, struct error *);
enum status pg_count(void *, enum db_side, unsigned, struct db_figures *, struct error *);
enum status pg_writable(void *, struct error *);
void pg_space(void *, struct store_space *);
void pg_vitals(void *, struct store_vitals *);
void pg_examine(void *, enum examination, struct examined *);
/* upkeep.c: the one of that number behind EXAMINE_FURTHER; check NULL: there is none. */
void pg_examine_further(struct postgres *p, unsigned which, struct examined *out);
/* Row-level security would hide rows: ST_INVALID, and what to do. hides: what the statement said.
 */
enum status pg_all_seen(bool hides, struct error *err);

#endif
