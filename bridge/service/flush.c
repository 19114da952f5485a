/* flush.c - flushes: started, followed, or only told what they would do. */
#include "bridge/base/table.h"
#include "bridge/service/audit.h"
#include "bridge/service/operations.h"

enum { SAMPLES = 5, KINDS = 200 };

/* ---- dry run ---------------------------------------------------------------------------------------------------- */

struct tally {
  const char *word;
  uint64_t count;
};
struct forecast {
  struct service *service;
  struct json_doc nothing; /* "{}": the key does not matter here */
  struct arena arena, scratch;
  struct tally topics[KINDS], reasons[KINDS];
  size_t topic_count, reason_count;
  uint64_t count;
  struct buffer samples;
  bool failed;
};

static void tally(struct forecast *f, struct tally *list, size_t *count, const char *word) {
  for (size_t i = 0; i < *count; i++)
    if (!strcmp(list[i].word, word)) {
      list[i].count++;
      return;
    }
  char *copy = *count < KINDS ? arena_copy(&f->arena, span_of(word)) : NULL;
  if (copy) list[(*count)++] = (struct tally){copy, 1};
}

static bool foresee(void *ctx, const struct entry_info *info) {
  struct forecast *f = ctx;
  struct event event = {.id = info->id, .name = info->name, .payload = 0, .status = EVENT_PENDING};
  struct route route = {0};
  struct error why = {0};
  const struct routing *routing = f->service->routing;
  bool readable = info->name.len > 0;
  enum reason reason = readable ? routing_route(routing, &f->nothing, &event, &f->scratch, &route, &why) : REASON_NONE;
  f->count++;
  if (!readable && info->reason.len) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(info->reason.len < 60 ? info->reason.len : 60), info->reason.ptr);
    tally(f, f->reasons, &f->reason_count, word);
  } else if (reason != REASON_NONE) {
    tally(f, f->reasons, &f->reason_count, reason_word(reason));
  } else if (readable) {
    tally(f, f->topics, &f->topic_count, routing_topic_name(routing, route.topic));
  }
  if (f->count <= SAMPLES) {
    if (f->samples.len) buffer_add_z(&f->samples, ", ");
    json_write_string(&f->samples, info->id);
  }
  arena_reset(&f->scratch);
  return true;
}

static void write_tallies(struct buffer *json, bool *first, const char *key, const struct tally *list, size_t count) {
  bool inner = true;
  json_write_key(json, first, key);
  buffer_add_char(json, '{');
  for (size_t i = 0; i < count; i++) member_int(json, &inner, list[i].word, (int64_t)list[i].count);
  buffer_add_char(json, '}');
}

static enum status dry_run(struct service *s, size_t limit, struct buffer *json, struct error *err) {
  struct forecast *f = calloc(1, sizeof *f);
  if (!f) return error_set(err, ST_NO_MEMORY, "out of memory");
  uint64_t total = 0;
  unsigned which = LIST_PENDING | (service_follows(s) ? 0u : LIST_LOOK);
  f->service = s;
  enum status st = json_scan(&f->nothing, SPAN("{}"), err);
  if (st == ST_OK) st = store_list(s->store, which, limit, foresee, f, &total, err);
  if (st == ST_OK) {
    bool first = true;
    buffer_add_char(json, '{');
    member_int(json, &first, "version", 1);
    member_bool(json, &first, "dry_run", true);
    member_int(json, &first, "count", (int64_t)f->count);
    member_int(json, &first, "total", (int64_t)total);
    write_tallies(json, &first, "topics", f->topics, f->topic_count);
    write_tallies(json, &first, "reasons", f->reasons, f->reason_count);
    json_write_key(json, &first, "samples");
    buffer_printf(json, "[%s]}", buffer_z(&f->samples));
    st = buffer_status(json, err);
  }
  json_doc_release(&f->nothing);
  arena_release(&f->arena);
  arena_release(&f->scratch);
  buffer_release(&f->samples);
  free(f);
  return st;
}

/* Also what `busbridge flush` and busbridge-worker --once end with. */
static enum status refuse_paused(struct service *s, struct error *err) {
  struct state_pause pause;
  char since[TIME_TEXT];
  service_paused(s, &pause);
  if (!pause.on) return ST_OK;
  return error_set(err, ST_BUSY, "publishing is paused since %s by %s%s%s; go on by: busbridge resume",
                   pause.since_us == TIME_NONE ? "an unknown time" : time_format(pause.since_us, since),
                   *pause.by ? pause.by : "somebody", *pause.reason ? ": " : "", pause.reason);
}

/* ---- real ones -------------------------------------------------------------------------------------------------- */

static enum status start(struct service *s, const struct flush_request *request, struct buffer *json,
                         struct error *err) {
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

enum status service_flush(struct service *s, const struct flush_request *request, struct buffer *json,
                          struct error *err) {
  struct operation o = operation_begin(s, "flush");
  enum status st = request->dry_run ? dry_run(s, request->limit, json, err) : start(s, request, json, err);
  if (st == ST_OK && !request->dry_run && request->by) audit(s, request);
  return operation_end(&o, st);
}

enum status service_flush_progress(struct service *s, uint64_t flush, struct buffer *json, struct error *err) {
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
  member_bool(json, &first, "unreachable", p.unreachable);
  member_text_or_null(json, &first, "reason", span_of(p.reason));
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}
