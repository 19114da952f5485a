/* Finds and loads the settings, and computes what follows from them for each part, once.
 * One thread, before any other is started; a crash leaves nothing. */
#include "bridge/service/plan/configure.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "BUSBRIDGE_CONFIG="

static bool is_ours(const char *variable) {
  return strncmp(variable, VARIABLE, strlen(VARIABLE)) == 0;
}

const char *configure_file(const struct configure *c) {
  if (c->file) return c->file;
  for (size_t i = 0; c->environment && c->environment[i]; i++)
    if (is_ours(c->environment[i]) && c->environment[i][strlen(VARIABLE)])
      return c->environment[i] + strlen(VARIABLE);
  /* What is there and cannot be read, a folder that lets nobody look, a link to nowhere: none of
   * them is "no file". */
  struct stat st;
  bool absent = lstat(CONFIGURE_DEFAULT, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
  return absent ? NULL : CONFIGURE_DEFAULT;
}

enum status configure_load(const struct configure *c, struct settings **out,
                           struct buffer *warnings, struct error *err) {
  size_t count = 0, kept = 0;
  while (c->environment && c->environment[count]) count++;
  /* It is not a setting, so settings_load would warn of it. */
  const char **environment = calloc(count + 1, sizeof *environment);
  if (!environment) return error_set(err, ST_NO_MEMORY, "Out of memory");
  for (size_t i = 0; i < count; i++)
    if (!is_ours(c->environment[i])) environment[kept++] = c->environment[i];
  struct settings_sources sources = {.file = configure_file(c),
                                     .environment = environment,
                                     .overrides = c->overrides,
                                     .override_count = c->override_count};
  enum status st = settings_load(&sources, out, warnings, err);
  free(environment);
  return st;
}

/* ---- the plan ---- */

#define PLACES_MOST ((unsigned)ROUTING_TOPICS_MAX * SUBJECT_NAMINGS) /* ids of the envelope */

static bool says(const struct settings *x, enum setting s, const char *word) {
  return strcmp(setting_text(x, s), word) == 0;
}

/* NULL: out of memory. */
static const char *text(struct plan *p, const struct settings *x, enum setting s) {
  return arena_copy(&p->arena, span_of(setting_text(x, s)));
}

static struct span words(struct plan *p, const struct settings *x, enum setting s) {
  const char *copy = text(p, x, s);
  return copy ? span_of(copy) : (struct span){0};
}

/* False: out of memory. */
static bool find_schemas(struct plan *p, const struct settings *x) {
  /* beside bin/ when installed; in build/<preset>/ of a source tree; as the distribution puts it */
  static const char *const places[] = {"%s/../share/busbridge/schemas/.", "%s/../../schemas/.",
                                       "/usr/share/busbridge/schemas/."};
  char exe[300], place[400];
  if (!says(x, SETTING_ENCODING_SCHEMAS, ""))
    return (p->catalog.folder = text(p, x, SETTING_ENCODING_SCHEMAS)) != NULL;
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  exe[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(exe, '/');
  if (slash) *slash = '\0';
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(place, sizeof place, places[i], exe);
    char *path = realpath(place, NULL); /* NULL also where it is not a folder */
    if (!path) continue;
    p->catalog.folder = arena_copy(&p->arena, span_of(path));
    free(path);
    return p->catalog.folder != NULL;
  }
  return true;
}

static enum framing framing_of(const struct settings *x) {
  enum framing framing = FRAMING_AUTO;
  bool known = framing_parse(span_of(setting_text(x, SETTING_ENCODING_FRAMING)), &framing);
  if (known && framing != FRAMING_AUTO) return framing;
  return says(x, SETTING_REGISTRY_URL, "") ? FRAMING_SINGLE_OBJECT : FRAMING_CONFLUENT;
}

/* False: out of memory. */
static bool take_kafka(struct plan *p, const struct settings *x) {
  const char *key, *value;
  size_t count = 0;
  while (settings_kafka(x, count, &key, &value)) count++;
  struct kafka_pair *pairs = arena_zalloc(&p->arena, (count + 1) * sizeof *pairs);
  p->kafka = (struct kafka_config){
      .pairs = pairs, .count = pairs ? count : 0, .at_least_once = !p->exactly_once};
  bool ok = pairs != NULL;
  for (size_t i = 0; ok && settings_kafka(x, i, &key, &value); i++) {
    pairs[i] = (struct kafka_pair){arena_copy(&p->arena, span_of(key)),
                                   arena_copy(&p->arena, span_of(value))};
    ok = pairs[i].key && pairs[i].value;
  }
  return ok;
}

static enum unknown_fields unknown_fields_of(const struct settings *x) {
  if (setting_bool(x, SETTING_ENCODING_STRICT) ||
      says(x, SETTING_ENCODING_UNKNOWN_FIELDS, "refuse"))
    return UNKNOWN_REFUSE;
  return says(x, SETTING_ENCODING_UNKNOWN_FIELDS, "drop") ? UNKNOWN_DROP : UNKNOWN_CARRY;
}

static bool is_set(const struct settings *x, enum setting s) {
  return strcmp(setting_source(x, s), "default") != 0;
}

static enum status check_twice_said(const struct settings *x, struct error *err) {
  if (!is_set(x, SETTING_ENCODING_STRICT) || !is_set(x, SETTING_ENCODING_UNKNOWN_FIELDS))
    return ST_OK;
  return error_set(
      err, ST_INVALID,
      "encoding.strict and encoding.unknown_fields are both set (%s, %s): strict=true is "
      "unknown_fields=refuse; take encoding.strict out",
      setting_source(x, SETTING_ENCODING_STRICT),
      setting_source(x, SETTING_ENCODING_UNKNOWN_FIELDS));
}

/* False: out of memory. */
static bool take_routes(struct plan *p, const struct settings *x) {
  struct setting_route route;
  size_t count = 0;
  while (settings_route(x, count, &route)) count++;
  struct route_setting *routes = arena_zalloc(&p->arena, (count + 1) * sizeof *routes);
  p->routing.routes = routes;
  p->routing.route_count = routes ? count : 0;
  bool ok = routes != NULL;
  for (size_t i = 0; ok && settings_route(x, i, &route); i++) {
    const char *key = arena_copy(&p->arena, span_of(route.key));
    const char *value = arena_copy(&p->arena, span_of(route.value));
    if ((ok = key && value)) routes[i] = (struct route_setting){span_of(key), span_of(value)};
  }
  return ok;
}

/* False: out of memory. */
static bool take_registry(struct plan *p, const struct settings *x) {
  p->registry =
      (struct registry_config){.urls = text(p, x, SETTING_REGISTRY_URL),
                               .username = text(p, x, SETTING_REGISTRY_USERNAME),
                               .password = text(p, x, SETTING_REGISTRY_PASSWORD),
                               .token_file = text(p, x, SETTING_REGISTRY_TOKEN_FILE),
                               .oauth_url = text(p, x, SETTING_REGISTRY_OAUTH_URL),
                               .oauth_id = text(p, x, SETTING_REGISTRY_OAUTH_ID),
                               .oauth_secret = text(p, x, SETTING_REGISTRY_OAUTH_SECRET),
                               .oauth_scope = text(p, x, SETTING_REGISTRY_OAUTH_SCOPE),
                               .ca_file = text(p, x, SETTING_REGISTRY_CA_FILE),
                               .certificate = text(p, x, SETTING_REGISTRY_CERTIFICATE_FILE),
                               .key = text(p, x, SETTING_REGISTRY_KEY_FILE),
                               .key_password = text(p, x, SETTING_REGISTRY_KEY_PASSWORD),
                               .proxy = text(p, x, SETTING_REGISTRY_PROXY),
                               .timeout_ms = (int)setting_number(x, SETTING_REGISTRY_TIMEOUT)};
  const struct registry_config *c = &p->registry;
  return c->urls && c->username && c->password && c->token_file && c->oauth_url && c->oauth_id &&
         c->oauth_secret && c->oauth_scope && c->ca_file && c->certificate && c->key &&
         c->key_password && c->proxy;
}

enum status plan_make(const struct settings *x, struct plan *p, struct error *err) {
  *p = (struct plan){.exactly_once = says(x, SETTING_DELIVERY_GUARANTEE, "exactly_once")};
  p->outbox = text(p, x, SETTING_OUTBOX_URL);
  p->ledger_topic = text(p, x, SETTING_LEDGER_TOPIC);
  p->dataschema = text(p, x, SETTING_CLOUDEVENTS_DATASCHEMA);
  p->routing = (struct routing_config){.namespaces = words(p, x, SETTING_ROUTING_NAMESPACES),
                                       .topic = words(p, x, SETTING_ROUTING_TOPIC),
                                       .aliases = words(p, x, SETTING_ROUTING_ALIASES),
                                       .keys = words(p, x, SETTING_ROUTING_KEYS),
                                       .no_defaults = !setting_bool(x, SETTING_ROUTING_DEFAULTS)};
  if (!subject_parse(span_of(setting_text(x, SETTING_REGISTRY_SUBJECT)), &p->subject))
    p->subject = SUBJECT_TOPIC_RECORD;
  p->catalog =
      (struct catalog_config){.places = says(x, SETTING_REGISTRY_URL, "") ? 0 : PLACES_MOST,
                              .framing = framing_of(x),
                              .unknown_fields = unknown_fields_of(x),
                              .refuse_names = says(x, SETTING_ENCODING_UNKNOWN_NAMES, "refuse")};
  p->keys = (struct keys_config){.url = text(p, x, SETTING_REDIS_URL),
                                 .prefix = text(p, x, SETTING_REDIS_PREFIX),
                                 .ttl_ms = setting_number(x, SETTING_REDIS_TTL),
                                 .timeout_ms = (int)setting_number(x, SETTING_REDIS_TIMEOUT),
                                 .required = setting_bool(x, SETTING_REDIS_REQUIRED)};
  const struct routing_config *r = &p->routing;
  p->routing.ledger_topic = span_of(p->ledger_topic ? p->ledger_topic : "");
  bool ok = p->outbox && p->ledger_topic && p->dataschema && take_routes(p, x) &&
            r->namespaces.ptr && r->topic.ptr && r->aliases.ptr && r->keys.ptr && p->keys.url &&
            p->keys.prefix && find_schemas(p, x) && take_kafka(p, x) && take_registry(p, x);
  return ok ? check_twice_said(x, err) : error_set(err, ST_NO_MEMORY, "Out of memory");
}

/* What is set, else fmt with the id. */
static const char *set_or_formed(struct plan *p, const char *set, const char *fmt, const char *id) {
  char own[128];
  snprintf(own, sizeof own, fmt, id);
  return arena_copy(&p->arena, span_of(*set ? set : own));
}

enum status plan_for(struct plan *p, const struct settings *x, const char *id, struct error *err) {
  p->group = set_or_formed(p, "", "busbridge-%s", id);
  p->source = set_or_formed(p, setting_text(x, SETTING_CLOUDEVENTS_SOURCE), "/busbridge/%s", id);
  p->keys.prefix = set_or_formed(p, setting_text(x, SETTING_REDIS_PREFIX), "busbridge:%s:", id);
  return p->group && p->source && p->keys.prefix ? ST_OK
                                                 : error_set(err, ST_NO_MEMORY, "Out of memory");
}

void plan_release(struct plan *p) {
  arena_release(&p->arena);
  *p = (struct plan){0};
}

enum status plan_catalog(const struct plan *p, struct log *log, struct catalog **out,
                         struct error *err) {
  if (!p->catalog.folder)
    return error_set(
        err, ST_INVALID,
        "The Avro schemas are not beside the program; set encoding.schemas to their folder");
  enum status st = catalog_open(&p->catalog, log, out, err);
  bool of_folder = st == ST_NOT_FOUND || st == ST_DENIED;
  if (of_folder && err) err->status = ST_INVALID;
  return of_folder ? ST_INVALID : st;
}

struct relay_tuning plan_tuning(const struct settings *x) {
  return (struct relay_tuning){
      .flush_interval_ms = setting_number(x, SETTING_FLUSH_INTERVAL),
      .max_attempts = (unsigned)setting_number(x, SETTING_DLQ_MAX_ATTEMPTS),
      .max_retries = (unsigned)setting_number(x, SETTING_RETRY_MAX_RETRIES),
      .quick = {setting_number(x, SETTING_RETRY_BACKOFF_BASE),
                setting_number(x, SETTING_RETRY_BACKOFF_MAX),
                setting_number(x, SETTING_RETRY_JITTER)},
      .batch_events = (size_t)setting_number(x, SETTING_BATCH_MAX_EVENTS),
      .batch_bytes = (size_t)setting_number(x, SETTING_BATCH_MAX_BYTES),
  };
}
