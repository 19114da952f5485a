/* The broker: what it is, what we may do there, and whether all that a relay needs is there.
 * One thread; a crash leaves nothing. */
#include "bridge/base/disk/durable.h"
#include "bridge/kafka/faults/remedy.h"
#include "bridge/relay/ledger/standing.h"
#include "bridge/service/doctor/parts.h"

#include <fcntl.h>
#include <unistd.h>

enum { ANSWER_MS = 10000 };

static const char *servers(const struct doctor *d) {
  return kafka_servers(&d->plan.kafka);
}

static void next_remedy(struct doctor *d, int cause, const char *subject) {
  char remedy[700];
  struct kafka_config config = d->plan.kafka;
  config.transactional_id = d->plan.group;
  kafka_remedy((enum kafka_cause)cause, &config, subject, remedy, sizeof remedy);
  doctor_next(d, "%s", remedy);
}

/* "<tool> --bootstrap-server ... <what follows>" as the thing to do. */
PRINTF_LIKE(4, 5)
static void next_command(struct doctor *d, const char *before, const char *tool, const char *fmt,
                         ...) {
  struct buffer command = {0};
  char rest[700];
  va_list args;
  va_start(args, fmt);
  vsnprintf(rest, sizeof rest, fmt, args);
  va_end(args);
  cluster_command(&d->plan.kafka, tool, &command);
  doctor_next(d, "%s%s %s", before, buffer_z(&command), rest);
  buffer_release(&command);
}

/* ---- the broker ---- */

static void check_broker(struct doctor *d) {
  struct error err = {0};
  enum status st = cluster_open(&d->plan.kafka, NULL, &d->cluster, &err);
  if (st == ST_OK) st = cluster_id(d->cluster, ANSWER_MS, d->cluster_id, &err);
  if (st == ST_OK) st = cluster_reach(d->cluster, ANSWER_MS, &err);
  d->answers = st == ST_OK;
  if (d->answers) {
    d->development = span_starts(span_of(d->cluster_id), "mockCluster");
    doctor_found(d, "broker", REPORT_OK, "%s answers, cluster %s", servers(d), d->cluster_id);
    return;
  }
  d->away = st == ST_UNAVAILABLE;
  doctor_found(d, "broker", REPORT_FAILED, "%s: %s", servers(d), err.text);
  next_remedy(d, err.cause, NULL);
}

static void check_version(struct doctor *d) {
  struct kafka_version version = {0};
  struct error err = {0};
  if (cluster_version(&d->plan.kafka, ANSWER_MS, &version, &err) != ST_OK) {
    doctor_found(d, "broker version", REPORT_SKIPPED, "%s", err.text);
  } else if (!*version.release) {
    doctor_found(d, "broker version", REPORT_SKIPPED, "librdkafka %s does not tell",
                 kafka_library_version());
  } else if (d->plan.exactly_once && !version.transactions && !d->development) {
    doctor_found(d, "broker version", REPORT_FAILED, "as Kafka %s: it knows no transactions",
                 version.release);
    doctor_next(d, "Use Kafka 0.11 or newer, or set delivery.guarantee=at_least_once");
  } else {
    doctor_found(d, "broker version", REPORT_OK,
                 "it speaks as Kafka %s or newer (to librdkafka %s)", version.release,
                 kafka_library_version());
  }
}

/* ---- the outbox's place in it ---- */

static void check_cluster(struct doctor *d) {
  struct buffer text = {0};
  struct error err = {0};
  enum status st = d->store ? store_note_read(d->store, NOTE_CLUSTER, &text, &err) : ST_NOT_FOUND;
  struct span known = span_trim(buffer_span(&text));
  if (d->development && d->plan.exactly_once) {
    doctor_found(d, "cluster", REPORT_FAILED,
                 "this is a development broker, which knows no transactions");
    doctor_next(d, "Set delivery.guarantee=at_least_once, or use a real Kafka");
  } else if (st == ST_NOT_FOUND) {
    doctor_found(d, "cluster", REPORT_OK,
                 "the outbox belongs to none yet; the first start notes it");
  } else if (st != ST_OK) {
    doctor_found(d, "cluster", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix the file; busbridge doctor --accept-cluster writes it anew");
  } else if (span_is(known, d->cluster_id)) {
    doctor_found(d, "cluster", REPORT_OK, "it is the one that the outbox belongs to");
  } else {
    doctor_found(d, "cluster", d->plan.exactly_once ? REPORT_FAILED : REPORT_WARNING,
                 "the outbox belongs to cluster %.*s, but this is %s", SPAN_ARGS(known),
                 d->cluster_id);
    doctor_next(
        d,
        "Fix kafka.bootstrap.servers. If the change is meant: busbridge doctor --accept-cluster");
  }
  buffer_release(&text);
}

static enum report_verdict verdict_of(const struct doctor *d, const struct standing *s) {
  switch (s->kind) {
  case STANDING_NEW:
  case STANDING_HERE: break;
  case STANDING_LOST: return REPORT_WARNING;
  case STANDING_WENT_BACK: return d->holder == 0 ? REPORT_WARNING : REPORT_OK;
  case STANDING_RESET:
  case STANDING_BACK:
  case STANDING_COPY:
    return d->holder == 0 ? REPORT_FAILED : REPORT_OK; /* a running one moves on meanwhile */
  }
  return REPORT_OK;
}

static void say_position(struct doctor *d, const struct standing *s) {
  struct buffer cause = {0}, next = {0};
  enum report_verdict verdict = verdict_of(d, s);
  const char *topic = d->plan.ledger_topic;
  d->committed = s->number >= 0;
  standing_cause(s, &cause);
  standing_next(s, d->store, &next);
  if (verdict == REPORT_OK && s->kind != STANDING_NEW)
    doctor_found(d, "position", verdict, "group %s stands at batch %lld%s%s%s", s->group,
                 (long long)s->number, strcmp(s->topic, topic) != 0 ? " of the topic " : "",
                 strcmp(s->topic, topic) != 0 ? s->topic : "",
                 strcmp(s->topic, topic) != 0 ? "; the next start moves it to ledger.topic" : "");
  else
    doctor_found(d, "position", verdict, "%s", buffer_z(&cause));
  if (verdict > REPORT_SKIPPED && next.len) doctor_next(d, "%s", buffer_z(&next));
  buffer_release(&cause);
  buffer_release(&next);
}

static enum status ask_position(struct doctor *d, struct standing *s, struct error *err) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  enum status st = manifest_list(d->store, &list, &count, err);
  if (st == ST_OK)
    st = standing_find(&d->plan.kafka, NULL, d->store, d->plan.ledger_topic, d->plan.group,
                       ANSWER_MS, list, count, s, err);
  free(list);
  return st;
}

static void check_position(struct doctor *d) {
  struct standing standing;
  struct error err = {0};
  if (!d->plan.group) {
    doctor_found(d, "position", REPORT_SKIPPED,
                 "the outbox has no id yet; the first start makes it");
    return;
  }
  enum status st = ask_position(d, &standing, &err);
  if (st == ST_OK) {
    say_position(d, &standing);
  } else if (st == ST_UNAVAILABLE && d->holder != 0) {
    doctor_found(d, "position", REPORT_SKIPPED,
                 "not answered while the worker has a transaction open");
  } else {
    doctor_found(d, "position", REPORT_FAILED, "%s", err.text);
    if (st == ST_INVALID || st == ST_UNSUPPORTED)
      doctor_next(d, "Do what is said there; a worker will not start before");
    else
      next_remedy(d,
                  kafka_cause_passes((enum kafka_cause)err.cause) ? CAUSE_COORDINATOR : err.cause,
                  d->plan.group);
  }
}

/* ---- transactions ---- */

static void no_report(void *ctx, void *opaque, const struct delivery *delivery) {
  (void)ctx, (void)opaque, (void)delivery;
}

/* Prepared and never begun: InitProducerId alone, under an id that nobody else has. */
static enum txn_next prepare_producer(struct doctor *d, const char *id, struct error *err) {
  struct kafka_config config = d->plan.kafka;
  struct publisher *publisher = NULL;
  config.transactional_id = id;
  config.at_least_once = false;
  if (publisher_open(&config, NULL, no_report, NULL, &publisher, err) != ST_OK) return TXN_RENEW;
  enum txn_next next = publisher_init(publisher, ANSWER_MS, err);
  publisher_close(publisher);
  return next;
}

static void name_transaction(const struct doctor *d, char out[80]) {
  snprintf(out, 80, "%s", d->plan.group ? d->plan.group : "busbridge");
  snprintf(out + strlen(out), 80 - strlen(out), "-doctor");
}

/* The broker has just noted that an id was prepared. Its clock against ours. */
static void compare_clocks(struct doctor *d) {
  int64_t noted_ms = 0;
  if (cluster_noted(d->cluster, ANSWER_MS, &noted_ms, NULL) == ST_OK)
    d->broker_skew_us = noted_ms * 1000 - clock_wall_us(d->clock);
}

static void check_transactions(struct doctor *d) {
  struct error err = {0};
  char id[80];
  name_transaction(d, id);
  if (prepare_producer(d, id, &err) == TXN_DONE) {
    doctor_found(d, "transactions", REPORT_OK, "allowed for %s", id);
    compare_clocks(d);
    return;
  }
  if (err.status == ST_DENIED) {
    /* Rights for the worker's id alone are enough for the worker, and it has committed. */
    doctor_found(d, "transactions", d->committed ? REPORT_WARNING : REPORT_FAILED,
                 "not allowed for %s: %s", id, err.text);
    next_remedy(d, err.cause, NULL);
    return;
  }
  doctor_found(d, "transactions", REPORT_FAILED, "%s", err.text);
  next_remedy(d, kafka_cause_passes((enum kafka_cause)err.cause) ? CAUSE_COORDINATOR : err.cause,
              NULL);
}

/* ---- topics ---- */

struct wanted {
  const char *check, *topic, *more; /* more: of the command that creates it */
  int partitions, replication;
  bool create;
  const char *rights; /* NULL: those of a producer */
};

static bool may_create(const struct doctor *d) {
  return strcmp(setting_text(d->settings, SETTING_TOPICS_CREATE), "missing") == 0;
}

static void say_missing(struct doctor *d, const struct wanted *w) {
  struct buffer command = {0};
  struct error err = {0};
  cluster_create_hint(&d->plan.kafka, w->topic, &command);
  enum status st = w->create ? cluster_may_create_topic(d->cluster, w->topic, w->partitions,
                                                        w->replication, ANSWER_MS, &err)
                             : error_set(&err, ST_NOT_FOUND, "topics.create is never");
  if (st == ST_OK)
    doctor_found(d, w->check, REPORT_WARNING, "%s is missing; the worker will create it", w->topic);
  else
    doctor_found(d, w->check, REPORT_FAILED, "%s is missing, and the worker cannot create it: %s",
                 w->topic, err.text);
  doctor_next(d, "%s: %s%s",
              st != ST_OK ? "Create it"
              : d->holder
                  ? "The worker that runs creates it when the first event of it comes; or create it"
                  : "Start the worker, or create it",
              buffer_z(&command), w->more);
  buffer_release(&command);
}

static void say_limit(struct doctor *d, const struct wanted *w, int partitions) {
  struct error err = {0};
  int64_t theirs = 0, ours = cluster_own_limit(d->cluster);
  bool known = !d->development &&
               cluster_topic_limit(d->cluster, w->topic, ANSWER_MS, &theirs, &err) == ST_OK;
  if (known && theirs < ours) {
    doctor_found(d, w->check, REPORT_WARNING,
                 "%s takes records of at most %lld bytes, but kafka.message.max.bytes is %lld",
                 w->topic, (long long)theirs, (long long)ours);
    next_command(
        d,
        "Events in between are refused and become dead letters. Lower kafka.message.max.bytes, "
        "or: ",
        "kafka-configs.sh", "--alter --topic '%s' --add-config max.message.bytes=%lld", w->topic,
        (long long)ours + 1024);
    return;
  }
  doctor_found(d, w->check, REPORT_OK, "%s is there, %d partition%s", w->topic, partitions,
               partitions == 1 ? "" : "s");
}

static void check_topic(struct doctor *d, const struct wanted *w) {
  struct error err = {0};
  enum topic_state state = TOPIC_UNCLEAR;
  int partitions = 0;
  enum status st = cluster_topic(d->cluster, w->topic, ANSWER_MS, &state, &partitions, &err);
  if (st != ST_OK) {
    doctor_found(d, w->check, REPORT_FAILED, "%s: %s", w->topic, err.text);
    doctor_next(d, "Try again; see the broker's log");
  } else if (state == TOPIC_MISSING) {
    say_missing(d, w);
  } else if (state == TOPIC_FORBIDDEN) {
    doctor_found(d, w->check, REPORT_FAILED, "%s is forbidden to this client", w->topic);
    if (w->rights)
      next_command(d, "Allow it: ", "kafka-acls.sh",
                   "--add --allow-principal User:NAME %s --topic '%s'", w->rights, w->topic);
    else
      next_remedy(d, CAUSE_TOPIC_DENIED, w->topic);
  } else if (state == TOPIC_UNCLEAR) {
    doctor_found(d, w->check, REPORT_WARNING, "%s has no leader at this moment", w->topic);
    doctor_next(d, "Try again; if it stays so, see the brokers' logs");
  } else {
    say_limit(d, w, partitions);
  }
}

static void check_ledger(struct doctor *d) {
  struct wanted w = {.check = "ledger topic",
                     .topic = d->plan.ledger_topic,
                     .more = " --partitions 1",
                     .partitions = 1,
                     .replication = (int)setting_number(d->settings, SETTING_TOPICS_REPLICATION),
                     .create = may_create(d),
                     .rights = "--operation Read --operation Describe"};
  check_topic(d, &w);
}

static void check_topics(struct doctor *d) {
  const struct settings *x = d->settings;
  struct wanted w = {.check = "topic",
                     .more = "",
                     .partitions = (int)setting_number(x, SETTING_TOPICS_PARTITIONS),
                     .replication = (int)setting_number(x, SETTING_TOPICS_REPLICATION),
                     .create = may_create(d),
                     .rights = NULL};
  for (unsigned i = 0; d->routing && i < routing_topics(d->routing); i++) {
    w.topic = routing_topic_name(d->routing, i);
    check_topic(d, &w);
  }
}

/* ---- in order ---- */

static void check_exactly_once(struct doctor *d) {
  if (!d->plan.exactly_once) {
    char id[80];
    doctor_found(d, "transactions", REPORT_SKIPPED,
                 "delivery.guarantee is at_least_once, which needs none");
    name_transaction(d, id);
    if (!d->development && prepare_producer(d, id, &(struct error){0}) == TXN_DONE)
      compare_clocks(d);
  } else if (!d->development) {
    check_ledger(d);
    check_position(d);
    check_transactions(d);
  }
}

void doctor_check_kafka(struct doctor *d) {
  if (!d->kafka_sound) {
    doctor_found(d, "broker", REPORT_SKIPPED, "not asked: the kafka settings are wrong");
    return;
  }
  check_broker(d);
  if (!d->answers) {
    static const char *const rest[] = {"cluster", "transactions", "topics"};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
      doctor_found(d, rest[i], REPORT_SKIPPED, "not asked: the broker cannot be used");
    return;
  }
  check_version(d);
  check_cluster(d);
  check_exactly_once(d);
  check_topics(d);
  doctor_check_retention(d);
  doctor_check_framing(d);
}
