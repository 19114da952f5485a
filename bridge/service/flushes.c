/* Flushes: started, followed, or only told what they would do.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/audit.h"
#include "bridge/service/health/breakdown.h"
#include "bridge/service/plan/key_rules.h"

/* ---- dry run ---- */

static bool foresee_one(void *ctx, const struct entry_info *info) {
  breakdown_pending(ctx, info);
  return true;
}

static void write_keys(const struct routing *routing, struct buffer *json, bool *first) {
  struct buffer words = {0};
  struct span ns;
  json_write_key(json, first, "keys");
  buffer_add_char(json, '[');
  for (unsigned i = 0; key_rules_words(routing, i, &ns, &words); i++) {
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_text(json, &inner, "namespace", ns);
    member_text(json, &inner, "key", buffer_span(&words));
    buffer_add_char(json, '}');
    buffer_clear(&words);
  }
  buffer_add_char(json, ']');
  buffer_release(&words);
}

/* catalog: NULL where none can be opened; then payloads are not judged. */
static enum status foresee_all(struct service *s, size_t limit, const struct routing *routing,
                               struct catalog *catalog, struct buffer *json, struct error *err) {
  struct breakdown *t = NULL;
  uint64_t total = 0;
  unsigned which = LIST_PENDING | (service_follows(s) ? 0u : LIST_LOOK);
  enum status st = breakdown_open(&s->plan, routing, catalog, &t, err);
  if (st == ST_OK) st = store_list(s->store, which, limit, foresee_one, t, &total, err);
  if (st == ST_OK) {
    bool first = true;
    buffer_add_char(json, '{');
    member_int(json, &first, "version", 1);
    member_bool(json, &first, "dry_run", true);
    member_int(json, &first, "count", (int64_t)t->count);
    member_int(json, &first, "total", (int64_t)total);
    breakdown_write(t, json, &first);
    write_keys(routing, json, &first);
    buffer_add_char(json, '}');
    st = buffer_status(json, err);
  }
  breakdown_close(t);
  return st;
}

/* As a worker would start with them: schemas and routing of its own, since a relay's are its
 * reader's. */
static enum status dry_run(struct service *s, size_t limit, struct buffer *json,
                           struct error *err) {
  struct catalog *catalog = NULL;
  struct routing *routing = NULL;
  if (plan_catalog(&s->plan, NULL, &catalog, NULL) == ST_OK &&
      plan_routing(&s->plan, catalog, &routing, NULL) != ST_OK)
    routing = NULL;
  enum status st =
      foresee_all(s, limit, routing ? routing : s->routing, routing ? catalog : NULL, json, err);
  routing_close(routing);
  catalog_close(catalog);
  return st;
}

/* Also what `busbridge flush` and busbridge-worker --once end with. */
static enum status refuse_paused(struct service *s, struct error *err) {
  struct store_pause pause;
  char since[TIME_TEXT];
  service_paused(s, &pause);
  if (!pause.on) return ST_OK;
  return error_set(
      err, ST_BUSY, "publishing is paused since %s by %s%s%s; go on by: busbridge resume",
      pause.since_us == TIME_NONE ? "an unknown time" : time_format(pause.since_us, since),
      *pause.by ? pause.by : "somebody", *pause.reason ? ": " : "", pause.reason);
}

/* ---- real ones ---- */

static enum status start(struct service *s, const struct flush_request *request,
                         struct buffer *json, struct error *err) {
  uint64_t id = 0;
  if (!s->relay) return error_set(err, ST_UNSUPPORTED, "only a running relay can flush");
  enum status st = refuse_paused(s, err);
  if (st != ST_OK) return st;
  st = relay_flush(s->relay, request->limit, request->patient, &id, err);
  if (st != ST_OK) return st;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_int(json, &first, "flush", (int64_t)id);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

static void audit(struct service *s, const struct flush_request *request) {
  char what[32] = "all";
  if (request->limit) snprintf(what, sizeof what, "limit=%zu", request->limit);
  audit_write(s, request->by, "flush", span_of(what), NULL, 0);
}

enum status service_flush(struct service *s, const struct flush_request *request,
                          struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "flush");
  enum status st =
      request->dry_run ? dry_run(s, request->limit, json, err) : start(s, request, json, err);
  if (st == ST_OK && !request->dry_run && request->by) audit(s, request);
  return operation_end(&o, st);
}

enum status service_flush_progress(struct service *s, uint64_t flush, struct buffer *json,
                                   struct error *err) {
  struct flush_progress p;
  if (!s->relay || relay_flush_progress(s->relay, flush, &p) != ST_OK)
    return error_set(err, ST_NOT_FOUND, "there is no flush %llu", (unsigned long long)flush);
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_bool(json, &first, "finished", p.finished);
  member_int(json, &first, "taken", (int64_t)p.taken);
  member_int(json, &first, "published", (int64_t)p.published);
  member_int(json, &first, "duplicates", (int64_t)p.duplicates);
  member_int(json, &first, "retried", (int64_t)p.retried);
  member_int(json, &first, "dead", (int64_t)p.dead);
  member_int(json, &first, "held", (int64_t)p.held);
  member_int(json, &first, "left", (int64_t)p.left);
  member_int(json, &first, "total", (int64_t)p.total);
  member_int(json, &first, "aside", (int64_t)p.aside);
  member_bool(json, &first, "unreachable", p.unreachable);
  member_text_or_null(json, &first, "stopped_by", span_of(p.stopped_by));
  member_text_or_null(json, &first, "reason", span_of(p.reason));
  member_text_or_null(json, &first, "next", span_of(p.remedy));
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}
