/* Runs the comparisons in order and writes what they found.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/disk/durable.h"
#include "bridge/kafka/faults/remedy.h"
#include "bridge/service/operations.h"
#include "bridge/service/verify/parts.h"

#define ANSWER_MS 10000

/* Is it there, and the one that the outbox belongs to? */
static void reach_kafka(struct verify *v) {
  struct error err = {0};
  struct buffer known = {0};
  char id[128] = "";
  enum status st = kafka_config_check(&v->s->plan.kafka, NULL, &err);
  if (st == ST_OK) st = cluster_open(&v->s->plan.kafka, v->request->log, &v->cluster, &err);
  if (st == ST_OK) st = cluster_id(v->cluster, ANSWER_MS, id, &err);
  if (st == ST_OK) st = cluster_reach(v->cluster, ANSWER_MS, &err);
  v->kafka_away = st == ST_UNAVAILABLE;
  if (st != ST_OK) {
    verify_found(v, "broker", REPORT_FAILED, "%s", err.text);
    char remedy[700];
    kafka_remedy((enum kafka_cause)err.cause, &v->s->plan.kafka, NULL, remedy, sizeof remedy);
    verify_next(v, "%s; busbridge doctor tells more", remedy);
  } else if (v->s->plan.exactly_once &&
             store_note_read(v->s->store, NOTE_CLUSTER, &known, NULL) == ST_OK &&
             !span_is(span_trim(buffer_span(&known)), id)) {
    st = ST_INVALID;
    verify_found(v, "broker", REPORT_FAILED,
                 "this outbox belongs to the Kafka cluster %.*s, but the one reached is %s",
                 SPAN_ARGS(span_trim(buffer_span(&known))), id);
    verify_next(
        v,
        "Fix kafka.bootstrap.servers; if the change is meant: busbridge doctor --accept-cluster");
  }
  buffer_release(&known);
  if (st == ST_OK) return;
  cluster_close(v->cluster);
  v->cluster = NULL;
}

static void verify_release(struct verify *v) {
  for (size_t i = 0; i < v->batch_count; i++) manifest_release(&v->batches[i].manifest);
  free(v->batches);
  table_release(&v->batch_ids);
  arena_release(&v->arena);
  arena_release(&v->known.arena);
  digest_set_release(&v->pending);
  digest_set_release(&v->dead);
  keys_close(v->keys);
  cluster_close(v->cluster);
  service_close(v->s, 0);
  report_release(&v->found);
  free(v);
}

static enum status write_answer(struct verify *v, struct buffer *json, struct error *err) {
  bool first = true;
  size_t away = (size_t)v->kafka_away + v->keys_away;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  report_write(&v->found, away > 0 && v->found.failures == away, json, &first);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

enum status verify_run(const struct verify_request *request, struct buffer *json,
                       struct error *err) {
  struct service_options options = {.mode = SERVICE_INSPECT, .clock = request->clock};
  struct verify *v = calloc(1, sizeof *v);
  if (!v) return error_set(err, ST_NO_MEMORY, "Out of memory");
  v->request = request;
  enum status st = service_open(request->settings, request->log, &options, &v->s, err);
  if (st == ST_OK) {
    v->holder = store_holder(v->s->store);
    reach_kafka(v);
    verify_ledger(v);
    verify_open_keys(v);
    verify_outbox(v);
    verify_keys(v);
    verify_topics(v);
    verify_account(v);
    st = write_answer(v, json, err);
  }
  verify_release(v);
  return st;
}
