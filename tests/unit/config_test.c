/* What `busbridge config` and /v1/config show: values, where they come from, and nothing secret. */
#include "bridge/json/json.h"
#include "bridge/service/plan/configure.h"
#include "tests/support/test.h"

struct run {
  struct settings *settings;
  struct buffer json;
  struct json_doc doc;
};

static void show(struct run *r, const char *const *overrides, size_t count,
                 const char *const *environment) {
  struct settings_sources from = {
      .environment = environment, .overrides = overrides, .override_count = count};
  struct error err = {0};
  if (settings_load(&from, &r->settings, NULL, &err) != ST_OK) fail_msg("%s", err.text);
  assert_int_equal(configure_show(r->settings, &r->json, &err), ST_OK);
  assert_int_equal(json_scan(&r->doc, buffer_span(&r->json), &err), ST_OK);
}

static void forget(struct run *r) {
  json_doc_release(&r->doc);
  buffer_release(&r->json);
  settings_free(r->settings);
}

/* The text of a member of the setting, "(null)" or "true" and the like as they stand. */
static const char *member(struct run *r, const char *key, const char *name, struct buffer *out) {
  uint32_t list = json_member(&r->doc, 0, "settings");
  for (uint32_t row = list + 1; row < r->doc.nodes[list].next; row = r->doc.nodes[row].next) {
    if (!json_string_is(&r->doc, json_member(&r->doc, row, "key"), span_of(key))) continue;
    uint32_t value = json_member(&r->doc, row, name);
    buffer_clear(out);
    if (r->doc.nodes[value].type == JSON_STRING)
      json_unescape(&r->doc, value, out);
    else
      buffer_add(out, json_slice(&r->doc, value));
    return buffer_z(out);
  }
  fail_msg("no %s", key);
  return "";
}

/* What configure_check says of them. */
static void assert_checked(const char *const *overrides, size_t count, const char *says) {
  struct settings_sources from = {.overrides = overrides, .override_count = count};
  struct settings *settings = NULL;
  struct buffer errors = {0};
  struct error err = {0};
  if (settings_load(&from, &settings, NULL, &err) != ST_OK) fail_msg("%s", err.text);
  configure_check(settings, &errors);
  assert_string_equal(buffer_z(&errors), says);
  buffer_release(&errors);
  settings_free(settings);
}

TEST(what_becomes_of_unknown_fields_is_said_once) {
  static const char *const schemas = "encoding.schemas=" SOURCE_ROOT "/schemas";
  static const char *const both[] = {schemas, "encoding.strict=true",
                                     "encoding.unknown_fields=refuse"};
  (void)state;
  assert_checked(both, 2, "");
  assert_checked((const char *const[]){both[0], both[2]}, 2, "");
  assert_checked(
      both, 3,
      "-X: encoding.strict and encoding.unknown_fields are both set (-X, -X): strict=true is "
      "unknown_fields=refuse; take encoding.strict out\n");
}

TEST(the_older_word_strict_means_refuse) {
  static const char *const rows[] = {"encoding.strict=true", "encoding.unknown_fields=refuse",
                                     "encoding.unknown_fields=drop",
                                     "encoding.unknown_fields=carry", "encoding.strict=false"};
  static const enum unknown_fields wanted[] = {UNKNOWN_REFUSE, UNKNOWN_REFUSE, UNKNOWN_DROP,
                                               UNKNOWN_CARRY, UNKNOWN_CARRY};
  (void)state;
  for (size_t i = 0; i < 5; i++) {
    struct settings_sources from = {.overrides = &rows[i], .override_count = 1};
    struct settings *settings = NULL;
    struct plan plan;
    assert_int_equal(settings_load(&from, &settings, NULL, NULL), ST_OK);
    assert_int_equal(plan_make(settings, &plan, NULL), ST_OK);
    assert_int_equal(plan.catalog.unknown_fields, wanted[i]);
    plan_release(&plan);
    settings_free(settings);
  }
}

TEST(values_and_their_places_are_shown) {
  static const char *const overrides[] = {"flush.interval=5s", "kafka.linger.ms=7"};
  static const char *const environment[] = {"BUSBRIDGE_REDIS_TTL=1h", NULL};
  struct run r = {0};
  struct buffer b = {0};
  (void)state;
  show(&r, overrides, 2, environment);
  assert_string_equal(member(&r, "flush.interval", "value", &b), "5s");
  assert_string_equal(member(&r, "flush.interval", "default", &b), "30s");
  assert_string_equal(member(&r, "flush.interval", "source", &b), "-X");
  assert_string_equal(member(&r, "flush.interval", "reloadable", &b), "true");
  assert_string_equal(member(&r, "flush.interval", "type", &b), "duration");
  assert_string_equal(member(&r, "redis.ttl", "source", &b), "BUSBRIDGE_REDIS_TTL");
  assert_string_equal(member(&r, "redis.prefix", "source", &b), "default");
  assert_string_equal(member(&r, "redis.url", "value", &b), "redis://127.0.0.1:6379/0");
  assert_string_equal(member(&r, "kafka.linger.ms", "value", &b), "7");
  assert_string_equal(member(&r, "kafka.linger.ms", "default", &b), "null");
  assert_string_equal(member(&r, "kafka.bootstrap.servers", "source", &b), "default");
  buffer_release(&b);
  forget(&r);
}

TEST(no_secret_is_shown_wherever_it_stands) {
  static const char *const overrides[] = {
      "redis.url=redis://user:canary1@h:1/2?password=canary2",
      "kafka.sasl.password=canary3",
      "kafka.ssl.key.password=canary4",
      "kafka.ssl.key.pem=-----BEGIN canary5",
      "kafka.sasl.oauthbearer.client.secret=canary6",
      "kafka.ssl.keystore.password=canary7",
      "kafka.sasl.oauthbearer.config=principal=x canary8",
      "kafka.sasl.oauthbearer.token.endpoint.url=https://a:can@ary9@idp/token?key=canary",
      "cloudevents.source=https://u:canary10@x/y",
      "kafka.sasl.username=alice",
  };
  struct run r = {0};
  struct buffer b = {0};
  (void)state;
  show(&r, overrides, sizeof overrides / sizeof *overrides, NULL);
  assert_null(strstr(buffer_z(&r.json), "canary"));
  assert_null(strstr(buffer_z(&r.json), "ary9"));
  assert_string_equal(member(&r, "redis.url", "value", &b), "redis://***@h:1/2?***");
  assert_string_equal(member(&r, "redis.url", "hidden", &b), "true");
  assert_string_equal(member(&r, "kafka.sasl.password", "value", &b), "***");
  assert_string_equal(member(&r, "kafka.sasl.oauthbearer.token.endpoint.url", "value", &b),
                      "https://***@idp/token?***");
  assert_string_equal(member(&r, "cloudevents.source", "value", &b), "https://***@x/y");
  assert_string_equal(member(&r, "kafka.sasl.username", "value", &b), "alice");
  assert_string_equal(member(&r, "kafka.sasl.username", "hidden", &b), "false");
  buffer_release(&b);
  forget(&r);
}

TEST(an_address_without_its_scheme_is_hidden_whole) {
  static const char *const overrides[] = {"redis.url=user:canary@h:1"};
  static const char *const off[] = {"redis.url=off"};
  struct run r = {0}, none = {0};
  struct buffer b = {0};
  (void)state;
  show(&r, overrides, 1, NULL);
  assert_string_equal(member(&r, "redis.url", "value", &b), "***");
  show(&none, off, 1, NULL);
  assert_string_equal(member(&none, "redis.url", "value", &b), "off");
  buffer_release(&b);
  forget(&r);
  forget(&none);
}

#define SCHEMAS "encoding.schemas=" SOURCE_ROOT "/schemas"

/* Whose fault it is stands in front. */
TEST(settings_that_do_not_hold_together_are_refused_at_their_place) {
  static const struct {
    const char *override, *said;
  } rows[] = {{"routing.namespaces=episode A", "-X: routing.namespaces: \"A\" is not a namespace"},
              {"kafka.lingr.ms=5", "-X: kafka.lingr.ms: No such configuration property"},
              {"kafka.linger.ms=many", "-X: kafka.linger.ms"},
              {"kafka.group.id=x", "-X: kafka.group.id cannot be set"}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct run r = {0};
    struct buffer errors = {0};
    show(&r, (const char *[]){rows[i].override, SCHEMAS}, 2, NULL);
    configure_check(r.settings, &errors);
    if (!span_starts(buffer_span(&errors), rows[i].said)) fail_msg("%s", buffer_z(&errors));
    buffer_release(&errors);
    forget(&r);
  }
  struct run all = {0};
  struct buffer errors = {0};
  const char *overrides[] = {SCHEMAS, rows[0].override, rows[1].override, rows[2].override,
                             rows[3].override};
  show(&all, overrides, 5, NULL);
  configure_check(all.settings, &errors);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_non_null(strstr(buffer_z(&errors), rows[i].said));
  forget(&all);
  buffer_clear(&errors);
  struct run sound = {0};
  show(&sound, overrides, 1, NULL);
  configure_check(sound.settings, &errors);
  assert_int_equal(errors.len, 0);
  buffer_release(&errors);
  forget(&sound);
}
