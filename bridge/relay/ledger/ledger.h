/* ledger.h - which batches Kafka has: the position committed with them, the manifests that say what
 * was in them, and the steps by which a producer is made. Publisher's thread.
 *
 * Position and manifest go together: number and digest. n is only ever last committed + 1.
 * PROTOCOL.md tells the whole of it, rules.h the rules.
 */
#ifndef BRIDGE_RELAY_LEDGER_H
#define BRIDGE_RELAY_LEDGER_H

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/store.h"

/* clang-format off */
/* What a crash leaves, and what the next start makes of it:
 *
 *   nothing                           a new outbox: position 0 is committed with an empty manifest
 *   position c, manifest c settled    all is well
 *   position c, manifest c not        committed, its settling was cut short: settled again
 *   manifest c + 1 too                never committed: removed; its entries are pending and go again
 *   manifests, but no position        it expired, or the topic was made anew: the topics decide
 *   position c, its manifest missing  an old copy of the outbox, or a foreign one: refused; of a
 *                                     database (traits.goes_back): it went back, the topics decide
 *   a manifest above c + 1            the position went back: refused
 *   a position with no digest         somebody else committed it (a reset of offsets): refused
 *   position c under another topic    ledger.topic was changed: settled by it, committed under the
 *                                     new one, and only then is the new one remembered (standing.h)
 */
/* clang-format on */

struct relay;
struct publishing;

struct ledger {
  bool started;
  bool asked; /* commit was called for the one in doubt: only the position says what became of it
                 (L5) */
  char group[64], nonce[37];
  struct position position;   /* number and digest: the last committed one known to us */
  struct manifest_name doubt; /* number 0: none. Written, and its commit not known to have worked */
  int64_t committed_ms;       /* monotonic: of the last commit */
};

enum ledger_found {
  LEDGER_READY, /* the position is ours; what was in doubt was not committed, its manifest is gone
                 */
  LEDGER_COMMITTED, /* what was in doubt was committed: to the finisher */
  LEDGER_AWAY,      /* nobody answers, or a transient failure: try again later */
  LEDGER_REFUSED    /* not ours, or not safe: err says why and what to do; the worker ends */
};

/* new_producer.c: makes a producer by the steps of PROTOCOL.md (p->publisher, closed before if
 * there is one) and looks where the ledger stands. The first time: settles what was committed,
 * removes what was not.
 */
enum ledger_found ledger_renew(struct publishing *p, struct error *err);

/* ledger.c, of each batch. */
/* Writes the manifest of these entries as number + 1; it is then in doubt. ST_TOO_LARGE: *fit of
 * them fill one. */
MUST_CHECK enum status ledger_write(struct publishing *p, struct manifest_entry *entries,
                                    size_t count, size_t *fit, struct error *err);
/* Its position, to be sent in its transaction. */
struct position ledger_next(const struct publishing *p);
void ledger_asked(struct publishing *p);     /* commit is about to be called for the one in doubt */
void ledger_committed(struct publishing *p); /* the one in doubt is the position now */
MUST_CHECK enum status ledger_forget(struct publishing *p,
                                     struct error *err); /* it was aborted: its manifest goes */
/* Once a day while idle: the same position again, so that it does not expire. ST_UNAVAILABLE:
 * renew. */
MUST_CHECK enum status ledger_refresh(struct publishing *p, struct error *err);
/* F: the batch is settled: its manifest becomes the settled one (marked: it is that already), the
 * one before it goes. */
MUST_CHECK enum status ledger_settled(struct relay *r, const struct manifest_name *name,
                                      bool marked, struct error *err);

/* For a start only, within this folder. */
/* The position alone. ST_UNAVAILABLE: not known whether it worked; renew. */
MUST_CHECK enum status ledger_commit_position(struct publishing *p, const struct position *position,
                                              struct error *err);
/* What an earlier run left: the chain back from p->ledger.position is settled, what is not in it
 * goes. */
MUST_CHECK enum status ledger_settle_chain(struct publishing *p, struct manifest_name *list,
                                           size_t count, struct error *err);
/* An empty manifest of that number and its position. */
MUST_CHECK enum status ledger_begin_at(struct publishing *p, uint64_t number, struct error *err);
/* The list of a batch that may be committed cannot be read: which of its entries are in Kafka only
 * the topics know. err says how, and then what to do too: ST_INVALID. */
enum status ledger_damaged(const struct relay *r, struct error *err);
/* position_lost.c: manifests, but no position. */
MUST_CHECK enum status ledger_lost(struct publishing *p, struct manifest_name *list, size_t count,
                                   struct error *err);
/* went_back.c: a position whose manifest the database has lost. */
MUST_CHECK enum status ledger_went_back(struct publishing *p, struct manifest_name *list,
                                        size_t count, struct error *err);

#endif
