/* The askers: eight threads that take what is due, ask, and say what was found. Each has a client
 * of its own; what they share lies behind ids.lock. A crash leaves what was remembered last. */
#include "bridge/registry/ids_parts.h"

enum { SAVE_MS = 1000, REST_MS = 1000, COMPARED_MS = 10 * 60 * 1000 };

/* ---- open and close ---- */

enum status ids_open(const struct ids_config *config, struct ids **out, struct error *err) {
  struct ids *ids = calloc(1, sizeof *ids);
  if (!ids) return error_set(err, ST_NO_MEMORY, "out of memory");
  ids->config = *config;
  if (!ids->config.registry.clock) ids->config.registry.clock = &clock_system;
  ids->config.registry.over = &ids->over;
  mutex_init(&ids->lock);
  cond_init(&ids->changed);
  enum status st = ST_OK;
  for (int i = 0; st == ST_OK && i < ASKERS; i++)
    st = registry_open(&ids->config.registry, &ids->clients[i], err);
  if (st != ST_OK) {
    ids_close(ids);
    return st;
  }
  *out = ids;
  return ST_OK;
}

static void free_slot(struct slot *slot) {
  if (!slot) return;
  free(slot->subject);
  free(slot->event);
  free(slot->name);
  free((char *)slot->text.ptr);
  free(slot->targets);
  free(slot);
}

void ids_close(struct ids *ids) {
  if (!ids) return;
  mutex_lock(&ids->lock);
  ids->stopping = true;
  atomic_store(&ids->over, true);
  cond_broadcast(&ids->changed);
  mutex_unlock(&ids->lock);
  for (size_t i = 0; i < ids->running; i++) thread_join(ids->threads[i]);
  if (ids->dirty) ids_remember(ids);
  for (int i = 0; i < ASKERS; i++) registry_close(ids->clients[i]);
  for (size_t i = 0; i < ids->count; i++) free_slot(ids->slots[i]);
  free(ids->slots);
  table_release(&ids->by_name);
  cond_destroy(&ids->changed);
  mutex_destroy(&ids->lock);
  free(ids);
}

static bool add_target(struct slot *slot, struct schema_id *target, const char *topic) {
  struct target *grown = realloc(slot->targets, (slot->target_count + 1) * sizeof *slot->targets);
  if (!grown) return false;
  slot->targets = grown;
  slot->targets[slot->target_count++] = (struct target){target, topic};
  atomic_store(&target->id, slot->id);
  return true;
}

/* NULL: no memory. */
static struct slot *make_slot(const struct ids_schema *schema) {
  char form[FORM_TEXT];
  struct buffer minified = {0}, name = {0};
  struct slot *slot = calloc(1, sizeof *slot);
  registry_minify(schema->text, &minified);
  if (slot) {
    slot->kind = schema->kind;
    slot->subject = strdup(schema->subject);
    slot->event = strdup(schema->event);
    slot->text = buffer_span(&minified);
    slot->form = slot->kind->form(slot->text);
    buffer_printf(&name, "%s %s", ids_form_text(slot->form, form), schema->subject);
    slot->name = name.failed ? NULL : strdup(buffer_z(&name));
    slot->id = slot->remembered = SCHEMA_NO_ID;
    slot->looked_us = TIME_NONE;
    slot->due_ms = INT64_MIN;
  }
  buffer_release(&name);
  if (!slot) buffer_release(&minified);
  if (slot && slot->subject && slot->event && slot->name && !minified.failed) return slot;
  free_slot(slot);
  return NULL;
}

static bool put_slot(struct ids *ids, struct slot *slot) {
  if (ids->count == ids->cap) {
    size_t cap = ids->cap ? 2 * ids->cap : 64;
    struct slot **grown = realloc(ids->slots, cap * sizeof *grown);
    if (!grown) return false;
    ids->slots = grown;
    ids->cap = cap;
  }
  if (table_put(&ids->by_name, span_of(slot->name), slot) != ST_OK) return false;
  ids->slots[ids->count++] = slot;
  return true;
}

void ids_retire(struct ids *ids) {
  mutex_lock(&ids->lock);
  ids->round++;
  atomic_fetch_add(&ids->changes, 1);
  mutex_unlock(&ids->lock);
}

static bool is_retired(const struct ids *ids, const struct slot *slot) {
  return slot->round != ids->round;
}

/* As at a start: nobody looked at its id meanwhile. */
static void revive(struct slot *slot) {
  ids_set(slot, SCHEMA_NO_ID);
  slot->state = ID_ASKING;
  slot->due_ms = INT64_MIN;
  slot->lost = false;
  slot->versions = (struct digest){0, 0};
}

enum status ids_add(struct ids *ids, const struct ids_schema *schema, struct schema_id *target,
                    struct error *err) {
  struct slot *fresh = make_slot(schema);
  if (!fresh) return error_set(err, ST_NO_MEMORY, "out of memory");
  mutex_lock(&ids->lock);
  struct slot *slot = table_get(&ids->by_name, span_of(fresh->name));
  if (slot && slot->round + 1 < ids->round) revive(slot); /* else it goes on as it is */
  bool kept = !slot && put_slot(ids, fresh), ok = slot || kept;
  if (ok) (slot ? slot : fresh)->round = ids->round;
  ok = ok && add_target(slot ? slot : fresh, target, schema->topic);
  atomic_fetch_add(&ids->changes, 1);
  mutex_unlock(&ids->lock);
  if (!kept) free_slot(fresh);
  return ok ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
}

void ids_ask_now(struct ids *ids) {
  mutex_lock(&ids->lock);
  cond_broadcast(&ids->changed);
  mutex_unlock(&ids->lock);
}

/* ---- asking ---- */

/* Lock held. One a subject at a time. */
static bool may_ask(const struct ids *ids, const struct slot *slot, int64_t now) {
  if (slot->busy || is_retired(ids, slot) || (slot->due_ms > now && !ids->away)) return false;
  for (int i = 0; i < ASKERS; i++)
    if (ids->asked[i] && !strcmp(ids->asked[i]->subject, slot->subject)) return false;
  return true;
}

static bool nobody_asks(const struct ids *ids) {
  for (int i = 0; i < ASKERS; i++)
    if (ids->asked[i]) return false;
  return true;
}

/* Lock held. While nobody answers one asks for all, in turn. */
static struct slot *next_due(struct ids *ids, int64_t now, int64_t *until) {
  *until = now + REST_MS;
  if (ids->away && (now < ids->away_due_ms || !nobody_asks(ids))) {
    if (ids->away_due_ms > now && ids->away_due_ms < *until) *until = ids->away_due_ms;
    return NULL;
  }
  for (size_t i = 0; i < ids->count; i++) {
    size_t at = (ids->next + i) % ids->count;
    struct slot *slot = ids->slots[at];
    if (may_ask(ids, slot, now)) {
      ids->next = (at + 1) % ids->count;
      return slot;
    }
    bool rests = !slot->busy && !is_retired(ids, slot) && slot->due_ms > now;
    if (rests && slot->due_ms < *until) *until = slot->due_ms;
  }
  return NULL;
}

/* Lock held. What is remembered is another registry's: it says nothing of this one, whether that
 * answers for all or not. */
static void forget(struct slot *slot) {
  slot->remembered = SCHEMA_NO_ID;
  if (!slot->looked) slot->looked_us = TIME_NONE;
  if (slot->state != ID_CACHED) return;
  ids_set(slot, SCHEMA_NO_ID);
  slot->state = ID_ASKING;
  slot->due_ms = INT64_MIN;
}

/* Its own name, where it has one: once, by whoever met it first, before what it said is taken. */
static void meet(struct ids *ids, struct registry *r) {
  char cluster[REGISTRY_CLUSTER];
  bool has = registry_cluster(r, cluster);
  mutex_lock(&ids->lock);
  bool other = has && ids->cluster[0] && strcmp(ids->cluster, cluster) != 0;
  if (has) snprintf(ids->cluster, sizeof ids->cluster, "%s", cluster);
  for (size_t i = 0; other && i < ids->count; i++) forget(ids->slots[i]);
  ids->dirty = ids->dirty || other;
  mutex_unlock(&ids->lock);
  if (other)
    log_write(ids->config.log, LOG_WARNING, "registry", "registry_other",
              FIELDS(F_TEXT("cluster", cluster)),
              "This is another registry than the one whose ids are remembered; each is looked at");
}

/* Lock held; it is let go meanwhile. */
static void ask(struct ids *ids, size_t me, struct slot *slot) {
  struct finding f;
  int64_t known = slot->id != SCHEMA_NO_ID ? slot->id : slot->remembered;
  int64_t now = clock_mono_ms(ids->config.registry.clock);
  bool again = now - slot->compared_ms >= COMPARED_MS; /* a subject made anew has old numbers */
  struct digest compared = again ? (struct digest){0, 0} : slot->versions;
  if (again) slot->compared_ms = now;
  const struct ids_question q = {slot->subject, slot->text, slot->kind};
  slot->busy = true;
  ids->asked[me] = slot;
  mutex_unlock(&ids->lock);
  ids_ask(ids->clients[me], &q, known, compared, &f);
  mutex_lock(&ids->lock);
  bool meets = f.state != ID_NOWHERE && !ids->met;
  ids->met = ids->met || meets;
  if (meets) {
    mutex_unlock(&ids->lock);
    meet(ids, ids->clients[me]);
    mutex_lock(&ids->lock);
  }
  slot->busy = false;
  ids->asked[me] = NULL;
  if (!ids->stopping || f.state != ID_NOWHERE) /* else it was cut short */
    ids_take(ids, ids->clients[me], slot, &f);
  cond_broadcast(&ids->changed);
}

/* Lock held; let go while it writes. */
static void save_in_time(struct ids *ids, int64_t now) {
  if (!ids->dirty || ids->saving || now - ids->saved_ms < SAVE_MS) return;
  ids->saving = true;
  ids->saved_ms = now;
  mutex_unlock(&ids->lock);
  ids_remember(ids);
  mutex_lock(&ids->lock);
  ids->saving = false;
}

struct asker {
  struct ids *ids;
  size_t me;
};

static void *asker_main(void *arg) {
  struct asker a = *(struct asker *)arg;
  struct ids *ids = a.ids;
  free(arg);
  mutex_lock(&ids->lock);
  while (!ids->stopping) {
    int64_t until, now = clock_mono_ms(ids->config.registry.clock);
    save_in_time(ids, now);
    struct slot *slot = next_due(ids, now, &until);
    if (slot)
      ask(ids, a.me, slot);
    else
      cond_wait_until(&ids->changed, &ids->lock, thread_now_ns() + (until - now) * 1000000);
  }
  mutex_unlock(&ids->lock);
  return NULL;
}

enum status ids_start(struct ids *ids, struct error *err) {
  ids_recall(ids);
  for (size_t i = 0; i < ASKERS; i++) {
    struct asker *a = malloc(sizeof *a);
    if (!a) return error_set(err, ST_NO_MEMORY, "out of memory");
    *a = (struct asker){ids, i};
    int rc = thread_start(&ids->threads[i], "registry", asker_main, a);
    if (rc) {
      free(a);
      return error_sys(err, rc, "starting a thread that asks the registry");
    }
    ids->running++;
  }
  return ST_OK;
}

/* ---- telling ---- */

bool ids_asking(struct ids *ids) {
  bool asking = false;
  mutex_lock(&ids->lock);
  for (size_t i = 0; !asking && i < ids->count; i++)
    asking = ids->slots[i]->state == ID_ASKING && !is_retired(ids, ids->slots[i]);
  mutex_unlock(&ids->lock);
  return asking;
}

uint64_t ids_changes(const struct ids *ids) {
  return atomic_load(&ids->changes);
}

bool ids_at(struct ids *ids, size_t i, struct ids_view *out) {
  mutex_lock(&ids->lock);
  bool there = i < ids->count;
  if (there) {
    const struct slot *slot = ids->slots[i];
    *out = (struct ids_view){.event = slot->event,
                             .subject = slot->subject,
                             .state = slot->state,
                             .id = slot->id,
                             .lost = slot->lost,
                             .retired = is_retired(ids, slot)};
    for (size_t t = 0; t < slot->target_count; t++)
      out->wanted = out->wanted || atomic_load(&slot->targets[t].id->wanted);
    snprintf(out->why, sizeof out->why, "%s", slot->why);
  }
  mutex_unlock(&ids->lock);
  return there;
}

const char *ids_shown(const struct ids *ids) {
  return registry_shown(ids->clients[0]);
}
