/* key_rules_test.c - what settings and schemas together say of the keys. */
#include "bridge/service/plan/key_rules.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>

struct world {
  char folder[200];
  struct settings *settings;
  struct plan plan;
  struct catalog *catalog;
  struct routing *routing;
  struct buffer words;
  struct span ns;
  struct error err;
};

static void put(const struct world *w, const char *file, const char *fields) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", w->folder, file);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fprintf(f, "{\"type\": \"record\", \"name\": \"R%zu\", \"fields\": [%s]}", strlen(fields),
          fields);
  assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  char path[300];
  folder_make(w->folder, sizeof w->folder, "key_rules");
  snprintf(path, sizeof path, "%s/order", w->folder);
  if (mkdir(path, 0755) != 0) return -1;
  put(w, "envelope.avsc",
      "{\"name\": \"id\", \"type\": \"string\"}, {\"name\": \"name\", \"type\": \"string\"}, {\"name\": \"created_at\", "
      "\"type\": \"string\"}, {\"name\": \"payload\", \"type\": \"string\", \"json\": true}");
  put(w, "order/placed.avsc",
      "{\"name\": \"order_id\", \"type\": \"string\", \"key\": true}, {\"name\": \"lines\", \"type\": {\"type\": "
      "\"array\", \"items\": \"int\"}}, {\"name\": \"customer\", \"type\": {\"type\": \"record\", \"name\": \"n.C\", "
      "\"fields\": [{\"name\": \"id\", \"type\": \"int\"}]}}, {\"name\": \"free\", \"type\": \"string\", \"json\": true}");
  put(w, "order/gone.avsc", "{\"name\": \"why\", \"type\": [\"null\", \"string\"]}");
  *state = w;
  return 0;
}

static void release(struct world *w) {
  routing_close(w->routing);
  catalog_close(w->catalog);
  plan_release(&w->plan);
  settings_free(w->settings);
  w->routing = NULL;
  w->catalog = NULL;
  w->settings = NULL;
}

static int teardown(void **state) {
  struct world *w = *state;
  release(w);
  buffer_release(&w->words);
  int removed = folder_remove(w->folder);
  test_free(w);
  return removed;
}

static enum status plan(struct world *w, const char *keys) {
  char folder[300], setting[300];
  const char *overrides[] = {folder, setting, "routing.namespaces=order plot usecase"};
  struct settings_sources from = {.overrides = overrides, .override_count = 3};
  release(w);
  snprintf(folder, sizeof folder, "encoding.schemas=%s", w->folder);
  snprintf(setting, sizeof setting, "routing.keys=%s", keys);
  if (settings_load(&from, &w->settings, NULL, &w->err) != ST_OK) fail_msg("%s", w->err.text);
  if (plan_make(w->settings, &w->plan, &w->err) != ST_OK) fail_msg("%s", w->err.text);
  if (plan_catalog(&w->plan, NULL, &w->catalog, &w->err) != ST_OK) fail_msg("%s", w->err.text);
  return plan_routing(&w->plan, w->catalog, &w->routing, &w->err);
}

static const char *words(struct world *w, unsigned i) {
  buffer_clear(&w->words);
  assert_true(key_rules_words(w->routing, i, &w->ns, &w->words));
  return buffer_z(&w->words);
}

static const char *doubt(struct world *w, const char *keys) {
  if (plan(w, keys) != ST_OK) fail_msg("%s: %s", keys, w->err.text);
  buffer_clear(&w->words);
  return key_rules_doubt(w->routing, w->catalog, 0, &w->words) ? buffer_z(&w->words) : "";
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(each_namespace_says_what_orders_it) {
  struct world *w = *state;
  assert_int_equal(plan(w, ""), ST_OK);
  assert_string_equal(
      words(w, 0),
      "the key is order_id of order.placed (its schema); others have none and are not ordered");
  assert_true(span_is(w->ns, "order"));
  assert_string_equal(words(w, 1), "the key is plot_id (built in)");
  assert_string_equal(
      words(w, 2),
      "no key is configured, so nothing is ordered; routing.keys = usecase=FIELD names one");
  assert_false(key_rules_words(w->routing, 3, &w->ns, &w->words));
  assert_int_equal(plan(w, "order=order_id,customer.id plot=none"), ST_OK);
  assert_string_equal(words(w, 0), "the key is order_id, else customer.id (routing.keys)");
  assert_string_equal(words(w, 1), "no key (routing.keys says none), so nothing is ordered");
}

CASE(a_field_that_no_schema_has_is_told_with_the_nearest) {
  struct world *w = *state;
  assert_string_equal(
      doubt(w, "order=orderid"),
      "routing.keys names orderid, which no schema of order has; did you mean order_id?");
  assert_string_equal(doubt(w, "order=tenant,order_id"),
                      "routing.keys names tenant, which no schema of order has");
  assert_string_equal(
      doubt(w, "order=customer.ids"),
      "routing.keys names customer.ids, which no schema of order has; did you mean customer.id?");
  assert_string_equal(
      doubt(w, "order=custmer.id"),
      "routing.keys names custmer.id, which no schema of order has; did you mean customer.id?");
  assert_string_equal(
      doubt(w, "order=custmer.no"),
      "routing.keys names custmer.no, which no schema of order has; did you mean customer?");
  assert_string_equal(doubt(w, "order=customer.no"),
                      "routing.keys names customer.no, which no schema of order has");
  assert_string_equal(doubt(w, "order=customer.id,why,free,free.at"), "");
  assert_string_equal(doubt(w, "plot=anything"), ""); /* a namespace without a schema */
  assert_string_equal(doubt(w, ""), "");
}

CASE(a_field_that_is_an_array_or_object_is_no_key) {
  struct world *w = *state;
  char text[400];
  assert_int_equal(plan(w, "order=order_id,lines"), ST_INVALID);
  snprintf(
      text, sizeof text,
      "routing.keys: order=lines: lines is an array in %s/order/placed.avsc, and makes no key; name a string or a "
      "number",
      w->folder);
  assert_string_equal(w->err.text, text);
  assert_int_equal(plan(w, "order=customer"), ST_INVALID);
  assert_non_null(strstr(w->err.text, "customer is an object in"));
}
