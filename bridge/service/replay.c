#include "bridge/relay/manifest.h"
#include "bridge/service/audit.h"
#include "bridge/service/finding.h"

static enum status not_there(struct service *s, const struct replay_request *request, struct error *err) {
  if (request->force)
    return error_set(err, ST_NOT_FOUND,
                     "No entry \"%s\" in dlq/, in pending/ or in the outbox folder %s; see: busbridge list --type all",
                     request->id, state_path(s->state));
  return error_set(err, ST_NOT_FOUND,
                   "No dead letter \"%s\" in %s/dlq; see: busbridge list --type dlq (a pending entry needs --force)",
                   request->id, state_path(s->state));
}

static enum status find(struct service *s, const struct replay_request *request, struct finding *f, struct error *err) {
  unsigned which = LIST_DEAD | (request->force ? LIST_PENDING : 0u);
  if (!*request->id) return error_set(err, ST_INVALID, "An id is needed; see: busbridge list --type dlq");
  enum status st = finding_one(f, s->store, which, span_of(request->id), err);
  return st == ST_NOT_FOUND ? not_there(s, request, err) : st;
}

/* A raw dead letter has no id that could have been published. When Redis is away the relay will ask it again anyway. */
static enum status check_published(struct service *s, struct finding *f, struct error *err) {
  const struct found *c = f->one;
  bool seen = false;
  struct span place = {0};
  if (c->raw || c->id.len == 0) return ST_OK;
  enum status asked = keys_check(s->keys, &c->id, 1, &seen, &place, &f->arena);
  if ((asked != ST_OK && asked != ST_UNAVAILABLE) || !seen) return ST_OK;
  return error_set(err, ST_EXISTS, "%.*s is in Kafka already (%.*s); --force publishes it again", SPAN_ARGS(c->id),
                   SPAN_ARGS(place.len ? place : SPAN("place not known")));
}

static enum status forget_key(struct service *s, const struct found *c, struct error *err) {
  if (c->raw || c->id.len == 0) return ST_OK;
  enum status st = keys_forget(s->keys, c->id, err);
  return st == ST_OK || st == ST_NOT_FOUND ? ST_OK : st;
}

/* Its batch may be committed and not settled yet: the ledger has the word, at the next start if no worker runs. */
static enum status check_settled(struct service *s, const struct found *c, struct error *err) {
  bool named = false;
  enum status st = manifest_names(state_folder(s->state), c->id, &named, err);
  if (st != ST_OK || !named) return st;
  return error_set(err, ST_BUSY,
                   "%.*s is in a batch that is not settled yet; try again when the worker has settled it (busbridge "
                   "flush does it without one)",
                   SPAN_ARGS(c->id));
}

static enum status move(struct service *s, const struct replay_request *request, struct finding *f, struct error *err) {
  const struct found *c = f->one;
  enum status st = check_settled(s, c, err);
  if (st != ST_OK) return st;
  st = request->force ? forget_key(s, c, err) : check_published(s, f, err);
  if (st != ST_OK) return st;
  /* A crash between the two leaves a dead letter whose key is forgotten: replaying it once more is harmless. */
  return store_replay(s->store, c->place, c->file.ptr, err);
}

static void report(struct service *s, const struct found *c, struct buffer *json) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "id", c->id);
  member_text(json, &first, "name", c->name);
  member_text(json, &first, "file", c->file);
  member_text(json, &first, "from", span_of(c->place == PLACE_DLQ ? "dlq" : "pending"));
  buffer_add_char(json, '}');
  log_write(s->log, LOG_INFO, "service", "replayed", FIELDS(F_SPAN("id", c->id), F_SPAN("name", c->name)),
            "Moved back to pending");
}

enum status service_replay(struct service *s, const struct replay_request *request, struct buffer *json,
                           struct error *err) {
  struct operation o = operation_begin(s, "replay");
  struct finding f = {0};
  BUG_ON(s->mode == SERVICE_INSPECT);
  /* One at a time: two replays of one id must not both find it. */
  pthread_mutex_lock(&s->moving);
  enum status st = find(s, request, &f, err);
  if (st == ST_OK) st = move(s, request, &f, err);
  pthread_mutex_unlock(&s->moving);
  if (st == ST_OK) {
    const struct audit_count counts[] = {{"replayed", 1}};
    audit_write(s, request->by, "replay", f.one->id.len ? f.one->id : f.one->file, counts, 1);
    if (s->mode == SERVICE_RELAY) store_wake(s->store);
    report(s, f.one, json);
    st = buffer_status(json, err);
  }
  finding_release(&f);
  return operation_end(&o, st);
}
