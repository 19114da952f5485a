/* A dead letter gets another payload: looked up, checked as the relay would, exchanged, and told in
 * the audit with what differs.
 * Any thread; a crash leaves the one payload or the other. */
#include "bridge/service/audit.h"
#include "bridge/service/entries/lookup.h"
#include "bridge/service/entries/payload_diff.h"
#include "bridge/service/fits.h"

struct amending {
  struct service *s;
  const struct amend_request *request;
  struct lookup found;
  int64_t when_us;
  bool raw, typed;
  struct buffer before, whole; /* the payload or the bytes; the entry as it would be */
  struct buffer name;
  enum reason reason;
  struct error why, *err;
  enum status st;
};

/* Bytes that are not an entry give way to a whole one, a column's to a payload. */
static void build_whole(struct amending *a, const struct entry_info *info) {
  const struct event_change change = {"payload", a->request->payload};
  if (info->raw && !info->name.len)
    buffer_add(&a->whole, a->request->payload);
  else if (info->raw)
    event_write(info->id, info->name, a->request->payload, info->created_us, info->storage_key,
                &a->whole);
  else
    event_rewrite(info->doc, &change, 1, &a->whole);
}

static bool take_letter(void *ctx, const struct entry_info *info) {
  struct amending *a = ctx;
  uint64_t size;
  a->raw = info->raw;
  a->typed = info->event && info->event->typed;
  a->when_us = info->failed_us;
  buffer_add(&a->name, info->name);
  if (info->raw)
    a->st = store_bytes(a->s->store, info->token, true, 0, 1 << 20, &a->before, &size, a->err);
  else if (!info->doc)
    a->st = error_set(a->err, ST_INVALID, "%s cannot be read, so it is not changed", info->label);
  else if (info->payload != JSON_NONE)
    buffer_add(&a->before, json_slice(info->doc, info->payload));
  if (a->st == ST_OK) build_whole(a, info);
  if (a->st == ST_OK) a->st = buffer_status(&a->whole, a->err);
  return false;
}

static enum status check_payload(struct amending *a) {
  struct json_doc doc = {0};
  enum status st = json_scan(&doc, a->request->payload, a->err);
  bool object = st == ST_OK && doc.nodes[0].type == JSON_OBJECT;
  json_doc_release(&doc);
  if (st == ST_NO_MEMORY) return st;
  if (st != ST_OK) return error_prefix(a->err, "The payload is not JSON");
  return object ? ST_OK : error_set(a->err, ST_INVALID, "The payload must be a JSON object");
}

static enum status judge(struct amending *a) {
  struct catalog *catalog = NULL;
  enum status st = plan_catalog(&a->s->plan, NULL, &catalog, a->err);
  if (st != ST_OK) return st;
  a->reason = fits_now(a->s, catalog, buffer_span(&a->whole), a->typed, &a->why);
  catalog_close(catalog);
  return a->reason == REASON_NO_MEMORY ? error_set(a->err, ST_NO_MEMORY, "Out of memory") : ST_OK;
}

static enum status find_letter_to_change(struct amending *a) {
  enum status st = lookup_one(&a->found, a->s->store, LIST_DEAD, span_of(a->request->id), a->err);
  if (st == ST_NOT_FOUND)
    return error_set(a->err, st, "No dead letter \"%.128s\" in %s; see: busbridge list --type dlq",
                     a->request->id, store_name(a->s->store));
  if (st == ST_OK)
    st = store_look(a->s->store, SHELF_DEAD, a->found.one->token.ptr, take_letter, a, a->err);
  return st == ST_OK ? a->st : st;
}

static void audit_change(struct amending *a) {
  const struct audit_count counts[] = {{"changed", 1}};
  struct buffer what = {0};
  struct span payload = span_trim(a->request->payload);
  buffer_add(&what, a->found.one->id);
  buffer_add_z(&what, ": ");
  payload_diff(buffer_span(&a->before), payload, &what);
  audit_write(a->s, a->request->by, "edit", buffer_span(&what), counts, 1);
  buffer_release(&what);
}

static enum status exchange(struct amending *a, bool *changed) {
  struct span payload = span_trim(a->request->payload);
  *changed = false;
  if ((a->reason != REASON_NONE && !a->request->force) || span_eq(payload, buffer_span(&a->before)))
    return ST_OK;
  enum status st = store_amend(a->s->store, a->found.one->token.ptr, a->when_us, payload, a->err);
  *changed = st == ST_OK;
  if (st == ST_OK) audit_change(a);
  return st;
}

static void write_answer(struct amending *a, bool changed, struct buffer *json) {
  bool first = true, fits = a->reason == REASON_NONE;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "id", a->found.one->id);
  member_text(json, &first, "name", buffer_span(&a->name));
  member_text(json, &first, "file", a->found.one->label);
  member_bool(json, &first, "changed", changed);
  member_bool(json, &first, "fits", fits);
  member_text_or_null(json, &first, "reason", span_of(fits ? "" : reason_word(a->reason)));
  member_text_or_null(json, &first, "error", span_of(fits ? "" : a->why.text));
  member_text_or_null(json, &first, "remedy", span_of(fits ? "" : reason_remedy(a->reason)));
  buffer_add_char(json, '}');
}

enum status service_amend(struct service *s, const struct amend_request *request,
                          struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "edit");
  struct error local = {0};
  struct amending a = {.s = s, .request = request, .err = err ? err : &local};
  bool changed = false;
  BUG_ON(s->mode == SERVICE_INSPECT);
  mutex_lock(&s->moving);
  enum status st = check_payload(&a);
  if (st == ST_OK) st = find_letter_to_change(&a);
  if (st == ST_OK) st = judge(&a);
  if (st == ST_OK) st = exchange(&a, &changed);
  mutex_unlock(&s->moving);
  if (st == ST_OK) {
    write_answer(&a, changed, json);
    st = buffer_status(json, a.err);
  }
  lookup_release(&a.found);
  buffer_release(&a.before);
  buffer_release(&a.whole);
  buffer_release(&a.name);
  return operation_end(&o, st);
}
