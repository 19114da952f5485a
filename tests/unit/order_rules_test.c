/* What is told of topics and keys that changed while events are pending. */
#include "bridge/service/changes/order_rules.h"
#include "tests/support/test.h"

#define OUTBOX "memory:order_rules"

struct world {
  struct store *store;
  struct routing *routing;
  struct buffer told;
  struct error err;
  unsigned written;
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  const struct store_options options = {.create = true, .clock = &clock_system};
  assert_int_equal(store_open(OUTBOX, &options, &w->store, &w->err), ST_OK);
  assert_int_equal(store_lock(w->store, 0, &w->err), ST_OK);
  const struct store_config config = {.window = 1000, .max_entry_bytes = 1000};
  assert_int_equal(store_begin(w->store, &config, &w->err), ST_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  routing_close(w->routing);
  store_close(w->store);
  store_memory_forget("order_rules");
  buffer_release(&w->told);
  test_free(w);
  return 0;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

static void rules(struct world *w, const char *keys, const char *topic,
                  const struct route_setting *routes, size_t count) {
  const struct routing_config config = {.namespaces = SPAN("order payment"),
                                        .topic = span_of(topic),
                                        .keys = span_of(keys),
                                        .routes = routes,
                                        .route_count = count};
  routing_close(w->routing);
  if (routing_open(&config, &w->routing, &w->err) != ST_OK) fail_msg("%s", w->err.text);
}

static void pending(struct world *w, const char *name) {
  char id[40], text[300];
  snprintf(id, sizeof id, "e-%u", ++w->written);
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"name\": \"%s\", \"status\": \"pending\", \"payload\": {}}", id,
           name);
  assert_int_equal(store_emit(w->store, span_of(id), span_of(text), NULL, &w->err), ST_OK);
}

static void add(void *ctx, struct span ns, const char *words) {
  struct world *w = ctx;
  buffer_printf(&w->told, "%.*s: %s\n", SPAN_ARGS(ns), words);
}

/* What a start says; it is the last one afterwards. */
static const char *start(struct world *w, bool expect_changed) {
  bool changed = !expect_changed;
  buffer_clear(&w->told);
  if (order_rules_compare(w->store, w->routing, add, w, &changed, &w->err) != ST_OK)
    fail_msg("%s", w->err.text);
  assert_int_equal(changed, expect_changed);
  assert_int_equal(order_rules_write(w->store, w->routing, &w->err), ST_OK);
  return buffer_z(&w->told);
}

CASE(a_change_with_pending_events_is_told_once) {
  struct world *w = *state;
  pending(w, "order.placed");
  pending(w, "order.gone");
  pending(w, "payment.made");
  rules(w, "order=order_id", "{namespace}.events", NULL, 0);
  assert_string_equal(start(w, true), ""); /* the first start knows nothing */
  assert_string_equal(start(w, false), "");
  rules(w, "order=customer.id,order_id", "{namespace}.events", NULL, 0);
  assert_string_equal(
      start(w, true),
      "order: the key was order_id and is customer.id,order_id, while 2 of its events are "
      "pending\n");
  assert_string_equal(start(w, false), "");
  rules(w, "order=none", "all.events", NULL, 0);
  assert_string_equal(
      start(w, true),
      "order: the topic was order.events and is all.events; the key was "
      "customer.id,order_id and is the event's id, while 2 of its events are pending\n"
      "payment: the topic was payment.events and is all.events, while 1 of its events is "
      "pending\n");
}

CASE(without_pending_events_nothing_is_told) {
  struct world *w = *state;
  pending(w, "payment.made");
  rules(w, "order=order_id", "{namespace}.events", NULL, 0);
  assert_string_equal(start(w, true), "");
  rules(w, "order=id", "{namespace}.events", NULL, 0);
  assert_string_equal(start(w, true), "");
}

CASE(a_route_of_one_event_that_comes_and_goes_is_told) {
  struct world *w = *state;
  const struct route_setting route = {SPAN("routing.order.placed.key"), SPAN("customer")};
  pending(w, "order.placed");
  rules(w, "order=order_id", "{namespace}.events", NULL, 0);
  assert_string_equal(start(w, true), "");
  rules(w, "order=order_id", "{namespace}.events", &route, 1);
  assert_string_equal(
      start(w, true),
      "order: the key of order.placed was that of its namespace and is customer, while 1 of "
      "its events is pending\n");
  rules(w, "order=order_id", "{namespace}.events", NULL, 0);
  assert_string_equal(
      start(w, true),
      "order: the key of order.placed was customer and is that of its namespace, while 1 of "
      "its events is pending\n");
}

CASE(a_note_of_anything_is_borne) {
  struct world *w = *state;
  pending(w, "order.placed");
  rules(w, "order=order_id", "{namespace}.events", NULL, 0);
  assert_int_equal(store_note_write(w->store, NOTE_ORDER,
                                    SPAN("\n\tx\nkey\nkey\t\nkey\torder\nwhat\torder\tx\n"),
                                    &w->err),
                   ST_OK);
  start(w, true);
  assert_string_equal(start(w, false), "");
}
