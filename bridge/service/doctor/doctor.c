/* Runs the checks in order and writes what they found; the checks here need nothing outside:
 * settings, routing, schemas, kafka.* settings.
 * One thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/key_rules.h"

/* ---- what needs nobody else ---- */

/* True: there are settings to go on with. */
static bool check_settings(struct doctor *d) {
  const char *source = d->request->source;
  struct error err = {0};
  if (d->settings && configure_standby(d->settings, false, &err) != ST_OK) {
    doctor_found(d, "settings", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix them; busbridge config --changed shows where each comes from");
    return true;
  }
  if (!d->settings) {
    doctor_found(d, "settings", REPORT_FAILED, "%s",
                 d->request->why ? d->request->why : "they cannot be loaded");
    doctor_next(d, "Fix them; busbridge-worker --help-settings lists all with their ranges");
    return false;
  }
  if (source)
    doctor_found(d, "settings", REPORT_OK, "from %s, the environment and -X", source);
  else
    doctor_found(d, "settings", REPORT_OK, "no file; from the environment and -X");
  return true;
}

static void check_keys(struct doctor *d) {
  struct buffer words = {0}, doubt = {0};
  struct span ns;
  for (unsigned i = 0; key_rules_words(d->routing, i, &ns, &words); i++) {
    bool doubtful = key_rules_doubt(d->routing, d->catalog, i, &doubt);
    doctor_found(d, "key", doubtful ? REPORT_WARNING : REPORT_OK, "%.*s: %s%s%s", SPAN_ARGS(ns),
                 buffer_z(&words), doubtful ? "; " : "", doubtful ? buffer_z(&doubt) : "");
    if (doubtful)
      doctor_next(
          d, "Fix routing.keys, or add the field to the schema; else its events go by their ids");
    buffer_clear(&words);
    buffer_clear(&doubt);
  }
  buffer_release(&words);
  buffer_release(&doubt);
}

static void check_routing(struct doctor *d) {
  struct error err = {0};
  if (plan_routing(&d->plan, d->catalog, &d->routing, &err) == ST_OK) {
    char count[COUNTED_TEXT];
    doctor_found(d, "routing", REPORT_OK, "%s for %.*s",
                 counted_text(routing_topics(d->routing), "topic", "topics", count),
                 SPAN_ARGS(d->plan.routing.namespaces));
    check_keys(d);
    return;
  }
  doctor_found(d, "routing", REPORT_FAILED, "%s", err.text);
  doctor_next(d, "Fix the routing.* settings; see busbridge.conf(5)");
}

/* What routing is told of the schemas needs them first; it is the setting met first, and told
 * first. */
static void check_routing_and_schemas(struct doctor *d) {
  struct error err = {0};
  struct catalog_schema schema;
  size_t count = 0;
  enum status st = plan_catalog(&d->plan, NULL, &d->catalog, &err);
  check_routing(d);
  while (st == ST_OK && catalog_schema_at(d->catalog, count, &schema)) count++;
  if (st == ST_OK) {
    doctor_found(d, "schemas", REPORT_OK, "%zu in %s", count, d->plan.catalog.folder);
    return;
  }
  doctor_found(d, "schemas", REPORT_FAILED, "%s", err.text);
  doctor_next(d, "Fix the schema, or set encoding.schemas to the folder of the right ones");
}

/* True: something was said. */
static bool tell_doubts(struct doctor *d) {
  struct buffer all = {0};
  struct kafka_doubt doubt = {.next = ""};
  size_t count = 0;
  for (size_t at = 0; kafka_config_doubt(&d->plan.kafka, &at, &doubt); count++)
    buffer_printf(&all, "%s%s", count ? " " : "", doubt.text);
  if (count) {
    doctor_found(d, "kafka settings", REPORT_WARNING, "%s", buffer_z(&all));
    doctor_next(d, "%s", doubt.next);
  }
  buffer_release(&all);
  return count > 0;
}

static void check_kafka_settings(struct doctor *d) {
  struct error err = {0};
  d->kafka_sound = kafka_config_check(&d->plan.kafka, NULL, &err) == ST_OK;
  if (!d->kafka_sound) {
    doctor_found(d, "kafka settings", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix the kafka.* settings; this is librdkafka %s", kafka_library_version());
  } else if (!tell_doubts(d)) {
    doctor_found(d, "kafka settings", REPORT_OK,
                 "librdkafka %s takes them; delivery.guarantee = %s", kafka_library_version(),
                 setting_text(d->settings, SETTING_DELIVERY_GUARANTEE));
  }
}

/* ---- all of it ---- */

void doctor_release(struct doctor *d) {
  cluster_close(d->cluster);
  store_close(d->store);
  routing_close(d->routing);
  catalog_close(d->catalog);
  plan_release(&d->plan);
  report_release(&d->found);
}

static enum status write_answer(struct doctor *d, struct buffer *json, struct error *err) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  report_write(&d->found, d->away && d->found.failures == 1, json, &first);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

static enum status check_all(struct doctor *d, struct error *err) {
  struct error why = {0};
  enum status st = plan_make(d->settings, &d->plan, &why);
  if (st == ST_INVALID) { /* what two of them say together */
    doctor_found(d, "settings", REPORT_FAILED, "%s", why.text);
    doctor_next(d, "Fix them; busbridge config --changed shows where each comes from");
    return ST_OK;
  }
  if (st != ST_OK) return error_set(err, st, "%s", why.text);
  check_routing_and_schemas(d);
  check_kafka_settings(d);
  doctor_check_outbox(d);
  doctor_check_order(d);
  doctor_check_history(d);
  doctor_check_unplaced(d);
  if (d->store && *store_id(d->store))
    st = plan_for(&d->plan, d->settings, store_id(d->store), err);
  if (st != ST_OK) return st;
  doctor_check_registry(d);
  doctor_check_redis(d);
  doctor_check_kafka(d);
  doctor_check_clock(d);
  return ST_OK;
}

enum status doctor_run(const struct doctor_request *request, struct buffer *json,
                       struct error *err) {
  struct doctor d = {.request = request,
                     .settings = request->settings,
                     .clock = request->clock,
                     .skew_us = TIME_NONE,
                     .redis_skew_us = TIME_NONE,
                     .broker_skew_us = TIME_NONE};
  enum status st = check_settings(&d) ? check_all(&d, err) : ST_OK;
  if (st == ST_OK) st = write_answer(&d, json, err);
  doctor_release(&d);
  return st;
}
