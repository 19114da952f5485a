/* Positions and manifests: those of each batch, and the chain that an earlier run left, which is
 * settled. The publisher's thread, ledger_settled the finisher's. PROTOCOL.md 5 says what a crash
 * leaves. */
#include "bridge/relay/ledger/ledger.h"

#include "bridge/relay/ledger/settle_late.h"
#include "bridge/relay/ledger/standing.h"
#include "bridge/relay/parts.h"

#include <inttypes.h>

_Static_assert(sizeof((struct position *)0)->digest >= MANIFEST_DIGEST,
               "a manifest's digest fits a position");

enum { REFRESH_MS = 24 * 3600 * 1000 };

/* ---- transactions without events ---- */

static enum txn_next again(enum txn_next (*call)(struct publisher *, struct error *),
                           struct publishing *p, struct error *err) {
  enum txn_next next;
  while ((next = call(p->publisher, err)) == TXN_AGAIN && !relay_must_end(p->relay))
    publisher_poll(p->publisher, 20);
  return next;
}

enum status ledger_commit_position(struct publishing *p, const struct position *position,
                                   struct error *err) {
  struct relay *r = p->relay;
  enum txn_next next = again(publisher_begin, p, err);
  if (next == TXN_DONE)
    while ((next = publisher_position(p->publisher, position, err)) == TXN_AGAIN &&
           !relay_must_end(r))
      publisher_poll(p->publisher, 20);
  if (next == TXN_DONE) next = again(publisher_commit, p, err);
  if (next != TXN_DONE) return ST_UNAVAILABLE;
  p->ledger.committed_ms = clock_mono_ms(r->parts.clock);
  return ST_OK;
}

/* It is the newest settled one now: of the committed position, or of one that F has still to come
 * to. */
static void note_settled(struct relay *r, const struct manifest_name *name) {
  mutex_lock(&r->lock);
  r->settled = *name;
  mutex_unlock(&r->lock);
}

enum status ledger_begin_at(struct publishing *p, uint64_t number, struct error *err) {
  struct manifest m = {.number = number};
  struct ledger *l = &p->ledger;
  enum status st = manifest_write(p->relay->parts.store, &m, l->nonce, err);
  if (st != ST_OK) return st;
  l->position.number = (int64_t)number;
  memcpy(l->position.digest, m.digest, sizeof m.digest);
  st = ledger_commit_position(p, &l->position, err);
  struct manifest_name name = {.number = number};
  memcpy(name.digest, m.digest, sizeof m.digest);
  if (st == ST_OK) st = stuck_settle(p->relay, &name, err);
  if (st == ST_OK) note_settled(p->relay, &name);
  return st;
}

/* ---- settling at start ---- */

/* A batch that was committed before we came. Every step may be repeated. */
static enum status settle_manifest(struct relay *r, struct manifest_name *name, struct error *err) {
  struct manifest m = {0};
  struct late *late = late_begin(r, err);
  enum status st = late ? manifest_read(r->parts.store, name, &m, err) : ST_NO_MEMORY;
  for (size_t i = 0; st == ST_OK && i < m.count; i++) st = late_add(late, &m.entries[i], err);
  if (st == ST_OK) st = late_end(late, name, err);
  if (st == ST_OK)
    log_write(r->parts.log, LOG_INFO, "relay", "recovered",
              FIELDS(F_INT("batch", name->number), F_INT("events", m.count),
                     F_INT("removed", late->gone)),
              "Batch %llu was committed before the last end: its entries are settled",
              (unsigned long long)name->number);
  manifest_release(&m);
  free(late);
  return st;
}

/* ---- the chain back from c ---- */

static struct manifest_name *find_name(struct manifest_name *list, size_t count, uint64_t number,
                                       const char *digest) {
  for (size_t i = 0; i < count; i++)
    if (list[i].number == number && !strcmp(list[i].digest, digest)) return &list[i];
  return NULL;
}

enum status ledger_damaged(const struct relay *r, struct error *err) {
  struct buffer next = {0};
  struct error why = *err;
  standing_advise(r->parts.store, &next);
  enum status st = error_set(
      err, ST_INVALID,
      "the list of a batch that may be committed is damaged (%s). Nothing was changed. Put "
      "it back as it was; or: %s",
      why.text, buffer_z(&next));
  buffer_release(&next);
  return st;
}

/* chain[0] is c; then its predecessors as far as they are there and not settled: settling goes in
 * order, so behind a settled one there is nothing to settle, and it need not be read. Returns how
 * many, 0 on an error. */
static size_t follow_chain(struct publishing *p, struct manifest_name *list, size_t count,
                           struct manifest_name **chain, struct error *err) {
  size_t n = 0;
  BUG_ON_RULE(L16, p->ledger.position.number < 0);
  struct manifest_name *at =
      find_name(list, count, (uint64_t)p->ledger.position.number, p->ledger.position.digest);
  while (at && n < count) {
    struct manifest m = {0};
    chain[n++] = at;
    if (at->settled) break;
    enum status st = manifest_read(p->relay->parts.store, at, &m, err);
    at = st == ST_OK && at->number ? find_name(list, count, at->number - 1, m.before) : NULL;
    manifest_release(&m);
    if (st == ST_INVALID) st = ledger_damaged(p->relay, err);
    if (st != ST_OK) return 0;
  }
  return n;
}

static bool in_chain(struct manifest_name **chain, size_t n, const struct manifest_name *name) {
  for (size_t i = 0; i < n; i++)
    if (chain[i] == name) return true;
  return false;
}

/* L12. Settle the chain, oldest first; what is not in it was never committed (or is older than the
 * chain) and goes. */
enum status ledger_settle_chain(struct publishing *p, struct manifest_name *list, size_t count,
                                struct error *err) {
  struct relay *r = p->relay;
  struct manifest_name **chain = calloc(count + 1, sizeof *chain);
  if (!chain) return error_set(err, ST_NO_MEMORY, "out of memory");
  size_t n = follow_chain(p, list, count, chain, err);
  enum status st = n ? ST_OK : err->status;
  BUG_ON_RULE(L7, n && strcmp(chain[0]->digest, p->ledger.position.digest) != 0);
  for (size_t i = 1; i < n; i++) BUG_ON_RULE(L12, chain[i]->number + 1 != chain[i - 1]->number);
  for (size_t i = n; st == ST_OK && i-- > 0;)
    if (!chain[i]->settled) st = settle_manifest(r, chain[i], err);
  for (size_t i = 0; st == ST_OK && i < count; i++)
    if (!in_chain(chain, n, &list[i])) st = stuck_remove(r, &list[i], err);
  for (size_t i = 1; st == ST_OK && i < n && !atomic_load(&r->unsynced); i++)
    st = stuck_remove(r, chain[i], err);
  if (st == ST_OK) note_settled(p->relay, chain[0]);
  free(chain);
  return st;
}

/* ---- a batch ---- */

enum status ledger_write(struct publishing *p, struct manifest_entry *entries, size_t count,
                         size_t *fit, struct error *err) {
  struct relay *r = p->relay;
  struct ledger *l = &p->ledger;
  BUG_ON_RULE(L15, !l->started);
  BUG_ON_RULE(L3, l->doubt.number); /* the one before would be forgotten about */
  enum status st = store_check(r->parts.store, err);
  if (st != ST_OK) return st;
  struct manifest m = {
      .number = (uint64_t)l->position.number + 1, .entries = entries, .count = count};
  memcpy(m.before, l->position.digest, sizeof m.before - 1);
  char nonce[80]; /* of this run and this try: no two manifests share a name */
  snprintf(nonce, sizeof nonce, "%s-%llu", l->nonce,
           (unsigned long long)r->parts.clock->random(r->parts.clock->ctx));
  st = manifest_write(r->parts.store, &m, nonce, err);
  *fit = m.fit;
  if (st != ST_OK) return st;
  BUG_ON_RULE(L3, !strcmp(m.digest, l->position.digest));
  l->doubt = (struct manifest_name){.number = m.number};
  memcpy(l->doubt.digest, m.digest, sizeof m.digest);
  return ST_OK;
}

struct position ledger_next(const struct publishing *p) {
  struct position next = p->ledger.position;
  BUG_ON_RULE(L2, !p->ledger.doubt.number);
  BUG_ON_RULE(L1, p->ledger.doubt.number != (uint64_t)p->ledger.position.number + 1);
  next.number = (int64_t)p->ledger.doubt.number;
  memcpy(next.digest, p->ledger.doubt.digest, sizeof p->ledger.doubt.digest);
  return next;
}

void ledger_asked(struct publishing *p) {
  BUG_ON_RULE(L2, !p->ledger.doubt.number);
  p->ledger.asked = true;
}

static void no_more_doubt(struct ledger *l) {
  l->doubt.number = 0;
  l->asked = false;
}

void ledger_committed(struct publishing *p) {
  BUG_ON_RULE(L7, !manifest_digest_valid(span_of(p->ledger.doubt.digest)));
  p->ledger.position = ledger_next(p);
  no_more_doubt(&p->ledger);
  p->ledger.committed_ms = clock_mono_ms(p->relay->parts.clock);
}

enum status ledger_forget(struct publishing *p, struct error *err) {
  enum status st = stuck_remove(p->relay, &p->ledger.doubt, err);
  if (st == ST_OK) no_more_doubt(&p->ledger);
  return st;
}

enum status ledger_refresh(struct publishing *p, struct error *err) {
  bool due = clock_mono_ms(p->relay->parts.clock) - p->ledger.committed_ms >= REFRESH_MS;
  if (!due || p->ledger.doubt.number) return ST_OK; /* in doubt: stopped, and the next start asks */
  return ledger_commit_position(p, &p->ledger.position, err);
}

enum status ledger_settled(struct relay *r, const struct manifest_name *name, bool marked,
                           struct error *err) {
  enum status st = store_check(r->parts.store, err);
  struct manifest_name before = relay_newest_settled(r), now = *name;
  BUG_ON_RULE(L9, before.number >= now.number);
  now.settled = marked;
  if (st == ST_OK && !marked) st = stuck_settle(r, &now, err);
  if (st == ST_OK) st = stuck_remove(r, &before, err);
  if (st != ST_OK)
    return st; /* still the older one: the next try removes it, and never the position's own (L9) */
  note_settled(r, &now);
  return ST_OK;
}
