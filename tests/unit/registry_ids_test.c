/* The ids of schemas against a registry that answers by a script: which are taken, which wait,
 * which are never taken. */
#include "tests/unit/registry_run.h"

CASE(what_is_registered_has_its_id) {
  struct run *r = *state;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->id.id), 7);
  assert_int_equal(asked(r, LOOK_UP), 1);
  assert_false(ids_asking(r->ids));
  assert_int_equal(ids_add(r->ids, &ours_avro, &r->other, &r->err), ST_OK);
  assert_int_equal(atomic_load(&r->other.id), 7); /* at once, the same one */
}

CASE(another_spelling_is_found_normalized) {
  struct run *r = *state;
  say_known(r);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, NORMALIZED, 200, "{\"id\":7}");
  start(r);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->id.id), 7);
}

CASE(else_among_the_newest_versions) {
  struct run *r = *state;
  say_known(r);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, NORMALIZED, 422, "{\"error_code\":42201}");
  box_say(r->box, VERSIONS, 200, "[1,2]");
  box_say(r->box, VERSIONS "/2", 200, "{\"id\":8,\"version\":2,\"schema\":\"" NO_LOGICAL "\"}");
  box_say(r->box, VERSIONS "/1", 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS "\"}");
  start(r);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->id.id), 7);
}

CASE(what_is_not_registered_waits_and_is_asked_for_again_later) {
  struct run *r = *state;
  box_say(r->box, "", 404, NONE_40401);
  start(r);
  await(r, ID_MISSING);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_string_equal(view(r).why, "no subject");
  assert_false(ids_asking(r->ids));
}

/* Its subject has one version, which is another schema's. */
static void start_with_another(struct run *r) {
  use_clock(r);
  box_say(r->box, "", 404, NONE_40403);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, VERSIONS, 200, "[1]");
  box_say(r->box, VERSIONS "/1", 200, "{\"id\":8,\"version\":1,\"schema\":\"" NO_LOGICAL "\"}");
  start(r);
  await(r, ID_MISSING);
}

CASE(what_waits_is_not_compared_with_the_same_versions_again) {
  struct run *r = *state;
  start_with_another(r);
  wait_asked(r, LOOK_UP, 2, 31 * 1000);
  wait_asked(r, LOOK_UP, 3, 31 * 1000);
  assert_int_equal(asked(r, VERSIONS "/1"), 1);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS "\"}");
  box_say(r->box, VERSIONS "/2", 200, "{\"id\":7,\"version\":2,\"schema\":\"" THEIRS "\"}");
  box_say(r->box, VERSIONS, 200, "[1,2]");
  wait_asked(r, VERSIONS "/2", 1, 31 * 1000);
  await(r, ID_KNOWN);
}

/* Deleted for good and registered anew it begins at 1 again. */
CASE(versions_of_the_same_numbers_are_compared_again_after_ten_minutes) {
  struct run *r = *state;
  start_with_another(r);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS "\"}");
  box_say(r->box, VERSIONS "/1", 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS "\"}");
  size_t before = asked(r, LOOK_UP);
  wait_asked(r, LOOK_UP, before + 1, 10 * 60 * 1000);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->id.id), 7);
}

CASE(what_is_added_again_at_once_goes_on_as_it_was) {
  struct run *r = *state;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  ids_retire(r->ids);
  assert_int_equal(ids_add(r->ids, &ours_avro, &r->other, &r->err), ST_OK);
  assert_int_equal(view(r).state, ID_KNOWN);
  assert_false(view(r).retired);
  assert_int_equal(atomic_load(&r->id.id), 7);
  assert_int_equal(atomic_load(&r->other.id), 7);
}

CASE(what_nothing_is_written_by_any_more_is_not_asked_for_until_it_is_again) {
  struct run *r = *state;
  use_clock(r);
  box_say(r->box, "", 404, NONE_40401);
  box_say(r->box, LOOK_UP, 404, NONE_40401);
  box_say(r->box, "POST /subjects/t-shop.Other", 404, NONE_40401);
  start(r);
  await(r, ID_MISSING);
  ids_retire(r->ids);
  assert_true(view(r).retired);
  const struct ids_schema another = {ours_avro.kind, "t-shop.Other", "shop.other", "t", SPAN(OURS)};
  assert_int_equal(ids_add(r->ids, &another, &r->others, &r->err), ST_OK);
  ids_ask_now(r->ids);
  wait_asked(r, "POST /subjects/t-shop.Other", 1, 0);
  wait_asked(r, "POST /subjects/t-shop.Other", 3, 31 * 1000); /* of the first one: nothing */
  assert_int_equal(asked(r, LOOK_UP), 1);
  ids_retire(r->ids);
  say_known(r);
  assert_int_equal(ids_add(r->ids, &ours_avro, &r->other, &r->err), ST_OK);
  ids_ask_now(r->ids);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->other.id), 7);
}

/* How often the askers are woken. */
static _Atomic size_t wakes;
void __real_cond_broadcast(struct cond *c);
void __wrap_cond_broadcast(struct cond *c);
void __wrap_cond_broadcast(struct cond *c) {
  wakes++;
  __real_cond_broadcast(c);
}

CASE(many_are_added_and_the_askers_are_woken_once) {
  struct run *r = *state;
  static struct schema_id targets[100]; /* outlive ids */
  struct ids_config config = {
      .registry = {.urls = r->box->url}, .load = load, .save = save, .ctx = r};
  assert_int_equal(ids_open(&config, &r->ids, &r->err), ST_OK);
  size_t before = wakes;
  for (size_t i = 0; i < 100; i++) {
    char subject[20];
    snprintf(subject, sizeof subject, "t-shop.N%zu", i);
    const struct ids_schema one = {ours_avro.kind, subject, "shop.n", "t", SPAN(OURS)};
    schema_id_clear(&targets[i]);
    assert_int_equal(ids_add(r->ids, &one, &targets[i], &r->err), ST_OK);
  }
  ids_ask_now(r->ids);
  assert_int_equal(wakes - before, 1);
}

CASE(an_answer_of_another_logical_type_is_not_taken) {
  struct run *r = *state;
  box_say(r->box, "", 404, NONE_40401);
  box_say(r->box, LOOK_UP, 200, "{\"id\":7,\"version\":1,\"schema\":\"" NO_LOGICAL "\"}");
  start(r);
  await(r, ID_MISSING);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
}

CASE(an_id_that_is_another_schemas_is_not_taken) {
  struct run *r = *state;
  say_known(r);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  start(r);
  await(r, ID_WRONG);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_non_null(strstr(view(r).why, "another schema under the id 7"));
}

CASE(a_registry_that_is_away_is_asked_again_and_the_id_comes) {
  struct run *r = *state;
  box_say(r->box, "", 503, "");
  start(r);
  await(r, ID_NOWHERE);
  assert_non_null(strstr(view(r).why, "no registry there"));
  say_known(r);
  await(r, ID_KNOWN);
}

CASE(the_remembered_one_serves_while_it_is_away_and_no_longer) {
  struct run *r = *state;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  ids_close(r->ids);
  r->ids = NULL;
  schema_id_clear(&r->id);
  box_say(r->box, LOOK_UP, 500, "");
  box_say(r->box, ID_7, 500, "");
  box_say(r->box, "", 500, "");
  start(r);
  await(r, ID_CACHED);
  assert_int_equal(atomic_load(&r->id.id), 7);
  box_say(r->box, ID_7, 404, NONE_40403); /* it was emptied meanwhile */
  box_say(r->box, "", 404, NONE_40401);
  box_say(r->box, LOOK_UP, 404, NONE_40401);
  await(r, ID_MISSING);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
}

/* Apicurio says no type to a look-up; what has an id says it, unless it is Avro. */
CASE(a_json_schema_has_its_id_where_the_id_says_that_it_is_one) {
  struct run *r = *state;
  const struct ids_schema schema = {&json, "t-shop.Placed", "shop.placed", "t", span_of(OURS_JSON)};
  box_say(r->box, LOOK_UP, 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS_JSON "\"}");
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS_JSON "\",\"schemaType\":\"JSON\"}");
  start_with(r, &schema);
  await(r, ID_KNOWN);
  assert_int_equal(atomic_load(&r->id.id), 7);
}

CASE(no_json_schema_is_taken_for_an_avro_schema_of_its_text) {
  struct run *r = *state;
  const struct ids_schema schema = {&json, "t-shop.Placed", "shop.placed", "t", span_of(OURS_JSON)};
  box_say(r->box, LOOK_UP, 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS_JSON "\"}");
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS_JSON "\"}");
  start_with(r, &schema);
  await(r, ID_WRONG);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
}

TEST(json_is_the_same_however_it_is_spelt) {
  const struct span ours =
      SPAN("{\"a\": [1, 19.90, {\"x\": \"\\u00e9/\", \"b\": null}], \"c\": -0}");
  static const struct {
    const char *text;
    bool same;
  } cases[] = {{"{\"c\":0e7,\"a\":[1.0,199E-1,{\"\\u0062\":null,\"x\":\"é\\/\"}]}", true},
               {"{\"a\": [1, 19.9, {\"x\": \"é/\", \"b\": false}], \"c\": 0}", false},
               {"{\"a\": [19.9, 1, {\"x\": \"é/\", \"b\": null}], \"c\": 0}", false},
               {"{\"a\": [1, 19.9, {\"x\": \"e/\", \"b\": null}], \"c\": 0}", false},
               {"{\"a\": [1, 19.91, {\"x\": \"é/\", \"b\": null}], \"c\": 0}", false},
               {"{\"a\": [1, 19.9, {\"x\": \"é/\", \"b\": null}], \"c\": 0, \"d\": 1}", false},
               {"{\"a\": [1, 19.9, {\"x\": \"é/\", \"b\": null}], \"c\": 0", false},
               {"", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct digest a = catalog_json_form(span_of(cases[i].text)), b = catalog_json_form(ours);
    if (catalog_same_json(span_of(cases[i].text), ours) != cases[i].same ||
        (a.lo == b.lo && a.hi == b.hi) != cases[i].same)
      fail_msg("%s", cases[i].text);
  }
  assert_false(catalog_same_json(SPAN("9223372036854775808"), SPAN("9223372036854775807")));
  assert_false(catalog_same_json(SPAN("1e-400"), SPAN("0")));
  assert_true(catalog_same_json(SPAN("1000"), SPAN("0.1e4")));
}

/* ---- what is the same schema ---- */

TEST(logical_types_and_names_make_a_schema_docs_do_not) {
  const struct span ours = SPAN(
      "{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}}]}");
  static const struct {
    const char *text;
    bool same;
  } cases[] = {
      {"{\"type\":\"record\",\"doc\":\"d\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[{\"name\":\"f\",\"doc\":\"x\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}}]}",
       true},
      {"{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":3}}]}",
       false},
      {"{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}}]}",
       false},
      {"{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"f\",\"type\":\"bytes\"}]}",
       false},
      {"{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}}]}",
       false},
      {"{\"type\":\"record\"", false},
      {"", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (catalog_same_schema(span_of(cases[i].text), ours) != cases[i].same)
      fail_msg("%s", cases[i].text);
}
