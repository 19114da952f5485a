/* Reads entries of one name, without taking any into hand, and has a schema proposed from them.
 * The caller's thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/encoding/infer/infer.h"
#include "bridge/outbox/store.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/schemas/schemas.h"

struct inferring {
  struct routing *routing;
  struct inference *inference;
  struct span event;
  struct digest_set taken; /* contents of the entries that it is made of */
  bool checking;
  enum status status;
  struct error *err;
};

static struct digest content_of(const struct entry_info *info) {
  return digest_of(json_slice(info->doc, info->payload));
}

static void check_entry(struct inferring *i, const struct entry_info *info) {
  if (!digest_set_has(&i->taken, content_of(info))) return; /* it came meanwhile */
  i->status = inference_check(i->inference, info->doc, info->payload, i->err);
  if (i->status == ST_INVALID)
    (void)error_prefix(i->err, "The proposal does not fit %s, this is a fault of busbridge",
                       info->label);
}

static void take_entry(struct inferring *i, const struct entry_info *info) {
  i->status = inference_add(i->inference, info->doc, info->payload, i->err);
  if (i->status == ST_OK && digest_set_add(&i->taken, content_of(info)) != ST_OK)
    i->status = error_set(i->err, ST_NO_MEMORY, "Out of memory");
}

static bool visit(void *ctx, const struct entry_info *info) {
  struct inferring *i = ctx;
  bool ours = info->doc && info->payload != JSON_NONE &&
              info->doc->nodes[info->payload].type == JSON_OBJECT &&
              span_eq(routing_canonical(i->routing, info->name), i->event);
  if (!ours) return true;
  if (i->checking)
    check_entry(i, info);
  else
    take_entry(i, info);
  return i->status == ST_OK;
}

static enum status walk_entries(struct inferring *i, struct store *store, const char *which) {
  unsigned shelves = strcmp(which, "dlq") == 0       ? LIST_DEAD
                     : strcmp(which, "pending") == 0 ? LIST_PENDING
                                                     : LIST_PENDING | LIST_DEAD;
  uint64_t total = 0;
  enum status st = store_list(store, shelves, 0, visit, i, &total, i->err);
  return st == ST_OK ? i->status : st;
}

static enum status propose(struct inferring *i, struct store *store, const char *which,
                           struct buffer *text) {
  enum status st = inference_open(&i->inference, i->err);
  if (st == ST_OK) st = walk_entries(i, store, which);
  if (st == ST_OK && !inference_count(i->inference))
    st = error_set(i->err, ST_NOT_FOUND, "No %s has a payload of %.*s",
                   strcmp(which, "dlq") == 0       ? "dead letter"
                   : strcmp(which, "pending") == 0 ? "pending entry"
                                                   : "entry",
                   SPAN_ARGS(text_cut(i->event, 80)));
  if (st == ST_OK) st = inference_write(i->inference, i->event, text, i->err);
  i->checking = true;
  return st == ST_OK ? walk_entries(i, store, which) : st;
}

enum status schemas_infer(const struct settings *settings, const struct clock *clock,
                          struct span event, const char *which, struct buffer *text, size_t *count,
                          struct error *err) {
  struct inferring i = {.err = err};
  struct plan plan;
  struct store *store = NULL;
  enum status st = plan_make(settings, &plan, err);
  if (st == ST_OK) st = plan_routing(&plan, NULL, &i.routing, err);
  const struct event_lifting lifting = {.canonical = routing_class_name, .ctx = i.routing};
  bool lift = st == ST_OK && strcmp(setting_text(settings, SETTING_OUTBOX_LIFT), "auto") == 0;
  const struct store_options options = {.clock = clock, .lifting = lift ? &lifting : NULL};
  const struct store_config config = {
      .max_entry_bytes = (size_t)setting_number(settings, SETTING_OUTBOX_MAX_ENTRY_BYTES),
      .window = (size_t)setting_number(settings, SETTING_OUTBOX_WINDOW)};
  if (st == ST_OK) st = store_open(plan.outbox, &options, &store, err);
  if (st == ST_OK) st = store_begin(store, &config, err);
  if (st == ST_OK) {
    i.event = routing_canonical(i.routing, event);
    st = propose(&i, store, which, text);
    *count = i.inference ? inference_count(i.inference) : 0;
  }
  inference_close(i.inference);
  store_close(store);
  routing_close(i.routing);
  digest_set_release(&i.taken);
  plan_release(&plan);
  return st;
}
