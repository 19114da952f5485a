/* The doors in front of Kafka and of each topic: closed by what a report says of the world or of a
 * topic, tried by a probe, opened by what gets through; and the keys that wait. The publisher's
 * thread.
 * A crash leaves nothing: doors are closed anew by what closed them. */
#include "bridge/relay/publish/publish.h"

enum { WAITING_MOST = 100000 };
static const struct backoff topic_wait = {.base_ms = 1000, .max_ms = 30000, .jitter_ms = 250};

static const char *topic_name(const struct relay *r, unsigned topic) {
  return routing_topic_name(r->parts.routing, topic);
}

static void show_door(struct relay *r, const char *target, const struct breaker *b,
                      const char *remedy) {
  mutex_lock(&r->lock);
  status_breaker(r, target, b->state, b->reason, remedy);
  mutex_unlock(&r->lock);
}

/* ---- they close ---- */

void topic_trouble(struct publishing *p, unsigned topic, const struct delivery *d) {
  struct relay *r = p->relay;
  char remedy[400], words[256];
  struct breaker *b = &p->topics[topic];
  if (b->state == BREAKER_OPEN) return; /* others that were under way with the first one */
  if (d->fault == KAFKA_CLOCK)
    clock_words(p, d->text, words, sizeof words);
  else
    snprintf(words, sizeof words, "%s", d->text);
  bool first = breaker_trouble(b, &topic_wait, r->parts.clock, words);
  topic_remedy(r, topic, d->fault, remedy, sizeof remedy);
  show_door(r, topic_name(r, topic), b, remedy);
  if (first)
    log_write(r->parts.log, LOG_ERROR, "relay", "topic_unavailable",
              FIELDS(F_TEXT("topic", topic_name(r, topic)), F_INT("error_code", d->code),
                     F_TEXT("error", words)),
              "Events of this topic wait, the others go on. %s", remedy);
}

void kafka_trouble(struct publishing *p, const struct error *why, int code) {
  struct relay *r = p->relay;
  struct relay_tuning tuning = relay_tuning_now(r);
  char remedy[400];
  bool first = breaker_trouble(&p->kafka, &tuning.quick, r->parts.clock, why->text);
  kafka_remedy((enum kafka_cause)why->cause, &p->client, r->config.ledger_topic, remedy,
               sizeof remedy);
  show_door(r, "kafka", &p->kafka, remedy);
  if (first)
    log_write(r->parts.log, LOG_ERROR, "relay", "kafka_unavailable",
              FIELDS(F_INT("error_code", code), F_TEXT("error", why->text)),
              "Kafka does not take records; everything stays pending and goes on by itself. %s",
              remedy);
}

void delivery_trouble(struct publishing *p, const struct delivery *d) {
  struct error why = {0};
  error_set(&why, ST_UNAVAILABLE, "%s", d->text);
  why.cause = kafka_cause_of(d->code, d->text);
  kafka_trouble(p, &why, d->code);
}

/* ---- they open ---- */

/* What went back as held comes again, in front of what is newer. */
uint64_t order_scan(struct relay *r) {
  uint64_t generation = store_rescan_settled(r->parts.store);
  mutex_lock(&r->lock);
  r->order_scan = generation;
  mutex_unlock(&r->lock);
  return generation;
}

static void door_opens(struct relay *r, struct breaker *b, const char *target) {
  if (b->state == BREAKER_CLOSED) return;
  breaker_reopen(b, order_scan(r));
  show_door(r, target, b, "");
  log_write(r->parts.log, LOG_INFO, "relay", "breaker_closed", FIELDS(F_TEXT("target", target)),
            "%s takes records again", target);
}

void kafka_worked(struct publishing *p) {
  door_opens(p->relay, &p->kafka, "kafka");
}

void topic_worked(struct publishing *p, unsigned topic) {
  kafka_worked(p);
  door_opens(p->relay, &p->topics[topic], topic_name(p->relay, topic));
}

static void tick_breaker(struct publishing *p, struct breaker *b, const char *target,
                         unsigned topic, bool idle) {
  struct relay *r = p->relay;
  if (breaker_due(b, r->parts.clock)) {
    if (b != &p->kafka) topic_create(p, topic);
    breaker_probe(b, order_scan(r));
    show_door(r, target, b, "A probe is under way");
  } else if (b->state == BREAKER_PROBING && !b->probe_sent && idle &&
             store_scanned(r->parts.store, b->from)) {
    door_opens(r, b, target); /* nothing is left to try it with */
  }
}

void doors_tick(struct publishing *p) {
  struct relay *r = p->relay;
  mutex_lock(&r->lock);
  bool idle = r->in_hand == 0;
  mutex_unlock(&r->lock);
  tick_breaker(p, &p->kafka, "kafka", 0, idle);
  for (unsigned i = 0; i < routing_topics(r->parts.routing); i++)
    tick_breaker(p, &p->topics[i], topic_name(r, i), i, idle);
}

/* ---- who may pass ---- */

static bool waits_for_id(const struct item *item) {
  return item->outcome == OUTCOME_WAITS && item->written;
}

enum { ID_KEY = 1 + sizeof(struct schema_id *) };

/* Who waits for an id and has no key of its own waits for that id, one a type and topic; all wait
 * for the topic once there are very many keys. */
static struct span key_of(const struct relay *r, const struct item *item, char room[ID_KEY]) {
  bool many = waiting_count(&r->waiting) >= WAITING_MOST;
  if (!waits_for_id(item)) return item->key;
  if (many) return (struct span){"", 0};
  if (!span_eq(item->key, item->id)) return item->key;
  room[0] = '\0';
  memcpy(room + 1, &item->written, sizeof item->written);
  return (struct span){room, ID_KEY};
}

void key_waits(struct publishing *p, const struct item *item) {
  struct relay *r = p->relay;
  char room[ID_KEY];
  if (waits_for_id(item)) p->types_due_ms = 0; /* before it goes back its type is shown */
  mutex_lock(&r->lock);
  struct span key = key_of(r, item, room);
  if (!waiting_add(&r->waiting, item->topic, key, item->ref.label, item->generation))
    log_write(r->parts.log, LOG_WARNING, "relay", "key_not_held", FIELDS(F_SPAN("id", item->id)),
              "Out of memory: later events of this key may overtake it");
  if (waits_for_id(item))
    waiting_for_id(&r->waiting, item->topic, key, item->ref.label, item->written);
  mutex_unlock(&r->lock);
}

static bool key_held(struct relay *r, const struct item *item) {
  struct waiting *w = &r->waiting;
  return waiting_holds(w, item->topic, item->key, item->ref.label, item->generation) ||
         waiting_holds(w, item->topic, (struct span){"", 0}, item->ref.label, item->generation);
}

/* Its id was found to be another schema's since it was encoded, or its schema has another now: the
 * bytes in hand are not published, and a later scan brings it to be encoded anew. */
static bool id_is_stale(const struct item *item) {
  unsigned char now[SCHEMA_ID_BYTES];
  if (!item->written) return false;
  int64_t id = atomic_load(&item->written->id);
  schema_id_write(id, now);
  return id == SCHEMA_NO_ID || memcmp(now, item->schema_id, sizeof now) != 0;
}

static void wait_for_another_id(struct publishing *p, struct item *item) {
  atomic_store(&item->written->wanted, true);
  item->outcome = OUTCOME_WAITS;
  key_waits(p, item);
  item->outcome = OUTCOME_SEND;
}

bool may_pass(struct publishing *p, struct item *item) {
  struct relay *r = p->relay;
  mutex_lock(&r->lock);
  bool held = r->paused || item->generation < r->resumed || key_held(r, item) ||
              holds_key(&r->holds, topic_name(r, item->topic), item);
  mutex_unlock(&r->lock);
  item->key_held = held;
  if (!held && id_is_stale(item)) {
    wait_for_another_id(p, item);
    return false;
  }
  return !held && breaker_passes(&p->kafka, item->generation) &&
         breaker_passes(&p->topics[item->topic], item->generation);
}

void doors_sent(struct publishing *p, unsigned topic) {
  breaker_sent(&p->kafka);
  breaker_sent(&p->topics[topic]);
}

void doors_unsent(struct publishing *p, unsigned topic) {
  breaker_unsent(&p->kafka);
  breaker_unsent(&p->topics[topic]);
}
