/* kafka.c - a broker as the worker sees it through publisher.h; cluster.c is what it answers to
 * questions.
 *
 * A record, a position and the end of a transaction reach the broker when its clock says so, an
 * answer may be lost, a lost request may come late; of one transactional id a newer epoch fences
 * all that is older. A transaction that lasts too long is aborted and its producer fenced. */
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sim_world world;

const char *fate_word(enum fate fate) {
  static const char *const words[] = {"open", "committed", "aborted"};
  return words[fate];
}

/* ---- the broker ---- */

static struct sim_identity *identity_of(const char *id) {
  size_t i = 0;
  while (i < world.identity_count && strcmp(world.identities[i].id, id) != 0) i++;
  if (i == IDENTITIES) abort();
  if (i == world.identity_count) {
    snprintf(world.identities[i].id, sizeof world.identities[i].id, "%s", id);
    world.identities[i].pending.number = -1;
    world.identity_count++;
  }
  return &world.identities[i];
}

static void commit_position(const struct sim_position *p) {
  size_t i = 0;
  while (i < world.position_count && (strcmp(world.positions[i].topic, p->topic) != 0 ||
                                      strcmp(world.positions[i].group, p->group) != 0))
    i++;
  if (i == world.position_count) world.position_count++;
  world.positions[i] = *p;
}

static void end_transaction(struct sim_identity *of, enum fate fate) {
  if (!of->transaction) return;
  struct buffer ids = {0};
  for (size_t i = 0; i < world.record_count; i++) {
    struct sim_record *r = &world.records[i];
    if (r->transaction != of->transaction) continue;
    r->fate = fate;
    buffer_printf(&ids, " %s/%s", r->id, r->key);
  }
  sim_say("kafka: transaction %llu %s:%s", (unsigned long long)of->transaction, fate_word(fate),
          buffer_z(&ids));
  buffer_release(&ids);
  of->transaction = 0;
  if (fate == COMMITTED && of->pending.number >= 0) commit_position(&of->pending);
  of->pending.number = -1;
}

/* What has happened by itself since the last call. */
void kafka_tick(void) {
  int64_t now = sim_now_ns();
  for (size_t i = 0; i < world.identity_count; i++) {
    struct sim_identity *of = &world.identities[i];
    if (of->late_commit && now >= of->late_ns) {
      of->late_commit = false;
      bool counts = of->late_epoch == of->epoch; /* whatever transaction is open by now */
      sim_say("kafka: a late commit comes%s", counts ? "" : " and is fenced");
      if (counts) end_transaction(of, COMMITTED);
    }
    if (of->transaction && now - of->open_since_ns > world.timeout_ns) {
      sim_say("kafka: a transaction timed out");
      reach(REACHED_TIMED_OUT);
      end_transaction(of, ABORTED);
      of->epoch++;
    }
  }
}

static void open_transaction(struct sim_identity *of) {
  if (of->transaction) return;
  of->transaction = ++world.transactions;
  of->open_since_ns = sim_now_ns();
}

int64_t kafka_position(void) {
  int64_t highest = -1;
  for (size_t i = 0; i < world.position_count; i++)
    if (world.positions[i].number > highest) highest = world.positions[i].number;
  return highest;
}

static int64_t wall_ms(void) {
  return clock_wall_us(&sim_clock) / 1000;
}

static bool lost(unsigned percent) {
  return world.faults.call_lost + world.faults.answer_lost && sim_chance(percent);
}

/* ---- publisher.h ---- */

struct sent {
  struct sent *next;
  void *opaque;
  char id[64], key[64];
  unsigned topic;
  int partition;
  int64_t due_ns;
  bool doomed; /* it is in one record batch with a poisoned one */
};

struct publisher {
  publisher_report_fn report;
  void *ctx;
  struct sent *first, **last;
  size_t in_flight;
  struct sim_identity *of; /* NULL: no transactions */
  int epoch;
  bool begun, unclean, failed, refused, commit_called;
  int64_t down_since_ns; /* -1: it is up, as far as it is known */
};

enum status publisher_open(const struct kafka_config *config, struct log *log,
                           publisher_report_fn report, void *ctx, struct publisher **out,
                           struct error *err) {
  (void)log, (void)err;
  struct publisher *p = calloc(1, sizeof *p);
  if (!p) abort();
  *p = (struct publisher){.report = report,
                          .ctx = ctx,
                          .of = config->transactional_id ? identity_of(config->transactional_id)
                                                         : NULL,
                          .epoch = -1,
                          .down_since_ns = -1};
  p->last = &p->first;
  *out = p;
  return ST_OK;
}

static void drop_all(struct publisher *p) {
  while (p->first) {
    struct sent *s = p->first;
    p->first = s->next;
    free(s);
  }
  p->last = &p->first;
  p->in_flight = 0;
}

void publisher_close(struct publisher *p) {
  if (!p) return;
  drop_all(p);
  free(p);
}

enum status publisher_topic(struct publisher *p, const char *name, unsigned *topic,
                            struct error *err) {
  (void)p, (void)err;
  unsigned i = 0;
  while (i < world.topic_count && strcmp(world.topics[i], name) != 0) i++;
  if (i == world.topic_count)
    snprintf(world.topics[world.topic_count++], sizeof *world.topics, "%s", name);
  *topic = i;
  return ST_OK;
}

static unsigned hash(const char *text) {
  unsigned h = 5381;
  for (; *text; text++) h = h * 33 + (unsigned char)*text;
  return h;
}

enum kafka_fault publisher_send(struct publisher *p, const struct record *record,
                                struct delivery *delivery) {
  struct delivery none;
  if (!delivery) delivery = &none;
  *delivery = (struct delivery){.partition = -1, .offset = -1, .text = ""};
  if (sim_chance(world.faults.queue_full)) {
    reach(REACHED_QUEUE_FULL);
    return KAFKA_QUEUE_FULL;
  }
  if (p->of && (!p->begun || p->failed)) {
    delivery->text = "the transaction failed before";
    return delivery->fault = KAFKA_OTHER;
  }
  struct sent *s = calloc(1, sizeof *s);
  if (!s) abort();
  s->opaque = record->opaque;
  s->topic = record->topic;
  for (size_t i = 0; i < record->header_count; i++)
    if (!strcmp(record->headers[i].name, "ce_id"))
      snprintf(s->id, sizeof s->id, "%.*s", SPAN_ARGS(record->headers[i].value));
  snprintf(s->key, sizeof s->key, "%.*s", SPAN_ARGS(record->key));
  s->partition = (int)(hash(s->key) % PARTITIONS);
  s->due_ns = sim_now_ns() + (int64_t)sim_below(3000000);
  *p->last = s;
  p->last = &s->next;
  p->in_flight++;
  return KAFKA_OK;
}

static bool is_poison(const char *id) {
  return !strncmp(id, "poison", 6);
}

/* Refused for a while from when it is first seen, as of a topic whose configuration is being
 * mended. */
static bool is_flaky(const char *id) {
  if (strncmp(id, "flaky", 5) != 0) return false;
  int64_t *until_ns = &world.flaky_until_ns[strtoul(id + 5, NULL, 10) % FLAKY];
  if (!*until_ns) *until_ns = sim_now_ns() + 1 + (int64_t)sim_below(400000000);
  return sim_now_ns() < *until_ns;
}

static bool is_refused(const char *id) {
  return is_poison(id) || is_flaky(id);
}

static void append(const struct sent *s, uint64_t transaction) {
  if (world.record_count == RECORDS) abort();
  struct sim_record *r = &world.records[world.record_count];
  *r = (struct sim_record){.topic = s->topic,
                           .partition = s->partition,
                           .offset = (int64_t)world.record_count++,
                           .timestamp_ms = wall_ms(),
                           .transaction = transaction,
                           .fate = transaction ? OPEN : COMMITTED};
  memcpy(r->id, s->id, sizeof r->id);
  memcpy(r->key, s->key, sizeof r->key);
}

static void doom_batch(struct publisher *p, const struct sent *poison) {
  for (struct sent *s = p->first; s; s = s->next)
    if (s->topic == poison->topic && s->partition == poison->partition &&
        sim_chance(world.faults.together)) {
      s->doomed = true;
      reach(REACHED_TOGETHER);
    }
}

/* What the broker does with it. */
static enum kafka_fault receive(struct publisher *p, const struct sent *s) {
  if (p->of && p->epoch != p->of->epoch) return KAFKA_FENCED;
  bool refused = is_refused(s->id);
  if (refused) doom_batch(p, s), reach(REACHED_REFUSED);
  if (refused || s->doomed) return KAFKA_RECORD_REFUSED;
  if ((int)s->topic == world.shut_topic) return world.shut_fault;
  if (sim_chance(world.faults.world)) {
    reach(REACHED_WORLD);
    return (enum kafka_fault[]){KAFKA_TIMED_OUT, KAFKA_NOT_ENOUGH_REPLICAS,
                                KAFKA_OTHER}[sim_below(3)];
  }
  if (p->of) open_transaction(p->of);
  append(s, p->of ? p->of->transaction : 0);
  return KAFKA_OK;
}

static void report(struct publisher *p, struct sent *s, enum kafka_fault fault, int64_t offset) {
  struct delivery d = {.fault = fault,
                       .code = fault == KAFKA_OK ? 0 : 87,
                       .text = fault == KAFKA_OK ? "" : kafka_fault_word(fault),
                       .partition = s->partition,
                       .offset = offset};
  p->in_flight--;
  if (fault == KAFKA_RECORD_REFUSED) p->refused = true;
  if (fault != KAFKA_OK && p->of) p->failed = true;
  if (fault != KAFKA_OK && fault != KAFKA_PURGED) p->unclean = p->of;
  p->report(p->ctx, s->opaque, &d);
  free(s);
}

static size_t serve(struct publisher *p) {
  size_t served = 0;
  kafka_tick();
  if (world.kafka_up) p->down_since_ns = -1;
  if (!world.kafka_up && p->down_since_ns < 0) p->down_since_ns = sim_now_ns();
  while (p->first && world.kafka_up && p->first->due_ns <= sim_now_ns()) {
    struct sent *s = p->first;
    p->first = s->next;
    if (!p->first) p->last = &p->first;
    enum kafka_fault fault = receive(p, s);
    report(p, s, fault, fault == KAFKA_OK ? (int64_t)world.record_count - 1 : -1);
    served++;
  }
  return served;
}

size_t publisher_poll(struct publisher *p, int timeout_ms) {
  int64_t until_ns = sim_now_ns() + (int64_t)timeout_ms * 1000000;
  size_t served = serve(p);
  while (!served && sim_now_ns() < until_ns) {
    int64_t left_ns = until_ns - sim_now_ns(),
            due_ns = p->first ? p->first->due_ns - sim_now_ns() : left_ns;
    if (!world.kafka_up) due_ns = 20000000;
    if (due_ns < 1000) due_ns = 1000;
    sim_sleep_ns(due_ns < left_ns ? due_ns : left_ns);
    served = serve(p);
  }
  return served;
}

void publisher_wake_on(struct publisher *p, int event_fd) {
  (void)p, (void)event_fd; /* the relay looks every half second by itself */
}

int64_t publisher_batch_bytes(const struct publisher *p) {
  (void)p;
  return 1000000;
}

size_t publisher_in_flight(const struct publisher *p) {
  return p->in_flight;
}

enum status publisher_flush(struct publisher *p, int timeout_ms) {
  int64_t until_ns = sim_now_ns() + (int64_t)timeout_ms * 1000000;
  while (p->in_flight && sim_now_ns() < until_ns) publisher_poll(p, 10);
  return p->in_flight ? ST_AGAIN : ST_OK;
}

/* What was on its way may still arrive. */
void publisher_abandon(struct publisher *p) {
  if (!p) return;
  for (struct sent *s = p->first; s; s = s->next)
    if (world.kafka_up && !is_refused(s->id) && sim_chance(50) &&
        (!p->of || p->epoch == p->of->epoch)) {
      if (p->of) open_transaction(p->of);
      append(s, p->of ? p->of->transaction : 0);
    }
  drop_all(p);
}

enum publisher_link publisher_link(const struct publisher *p, struct error *text) {
  bool down = p->down_since_ns >= 0 && sim_now_ns() - p->down_since_ns > 1000000000;
  if (down && text) error_set(text, ST_UNAVAILABLE, "all brokers are down");
  return down ? LINK_DOWN : LINK_UP;
}

bool publisher_fatal(const struct publisher *p, struct error *text) {
  (void)p, (void)text;
  return false;
}

/* ---- transactions ---- */

bool kafka_reachable(int64_t most_ms) {
  int64_t until_ns = sim_now_ns() + most_ms * 1000000;
  sim_sleep_ns((int64_t)sim_below(1000000));
  while (!world.kafka_up && sim_now_ns() < until_ns) sim_sleep_ns(20000000);
  kafka_tick();
  return world.kafka_up;
}

enum txn_next publisher_init(struct publisher *p, int timeout_ms, struct error *err) {
  if (!kafka_reachable(timeout_ms) || sim_chance(world.faults.again)) {
    error_set(err, ST_UNAVAILABLE, "nobody answers");
    return TXN_AGAIN;
  }
  if (p->of->transaction) reach(REACHED_RECOVERED);
  end_transaction(p->of, ABORTED);
  p->epoch = ++p->of->epoch;
  p->unclean = p->failed = p->refused = p->begun = p->commit_called = false;
  sim_say("kafka: producer of epoch %d", p->epoch);
  return TXN_DONE;
}

enum txn_next publisher_begin(struct publisher *p, struct error *err) {
  serve(p);
  if (p->unclean) {
    error_set(err, ST_UNAVAILABLE, "not clean");
    return TXN_RENEW;
  }
  p->begun = true;
  world.unanswered = p->failed = p->refused = p->commit_called = false;
  return TXN_DONE;
}

static enum txn_next fenced(struct publisher *p, struct error *err) {
  reach(REACHED_FENCED);
  p->unclean = true;
  error_set(err, ST_UNAVAILABLE, "fenced");
  return TXN_FENCED;
}

static enum txn_next unknown(struct publisher *p, struct error *err) {
  p->unclean = true;
  error_set(err, ST_UNAVAILABLE, "no answer came");
  return TXN_RENEW;
}

enum txn_next publisher_position(struct publisher *p, const struct position *position,
                                 struct error *err) {
  if (!kafka_reachable(20) || sim_chance(world.faults.again)) return TXN_AGAIN;
  if (p->epoch != p->of->epoch) return fenced(p, err);
  if (p->failed) {
    error_set(err, ST_UNAVAILABLE, "a record failed");
    return TXN_ABORT;
  }
  if (lost(world.faults.call_lost)) return unknown(p, err);
  open_transaction(p->of);
  struct sim_position *pending = &p->of->pending;
  pending->number = position->number;
  snprintf(pending->topic, sizeof pending->topic, "%s", position->topic);
  snprintf(pending->group, sizeof pending->group, "%s", position->group);
  memcpy(pending->digest, position->digest, sizeof pending->digest);
  return lost(world.faults.answer_lost) ? unknown(p, err) : TXN_DONE;
}

enum txn_next publisher_commit(struct publisher *p, struct error *err) {
  p->commit_called = true;
  while (!kafka_reachable(1000)) continue;
  if (p->epoch != p->of->epoch) return fenced(p, err);
  p->begun = false;
  world.unanswered = true;
  if (lost(world.faults.call_lost)) {
    reach(REACHED_COMMIT_LOST);
    if (sim_chance(world.faults.late)) {
      reach(REACHED_COMMIT_LATE);
      p->of->late_commit = true;
      p->of->late_epoch = p->epoch;
      p->of->late_ns = sim_now_ns() + (int64_t)sim_below(3000000000);
    }
    return unknown(p, err);
  }
  end_transaction(p->of, COMMITTED);
  if (!lost(world.faults.answer_lost)) {
    sim_step("a commit is answered");
    world.unanswered = false;
    return TXN_DONE;
  }
  reach(REACHED_COMMIT_UNKNOWN);
  return unknown(p, err);
}

enum txn_next publisher_abort(struct publisher *p, struct error *err) {
  while (p->first) {
    struct sent *s = p->first;
    p->first = s->next;
    if (!p->first) p->last = &p->first;
    report(p, s, KAFKA_PURGED, -1);
  }
  if (p->commit_called || p->refused || p->unclean) return unknown(p, err);
  if (!kafka_reachable(20)) return TXN_AGAIN;
  if (p->epoch != p->of->epoch) return fenced(p, err);
  if (lost(world.faults.call_lost)) return unknown(p, err);
  end_transaction(p->of, ABORTED);
  p->begun = p->failed = false;
  return lost(world.faults.answer_lost) ? unknown(p, err) : TXN_DONE;
}

bool publisher_clean(const struct publisher *p) {
  return !p->unclean;
}
