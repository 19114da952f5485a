/* routing_box.h - a routing of given settings, and events that are routed by it. */
#ifndef TESTS_UNIT_ROUTING_BOX_H
#define TESTS_UNIT_ROUTING_BOX_H

#include "bridge/routing/routing.h"
#include "tests/support/test.h"

struct bench {
  struct routing *routing;
  struct arena arena;
  struct json_doc doc;
  struct route route;
  struct error err;
};

static inline int set_up(void **state) {
  struct bench *b = calloc(1, sizeof *b);
  *state = b;
  return b ? 0 : -1;
}

static inline int tear_down(void **state) {
  struct bench *b = *state;
  routing_close(b->routing);
  json_doc_release(&b->doc);
  arena_release(&b->arena);
  free(b);
  return 0;
}

static inline struct routing_config defaults(void) {
  return (struct routing_config){.namespaces = SPAN("episode quality plot usecase"),
                                 .topic = SPAN("{namespace}.events")};
}

static inline void open_with(struct bench *b, struct routing_config config) {
  if (routing_open(&config, &b->routing, &b->err) != ST_OK) fail_msg("%s", b->err.text);
}

static inline enum reason route(struct bench *b, struct span name, const char *payload) {
  memset(&b->err, 0, sizeof b->err);
  assert_int_equal(json_scan(&b->doc, span_of(payload), &b->err), ST_OK);
  struct event event = {.id = SPAN("the-id"),
                        .name = name,
                        .payload = b->doc.nodes[0].type == JSON_OBJECT ? 0 : JSON_NONE};
  return routing_route(b->routing, &b->doc, &event, &b->arena, &b->route, &b->err);
}

#define assert_span(s, z)                                                                          \
  do {                                                                                             \
    if (!span_is((s), (z))) fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARGS(s), (z));                 \
  } while (0)

#define ROUTES(...)                                                                                \
  (const struct route_setting[]){__VA_ARGS__},                                                     \
      sizeof((const struct route_setting[]){__VA_ARGS__}) / sizeof(struct route_setting)
#define R(key, value) {SPAN(key), SPAN(value)}

static inline struct routing_config with(const struct route_setting *routes, size_t count) {
  return (struct routing_config){.namespaces = SPAN("order payment"),
                                 .topic = SPAN("{namespace}.events"),
                                 .routes = routes,
                                 .route_count = count,
                                 .ledger_topic = SPAN("busbridge.ledger")};
}

static inline void refused(struct bench *b, struct routing_config config, const char *message) {
  memset(&b->err, 0, sizeof b->err);
  assert_int_equal(routing_open(&config, &b->routing, &b->err), ST_INVALID);
  if (strncmp(b->err.text, message, strlen(message)) != 0)
    fail_msg("\"%s\" does not begin with \"%s\"", b->err.text, message);
}

#define CASE(name) TEST_WITH(name, set_up, tear_down)

#endif
