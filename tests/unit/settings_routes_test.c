/* Routes among the settings: routing.PATTERN.ATTRIBUTE. */
#include "tests/unit/settings_box.h"

CASE(a_route_is_a_pattern_and_an_attribute) {
  struct run *r = *state;
  struct setting_route route;
  struct buffer all = {0}, changes = {0};
  load(r, "routing.order.placed.topic = {namespace}.placed\nrouting.order.key = customer.id\n",
       NULL, "routing.order.key=a,b");
  assert_ok(r);
  for (size_t i = 0; settings_route(r->s, i, &route); i++)
    buffer_printf(&all, "%s=%s|%s %s\n", route.key, route.value, route.attribute->key,
                  strcmp(route.source, "-X") ? "file" : "-X");
  assert_string_equal(buffer_z(&all), "routing.order.key=a,b|key -X\n"
                                      "routing.order.placed.topic={namespace}.placed|topic file\n");
  assert_int_equal(r->warnings.len, 0);
  buffer_release(&all);
  struct settings *old = r->s;
  r->s = NULL;
  load(r, "routing.order.key = a,b\nrouting.order.topic = t\n", NULL, NULL);
  assert_ok(r);
  settings_fixed_changes(old, r->s, &changes);
  settings_free(old);
  assert_string_equal(buffer_z(&changes), "routing.order.placed.topic\nrouting.order.topic\n");
  buffer_release(&changes);
}

CASE(a_route_set_again_is_told) {
  struct run *r = *state;
  char expected[300];
  load(r, "routing.order.key = a\nrouting.order.key = b\n", NULL, NULL);
  assert_ok(r);
  snprintf(expected, sizeof expected, "%s:2: routing.order.key is set again; line 1 is overruled\n",
           r->path);
  assert_string_equal(buffer_z(&r->warnings), expected);
}

CASE(a_mistyped_attribute_is_refused_with_the_nearest) {
  struct run *r = *state;
  load(r, "routing.order.placed.kye = a\n", NULL, NULL);
  assert_refused(r, ":1: routing.order.placed.kye: a route has no such attribute; did you mean "
                    "routing.order.placed.key?");
  load(r, NULL, NULL, "routing.order.topics=a");
  assert_refused(r, "-X routing.order.topics=a: a route has no such attribute; did you mean "
                    "routing.order.topic?");
  load(r, NULL, NULL, "routing.order.placed=a");
  assert_int_equal(r->st, ST_INVALID);
  assert_non_null(strstr(r->err.text, "no such setting; of a route the last word is topic"));
  load(r, NULL, NULL, "routing.topik=a");
  assert_refused(r, "-X routing.topik: no such setting; did you mean routing.topic?");
}

CASE(what_a_route_says_of_framings_and_subjects) {
  struct run *r = *state;
  load(r, NULL, NULL, "routing.order.framing=confluent-json");
  assert_ok(r);
  load(r, NULL, NULL, "routing.order.framing=confluent-jason");
  assert_refused(r, "-X routing.order.framing=confluent-jason: must be one of auto, single-object, "
                    "confluent, confluent-header, confluent-json, raw, json, cloudevents; did you "
                    "mean confluent-json?");
  load(r, NULL, NULL, "routing.order.framing=raw");
  assert_ok(r);
  load(r, NULL, NULL, "routing.order.subject=record");
  assert_ok(r);
  load(r, NULL, NULL, "routing.order.timestamp=evnt");
  assert_refused(
      r, "-X routing.order.timestamp=evnt: must be one of publish, event; did you mean event?");
}

CASE(a_route_has_no_variable) {
  struct run *r = *state;
  struct setting_route route;
  load(r, NULL, ENV("BUSBRIDGE_ROUTING_ORDER_KEY=a", "BUSBRIDGE_ROUTING_ORDER_PLACED_TOPIC_FILE=b"),
       NULL);
  assert_ok(r);
  assert_false(settings_route(r->s, 0, &route));
  assert_string_equal(
      buffer_z(&r->warnings),
      "BUSBRIDGE_ROUTING_ORDER_KEY: a route has no variable, ignored; write it in the file or with -X\n"
      "BUSBRIDGE_ROUTING_ORDER_PLACED_TOPIC_FILE: a route has no variable, ignored; write it in the "
      "file or with -X\n");
}
