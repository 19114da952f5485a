/* What an answer changes: the id that serves, what is told, when it is asked again. The asking
 * thread, ids.lock held; a crash leaves what was remembered last. */
#include "bridge/base/backoff.h"
#include "bridge/registry/ids_parts.h"

enum { MISSING_MS = 30 * 1000, PATIENCE = 16, WAIT_MOST_MS = 10 * 60 * 1000 };
static const struct backoff again = {.base_ms = 500, .max_ms = 15000, .jitter_ms = 250};

void ids_set(struct slot *slot, int64_t id) {
  slot->id = id;
  for (size_t i = 0; i < slot->target_count; i++) atomic_store(&slot->targets[i].id->id, id);
}

static void tell(struct ids *ids, enum log_level level, const char *what, const struct slot *slot,
                 const char *words) {
  log_write(ids->config.log, level, "registry", what,
            FIELDS(F_TEXT("name", slot->event), F_TEXT("subject", slot->subject),
                   F_TEXT("error", slot->why)),
            "%s", words);
}

/* ---- who answers ---- */

/* Each is looked at: it may have been reset meanwhile, however few requests noticed. Not more often
 * than what is missing is asked for: where it fails for one subject alone it is back again and
 * again. */
static void look_at_all(struct ids *ids) {
  int64_t now = clock_mono_ms(ids->config.registry.clock);
  int64_t due = now < ids->all_due_ms ? ids->all_due_ms : now;
  if (due == now) ids->all_due_ms = now + MISSING_MS;
  for (size_t i = 0; i < ids->count; i++) {
    if (ids->slots[i]->due_ms > due) ids->slots[i]->due_ms = due;
    ids->slots[i]->versions = (struct digest){0, 0};
  }
}

static void is_back(struct ids *ids, struct registry *r) {
  if (ids->failed) {
    log_write(ids->config.log, LOG_INFO, "registry", "registry_back",
              FIELDS(F_TEXT("url", registry_shown(r))), "The schema registry answers again");
    look_at_all(ids);
  }
  ids->failed = ids->away_tries = 0;
  ids->away = false;
}

static void is_away(struct ids *ids, struct registry *r, const struct finding *f) {
  int64_t now = clock_mono_ms(ids->config.registry.clock), said = registry_retry_after_ms(r);
  ids->failed++;
  if (ids->failed == 1 || (ids->failed == PATIENCE && !ids->away))
    log_write(ids->config.log, LOG_ERROR, "registry", "registry_away",
              FIELDS(F_TEXT("error", f->why.text)),
              "The schema registry does not answer; events whose id is known go on");
  ids->away = ids->failed >= PATIENCE || said >= 0;
  ids->away_due_ms =
      now + (said >= 0 ? (said < WAIT_MOST_MS ? said : WAIT_MOST_MS)
                       : backoff_delay_ms(&again, ++ids->away_tries, ids->config.registry.clock));
}

/* ---- what holds from now on ---- */

/* Nobody answers for it: known ids serve on, at a start the remembered ones do. */
static void do_without(struct slot *slot) {
  if (slot->state != ID_ASKING) return;
  if (slot->remembered != SCHEMA_NO_ID) ids_set(slot, slot->remembered);
  slot->state = slot->remembered != SCHEMA_NO_ID ? ID_CACHED : ID_NOWHERE;
}

/* One asks for all now, so that most would not be asked for in a long time. */
static void all_do_without(struct ids *ids, const struct finding *f) {
  for (size_t i = 0; i < ids->count; i++) {
    struct slot *slot = ids->slots[i];
    if (slot->state == ID_ASKING) snprintf(slot->why, sizeof slot->why, "%s", f->why.text);
    do_without(slot);
  }
}

static void take_nowhere(struct ids *ids, struct slot *slot, const struct finding *f) {
  slot->tries++;
  slot->due_ms = clock_mono_ms(ids->config.registry.clock) +
                 backoff_delay_ms(&again, slot->tries, ids->config.registry.clock);
  do_without(slot);
  if (ids->away) all_do_without(ids, f);
}

static void take_known(struct ids *ids, struct slot *slot, int64_t id) {
  const struct clock *clock = ids->config.registry.clock;
  for (size_t i = 0; i < slot->target_count; i++) schema_id_looked(slot->targets[i].id);
  slot->looked_us = clock_wall_us(clock);
  slot->due_ms = clock_mono_ms(clock) + ids->config.verify_ms;
  slot->looked = ids->dirty = true; /* the time is remembered too */
  slot->remembered = id;
  slot->lost = false;
  slot->why[0] = '\0';
  if (slot->state == ID_KNOWN && slot->id == id) return;
  slot->state = ID_KNOWN;
  ids_set(slot, id);
  log_write(ids->config.log, LOG_DEBUG, "registry", "id_known",
            FIELDS(F_TEXT("name", slot->event), F_TEXT("subject", slot->subject), F_INT("id", id)),
            "The registry knows the schema");
}

static void take_missing(struct ids *ids, struct slot *slot, bool lost) {
  bool first = slot->state != ID_MISSING && !lost;
  slot->due_ms = clock_mono_ms(ids->config.registry.clock) + MISSING_MS;
  if (slot->state == ID_WRONG) return; /* until there is a right one */
  ids->dirty = ids->dirty || slot->remembered != SCHEMA_NO_ID;
  slot->remembered = SCHEMA_NO_ID;
  slot->state = ID_MISSING;
  ids_set(slot, SCHEMA_NO_ID);
  if (first)
    tell(ids, LOG_WARNING, "schema_unregistered", slot,
         "The schema is not registered under this subject; its events wait");
}

static void take_wrong(struct ids *ids, struct slot *slot) {
  slot->due_ms = clock_mono_ms(ids->config.registry.clock) + MISSING_MS;
  if (slot->state == ID_WRONG) return;
  ids_set(slot, SCHEMA_NO_ID);
  ids->dirty = true;
  slot->remembered = SCHEMA_NO_ID;
  slot->state = ID_WRONG;
}

void ids_take(struct ids *ids, struct registry *r, struct slot *slot, const struct finding *f) {
  slot->versions = f->versions;
  if (f->state == ID_NOWHERE)
    is_away(ids, r, f);
  else
    is_back(ids, r), slot->tries = 0;
  bool lost = ids_lost(ids, slot, f);
  slot->lost = slot->lost || lost;
  if (!slot->lost) snprintf(slot->why, sizeof slot->why, "%s", f->why.text);
  switch (f->state) {
  case ID_NOWHERE: take_nowhere(ids, slot, f); break;
  case ID_KNOWN: take_known(ids, slot, f->id); break;
  case ID_MISSING: take_missing(ids, slot, lost); break;
  case ID_WRONG: take_wrong(ids, slot); break;
  case ID_ASKING:
  case ID_CACHED: break;
  }
  atomic_fetch_add(&ids->changes, 1);
}
