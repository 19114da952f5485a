/* registry_run.h - the ids of schemas against a registry that answers by a script: what the
 * programs about them share. */
#ifndef TESTS_UNIT_REGISTRY_RUN_H
#define TESTS_UNIT_REGISTRY_RUN_H

#include "tests/unit/registry_box.h"

#include "bridge/base/stop.h"
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
  struct schema_id id, other, others; /* others: of another schema alone */
  struct buffer kept;                 /* what is remembered */
  pthread_mutex_t lock;
  bool remembers;
  struct error err;
  int64_t verify_ms;
  const struct clock *clock; /* NULL: the system's */
  FILE *log_file;
  struct log *log;
};

static inline int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  pthread_mutex_init(&r->lock, NULL);
  box_setup((void **)&r->box);
  schema_id_clear(&r->id);
  schema_id_clear(&r->other);
  schema_id_clear(&r->others);
  r->verify_ms = 3600 * 1000;
  r->log_file = tmpfile();
  assert_non_null(r->log_file);
  assert_int_equal(log_open(fileno(r->log_file), LOG_JSON, LOG_INFO, &clock_system, &r->log),
                   ST_OK);
  *state = r;
  return 0;
}

static inline int teardown(void **state) {
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

static inline enum status load(void *ctx, struct buffer *out, struct error *err) {
  struct run *r = ctx;
  pthread_mutex_lock(&r->lock);
  buffer_add(out, buffer_span(&r->kept));
  pthread_mutex_unlock(&r->lock);
  return out->len ? ST_OK : error_set(err, ST_NOT_FOUND, "none");
}

static inline enum status save(void *ctx, struct span text, struct error *err) {
  struct run *r = ctx;
  pthread_mutex_lock(&r->lock);
  buffer_clear(&r->kept);
  buffer_add(&r->kept, text);
  pthread_mutex_unlock(&r->lock);
  return buffer_status(&r->kept, err);
}

static inline void start_with(struct run *r, const struct ids_schema *schema) {
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

static inline void start(struct run *r) {
  start_with(r, &ours_avro);
}

static inline struct ids_view view(struct run *r) {
  struct ids_view v;
  assert_true(ids_at(r->ids, 0, &v));
  return v;
}

/* However slow the machine is: it comes, or the test's own time limit does. */
static inline void await(struct run *r, enum id_state state) {
  while (view(r).state != state) assert_true(sleep_ms(5, NULL));
}

static inline size_t asked(struct run *r, const char *request) {
  size_t n = 0;
  pthread_mutex_lock(&r->box->lock);
  for (size_t i = 0; i < r->box->count; i++)
    if (!strcmp(r->box->answers[i].request, request)) n += r->box->answers[i].asked;
  pthread_mutex_unlock(&r->box->lock);
  return n;
}

static inline void say_known(struct run *r) {
  box_say(r->box, LOOK_UP, 200, "{\"id\":7,\"version\":1,\"schema\":\"" THEIRS "\"}");
  box_say(r->box, ID_7, 200, "{\"schema\":\"" THEIRS "\"}");
}

/* A clock that goes by itself, and by what is added. */
static _Atomic int64_t clock_added_ms;
static inline int64_t later_mono_ns(void *ctx) {
  (void)ctx;
  return clock_mono_ns(&clock_system) + atomic_load(&clock_added_ms) * 1000000;
}
static inline int64_t now_wall_us(void *ctx) {
  (void)ctx;
  return clock_wall_us(&clock_system);
}
static inline uint64_t some_random(void *ctx) {
  (void)ctx;
  return clock_system.random(clock_system.ctx);
}
static const struct clock clock_later = {now_wall_us, later_mono_ns, some_random, NULL};

static inline void use_clock(struct run *r) {
  atomic_store(&clock_added_ms, 0);
  r->clock = &clock_later;
}

/* Until it was asked so often; each look that finds too few lets that much time pass, once each. */
static inline void wait_asked(struct run *r, const char *request, size_t count, int64_t pass_ms) {
  for (size_t seen = asked(r, request); seen < count;) {
    atomic_fetch_add(&clock_added_ms, pass_ms);
    for (size_t now = seen; now == seen; now = asked(r, request)) assert_true(sleep_ms(5, NULL));
    seen = asked(r, request);
  }
}

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
