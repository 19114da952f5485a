/* The ids of schemas against a registry that answers by a script: which are taken, which wait,
 * which are never taken. */
#include "tests/unit/registry_box.h"

#include "bridge/base/pause.h"
#include "bridge/base/thread.h"
#include "bridge/encoding/catalog.h"
#include "bridge/registry/ids.h"

#define OURS                                                                                       \
  "{ \"type\": \"record\", \"name\": \"Placed\", \"namespace\": \"shop\", \"fields\": [ {\"name\": \"at\", \"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}} ] }"
#define THEIRS                                                                                     \
  "{\\\"name\\\":\\\"Placed\\\",\\\"namespace\\\":\\\"shop\\\",\\\"doc\\\":\\\"d\\\",\\\"type\\\":\\\"record\\\",\\\"fields\\\":[{\\\"name\\\":\\\"at\\\",\\\"type\\\":{\\\"type\\\":\\\"long\\\",\\\"logicalType\\\":\\\"timestamp-micros\\\"}}]}"
#define NO_LOGICAL                                                                                 \
  "{\\\"name\\\":\\\"Placed\\\",\\\"namespace\\\":\\\"shop\\\",\\\"type\\\":\\\"record\\\",\\\"fields\\\":[{\\\"name\\\":\\\"at\\\",\\\"type\\\":\\\"long\\\"}]}"
#define LOOK_UP "POST /subjects/t-shop.Placed"
#define NORMALIZED "POST /subjects/t-shop.Placed?normalize=true"
#define VERSIONS "GET /subjects/t-shop.Placed/versions"
#define ID_7 "GET /schemas/ids/7"
#define NONE_40401 "{\"error_code\":40401,\"message\":\"no subject\"}"
#define NONE_40403 "{\"error_code\":40403,\"message\":\"no schema\"}"

static const struct ids_kind avro = {"AVRO", catalog_same_schema, catalog_form},
                             json = {"JSON", catalog_same_json, catalog_json_form};
static const struct ids_schema ours_avro = {
    &avro, "t-shop.Placed", "shop.placed", "t", {OURS, sizeof OURS - 1}};

#define OURS_JSON "{\"title\": \"shop.Placed\", \"properties\": {\"n\": {\"maximum\": 100}}}"
#define THEIRS_JSON                                                                                \
  "{\\\"properties\\\":{\\\"n\\\":{\\\"maximum\\\":1e2}},\\\"title\\\":\\\"shop.Placed\\\"}"

struct run {
  struct registry_box *box;
  struct ids *ids;
  struct schema_id id, other;
  struct buffer kept; /* what is remembered */
  pthread_mutex_t lock;
  bool remembers;
  struct error err;
  int64_t verify_ms;
  const struct clock *clock; /* NULL: the system's */
  FILE *log_file;
  struct log *log;
};

static int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  pthread_mutex_init(&r->lock, NULL);
  box_setup((void **)&r->box);
  schema_id_clear(&r->id);
  schema_id_clear(&r->other);
  r->verify_ms = 3600 * 1000;
  r->log_file = tmpfile();
  assert_non_null(r->log_file);
  assert_int_equal(log_open(fileno(r->log_file), LOG_JSON, LOG_INFO, &clock_system, &r->log),
                   ST_OK);
  *state = r;
  return 0;
}

static int teardown(void **state) {
  struct run *r = *state;
  ids_close(r->ids);
  box_teardown((void **)&r->box);
  buffer_release(&r->kept);
  log_close(r->log);
  fclose(r->log_file);
  pthread_mutex_destroy(&r->lock);
  free(r);
  return 0;
}

static enum status load(void *ctx, struct buffer *out, struct error *err) {
  struct run *r = ctx;
  pthread_mutex_lock(&r->lock);
  buffer_add(out, buffer_span(&r->kept));
  pthread_mutex_unlock(&r->lock);
  return out->len ? ST_OK : error_set(err, ST_NOT_FOUND, "none");
}

static enum status save(void *ctx, struct span text, struct error *err) {
  struct run *r = ctx;
  pthread_mutex_lock(&r->lock);
  buffer_clear(&r->kept);
  buffer_add(&r->kept, text);
  pthread_mutex_unlock(&r->lock);
  return buffer_status(&r->kept, err);
}

static void start_with(struct run *r, const struct ids_schema *schema) {
  struct ids_config config = {
      .registry = {.urls = r->box->url, .timeout_ms = 20000, .clock = r->clock},
      .verify_ms = r->verify_ms,
      .load = load,
      .save = save,
      .ctx = r,
      .log = r->log};
  assert_int_equal(ids_open(&config, &r->ids, &r->err), ST_OK);
  assert_int_equal(ids_add(r->ids, schema, &r->id, &r->err), ST_OK);
  assert_int_equal(ids_start(r->ids, &r->err), ST_OK);
}

static void start(struct run *r) {
  start_with(r, &ours_avro);
}

static struct ids_view view(struct run *r) {
  struct ids_view v;
  assert_true(ids_at(r->ids, 0, &v));
  return v;
}

/* However slow the machine is: it comes, or the test's own time limit does. */
static void await(struct run *r, enum id_state state) {
  while (view(r).state != state) assert_true(pause_ms(5, NULL));
}

static size_t asked(struct run *r, const char *request) {
  size_t n = 0;
  pthread_mutex_lock(&r->box->lock);
  for (size_t i = 0; i < r->box->count; i++)
    if (!strcmp(r->box->answers[i].request, request)) n += r->box->answers[i].asked;
  pthread_mutex_unlock(&r->box->lock);
  return n;
}

static void say_known(struct run *r) {
  box_say(r->box, LOOK_UP, 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS "\"}");
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS "\"}");
}

/* A clock that goes by itself, and by what is added. */
static _Atomic int64_t clock_added_ms;
static int64_t later_mono_ns(void *ctx) {
  (void)ctx;
  return clock_mono_ns(&clock_system) + atomic_load(&clock_added_ms) * 1000000;
}
static int64_t now_wall_us(void *ctx) {
  (void)ctx;
  return clock_wall_us(&clock_system);
}
static uint64_t some_random(void *ctx) {
  (void)ctx;
  return clock_system.random(clock_system.ctx);
}
static const struct clock clock_later = {now_wall_us, later_mono_ns, some_random, NULL};

static void use_clock(struct run *r) {
  atomic_store(&clock_added_ms, 0);
  r->clock = &clock_later;
}

/* Until it was asked so often; each look that finds too few lets that much time pass, once each. */
static void wait_asked(struct run *r, const char *request, size_t count, int64_t pass_ms) {
  for (size_t seen = asked(r, request); seen < count;) {
    atomic_fetch_add(&clock_added_ms, pass_ms);
    for (size_t now = seen; now == seen; now = asked(r, request)) assert_true(pause_ms(5, NULL));
    seen = asked(r, request);
  }
}

#define CASE(name) TEST_WITH(name, setup, teardown)

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

CASE(what_waits_is_not_compared_with_the_same_versions_again) {
  struct run *r = *state;
  use_clock(r);
  box_say(r->box, "", 404, NONE_40403);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, VERSIONS, 200, "[1]");
  box_say(r->box, VERSIONS "/1", 200, "{\"id\":8,\"version\":1,\"schema\":\"" NO_LOGICAL "\"}");
  start(r);
  await(r, ID_MISSING);
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
  use_clock(r);
  box_say(r->box, "", 404, NONE_40403);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, VERSIONS, 200, "[1]");
  box_say(r->box, VERSIONS "/1", 200, "{\"id\":8,\"version\":1,\"schema\":\"" NO_LOGICAL "\"}");
  start(r);
  await(r, ID_MISSING);
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
  assert_int_equal(ids_add(r->ids, &another, &r->other, &r->err), ST_OK);
  ids_ask_now(r->ids);
  wait_asked(r, "POST /subjects/t-shop.Other", 1, 0);
  wait_asked(r, "POST /subjects/t-shop.Other", 3, 31 * 1000); /* of the first one: nothing */
  assert_int_equal(asked(r, LOOK_UP), 1);
  ids_retire(r->ids);
  say_known(r);
  schema_id_clear(&r->other);
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

/* Until it has noticed that nobody answers: nothing is looked at meanwhile. */
static void hush(struct run *r, bool silent) {
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = silent;
  pthread_mutex_unlock(&r->box->lock);
  while (silent && view(r).why[0] == '\0') assert_true(pause_ms(5, NULL));
}

/* Known, and then away, until hush(r, false). */
static void known_and_away(struct run *r) {
  r->verify_ms = 20;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  hush(r, true);
}

/* The line of that event. */
static const char *logged(struct run *r, const char *event, char room[8192]) {
  char want[80];
  snprintf(want, sizeof want, "\"event\":\"%s\"", event);
  fflush(r->log_file);
  rewind(r->log_file);
  while (fgets(room, 8192, r->log_file))
    if (strstr(room, want)) return room;
  return "";
}

static void say_gone(struct run *r) {
  box_say(r->box, ID_7, 404, NONE_40403);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, "", 404, NONE_40401);
}

static void assert_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

CASE(an_id_that_vanished_stops_its_type_and_its_offsets_are_told) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  schema_id_published(&r->id, 2, 40);
  schema_id_published(&r->id, 2, 44);
  say_gone(r);
  hush(r, false);
  await(r, ID_MISSING);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_true(view(r).lost);
  assert_has(view(r).why, "the registry knows no schema with the id 7 any more. 2 records were "
                          "published under it since ");
  assert_has(view(r).why, ": t partition 2 offsets 40 to 44");
  assert_has(logged(r, "id_gone", line), ": t partition 2 offsets 40 to 44");
}

CASE(an_id_that_became_another_goes_on_and_the_offsets_of_the_old_one_are_told) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  schema_id_published(&r->id, 0, 9);
  box_say(r->box, ID_7, 404, NONE_40403);
  box_say(r->box, LOOK_UP, 200, "{\"id\":9,\"version\":1,\"schema\":\"" THEIRS "\"}");
  box_say(r->box, "GET /schemas/ids/9", 200, "{\"schema\":\"" THEIRS "\"}");
  hush(r, false);
  while (atomic_load(&r->id.id) != 9) assert_true(pause_ms(5, NULL));
  await(r, ID_KNOWN);
  assert_false(view(r).lost);
  logged(r, "id_renumbered", line);
  assert_has(line, "knows no schema with the id 7 any more, and has it as 9 now. 1 records were");
  assert_has(line, ": t partition 0 offsets 9 to 9");
}

/* What an earlier process published is told by the time, which is remembered. */
CASE(after_a_restart_the_time_is_told_since_when_an_id_may_be_wrong) {
  struct run *r = *state;
  char since[TIME_TEXT], span[120], line[8192];
  known_and_away(r);
  ids_close(r->ids);
  const char *looked = strrchr(buffer_z(&r->kept), ' ');
  assert_non_null(looked);
  int64_t us = strtoll(looked, NULL, 10);
  assert_true(us > 0 && us <= clock_wall_us(&clock_system));
  snprintf(span, sizeof span, "What was published from %s, when it was right, to ",
           time_format(us, since));
  r->ids = NULL;
  schema_id_clear(&r->id);
  hush(r, false);
  box_say(r->box, ID_7, 500, "");
  box_say(r->box, "", 500, "");
  start(r);
  await(r, ID_CACHED);
  schema_id_published(&r->id, 1, 5);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  await(r, ID_WRONG);
  assert_has(view(r).why, span);
  assert_has(view(r).why, "; 1 records by this process: t partition 1 offsets 5 to 5");
  assert_has(logged(r, "id_wrong", line), span);
}

CASE(a_memory_without_a_time_is_read_and_told_as_one) {
  struct run *r = *state;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  ids_close(r->ids);
  char *time = strrchr(buffer_z(&r->kept), ' ');
  assert_non_null(time);
  memcpy(time, "\n", 2);
  r->kept.len = (size_t)(time + 1 - r->kept.ptr);
  r->ids = NULL;
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  schema_id_clear(&r->id);
  start(r);
  await(r, ID_WRONG);
  assert_has(view(r).why, "Nobody knows when it was right last; what was published until ");
}

CASE(many_partitions_are_told_in_full_by_the_log_and_counted_elsewhere) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  for (int p = 0; p < 40; p++) schema_id_published(&r->id, p, 1000000000000 + p);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  hush(r, false);
  await(r, ID_WRONG);
  assert_has(view(r).why, " partitions more and 8 in partitions beyond 31");
  logged(r, "id_wrong", line);
  assert_has(line,
             "partition 31 offsets 1000000000031 to 1000000000031 and 8 in partitions beyond");
}

CASE(a_known_id_is_looked_at_again_and_its_offsets_are_told_when_it_is_another) {
  struct run *r = *state;
  r->verify_ms = 20;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  while (asked(r, ID_7) < 3) assert_true(pause_ms(5, NULL)); /* at the start, then every 20 ms */
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = true; /* nothing is looked at meanwhile */
  pthread_mutex_unlock(&r->box->lock);
  while (view(r).why[0] == '\0') assert_true(pause_ms(5, NULL)); /* it has noticed */
  schema_id_published(&r->id, 2, 40);
  schema_id_published(&r->id, 2, 44);
  schema_id_published(&r->id, 0, 9);
  assert_int_equal(atomic_load(&r->id.id), 7); /* it serves on */
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = false;
  pthread_mutex_unlock(&r->box->lock);
  await(r, ID_WRONG);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_non_null(strstr(view(r).why, "3 records were published under it since "));
  assert_non_null(
      strstr(view(r).why, ": t partition 0 offsets 9 to 9, partition 2 offsets 40 to 44"));
}

/* ---- JSON Schema ---- */

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
