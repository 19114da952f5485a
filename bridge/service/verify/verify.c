/* Runs the comparisons in order and writes what they found; what they share: suspects, Redis, the pause before a second
 * look. */
#include "bridge/base/durable.h"
#include "bridge/base/pause.h"
#include "bridge/base/words.h"
#include "bridge/kafka/remedy.h"
#include "bridge/service/operations.h"
#include "bridge/service/verify/parts.h"

#define PAUSE_MS 1500
#define ANSWER_MS 10000
#define SAMPLES 3

/* ---- what all of it needs --------------------------------------------------------------------------------------- */

void verify_found(struct verify *v, const char *check, enum report_verdict verdict, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  report_found(&v->found, check, verdict, fmt, args);
  va_end(args);
}

void verify_next(struct verify *v, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  report_next(&v->found, fmt, args);
  va_end(args);
}

void verify_pause(const struct verify *v) {
  pause_ms(v->request->pause_ms ? v->request->pause_ms : PAUSE_MS, NULL);
}

void suspects_add(struct suspects *s, struct span id, struct span place) {
  s->count++;
  if (s->kept == VERIFY_SUSPECTS) return;
  struct suspect kept = {arena_span(&s->arena, id), arena_span(&s->arena, place)};
  if ((id.len && !kept.id.ptr) || (place.len && !kept.place.ptr)) return;
  s->at[s->kept++] = kept;
}

void suspects_clear(struct suspects *s) {
  arena_reset(&s->arena);
  s->count = s->kept = 0;
}

void verify_samples(const struct suspects *s, bool ids, struct buffer *out) {
  for (size_t i = 0; i < s->kept && i < SAMPLES; i++) {
    if (i) buffer_add_z(out, ", ");
    text_printable(out, ids && s->at[i].id.len ? s->at[i].id : s->at[i].place);
    if (!ids || !s->at[i].place.len || !s->at[i].id.len) continue;
    buffer_add_z(out, " (");
    text_printable(out, s->at[i].place);
    buffer_add_char(out, ')');
  }
  if (s->count > SAMPLES) buffer_add_z(out, ", ...");
}

/* ---- Redis ------------------------------------------------------------------------------------------------------ */

void verify_open_keys(struct verify *v) {
  struct keys_config config = v->s->plan.keys;
  config.required = false;
  config.folder = home_folder(v->s->home);
  config.inspect = true;
  config.clock = v->request->clock;
  keys_close(v->keys);
  v->keys = NULL;
  struct span nothing = SPAN("verify");
  bool seen;
  if (strcmp(config.url, "off") == 0) return;
  /* Its url was judged when the service was opened; what is left is a keys-due that cannot be read. */
  v->keys_away = keys_open(&config, v->request->log, &v->keys, NULL) != ST_OK;
  verify_keys_known(v, &nothing, 1, &seen, NULL, NULL);
}

bool verify_keys_known(struct verify *v, const struct span *ids, size_t count, bool *seen, struct span *place,
                       struct arena *arena) {
  if (!v->keys || v->keys_away) return false;
  v->keys_away = keys_check(v->keys, ids, count, seen, place, arena) != ST_OK;
  return !v->keys_away;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

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
  } else if (v->s->plan.exactly_once && store_note_read(v->s->store, NOTE_CLUSTER, &known, NULL) == ST_OK &&
             !span_is(span_trim(buffer_span(&known)), id)) {
    st = ST_INVALID;
    verify_found(v, "broker", REPORT_FAILED, "this outbox belongs to the Kafka cluster %.*s, but the one reached is %s",
                 SPAN_ARGS(span_trim(buffer_span(&known))), id);
    verify_next(v, "Mend kafka.bootstrap.servers; if the change is meant: busbridge doctor --accept-cluster");
  }
  buffer_release(&known);
  if (st == ST_OK) return;
  cluster_close(v->cluster);
  v->cluster = NULL;
}

static void release(struct verify *v) {
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

enum status verify_run(const struct verify_request *request, struct buffer *json, struct error *err) {
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
  release(v);
  return st;
}
