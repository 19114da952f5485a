/* Exactly once: a prepared batch in a transaction that also carries its position in the ledger.
 *
 *   filter   entries whose key or topic waits go back as held
 *   write    the manifest, number c + 1, durable (ledger.c)
 *   begin    ... send ... all reports in ... position ... commit
 *
 * A refusal seen before the commit was called: abort, the manifest goes, the culprits are taken out
 * and the rest goes again under the same number. Several that were refused together: those of their
 * topics go on beside the flow, in small_groups.c. Anything unclear: a new producer, and the ledger
 * tells. Once the commit was called, nothing but the ledger decides (L5). PROTOCOL.md 2 has each
 * case.
 * The publisher's thread; PROTOCOL.md 5 says what a crash leaves. */
#include "bridge/relay/publish/publish.h"

enum attempt {
  ATTEMPT_COMMITTED,
  ATTEMPT_FAULTY, /* aborted: item->fault says who is to blame */
  ATTEMPT_DENIED, /* aborted: no right to one of its topics */
  ATTEMPT_CUT,    /* not begun: its manifest would be too large, so it is to go in parts */
  ATTEMPT_GONE,   /* not begun: some of them are not in the outbox any more, and marked so */
  ATTEMPT_AGAIN,  /* not committed, nobody to blame */
  ATTEMPT_STOP
};
enum { MARKERS_MS = 4 };

/* The fate of the batch in doubt. Stopped: its entries are given back as held, which sends nothing:
 * the reader takes nothing more, and the next start finds the manifest and asks the ledger. */
static enum attempt look_up(struct publishing *p) {
  switch (renew_until_known(p)) {
  case LEDGER_READY: return ATTEMPT_AGAIN;
  case LEDGER_COMMITTED: return ATTEMPT_COMMITTED;
  case LEDGER_REFUSED:
  case LEDGER_AWAY: break;
  }
  return ATTEMPT_STOP;
}

/* ---- the manifest ---- */

static size_t count_twins(const struct item *item) {
  size_t n = 0;
  for (const struct item *twin = item->twins; twin; twin = twin->next) n++;
  return n;
}

static struct manifest_entry entry_of(const struct relay *r, const struct item *item,
                                      const struct item *head) {
  return (struct manifest_entry){.ref = item->ref,
                                 .id = item->id,
                                 .topic =
                                     span_of(routing_topic_name(r->parts.routing, head->topic)),
                                 .key = item == head ? head->key : SPAN(""),
                                 .event_time = head->event_time,
                                 .duplicate = item != head};
}

/* The entries with the twins known by now; NULL when memory is out. */
static struct manifest_entry *list_entries(struct relay *r, struct item **items, size_t count,
                                           size_t *total) {
  size_t n = 0, most = count;
  mutex_lock(&r->lock);
  for (size_t i = 0; i < count; i++) most += count_twins(items[i]);
  struct manifest_entry *list = malloc((most + 1) * sizeof *list);
  for (size_t i = 0; list && i < count; i++) {
    list[n++] = entry_of(r, items[i], items[i]);
    for (const struct item *twin = items[i]->twins; twin; twin = twin->next)
      list[n++] = entry_of(r, twin, items[i]);
  }
  if (list) list[n] = (struct manifest_entry){0}; /* whole_items looks at it */
  mutex_unlock(&r->lock);
  *total = n;
  return list;
}

/* How many items, each with its twins, are among the first `fit` of these entries. */
static size_t whole_items(const struct manifest_entry *list, size_t fit) {
  size_t n = 0;
  for (size_t i = 1; i <= fit; i++) n += !list[i].duplicate;
  return n;
}

/* Those whose entry is missing: marked. */
static size_t mark_missing(struct item **items, size_t count, const struct manifest_entry *list) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++, list++) {
    while (list->duplicate) list++;
    items[i]->missing = list->missing;
    n += list->missing;
  }
  return n;
}

/* One try. ST_TOO_LARGE: *part of the items fit. The twins of a single one that do not fit are left
 * out, as those that come while it is with Kafka are: they are settled with it, but a crash before
 * that makes them look like new ones. *gone: so many of the items are missing. */
static enum status try_manifest(struct publishing *p, struct item **items, size_t count,
                                size_t *part, size_t *gone, struct error *err) {
  size_t total = 0, fit = 0;
  struct manifest_entry *list = list_entries(p->relay, items, count, &total);
  if (!list) return error_set(err, ST_NO_MEMORY, "out of memory for a manifest");
  enum status st = ledger_write(p, list, total, &fit, err);
  if (st == ST_TOO_LARGE && count == 1) st = ledger_write(p, list, fit, &fit, err);
  if (st == ST_TOO_LARGE) *part = whole_items(list, fit);
  if (st == ST_TOO_LARGE && !*part) *part = 1;
  *gone = st == ST_NOT_FOUND ? mark_missing(items, count, list) : 0;
  free(list);
  return st;
}

/* ATTEMPT_COMMITTED: it is written. ATTEMPT_CUT: *part of the items would fit. ATTEMPT_GONE: some
 * are not there. */
static enum attempt write_manifest(struct publishing *p, struct item **items, size_t count,
                                   size_t *part) {
  struct relay *r = p->relay;
  struct error err = {0};
  enum status st;
  size_t gone;
  while ((st = try_manifest(p, items, count, part, &gone, &err)) != ST_OK && st != ST_TOO_LARGE) {
    if (gone) {
      log_write(r->parts.log, LOG_WARNING, "relay", "events_gone",
                FIELDS(F_INT("events", (int64_t)gone), F_TEXT("error", err.text)),
                "Events that were taken up are gone from the outbox; nothing is published of them");
      break;
    }
    if (st == ST_BUSY) { /* it is another's: no disk is to blame, and nothing is waited for */
      relay_fail(r, ST_BUSY, err.text);
      return ATTEMPT_STOP;
    }
    disk_trouble(r, DISK_WRITING, &err);
    if (!renew_pause(r, RENEW_DISK_MS)) return ATTEMPT_STOP;
  }
  disk_works(r, DISK_WRITING);
  return st == ST_OK ? ATTEMPT_COMMITTED : st == ST_TOO_LARGE ? ATTEMPT_CUT : ATTEMPT_GONE;
}

/* ---- one transaction ---- */

static void note_renewal(struct publishing *p, const char *step, const struct error *err) {
  p->renew = true;
  log_write(p->relay->parts.log, LOG_WARNING, "relay", "producer_renewed",
            FIELDS(F_TEXT("step", step), F_TEXT("error", err->text)),
            "A transaction could not go on; a new producer looks where the ledger stands");
}

/* One round of waiting for Kafka; an outage is told meanwhile. False: draining is over. */
static bool wait_on(struct publishing *p, int ms) {
  publisher_poll(p->publisher, ms);
  watch_link(p);
  publish_status(p);
  return !relay_must_end(p->relay);
}

/* While P is in a call that has no timeout F serves what librdkafka has to say: that the brokers
 * are away, for one. Nothing is in flight then, so no report can come to F. */
static void begin_call(struct publishing *p) {
  struct relay *r = p->relay;
  bool quiet = publisher_in_flight(p->publisher) == 0;
  mutex_lock(&r->lock);
  BUG_ON(r->call.publisher);
  r->call = (struct call){
      .publisher = p->publisher, .since_ms = clock_mono_ms(r->parts.clock), .quiet = quiet};
  mutex_unlock(&r->lock);
}

static void end_call(struct publishing *p) {
  struct relay *r = p->relay;
  mutex_lock(&r->lock); /* F is not in the middle of it */
  if (r->call.told) status_breaker(r, "kafka", p->kafka.state, p->kafka.reason, "");
  r->call = (struct call){0};
  mutex_unlock(&r->lock);
}

/* The broker answers, at last, with what? Repeats what asks for it; TXN_AGAIN: draining is over. */
static enum txn_next call_until_answered(struct publishing *p, const char *name,
                                         enum txn_next (*call)(struct publisher *, struct error *),
                                         struct error *err) {
  enum txn_next next;
  begin_call(p);
  while ((next = call(p->publisher, err)) == TXN_AGAIN && wait_on(p, 20)) continue;
  end_call(p);
  if (next == TXN_RENEW || next == TXN_FENCED) note_renewal(p, name, err);
  return next;
}

static enum txn_next send_position(struct publishing *p, struct error *err) {
  struct position position = ledger_next(p);
  enum txn_next next;
  begin_call(p);
  while ((next = publisher_position(p->publisher, &position, err)) == TXN_AGAIN && wait_on(p, 20))
    continue;
  end_call(p);
  if (next == TXN_RENEW || next == TXN_FENCED) note_renewal(p, "position", err);
  return next;
}

/* False: draining is over before all are handed over; they must not be committed. */
static bool send_all(struct publishing *p, struct item **items, size_t count) {
  for (size_t i = 0; i < count; i++)
    items[i]->fault = KAFKA_OK; /* of all: those of an earlier try say nothing */
  for (size_t i = 0; i < count; i++) {
    while (!publish_item(p, items[i]))
      if (!wait_on(p, 10)) return false;
    if (items[i]->fault != KAFKA_OK)
      return true; /* it would be missing: no need to send the others */
  }
  return true;
}

/* What the reports say of the transaction: nothing, that some events or topics are to blame, or
 * only that it failed. */
enum reports { REPORTS_FINE, REPORTS_BLAME, REPORTS_FAILED };

static enum reports reports_of(struct item **items, size_t count) {
  enum reports all = REPORTS_FINE;
  for (size_t i = 0; i < count; i++) {
    enum blame whose = verdict_of_fault((enum kafka_fault)items[i]->fault);
    if (whose == BLAME_WORLD)
      all = REPORTS_FAILED; /* also what librdkafka gave up because of another one */
    else if (whose != BLAME_NOBODY)
      return REPORTS_BLAME;
  }
  return all;
}

enum { LATE_ROUNDS = 20 };

/* Until all reports are in, or one that names somebody: librdkafka then holds back what it has not
 * sent yet, and its reports would come with message.timeout.ms only. Where they only say that it
 * failed, one that does is waited for a little. False: draining is over. */
static bool await_reports(struct publishing *p, struct item **items, size_t count,
                          enum reports *reports) {
  for (unsigned late = 0;; late += *reports == REPORTS_FAILED) {
    *reports = reports_of(items, count);
    if (!publisher_in_flight(p->publisher) || *reports == REPORTS_BLAME || late == LATE_ROUNDS)
      return true;
    if (!wait_on(p, 50)) return false;
  }
}

/* Aborted, and nothing of it is left: the manifest goes. */
static enum attempt undo(struct publishing *p, enum attempt then) {
  struct error err = {0};
  BUG_ON_RULE(L5, p->ledger.asked);
  p->aborting = true;
  enum txn_next next = call_until_answered(p, "abort", publisher_abort, &err);
  while (publisher_in_flight(p->publisher) && next == TXN_DONE) publisher_poll(p->publisher, 50);
  p->aborting = false;
  if (next == TXN_DONE && publisher_clean(p->publisher) && ledger_forget(p, &err) == ST_OK)
    return then;
  enum attempt found = look_up(p); /* it cannot have been committed: then */
  return found == ATTEMPT_AGAIN ? then : found;
}

/* The broker marks the end of a transaction in its partitions after it has answered the commit. One
 * that begins before that is refused (CONCURRENT_TRANSACTIONS), and librdkafka asks again only 20
 * ms later: these few are quicker. */
static void await_markers(struct publishing *p) {
  int64_t until = p->ledger.committed_ms + MARKERS_MS;
  for (int64_t left; (left = until - clock_mono_ms(p->relay->parts.clock)) > 0;)
    publisher_poll(p->publisher, (int)left);
}

/* ATTEMPT_AGAIN: nothing of it was committed, err may say why. ATTEMPT_CUT: *part of the items may
 * go together. */
static enum attempt attempt(struct publishing *p, struct item **items, size_t count, size_t *part,
                            struct error *err) {
  struct relay *r = p->relay;
  if (relay_must_end(r) || p->ledger.doubt.number) /* the one before stopped: this run ends */
    return ATTEMPT_STOP;
  if (!publisher_clean(p->publisher)) { /* a late EndTxn may be under way: L6 */
    note_renewal(p, "begin", err);
    if (look_up(p) == ATTEMPT_STOP) return ATTEMPT_STOP;
  }
  enum attempt written = write_manifest(p, items, count, part);
  if (written != ATTEMPT_COMMITTED) return written;
  await_markers(p);
  BUG_ON_RULE(L6, p->renew);
  relay_point(r, "begin");
  if (call_until_answered(p, "begin", publisher_begin, err) != TXN_DONE) return look_up(p);
  if (!send_all(p, items, count))
    return ATTEMPT_STOP; /* never committed: the next start aborts it */
  relay_point(r, "produced");
  enum reports reports = REPORTS_FINE;
  if (!await_reports(p, items, count, &reports)) return ATTEMPT_STOP;
  if (reports == REPORTS_BLAME) {
    p->smaller = topic_batches_refused(p, items, count);
    return undo(p, ATTEMPT_FAULTY); /* with a producer that is made anew */
  }
  enum txn_next next =
      send_position(p, err); /* where the reports only say that it failed, this says why */
  relay_point(r, "position");
  if (next == TXN_ABORT || (next == TXN_DONE && reports != REPORTS_FINE)) {
    bool denied = reports == REPORTS_FAILED && err->status == ST_DENIED;
    return undo(p, denied ? ATTEMPT_DENIED : ATTEMPT_AGAIN);
  }
  if (next != TXN_DONE) return look_up(p);
  BUG_ON_RULE(L4, reports_of(items, count) != REPORTS_FINE);
  ledger_asked(p);
  relay_point(r, "before_commit");
  next = call_until_answered(p, "commit", publisher_commit, err);
  relay_point(r, "after_commit");
  if (next != TXN_DONE) return look_up(p); /* never an abort from here on */
  ledger_committed(p);
  return ATTEMPT_COMMITTED;
}

/* ---- a batch ---- */

static void give_back(struct publishing *p, struct item *item) {
  if (p->small_groups.trying) small_groups_gave_back(p, item);
  item->outcome = OUTCOME_HELD;
  chain_push(&p->done_first, &p->done_last, item);
}

/* Those that may go now stay in items; the others go back as held. */
static size_t filter(struct publishing *p, struct item **items, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (may_pass(p, items[i]) && (p->small_groups.trying || !small_groups_holds(p, items[i])))
      items[kept++] = items[i];
    else
      give_back(p, items[i]);
  }
  return kept;
}

/* The others stay, in their order. What is out of hand is not found again, since it is not there; a
 * twin of it may be. */
static size_t leave_out_gone(struct publishing *p, struct item **items, size_t count) {
  size_t kept = 0, twins = 0;
  mutex_lock(&p->relay->lock);
  for (size_t i = 0; i < count; i++) twins += items[i]->missing && items[i]->twins;
  mutex_unlock(&p->relay->lock);
  for (size_t i = 0; i < count; i++)
    if (items[i]->missing)
      give_back(p, items[i]);
    else
      items[kept++] = items[i];
  BUG_ON(kept == count);
  if (twins) store_rescan_settled(p->relay->parts.store);
  return kept;
}

static void committed(struct publishing *p, struct item **items, size_t count,
                      struct manifest_name *name) {
  static const struct delivery acknowledged = {.fault = KAFKA_OK, .text = ""};
  BUG_ON_RULE(L8, p->ledger.doubt.number || p->ledger.position.number < 1);
  *name = (struct manifest_name){.number = (uint64_t)p->ledger.position.number};
  memcpy(name->digest, p->ledger.position.digest, sizeof name->digest);
  items[count - 1]->closes = name;
  for (size_t i = 0; i < count; i++) judge_item(p, items[i], &acknowledged);
  push_done(p);
}

static void give_all_back(struct publishing *p, struct item **items, size_t count) {
  for (size_t i = 0; i < count; i++) give_back(p, items[i]);
}

static bool send_range(struct publishing *p, struct item **items, size_t count);

/* The second part waits for the verdict on the first. */
static bool send_parts(struct publishing *p, struct item **items, size_t middle, size_t count) {
  if (send_range(p, items, middle)) return send_range(p, items + middle, count - middle);
  give_all_back(p, items + middle, count - middle);
  return false;
}

/* Nothing was committed, so no door was tried: else a probe that was aborted for another's sake
 * would keep its door waiting for a verdict for ever. */
static void probes_undone(struct publishing *p) {
  breaker_unsent(&p->kafka);
  for (unsigned i = 0; i < routing_topics(p->relay->parts.routing); i++)
    breaker_unsent(&p->topics[i]);
}

/* The ledger's topic was deleted beside us: nothing was committed, so the position is known all the
 * same, and goes under the topic once it is there again. librdkafka has asked for it in vain for 15
 * s by then: no further try before.
 */
static void repair_ledger(struct publishing *p, const struct error *err) {
  log_write(
      p->relay->parts.log, LOG_WARNING, "relay", "topic_missing",
      FIELDS(F_TEXT("topic", p->relay->config.ledger_topic), F_TEXT("error", err->text)),
      "The ledger's topic is gone, so that no batch can be committed; it is looked after again");
  p->topics_ready = false;
  p->topics_due_ms = 0;
  topics_prepare(p);
}

/* It came to nothing, and it was nobody's fault: some quick tries, then the door closes and all
 * goes back as held. What a start looks after (the ledger's topic) is looked after again. False:
 * stop. */
static bool try_again(struct publishing *p, unsigned *tries, const struct error *err) {
  struct relay *r = p->relay;
  struct relay_tuning tuning = relay_tuning_now(r);
  if (err->status == ST_NOT_FOUND && *err->text) repair_ledger(p, err);
  if (++*tries <= tuning.max_retries)
    return renew_pause(r, backoff_delay_ms(&tuning.quick, *tries, r->parts.clock));
  static const struct error in_vain = {.status = ST_UNAVAILABLE,
                                       .text = "transactions come to nothing"};
  kafka_trouble(p, *err->text ? err : &in_vain, 0);
  p->topics_ready = false;
  return true;
}

/* False: stop; what has no verdict was given back. */
static bool send_range(struct publishing *p, struct item **items, size_t count) {
  unsigned tries = 0;
  while ((count = filter(p, items, count)) > 0) {
    struct error err = {0};
    size_t middle = count, before = count;
    /* In front of the attempt: once it is committed nothing may fail. */
    struct manifest_name *name = arena_alloc(&items[count - 1]->batch->arena, sizeof *name);
    enum attempt how = name ? attempt(p, items, count, &middle, &err) : ATTEMPT_STOP;
    if (how == ATTEMPT_COMMITTED) {
      committed(p, items, count, name);
      return true;
    }
    probes_undone(p);
    if (how == ATTEMPT_FAULTY && p->smaller) continue;
    if (how == ATTEMPT_GONE) {
      count = leave_out_gone(p, items, count);
      continue;
    }
    if (how == ATTEMPT_FAULTY) count = culprits_take_out(p, items, count, &middle);
    if (how == ATTEMPT_DENIED && (middle = culprits_part_topics(items, count)) == count) {
      culprits_deny(p, items, count);
      return true;
    }
    bool in_vain =
        how == ATTEMPT_AGAIN || (how == ATTEMPT_FAULTY && count == before && middle == count);
    if (how == ATTEMPT_STOP || (in_vain && !try_again(p, &tries, &err))) {
      give_all_back(p, items, count);
      return false;
    }
    if (middle < count && how == ATTEMPT_FAULTY && count > 1) {
      count = culprits_set_apart(p, items, count);
      continue;
    }
    if (how == ATTEMPT_CUT && middle < count &&
        p->small_groups.trying) { /* the rest behind what may yet come back of this */
      small_groups_back(p, items + middle, count - middle, middle);
      count = middle;
      continue;
    }
    if (middle < count && count > 1) return send_parts(p, items, middle ? middle : 1, count);
  }
  return true;
}

bool transact_group(struct publishing *p, struct item **items, size_t count) {
  return send_range(p, items, count);
}

/* Entries of the prepared batch that are to be sent; the others go to the finisher. */
static size_t collect(struct publishing *p, struct item **items, size_t most) {
  size_t n = 0;
  struct item *item;
  while (n < most && (item = next_item(p)) && (n == 0 || item->batch == items[0]->batch)) {
    bool alone = item->outcome == OUTCOME_SEND && item->suspected;
    if (alone && n > 0) return n; /* the next transaction's, by itself */
    p->position++;
    if (alone) {
      items[n++] = item;
      return n;
    }
    if (item->outcome == OUTCOME_SEND && small_groups_divert(p, item)) continue;
    if (item->outcome == OUTCOME_WAITS) key_waits(p, item);
    if (item->outcome == OUTCOME_DEAD) holds_add(p->relay, item);
    if (item->outcome == OUTCOME_SEND)
      items[n++] = item;
    else if (item->outcome != OUTCOME_TWIN)
      chain_push(&p->done_first, &p->done_last, item);
  }
  return n;
}

void transact_next(struct publishing *p) {
  struct item *first = next_item(p);
  if (!first && !small_groups_idle(p)) return;
  if (!first) {
    struct error err = {0};
    if (ledger_refresh(p, &err) != ST_OK) note_renewal(p, "refresh", &err);
    return;
  }
  size_t most = first->batch->count;
  struct item **items = malloc(most * sizeof *items);
  if (!items) return; /* out of memory: the next round tries again */
  size_t count = collect(p, items, most);
  push_done(p);
  send_range(p, items, count);
  push_done(p);
  free(items);
}
