/* One entry whole: what it is, where it stands, and what is wrong with it.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/relay/causes/verdict.h"
#include "bridge/service/entries/excerpt.h"
#include "bridge/service/entries/lookup.h"
#include "bridge/service/fits.h"
#include "bridge/service/unplaced.h"

#define RAW_MOST ((size_t)32 << 20) /* more is not handed through a worker's memory */
#define BEGINNING 160               /* bytes of what cannot be shown otherwise */

struct showing {
  struct service *service;
  const struct lookup *finding;
  struct buffer *json;
  bool first; /* of the members */
  struct arena arena;
  enum status status; /* what became of it */
  struct error *err;
};

/* ---- where it stands ---- */

/* A closed door in front of it: Kafka, its topic, or the outbox itself. */
static const struct breaker_view *door_of(const struct relay_status *status, const char *topic) {
  for (size_t i = 0; i < status->breaker_count; i++) {
    const char *target = status->breakers[i].target;
    if (!strcmp(target, "kafka") || !strcmp(target, "outbox") || (topic && !strcmp(target, topic)))
      return &status->breakers[i];
  }
  return NULL;
}

static void write_door(struct showing *w, bool waits, const char *topic) {
  struct relay *relay = waits ? w->service->relay : NULL;
  struct relay_status *status =
      relay ? malloc(sizeof *status) : NULL; /* without memory none is told */
  if (status) relay_status(relay, status);
  const struct breaker_view *door = status ? door_of(status, topic) : NULL;
  bool first = true;
  json_write_key(w->json, &w->first, "waits_for");
  buffer_add_z(w->json, door ? "{" : "null");
  if (door) {
    member_text(w->json, &first, "target", span_of(door->target));
    member_text(w->json, &first, "reason", span_of(door->reason));
    member_text(w->json, &first, "remedy", span_of(door->remedy));
    member_time(w->json, &first, "since", door->since_us);
    buffer_add_char(w->json, '}');
  }
  free(status);
}

static int64_t due_of(struct service *s, const struct entry_info *info) {
  if (info->shelf == SHELF_DEAD || !info->attempts || info->failed_us == TIME_NONE)
    return TIME_NONE;
  mutex_lock(&s->lock);
  int64_t interval_ms = setting_number(s->settings, SETTING_FLUSH_INTERVAL);
  mutex_unlock(&s->lock);
  return verdict_due_us(info->attempts, info->failed_us, clock_wall_us(s->clock), interval_ms);
}

static void write_state(struct showing *w, const struct entry_info *info) {
  struct service *s = w->service;
  struct route route;
  char file[RELAY_FILE] = "";
  bool dead = info->shelf == SHELF_DEAD,
       routed = selection_route(s->routing, info, &w->arena, &route);
  int64_t due_us = due_of(s, info);
  bool held = entry_held(s, info, routed ? &route : NULL, file);
  const char *state = dead                  ? "dead"
                      : !info->doc          ? "unread"
                      : held                ? "held"
                      : due_us != TIME_NONE ? "retrying"
                                            : "ready";
  member_text(w->json, &w->first, "state", span_of(state));
  member_time(w->json, &w->first, "due_at", due_us);
  write_door(w, !dead, routed ? routing_topic_name(s->routing, route.topic) : NULL);
}

/* ---- what is wrong ---- */

struct wrong { /* a place in the bytes */
  struct span text;
  size_t at;
  const char *error; /* NULL: the entry's */
  bool known;
  bool sound; /* it was refused as no JSON, and is some now */
};

/* The value that the words are about: they begin with its path ("payload.score: expected ..."). */
static void find_named(const struct entry_info *info, struct wrong *out) {
  struct span words = info->last_error;
  uint32_t node = JSON_NONE;
  enum reason why = reason_from_word(info->reason);
  if ((why == REASON_BAD_NAME || why == REASON_UNKNOWN_NAMESPACE) &&
      !span_starts(words, "payload."))
    node = json_member(info->doc, 0, info->event && info->event->typed ? "event_type" : "name");
  else if (why == REASON_SCHEMA_MISMATCH || why == REASON_INTEGER_RANGE || why == REASON_BAD_ID ||
           why == REASON_MISSING_ID || why == REASON_MISSING_NAME || why == REASON_BAD_PAYLOAD ||
           why == REASON_BAD_KEY || why == REASON_BAD_HEADER || why == REASON_BAD_NAME ||
           why == REASON_UNKNOWN_NAMESPACE)
    for (size_t i = 1; i + 1 < words.len && node == JSON_NONE; i++)
      if (words.ptr[i] == ':' && words.ptr[i + 1] == ' ')
        node = json_at_path(info->doc, (struct span){words.ptr, i});
  *out = (struct wrong){.text = info->text, .known = node != JSON_NONE};
  if (out->known) out->at = info->doc->nodes[node].at;
}

/* What ended the worker is not parsed again. */
static enum status find_fault(const struct entry_info *info, struct span text, struct wrong *out,
                              struct error *why) {
  struct json_doc doc = {0};
  *out = (struct wrong){.text = text};
  if (!text.ptr || reason_from_word(info->reason) == REASON_CRASHES_WORKER) return ST_OK;
  enum status st = json_scan(&doc, text, why);
  if (st == ST_INVALID)
    *out = (struct wrong){.text = text, .at = doc.fault_at, .error = why->text, .known = true};
  out->sound = st == ST_OK;
  json_doc_release(&doc);
  return st == ST_NO_MEMORY ? st : ST_OK;
}

static void write_wrong(struct showing *w, const struct wrong *wrong) {
  struct excerpt e = {0};
  bool first = true;
  json_write_key(w->json, &w->first, "fault");
  if (!wrong->known) {
    buffer_add_z(w->json, "null");
    return;
  }
  excerpt_make(&e, wrong->text, wrong->at);
  buffer_add_char(w->json, '{');
  member_int(w->json, &first, "byte", (int64_t)wrong->at);
  member_int(w->json, &first, "line", (int64_t)e.line);
  member_int(w->json, &first, "column", (int64_t)e.column);
  member_text_or_null(w->json, &first, "error", span_of(wrong->error));
  member_text(w->json, &first, "before", buffer_span(&e.before));
  member_text(w->json, &first, "after", buffer_span(&e.after));
  buffer_add_char(w->json, '}');
  w->json->failed = w->json->failed || e.before.failed || e.after.failed;
  excerpt_release(&e);
}

/* ---- its bytes ---- */

/* At most `most` bytes of what was found: those of a raw dead letter. */
static enum status read_raw(struct service *s, const struct entry_info *info, size_t most,
                            struct buffer *out, uint64_t *size, struct error *err) {
  return store_bytes(s->store, info->token, true, 0, most, out, size, err);
}

static void write_beginning(struct showing *w, struct span text) {
  struct buffer shown = {0};
  text_printable(&shown, text_cut(text, BEGINNING));
  if (text.len > BEGINNING) buffer_add_z(&shown, "...");
  member_text_or_null(w->json, &w->first, "beginning", buffer_span(&shown));
  w->json->failed = w->json->failed || shown.failed;
  buffer_release(&shown);
}

/* What is longer than an entry may be is only begun. Bytes that are gone or cannot be read: what is
 * known is shown. */
static enum status write_bytes(struct showing *w, const struct entry_info *info,
                               struct error *err) {
  struct service *s = w->service;
  struct buffer room = {0};
  struct error why = {0};
  struct wrong wrong = {0};
  uint64_t size = 0;
  enum status st = ST_OK;
  mutex_lock(&s->lock);
  size_t limit = (size_t)setting_number(s->settings, SETTING_OUTBOX_MAX_ENTRY_BYTES);
  mutex_unlock(&s->lock);
  if (info->raw) {
    st = read_raw(s, info, info->size > limit ? BEGINNING + 1 : limit, &room, &size, &why);
    if (st == ST_OK && size <= limit) st = find_fault(info, buffer_span(&room), &wrong, &why);
  } else if (info->doc) {
    find_named(info, &wrong);
  } else {
    st = find_fault(info, info->text, &wrong, &why);
  }
  if (st == ST_NO_MEMORY) error_set(err, st, "%s", why.text);
  if (st == ST_NOT_FOUND || st == ST_DENIED || st == ST_IO || st == ST_INVALID) st = ST_OK;
  if (st == ST_OK) {
    write_wrong(w, &wrong);
    member_bool(w->json, &w->first, "mended", info->raw && wrong.sound);
    write_beginning(w, info->raw ? buffer_span(&room) : info->doc ? (struct span){0} : info->text);
  }
  buffer_release(&room);
  return st;
}

/* ---- the operation ---- */

static void write_history(struct showing *w, const struct entry_info *info) {
  enum reason why = reason_from_word(info->reason);
  int64_t code = 0;
  uint32_t node = info->doc ? json_member(info->doc, 0, "error_code") : JSON_NONE;
  member_time(w->json, &w->first, "first_failed_at", info->first_failed_us);
  json_write_key(w->json, &w->first, "error_code");
  if (node != JSON_NONE && info->doc->nodes[node].type == JSON_NUMBER &&
      json_int(info->doc, node, &code))
    json_write_int(w->json, code);
  else
    buffer_add_z(w->json, "null");
  member_text_or_null(w->json, &w->first, "remedy", span_of(reason_remedy(why)));
}

/* Which members have no place in the schema; without schemas none is told. */
static void write_unknown(struct showing *w, const struct entry_info *info) {
  struct catalog *catalog = NULL;
  struct span name = routing_canonical(w->service->routing, info->name);
  json_write_key(w->json, &w->first, "unknown_fields");
  if (info->payload == JSON_NONE || info->raw ||
      unplaced_open(&w->service->plan, &catalog, NULL) != ST_OK) {
    buffer_add_z(w->json, "[]");
    return;
  }
  (void)unplaced_meet(catalog, &w->service->plan, w->service->routing, name, info->doc,
                      info->payload, NULL);
  unplaced_write(catalog, name, w->json);
  catalog_close(catalog);
}

/* Would it be published now? Where that cannot be told: null. */
static void write_fits(struct showing *w, const struct entry_info *info) {
  struct catalog *catalog = NULL;
  struct error why = {0};
  bool known = info->doc && !info->raw && !info->foreign_form &&
               plan_catalog(&w->service->plan, NULL, &catalog, NULL) == ST_OK;
  enum reason reason =
      known ? fits_now(w->service, catalog, info->text, info->event && info->event->typed, &why)
            : REASON_NO_MEMORY;
  catalog_close(catalog);
  known = known && reason != REASON_NO_MEMORY;
  json_write_key(w->json, &w->first, "fits");
  buffer_add_z(w->json, !known ? "null" : reason == REASON_NONE ? "true" : "false");
  bool dies = known && reason != REASON_NONE;
  member_text_or_null(w->json, &w->first, "fits_reason", span_of(dies ? reason_word(reason) : ""));
  member_text_or_null(w->json, &w->first, "fits_error", span_of(dies ? why.text : ""));
}

/* Where its bytes lie, for an editor. */
static void write_path(struct showing *w, const struct entry_info *info) {
  struct buffer path = {0};
  store_whereabouts(w->service->store, info->shelf, info->token, info->raw, &path);
  member_text_or_null(w->json, &w->first, "path", buffer_span(&path));
  w->json->failed = w->json->failed || path.failed;
  buffer_release(&path);
}

static void write_others(struct showing *w) {
  json_write_key(w->json, &w->first, "also");
  buffer_add_char(w->json, '[');
  for (size_t i = 1; i < w->finding->count; i++) {
    const struct found *c = &w->finding->list[i];
    struct buffer path = {0};
    buffer_printf(&path, "%s%.*s", store_shelf_words(w->service->store, c->shelf, c->token),
                  SPAN_ARGS(c->label));
    if (i > 1) buffer_add_z(w->json, ", ");
    json_write_string(w->json, buffer_span(&path));
    w->json->failed = w->json->failed || path.failed;
    buffer_release(&path);
  }
  buffer_add_char(w->json, ']');
}

static bool write_entry(void *ctx, const struct entry_info *info) {
  struct showing *w = ctx;
  buffer_add_char(w->json, '{');
  member_int(w->json, &w->first, "version", 1);
  entry_members(w->json, &w->first, w->service, info, &w->arena);
  write_path(w, info);
  write_others(w);
  write_state(w, info);
  write_history(w, info);
  write_unknown(w, info);
  write_fits(w, info);
  w->status = write_bytes(w, info, w->err);
  json_write_key(w->json, &w->first, "payload");
  if (info->payload != JSON_NONE && !info->raw)
    buffer_add(w->json, json_slice(info->doc, info->payload));
  else
    buffer_add_z(w->json, "null");
  buffer_add_char(w->json, '}');
  return false;
}

static bool write_raw(void *ctx, const struct entry_info *info) {
  struct showing *w = ctx;
  uint64_t size = info->size;
  size_t before = w->json->len;
  if (info->raw) {
    w->status = read_raw(w->service, info, 0, w->json, &size,
                         w->err); /* how many: what is too much is not read */
    if (w->status == ST_OK && size <= RAW_MOST)
      w->status = read_raw(w->service, info, RAW_MOST, w->json, &size, w->err);
  } else {
    buffer_add(w->json, info->text);
  }
  if (w->status == ST_OK && !w->json->failed && size > w->json->len - before)
    w->status = error_set(w->err, ST_TOO_LARGE, "%s%s has %llu bytes; read it where it lies, in %s",
                          store_shelf_words(w->service->store, info->shelf, span_of(info->token)),
                          info->label, (unsigned long long)size, store_name(w->service->store));
  return false;
}

static enum status find_entry(struct service *s, const struct show_request *request,
                              struct lookup *f, struct error *err) {
  unsigned which = (request->pending ? LIST_PENDING : 0u) | (request->dead ? LIST_DEAD : 0u);
  enum status st = lookup_one(f, s->store, which, span_of(request->id), err);
  if (st != ST_NOT_FOUND) return st;
  struct buffer shown = {0};
  text_printable(&shown, text_cut(span_of(request->id), 128));
  error_set(err, st, "No %s \"%s\" in %s; see: busbridge list",
            !request->pending ? "dead letter"
            : !request->dead  ? "pending entry"
                              : "entry",
            buffer_z(&shown), store_name(s->store));
  buffer_release(&shown);
  return st;
}

enum status service_show(struct service *s, const struct show_request *request, struct buffer *out,
                         struct error *err) {
  struct operation o = operation_begin(s, "show");
  struct lookup f = {0};
  struct showing w = {.service = s, .finding = &f, .json = out, .first = true, .err = err};
  size_t before = out->len;
  enum status st = find_entry(s, request, &f, err);
  if (st == ST_OK)
    st = store_look(s->store, f.one->shelf, f.one->token.ptr,
                    request->raw ? write_raw : write_entry, &w, err);
  if (st == ST_OK) st = w.status;
  if (st == ST_OK) st = buffer_status(out, err);
  if (st != ST_OK) out->len = before;
  arena_release(&w.arena);
  lookup_release(&f);
  return operation_end(&o, st);
}
