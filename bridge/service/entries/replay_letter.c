/* Replays one entry: finds it, judges it, moves it, and writes the audit line. A crash may leave it
 * moved and the line unwritten.
 * Any thread. */
#include "bridge/service/audit.h"
#include "bridge/service/entries/lookup.h"
#include "bridge/service/entries/replay_many.h"

static enum status not_there(struct service *s, const struct replay_request *request,
                             struct error *err) {
  if (request->force)
    return error_set(err, ST_NOT_FOUND,
                     "No entry \"%s\" in %s, pending or dead; see: busbridge list --type all",
                     request->id, store_name(s->store));
  return error_set(
      err, ST_NOT_FOUND,
      "No dead letter \"%s\" in %s; see: busbridge list --type dlq (a pending entry needs --force)",
      request->id, store_name(s->store));
}

static enum status find_letter(struct service *s, const struct replay_request *request,
                               struct lookup *f, struct error *err) {
  unsigned which = LIST_DEAD | (request->force ? LIST_PENDING : 0u);
  if (!*request->id)
    return error_set(err, ST_INVALID, "An id is needed; see: busbridge list --type dlq");
  enum status st = lookup_one(f, s->store, which, span_of(request->id), err);
  if (st == ST_NOT_FOUND) return not_there(s, request, err);
  /* Dead letters of one stem lie in two outboxes; which is meant nobody can guess. */
  bool both = st == ST_OK && f->count > 1 && f->list[0].shelf == SHELF_DEAD &&
              f->list[1].shelf == SHELF_DEAD;
  return both ? lookup_ambiguous(f, s->store, f->count, err) : st;
}

static enum status move(struct service *s, bool force, const struct found *c, struct error *err) {
  struct letter letter = {.token = c->token.ptr, .when_us = TIME_NONE, .id = c->id, .raw = c->raw};
  bool published;
  if (c->shelf == SHELF_DEAD)
    replay_many_move(s, force, &letter, 1, &published);
  else
    replay_many_judge(s, force, &letter, 1, &published);
  if (letter.status != ST_OK) {
    if (err) *err = letter.error;
    return letter.status;
  }
  if (c->shelf == SHELF_DEAD) return ST_OK;
  enum status st = store_replay(s->store, c->shelf, c->token.ptr, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) store_wake(s->store);
  return st;
}

static void report_replayed(struct service *s, const struct found *c, struct buffer *json) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "id", c->id);
  member_text(json, &first, "name", c->name);
  member_text(json, &first, "file", c->label);
  member_text(json, &first, "from", span_of(c->shelf == SHELF_DEAD ? "dlq" : "pending"));
  buffer_add_char(json, '}');
  log_write(s->log, LOG_INFO, "service", "replayed",
            FIELDS(F_SPAN("id", c->id), F_SPAN("name", c->name)), "Moved back to pending");
}

enum status service_replay(struct service *s, const struct replay_request *request,
                           struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "replay");
  struct lookup f = {0};
  BUG_ON(s->mode == SERVICE_INSPECT);
  /* One at a time: two replays of one id must not both find it. */
  mutex_lock(&s->moving);
  enum status st = find_letter(s, request, &f, err);
  if (st == ST_OK) st = move(s, request->force, f.one, err);
  mutex_unlock(&s->moving);
  if (st == ST_OK) {
    const struct audit_count counts[] = {{"replayed", 1}};
    audit_write(s, request->by, "replay", f.one->id.len ? f.one->id : f.one->label, counts, 1);
    report_replayed(s, f.one, json);
    st = buffer_status(json, err);
  }
  lookup_release(&f);
  return operation_end(&o, st);
}
