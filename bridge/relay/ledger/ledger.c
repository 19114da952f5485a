/* The position in Kafka against the manifests: each case at a start, a producer made anew, the
 * manifest of each batch. The publisher's thread, ledger_settled the finisher's. PROTOCOL.md 5 says
 * what a crash leaves. */
#include "bridge/relay/ledger/ledger.h"

#include "bridge/relay/ledger/standing.h"
#include "bridge/relay/parts.h"

#include <inttypes.h>

_Static_assert(sizeof((struct position *)0)->digest >= MANIFEST_DIGEST,
               "a manifest's digest fits a position");
_Static_assert(sizeof((struct position *)0)->digest == sizeof((struct standing *)0)->digest,
               "and what is found does");

enum { ANSWER_MS = 10000, REFRESH_MS = 24 * 3600 * 1000, DOUBTS = 10, DOUBT_MS = 500 };

/* ---- transactions without events ---- */

static enum txn_next again(enum txn_next (*call)(struct publisher *, struct error *),
                           struct publishing *p, struct error *err) {
  enum txn_next next;
  while ((next = call(p->publisher, err)) == TXN_AGAIN && !relay_must_end(p->relay))
    publisher_poll(p->publisher, 20);
  return next;
}

/* Commits a position alone. ST_UNAVAILABLE: not known whether it worked; renew. */
static enum status commit_position(struct publishing *p, const struct position *position,
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

/* ---- settling at start ---- */

static enum status keys_of(struct relay *r, const struct manifest *m, struct error *err) {
  struct key *keys = calloc(m->count + 1, sizeof *keys);
  if (!keys) return error_set(err, ST_NO_MEMORY, "out of memory for %zu keys", m->count);
  for (size_t i = 0; i < m->count; i++)
    keys[i] = (struct key){m->entries[i].id, m->entries[i].topic};
  struct error why = {0};
  if (!r->keys_off && m->count && keys_set(r->parts.keys, keys, m->count, &why) != ST_OK)
    log_write(r->parts.log, LOG_WARNING, "relay", "keys_not_kept",
              FIELDS(F_TEXT("error", why.text)),
              "Ids of a batch could be kept neither in Redis nor on disk");
  free(keys);
  return ST_OK;
}

enum status ledger_take_out(struct relay *r, const struct manifest_entry *e, enum settled *how,
                            struct error *err) {
  struct error hindrance = {0}, refused = {0};
  enum status st = store_done_id(r->parts.store, &e->ref, e->id, how, &hindrance);
  if (st == ST_OK) return ST_OK;
  *how = SETTLED_CHANGED;
  if (store_aside(r->parts.store, &e->ref, e->id, ASIDE_DONE, NULL, &hindrance, &refused) == ST_OK)
    return ST_OK;
  if (err) *err = hindrance;
  error_prefix(err, "%s", refused.text);
  return st;
}

/* A batch that was committed before we came. Every step may be repeated. */
static enum status settle_manifest(struct relay *r, struct manifest_name *name, struct error *err) {
  struct manifest m = {0};
  size_t gone = 0;
  enum status st = manifest_read(r->parts.store, name, &m, err);
  if (st == ST_OK) st = keys_of(r, &m, err);
  for (size_t i = 0; st == ST_OK && i < m.count; i++) {
    enum settled how = SETTLED_GONE;
    st = ledger_take_out(r, &m.entries[i], &how, err);
    gone += st == ST_OK && (how == SETTLED_GONE || how == SETTLED_REUSED);
    if (st == ST_OK && how == SETTLED_REUSED) tell_reused_late(r, &m.entries[i]);
  }
  if (st == ST_OK) st = store_sync(r->parts.store, err);
  if (st == ST_OK) st = store_aside_sync(r->parts.store, err);
  if (st == ST_OK) st = stuck_settle(r, name, err);
  if (st == ST_OK)
    log_write(
        r->parts.log, LOG_INFO, "relay", "recovered",
        FIELDS(F_INT("batch", name->number), F_INT("events", m.count), F_INT("removed", gone)),
        "Batch %llu was committed before the last end: its entries are settled",
        (unsigned long long)name->number);
  manifest_release(&m);
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
      "the file back as it was; or: %s",
      why.text, buffer_z(&next));
  buffer_release(&next);
  return st;
}

/* chain[0] is c; then its predecessors as far as they are there and not settled: settling goes in
 * order, so behind a settled one there is nothing to settle, and it need not be read. Returns how
 * many, 0 on an error. */
static size_t follow(struct publishing *p, struct manifest_name *list, size_t count,
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

/* It is the newest settled one now: of the committed position, or of one that F has still to come
 * to. */
static void note_settled(struct relay *r, const struct manifest_name *name) {
  mutex_lock(&r->lock);
  r->settled = *name;
  mutex_unlock(&r->lock);
}

/* L12. Settle the chain, oldest first; what is not in it was never committed (or is older than the
 * chain) and goes. */
static enum status settle_chain_of(struct publishing *p, struct manifest_name *list, size_t count,
                                   struct error *err) {
  struct relay *r = p->relay;
  struct manifest_name **chain = calloc(count + 1, sizeof *chain);
  if (!chain) return error_set(err, ST_NO_MEMORY, "out of memory");
  size_t n = follow(p, list, count, chain, err);
  enum status st = n ? ST_OK : err->status;
  BUG_ON_RULE(L7, n && strcmp(chain[0]->digest, p->ledger.position.digest) != 0);
  for (size_t i = 1; i < n; i++) BUG_ON_RULE(L12, chain[i]->number + 1 != chain[i - 1]->number);
  for (size_t i = n; st == ST_OK && i-- > 0;)
    if (!chain[i]->settled) st = settle_manifest(r, chain[i], err);
  for (size_t i = 0; st == ST_OK && i < count; i++)
    if (!in_chain(chain, n, &list[i])) st = stuck_remove(r, &list[i], err);
  for (size_t i = 1; st == ST_OK && i < n; i++) st = stuck_remove(r, chain[i], err);
  if (st == ST_OK) note_settled(p->relay, chain[0]);
  free(chain);
  return st;
}

/* ---- cases at start ---- */

enum status ledger_begin_at(struct publishing *p, uint64_t number, struct error *err) {
  struct manifest m = {.number = number};
  struct ledger *l = &p->ledger;
  enum status st = manifest_write(p->relay->parts.store, &m, l->nonce, err);
  if (st != ST_OK) return st;
  l->position.number = (int64_t)number;
  memcpy(l->position.digest, m.digest, sizeof m.digest);
  st = commit_position(p, &l->position, err);
  struct manifest_name name = {.number = number};
  memcpy(name.digest, m.digest, sizeof m.digest);
  if (st == ST_OK) st = stuck_settle(p->relay, &name, err);
  if (st == ST_OK) note_settled(p->relay, &name);
  return st;
}

/* A new outbox, or one whose very first start ended between manifest 0, which names nothing, and
 * its commit. */
static bool forget_first(struct relay *r, struct manifest_name *list, size_t *count,
                         struct error *err) {
  for (size_t i = 0; i < *count; i++)
    if (list[i].number > 0) return false;
  for (size_t i = 0; i < *count; i++)
    if (stuck_remove(r, &list[i], err) != ST_OK) return false;
  *count = 0;
  return true;
}

/* The same position under the topic of the settings, before it is remembered: a crash in between
 * leaves both, of one number and digest, and the next start does this step again. */
static enum status move_ledger(struct publishing *p, const struct standing *s, struct error *err) {
  struct relay *r = p->relay;
  if (!strcmp(s->topic, r->config.ledger_topic)) return ST_OK;
  enum status st = commit_position(p, &p->ledger.position, err);
  relay_point(r, "moved");
  if (st == ST_OK)
    log_write(r->parts.log, LOG_WARNING, "relay", "ledger_moved",
              FIELDS(F_TEXT("topic", r->config.ledger_topic), F_TEXT("was", s->topic),
                     F_INT("batch", s->number)),
              "ledger.topic was changed: batch %" PRId64
              ", settled by the position under %s, stands under %s now",
              s->number, s->topic, r->config.ledger_topic);
  return st;
}

static enum status remember(struct publishing *p, struct error *err) {
  struct relay *r = p->relay;
  struct store_ledger known, now = {0};
  snprintf(now.topic, sizeof now.topic, "%s", r->config.ledger_topic);
  snprintf(now.group, sizeof now.group, "%s", p->ledger.group);
  bool same = store_ledger_read(r->parts.store, &known, NULL) == ST_OK &&
              !strcmp(known.topic, now.topic) && !strcmp(known.group, now.group);
  return same ? ST_OK : store_ledger_write(r->parts.store, &now, err);
}

/* An outbox of 0.1.0, which remembered nothing. */
static void say_found(struct relay *r, const struct standing *s) {
  if (s->remembered || s->number < 1) return;
  log_write(
      r->parts.log, LOG_INFO, "relay", "ledger_found",
      FIELDS(F_TEXT("topic", s->topic), F_INT("batch", s->number)),
      "This outbox did not say which ledger is its own; its group's latest position is batch %" PRId64
      " of the topic %s, whose manifest is here: that one is taken",
      s->number, s->topic);
}

/* One case of the table in ledger.h each. */
static enum status begin(struct publishing *p, const struct standing *s, struct manifest_name *list,
                         size_t count, struct error *err) {
  struct relay *r = p->relay;
  enum status st = ST_OK;
  switch (s->kind) {
  case STANDING_NEW:
    if (!forget_first(r, list, &count, err)) return err->status;
    st = ledger_begin_at(p, 0, err);
    break;
  case STANDING_LOST: st = ledger_lost(p, list, count, err); break;
  case STANDING_HERE:
    say_found(r, s);
    st = settle_chain_of(p, list, count, err);
    if (st == ST_OK) st = move_ledger(p, s, err);
    break;
  case STANDING_RESET:
  case STANDING_BACK:
  case STANDING_COPY: return standing_refuse(s, r->parts.store, err);
  }
  return st == ST_OK ? remember(p, err) : st;
}

static enum ledger_found found_of(enum status st) {
  if (st == ST_OK) return LEDGER_READY;
  return st == ST_INVALID || st == ST_UNSUPPORTED || st == ST_BUSY || st == ST_EXISTS
             ? LEDGER_REFUSED
             : LEDGER_AWAY;
}

static enum ledger_found start(struct publishing *p, const struct standing *s,
                               struct manifest_name *list, size_t count, struct error *err) {
  struct relay *r = p->relay;
  p->ledger.position.number = s->number;
  memcpy(p->ledger.position.digest, s->digest, sizeof s->digest);
  enum status st = begin(p, s, list, count, err);
  if (st != ST_OK) return found_of(st);
  p->ledger.started = true;
  mutex_lock(&r->lock);
  BUG_ON_RULE(L12, r->recovered || r->in_hand);
  r->recovered = true; /* the reader may take entries now */
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  return LEDGER_READY;
}

/* ---- later ---- */

static enum ledger_found compare(struct publishing *p, const struct position *found,
                                 struct error *err) {
  struct ledger *l = &p->ledger;
  bool in_doubt = l->doubt.number > 0;
  if (in_doubt && found->number == (int64_t)l->doubt.number &&
      !strcmp(found->digest, l->doubt.digest)) {
    ledger_committed(p);
    return LEDGER_COMMITTED;
  }
  if (found->number < 0) {
    error_set(
        err, ST_UNAVAILABLE,
        "Kafka holds no position for this outbox any more (was the topic %s made anew?). This run ends; the next "
        "start lets the topics decide",
        l->position.topic);
    return LEDGER_REFUSED;
  }
  if (!manifest_digest_valid(span_of(found->digest))) {
    struct standing s = {.kind = STANDING_RESET, .number = found->number};
    snprintf(s.topic, sizeof s.topic, "%s", l->position.topic);
    snprintf(s.group, sizeof s.group, "%s", l->group);
    standing_refuse(&s, p->relay->parts.store, err);
    return LEDGER_REFUSED;
  }
  if (found->number != l->position.number || strcmp(found->digest, l->position.digest) != 0) {
    error_set(
        err, ST_BUSY,
        "the ledger in Kafka stands at batch %lld, which is not ours: another worker relays this outbox, or a copy of "
        "it. This one ends. If it is a copy beside its original, give it an id of its own: busbridge doctor --new-id "
        "--beside -X 'outbox.url=%s'",
        (long long)found->number, store_url(p->relay->parts.store));
    return LEDGER_REFUSED;
  }
  return found_of(in_doubt ? ledger_forget(p, err) : ST_OK);
}

static enum status make_producer(struct publishing *p, struct error *err) {
  publish_close(p);
  enum status st = publish_open(p, err);
  if (st != ST_OK) return st;
  enum txn_next next;
  while ((next = publisher_init(p->publisher, ANSWER_MS, err)) == TXN_AGAIN &&
         !relay_must_end(p->relay)) {
    publisher_poll(p->publisher, 20);
    watch_link(p);
    publish_status(p);
  }
  return next == TXN_DONE ? ST_OK : ST_UNAVAILABLE;
}

/* A broker that has just come back has been seen to say "none" once, and the right position a
 * second later (Apache Kafka 4.1, killed): an answer behind what was committed before is believed
 * only when it stays. ST_AGAIN: ask again; ST_OK: it stayed. */
static enum status doubt_it(struct publishing *p, int64_t number, int *times, struct error *err) {
  if (++*times >= DOUBTS) return ST_OK;
  if (*times == 1)
    log_write(p->relay->parts.log, LOG_WARNING, "relay", "position_doubted",
              FIELDS(F_INT("batch", number)),
              "Kafka tells a position behind what was committed before; it is asked again");
  if (pause_ms(DOUBT_MS, &p->stop)) return ST_AGAIN;
  return error_set(err, ST_CANCELLED, "stopped while Kafka told a position that is in doubt");
}

static enum ledger_found go_on(struct publishing *p, struct error *err) {
  struct relay *r = p->relay;
  BUG_ON_RULE(L13, !p->publisher);
  struct position found = p->ledger.position;
  enum status st;
  int times = 0;
  do {
    found.number = -1;
    st = cluster_position(&p->client, r->parts.log, ANSWER_MS, &found, err);
    if (st == ST_OK && found.number < p->ledger.position.number)
      st = doubt_it(p, found.number, &times, err);
  } while (st == ST_AGAIN);
  if (st == ST_OK) st = store_check(r->parts.store, err);
  return st == ST_OK ? compare(p, &found, err) : found_of(st);
}

/* "None" where a start was made before is doubted too when only manifest 0 lies here: begun anew at
 * once, and ended before its commit, it would leave the position of the first start without its
 * manifest. */
static enum status find(struct publishing *p, const struct manifest_name *list, size_t count,
                        struct standing *s, struct error *err) {
  struct relay *r = p->relay;
  enum status st;
  int times = 0;
  do {
    st = standing_find(&p->client, r->parts.log, r->parts.store, r->config.ledger_topic,
                       p->ledger.group, ANSWER_MS, list, count, s, err);
    bool none = s->kind == STANDING_LOST || (s->kind == STANDING_NEW && count);
    if (st == ST_OK && none) st = doubt_it(p, s->number, &times, err);
  } while (st == ST_AGAIN);
  return st;
}

static enum ledger_found first_look(struct publishing *p, struct manifest_name **list,
                                    size_t *count, struct error *err) {
  struct standing s;
  BUG_ON_RULE(L13, !p->publisher);
  enum status st = find(p, *list, *count, &s, err);
  if (st == ST_OK) st = store_check(p->relay->parts.store, err);
  if (st != ST_OK) return found_of(st);
  if (s.number < 0) { /* every manifest counts, also one that came after the first look */
    free(*list);
    *list = NULL;
    st = manifest_list(p->relay->parts.store, list, count, err);
    if (st != ST_OK) return found_of(st);
    standing_judge(&s, *list, *count);
  }
  return start(p, &s, *list, *count, err);
}

enum ledger_found ledger_renew(struct publishing *p, struct error *err) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  enum status st = store_check(p->relay->parts.store, err);
  /* Before init: what comes later is the successor's (L13). */
  if (st == ST_OK) st = manifest_list(p->relay->parts.store, &list, &count, err);
  if (st == ST_OK) st = make_producer(p, err);
  enum ledger_found result = st != ST_OK ? found_of(st) : LEDGER_AWAY;
  if (st == ST_OK) result = p->ledger.started ? go_on(p, err) : first_look(p, &list, &count, err);
  free(list);
  return result;
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
  return commit_position(p, &p->ledger.position, err);
}

enum status ledger_settled(struct relay *r, const struct manifest_name *name, struct error *err) {
  enum status st = store_check(r->parts.store, err);
  struct manifest_name before = relay_newest_settled(r), now = *name;
  BUG_ON_RULE(L9, before.number >= now.number);
  if (st == ST_OK) st = stuck_settle(r, &now, err);
  if (st == ST_OK) st = stuck_remove(r, &before, err);
  if (st != ST_OK)
    return st; /* still the older one: the next try removes it, and never the position's own (L9) */
  note_settled(r, &now);
  return ST_OK;
}
