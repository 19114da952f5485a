/* A new producer, by the steps of PROTOCOL.md 4: at the first start of a run each case of the table
 * in ledger.h, later in it a comparison with what the relay knows. The publisher's thread.
 * PROTOCOL.md 5 says what a crash leaves. */
#include "bridge/relay/ledger/ledger.h"

#include "bridge/relay/ledger/standing.h"
#include "bridge/relay/parts.h"

#include <inttypes.h>

_Static_assert(sizeof((struct position *)0)->digest == sizeof((struct standing *)0)->digest,
               "what is found fits a position");

enum { ANSWER_MS = 10000, DOUBTS = 10, DOUBT_MS = 500 };

static enum ledger_found found_of(enum status st) {
  if (st == ST_OK) return LEDGER_READY;
  return st == ST_INVALID || st == ST_UNSUPPORTED || st == ST_BUSY || st == ST_EXISTS
             ? LEDGER_REFUSED
             : LEDGER_AWAY;
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
  if (sleep_ms(DOUBT_MS, &p->stop)) return ST_AGAIN;
  return error_set(err, ST_CANCELLED, "stopped while Kafka told a position that is in doubt");
}

/* ---- the first start of a run ---- */

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
  enum status st = ledger_commit_position(p, &p->ledger.position, err);
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

static enum status remember_position(struct publishing *p, struct error *err) {
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
  log_write(r->parts.log, LOG_INFO, "relay", "ledger_found",
            FIELDS(F_TEXT("topic", s->topic), F_INT("batch", s->number)),
            "This outbox did not say which ledger is its own; its group's latest position "
            "is batch %" PRId64 " of the topic %s, whose manifest is here: that one is taken",
            s->number, s->topic);
}

/* One case of the table in ledger.h each. */
static enum status begin_case(struct publishing *p, const struct standing *s,
                              struct manifest_name *list, size_t count, struct error *err) {
  struct relay *r = p->relay;
  enum status st = ST_OK;
  switch (s->kind) {
  case STANDING_NEW:
    if (!forget_first(r, list, &count, err)) return err->status;
    st = ledger_begin_at(p, 0, err);
    break;
  case STANDING_LOST: st = ledger_lost(p, list, count, err); break;
  case STANDING_WENT_BACK: st = ledger_went_back(p, list, count, err); break;
  case STANDING_HERE:
    say_found(r, s);
    st = ledger_settle_chain(p, list, count, err);
    if (st == ST_OK) st = move_ledger(p, s, err);
    break;
  case STANDING_RESET:
  case STANDING_BACK:
  case STANDING_COPY: return standing_refuse(s, r->parts.store, err);
  }
  return st == ST_OK ? remember_position(p, err) : st;
}

static enum ledger_found start(struct publishing *p, const struct standing *s,
                               struct manifest_name *list, size_t count, struct error *err) {
  struct relay *r = p->relay;
  p->ledger.position.number = s->number;
  memcpy(p->ledger.position.digest, s->digest, sizeof s->digest);
  enum status st = begin_case(p, s, list, count, err);
  if (st != ST_OK) return found_of(st);
  p->ledger.started = true;
  mutex_lock(&r->lock);
  BUG_ON_RULE(L12, r->recovered || r->in_hand);
  r->recovered = true; /* the reader may take entries now */
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  return LEDGER_READY;
}

/* "None" where a start was made before is doubted too when only manifest 0 lies here: begun anew at
 * once, and ended before its commit, it would leave the position of the first start without its
 * manifest. */
static enum status find_case(struct publishing *p, const struct manifest_name *list, size_t count,
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
  enum status st = find_case(p, *list, *count, &s, err);
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

/* ---- later in it ---- */

static enum ledger_found compare_position(struct publishing *p, const struct position *found,
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
        "Kafka holds no position for this outbox any more (was the topic %s made anew?). This run "
        "ends; the next start lets the topics decide",
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
        "the ledger in Kafka stands at batch %lld, which is not ours: another worker relays this "
        "outbox, or a copy of it. This one ends. If it is a copy beside its original, give it an "
        "id of its own: busbridge doctor --new-id --beside -X 'outbox.url=%s'",
        (long long)found->number, store_url(p->relay->parts.store));
    return LEDGER_REFUSED;
  }
  return found_of(in_doubt ? ledger_forget(p, err) : ST_OK);
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
  return st == ST_OK ? compare_position(p, &found, err) : found_of(st);
}

/* ---- the steps ---- */

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
