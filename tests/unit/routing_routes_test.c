/* routing_routes_test.c - routes: which one holds for an event, the topics they make, the keys they
 * name, and those that are refused. */
#include "tests/unit/routing_box.h"

static const char *topic_of(struct bench *b, const char *name) {
  if (route(b, span_of(name), "{}") != REASON_NONE) return b->err.text;
  return routing_topic_name(b->routing, b->route.topic);
}

CASE(of_each_attribute_the_longest_pattern_holds) {
  struct bench *b = *state;
  open_with(b,
            with(ROUTES(R("routing.order.key", "customer"), R("routing.order.item.topic", "items"),
                        R("routing.order.item.added.key", "item"),
                        R("routing.order.topic", "{namespace}s"))));
  const char *payload = "{\"customer\": \"c\", \"item\": \"i\"}";
  static const char *const rows[][3] = {{"order.placed", "orders", "c"},
                                        {"order.item", "items", "c"},
                                        {"order.item.added", "items", "i"},
                                        {"order.item.added.twice", "items", "i"},
                                        {"order.item.gone", "items", "c"},
                                        {"order.items", "orders", "c"},
                                        {"payment.made", "payment.events", "the-id"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i][0]), payload), REASON_NONE);
    assert_string_equal(routing_topic_name(b->routing, b->route.topic), rows[i][1]);
    assert_span(b->route.key, rows[i][2]);
  }
  assert_int_equal(routing_topics(b->routing), 3);
}

CASE(an_alias_goes_the_way_of_its_event) {
  struct bench *b = *state;
  struct routing_config config = with(ROUTES(R("routing.order.placed.topic", "placed")));
  config.aliases = SPAN("OrderPlaced=order.placed");
  open_with(b, config);
  assert_string_equal(topic_of(b, "OrderPlaced"), "placed");
  assert_string_equal(topic_of(b, "order.gone"), "order.events");
  unsigned topic;
  assert_true(routing_topic_of(b->routing, SPAN("OrderPlaced"), &topic));
  assert_string_equal(routing_topic_name(b->routing, topic), "placed");
  assert_false(routing_topic_of(b->routing, SPAN("weather.changed"), &topic));
}

CASE(event_stands_for_names_with_a_schema_or_a_route) {
  struct bench *b = *state;
  static const struct schema_key own[] = {{SPAN("order.placed"), SPAN("")},
                                          {SPAN("order.item.added"), SPAN("")},
                                          {SPAN("payment.made"), SPAN("")},
                                          {SPAN("weather.changed"), SPAN("")},
                                          {SPAN("envelope"), SPAN("")}};
  struct routing_config config = with(
      ROUTES(R("routing.order.topic", "{namespace}.{event}"), R("routing.order.gone.key", "id")));
  assert_true(routing_needs_names(&config));
  config.schema_keys = own;
  config.schema_key_count = sizeof own / sizeof *own;
  open_with(b, config);
  assert_string_equal(topic_of(b, "order.placed"), "order.placed");
  assert_string_equal(topic_of(b, "order.item.added"), "order.item.added");
  assert_string_equal(topic_of(b, "order.gone"), "order.gone");
  assert_string_equal(topic_of(b, "payment.made"), "payment.events");
  assert_int_equal(routing_topics(b->routing), 4);
  assert_int_equal(route(b, SPAN("order.shipped"), "{}"), REASON_UNKNOWN_EVENT);
  assert_string_equal(
      b->err.text,
      "name \"order.shipped\" has no topic: {event} in routing.order.topic stands for names that "
      "have a schema or a route; give it one of them");
  assert_int_equal(route(b, SPAN("order.placed.late"), "{}"), REASON_UNKNOWN_EVENT);
}

CASE(the_users_of_topics_are_listed) {
  struct bench *b = *state;
  struct topic_use use;
  struct buffer all = {0};
  open_with(b, with(ROUTES(R("routing.order.topic", "o-{event}"), R("routing.order.b.key", "none"),
                           R("routing.order.a.c.key", "none"), R("routing.payment.x.topic", "x"),
                           R("routing.payment.y.key", "y"))));
  for (size_t i = 0; routing_topic_use(b->routing, i, &use); i++)
    buffer_printf(&all, "%.*s %.*s %s\n", SPAN_ARGS(use.ns), SPAN_ARGS(use.pattern),
                  routing_topic_name(b->routing, use.topic));
  assert_string_equal(buffer_z(&all), "payment payment payment.events\norder order.a.c o-a.c\n"
                                      "order order.b o-b\npayment payment.x x\n");
  buffer_release(&all);
}

CASE(a_key_is_by_route_then_setting_then_schema_then_built_in) {
  struct bench *b = *state;
  static const struct schema_key own[] = {{SPAN("episode.created"), SPAN("of_schema")},
                                          {SPAN("episode.updated"), SPAN("of_schema")},
                                          {SPAN("plot.updated"), SPAN("of_schema")},
                                          {SPAN("quality.checked"), SPAN("of_schema")}};
  struct routing_config config =
      with(ROUTES(R("routing.episode.created.key", "of_route"),
                  R("routing.plot.key", "of_route,title"), R("routing.plot.saved.key", "none")));
  config.namespaces = SPAN("episode plot quality");
  config.keys = SPAN("plot=of_setting quality=of_setting");
  config.schema_keys = own;
  config.schema_key_count = sizeof own / sizeof *own;
  open_with(b, config);
  const char *payload = "{\"of_route\": \"r\", \"of_setting\": \"s\", \"of_schema\": \"c\", "
                        "\"episode_id\": \"b\"}";
  static const char *const rows[][2] = {{"episode.created", "r"}, {"episode.updated", "c"},
                                        {"episode.written", "b"}, {"plot.updated", "r"},
                                        {"plot.saved", "the-id"}, {"quality.checked", "s"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i][0]), payload), REASON_NONE);
    assert_span(b->route.key, rows[i][1]);
  }
  assert_int_equal(route(b, SPAN("plot.updated"), "{\"of_route\": [1]}"), REASON_BAD_KEY);
  assert_string_equal(b->err.text,
                      "payload.of_route: it is the key by routing.plot.key, and an array makes "
                      "none; a key is a string or a number");
}

CASE(the_time_is_the_events_if_its_route_says_so) {
  struct bench *b = *state;
  open_with(b, with(ROUTES(R("routing.order.timestamp", "event"),
                           R("routing.order.gone.timestamp", "publish"),
                           R("routing.order.gone.topic", "gone"))));
  static const struct {
    const char *name;
    bool event;
  } rows[] = {{"order.placed", true}, {"order.gone", false}, {"payment.made", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i].name), "{}"), REASON_NONE);
    assert_int_equal(b->route.event_time, rows[i].event);
    const char *topic = routing_topic_name(b->routing, b->route.topic);
    assert_int_equal(routing_event_times(b->routing, span_of(topic)), rows[i].event);
  }
  assert_false(routing_event_times(b->routing, SPAN("foreign")));
}

CASE(a_schemas_key_is_of_its_own_event_alone) {
  struct bench *b = *state;
  static const struct schema_key own[] = {{SPAN("order.item"), SPAN("id")}};
  struct routing_config config = with(NULL, 0);
  config.schema_keys = own;
  config.schema_key_count = 1;
  open_with(b, config);
  assert_int_equal(route(b, SPAN("order.item"), "{\"id\": \"i\"}"), REASON_NONE);
  assert_span(b->route.key, "i");
  assert_int_equal(route(b, SPAN("order.item.added"), "{\"id\": \"i\"}"), REASON_NONE);
  assert_span(b->route.key, "the-id");
}

CASE(wrong_routes_are_refused_by_their_key) {
  struct bench *b = *state;
  static const char *const rows[][3] = {
      {"routing.Order.key", "a",
       "routing.Order.key: what stands between routing and the attribute"},
      {"routing..key", "a", "routing..key: what stands between"},
      {"routing.order..key", "a", "routing.order..key: what stands between"},
      {"routing.key", "a", "routing.key: no route"},
      {"routing.weather.key", "a",
       "routing.weather.key: the namespace is not in routing.namespaces; add it there"},
      {"routing.order.timestamp", "now", "routing.order.timestamp: must be publish or event"},
      {"routing.order.colour", "a", "routing.order.colour: a route has no such attribute"},
      {"routing.order.key", "", "routing.order.key: \"\": no field is named; write none"},
      {"routing.order.key", "a,,b", "routing.order.key: \"a,,b\": \"\" is not a field;"},
      {"routing.order.key", "a=b", "routing.order.key: \"a=b\": \"a=b\" is not a field;"},
      {"routing.order.topic", "", "routing.order.topic: \"\" is not a topic name;"},
      {"routing.order.topic", "a b", "routing.order.topic: \"a b\" is not a topic name;"},
      {"routing.order.topic", "a/{event}", "routing.order.topic: \"a/event\" is not a topic name;"},
      {"routing.order.topic", "{event", "routing.order.topic: \"{event\" is not a topic name;"},
      {"routing.order.topic", ".", "routing.order.topic: \".\" is not a topic name;"},
      {"routing.order.topic", "__{namespace}", "routing.order.topic: __order begins with __,"},
      {"routing.order.placed.topic", "busbridge.ledger",
       "routing.order.placed.topic: busbridge.ledger is the topic of the ledger (ledger.topic);"},
      {"routing.order.topic", "payment_events", /* the later one is named */
       "routing.topic: the topics payment_events and payment.events differ in . and _ only"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct route_setting one = {span_of(rows[i][0]), span_of(rows[i][1])};
    refused(b, with(&one, 1), rows[i][2]);
  }
}

CASE(there_are_at_most_a_thousand_topics) {
  struct bench *b = *state;
  struct schema_key *own = test_calloc(1001, sizeof *own);
  char names[1001][32];
  for (size_t i = 0; i < 1001; i++) {
    snprintf(names[i], sizeof names[i], "order.e%zu", i);
    own[i].event = span_of(names[i]);
  }
  struct routing_config config = with(ROUTES(R("routing.order.topic", "{event}")));
  config.schema_keys = own;
  config.schema_key_count = 1000;
  refused(b, config, "routing.order.topic: these are more than 1000 topics; write fewer");
  config.schema_key_count = 999;
  open_with(b, config);
  assert_int_equal(routing_topics(b->routing), 1000);
  assert_string_equal(topic_of(b, "order.e998"), "e998");
  test_free(own);
}

CASE(a_topic_made_of_a_name_is_at_most_249_bytes) {
  struct bench *b = *state;
  char event[200] = "order.";
  memset(event + 6, 'e', sizeof event - 7);
  event[sizeof event - 1] = '\0';
  struct schema_key own = {span_of(event), SPAN("")};
  struct routing_config config =
      with(ROUTES(R("routing.order.topic", "{event}{event}"), R("routing.order.a.key", "none")));
  open_with(b, config);
  routing_close(b->routing);
  config.schema_keys = &own;
  config.schema_key_count = 1;
  refused(b, config, "routing.order.topic: \"eee");
}
