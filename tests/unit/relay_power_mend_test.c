/* Power loss under the whole relay: what the operator does (pause, replay, purge, a new id). */
#include "tests/unit/power_world.h"

#define OPERATOR (&(const struct caller){.uid = 0})

static void pause_it(struct world *w, bool on) {
  const struct pause_request request = {.reason = "a test", .by = OPERATOR};
  start(w, SERVICE_CHANGE);
  if (on)
    ASK(w, service_pause(w->service, &request, &w->json, &w->err));
  else
    ASK(w, service_resume(w->service, &request, &w->json, &w->err));
  stop(w);
}

static bool is_paused(struct world *w) {
  start(w, SERVICE_INSPECT);
  ASK(w, service_pause_state(w->service, &w->json, &w->err));
  bool paused = is_true(w, "paused");
  if (paused && !strstr(buffer_z(&w->json), "a test"))
    FAIL(w, "a pause of nobody: %s", buffer_z(&w->json));
  stop(w);
  return paused;
}

static void after_pause(struct world *w) {
  bool paused = is_paused(w);
  if (w->walk.whole && !paused) FAIL(w, "the pause is gone");
  if (paused) pause_it(w, false);
  if (is_paused(w)) FAIL(w, "it is paused still");
  drain_and_judge(w);
}

static void after_resume(struct world *w) {
  bool paused = is_paused(w);
  if (w->walk.whole && paused) FAIL(w, "the pause is back");
  if (paused) pause_it(w, false);
  drain_and_judge(w);
}

CASE(a_pause) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  record(w);
  pause_it(w, true);
  find_all(w, 2, after_pause);
}

CASE(its_end) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  pause_it(w, true);
  record(w);
  pause_it(w, false);
  find_all(w, 2, after_resume);
}

/* Three dead letters, whose cause is mended. */
static void make_dead(struct world *w, enum fate fate) {
  option(w, "dlq.max_attempts=1");
  kafka.refuses = true;
  used(w);
  put(w, REFUSED, "e1", KAFKA_REFUSED);
  put(w, REFUSED, "e2", KAFKA_REFUSED);
  put(w, GARBAGE, "e3", "-");
  drain_and_judge(w);
  kafka.refuses = false;
  w->events[1].fate = w->events[2].fate = fate;
}

static void replay_one(struct world *w, const char *id) {
  const struct replay_request request = {.id = id, .by = OPERATOR};
  start(w, SERVICE_CHANGE);
  ASK(w, service_replay(w->service, &request, &w->json, &w->err));
  stop(w);
}

CASE(a_replay) {
  struct world *w = *state;
  make_dead(w, EITHER);
  record(w);
  replay_one(w, "e1");
  replay_one(w, "e2");
  find_all(w, 8, drain_and_judge);
}

static void go_through(struct world *w, bool purge, uint64_t selection) {
  do ASK(w, service_bulk_step(w->service, purge, selection, 1, &w->json, &w->err));
  while (!is_true(w, "finished"));
}

static void bulk(struct world *w, bool purge) {
  struct bulk_request request = {.purge = purge, .all = true, .by = OPERATOR};
  selection_init(&request.selection);
  start(w, SERVICE_CHANGE);
  ASK(w, service_bulk_freeze(w->service, &request, &w->json, &w->err));
  go_through(w, purge, number_in(w, "selection"));
  stop(w);
}

/* What was begun and is still known is gone on with, as busbridge does. */
static void go_on(struct world *w, bool purge) {
  struct json_doc doc = {0};
  start(w, SERVICE_CHANGE);
  ASK(w, service_bulk_list(w->service, purge, &w->json, &w->err));
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  uint32_t list = json_member(&doc, 0, "selections");
  int64_t selection = -1;
  if (doc.nodes[list].count)
    assert_true(json_int(&doc, json_member(&doc, list + 1, "selection"), &selection));
  json_doc_release(&doc);
  if (selection >= 0) go_through(w, purge, (uint64_t)selection);
  stop(w);
}

static void after_replay(struct world *w) {
  go_on(w, false);
  drain_and_judge(w);
}

static void after_purge(struct world *w) {
  go_on(w, true);
  drain_and_judge(w);
}

CASE(many_replays) {
  struct world *w = *state;
  make_dead(w, EITHER);
  w->events[3].fate = AS_ITS_KIND; /* it dies again */
  record(w);
  bulk(w, false);
  find_all(w, 10, after_replay);
}

CASE(a_purge) {
  struct world *w = *state;
  make_dead(w, GONE_OR_DEAD);
  w->events[3].fate = GONE_OR_DEAD;
  record(w);
  bulk(w, true);
  find_all(w, 8, after_purge);
}

/* busbridge doctor --new-id: one entry was published already, the other is fresh. */
static void new_id(struct world *w) {
  load_settings(w);
  const struct doctor_request request = {.settings = w->settings, .clock = &clock_system};
  struct new_id how = {
      .send = 1}; /* the topics do not tell of the time when the fresh one was written */
  ASK(w, doctor_new_id(&request, &how, &w->json, &w->err));
  settings_free(w->settings);
  w->settings = NULL;
  if (!is_true(w, "changed")) FAIL(w, "nothing was changed: %s", buffer_z(&w->json));
}

static bool starts(struct world *w) {
  struct service_options options = {
      .mode = SERVICE_RELAY, .background = false, .clock = &clock_system};
  enum status st = ST_OK;
  struct relay_status s = {0};
  load_settings(w);
  if (service_open(w->settings, w->log, &options, &w->service, &w->err) != ST_OK)
    FAIL(w, "%s", w->err.text);
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  while (st == ST_OK && !s.reached && clock_mono_ms(&clock_system) < until) {
    usleep(300);
    st = service_failure(w->service, &w->err);
    relay_status(w->service->relay, &s);
  }
  stop(w);
  return st == ST_OK;
}

/* Refused is what was before, and it names the command. */
static void after_new_id(struct world *w) {
  if (!starts(w)) {
    if (w->walk.whole || !strstr(w->err.text, "doctor --new-id"))
      FAIL(w, "no remedy: %s", w->err.text);
    new_id(w);
  }
  drain_and_judge(w);
}

CASE(a_new_id) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  drain(w);
  w->event_count--;
  put(w, GOOD, "e1", "a"); /* as a backup brought it back */
  put(w, GOOD, "e2", "a");
  kafka.now.positions[0].number += 5;
  record(w);
  new_id(w);
  find_all(w, 24, after_new_id);
}
