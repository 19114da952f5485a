/* restored.c - an outbox whose ledger cannot be trusted: a backup of it came back, or somebody
 * moved its position. The worker refuses it, and the operator goes on under a new id. */
#include "tests/simulate/disk.h"
#include "tests/simulate/life.h"

#include "bridge/json/json.h"
#include "bridge/service/doctor/doctor.h"
#include "bridge/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>

/* Not yet: in the middle of a rewrite. In a copy the old bytes have another inode, and come back
 * beside the new ones. */
static void back_up(void) {
  for (int i = 0; i < 500 && disk_is_rewritten(); i++) sim_sleep_steps(1, SECOND_NS / 100);
  if (disk_is_rewritten()) return;
  sim_say("a backup is made");
  disk_back_up();
  life.backed_up = true;
  life.renewed = false;
  for (size_t i = 0; i < EVENTS; i++) {
    struct event_of_life *e = &life.events[i];
    e->saved = i < life.own_count ? i < life.written : i < life.event_count;
    e->saved_purged = e->purged;
  }
}

/* ---- busbridge doctor --new-id ---- */

static uint64_t number_in(struct span json, const char *key) {
  struct json_doc doc = {0};
  int64_t n = -1;
  if (json_scan(&doc, json, NULL) != ST_OK || !json_int(&doc, json_member(&doc, 0, key), &n))
    abort();
  json_doc_release(&doc);
  return (uint64_t)n;
}

static struct settings *load_settings(void) {
  char url[300], typed[300];
  const char *overrides[] = {url, typed, "kafka.bootstrap.servers=127.0.0.1:1",
                             "encoding.schemas=" SOURCE_ROOT "/schemas",
                             "routing.namespaces=episode plot"};
  struct settings_sources sources = {.overrides = overrides,
                                     .override_count = sizeof overrides / sizeof *overrides};
  struct settings *settings;
  struct error err = {0};
  snprintf(url, sizeof url, "outbox.url=%s", disk_url());
  snprintf(typed, sizeof typed, "outbox.typed=%s", life.typed ? disk_typed() : "");
  if (settings_load(&sources, &settings, NULL, &err) != ST_OK) {
    fprintf(stderr, "simulate: %s\n", err.text);
    abort();
  }
  return settings;
}

/* Again while a transaction of a worker that was killed is open: it times out. */
static enum status ask_doctor(const struct doctor_request *request, struct new_id *how,
                              struct buffer *json, struct error *err) {
  enum status st = ST_UNAVAILABLE;
  for (int tries = 0; tries < 10 && st == ST_UNAVAILABLE; tries++) {
    buffer_clear(json);
    st = doctor_new_id(request, how, json, err);
  }
  return st;
}

/* What the topics cannot tell of is sent: its count is typed in. */
static void renew_id(void) {
  struct settings *settings = load_settings();
  const struct doctor_request request = {.settings = settings, .clock = &sim_clock};
  struct new_id how = {0};
  struct buffer json = {0};
  struct error err = {0};
  enum status st = ask_doctor(&request, &how, &json, &err);
  if (st == ST_OK) how.send = number_in(buffer_span(&json), "unknown");
  if (st == ST_OK && how.send) st = ask_doctor(&request, &how, &json, &err);
  if (st != ST_OK) violation("doctor --new-id: %s", err.text);
  sim_say("the outbox goes on under a new id, %llu sent unknown", (unsigned long long)how.send);
  world.key_count = world.keys_due_count = 0; /* its keys in Redis are others */
  life.forgot = life.renewed = true;
  reach(REACHED_NEW_ID);
  buffer_release(&json);
  settings_free(settings);
}

/* It may be that nothing was committed since, and all is well. */
static void start_or_renew(void) {
  start_worker();
  for (int i = 0; i < 100 && !is_refused(life.worker); i++) sim_sleep_ns(SECOND_NS / 5);
  if (!is_refused(life.worker)) return;
  sim_say("worker %d refuses the outbox", life.worker->group);
  stop_worker(life.worker);
  renew_id();
  start_worker();
}

/* ---- what makes it so ---- */

static void put_back(struct event_of_life *e) {
  e->touched = e->restored = true;
  e->in_doubt |= !e->saved; /* what lay only there is gone with it */
  e->purged = e->saved_purged;
}

/* A start can tell only by a position of the backup's own id, and only of what went out under it.
 */
static bool start_can_tell(void) {
  char group[100];
  bool found = false;
  struct store *s = open_outbox(false);
  snprintf(group, sizeof group, "busbridge-%s", store_id(s));
  for (size_t i = 0; i < world.position_count; i++)
    found = found || !strcmp(world.positions[i].group, group);
  store_close(s);
  return found && !life.renewed;
}

void restore(void) {
  if (!life.exactly_once) return;
  if (!life.backed_up || sim_chance(20)) back_up();
  if (!life.backed_up) return;
  some_time();
  note_crash();
  kill_machine();
  sim_say("the backup comes back");
  disk_restore();
  for (size_t i = 0; i < life.event_count; i++) put_back(&life.events[i]);
  restart_machine();
  if (start_can_tell() && sim_chance(75)) {
    start_or_renew();
  } else {
    renew_id();
    start_worker();
  }
}

/* It is older, where it can be, or without a digest, or that of a copy of this outbox. */
static void spoil(struct sim_position *p) {
  if (p->number >= 2 && sim_chance(85)) {
    p->number = (int64_t)sim_below((uint64_t)p->number - 1);
  } else if (sim_chance(50)) {
    p->digest[0] = '\0';
    return;
  } else {
    p->number += (int64_t)sim_below(3);
  }
  memset(p->digest, '0', strlen(p->digest));
}

/* The cluster comes back from an older copy of its offsets, or somebody reset them, or two have
 * the same outbox. */
void spoil_position(void) {
  if (!life.exactly_once || !world.position_count) return;
  stop_worker(life.worker);
  sim_sleep_ns(world.timeout_ns);
  for (size_t i = 0; i < world.position_count; i++) spoil(&world.positions[i]);
  sim_say("somebody moves the position");
  start_or_renew();
}
