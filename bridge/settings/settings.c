/* A load: defaults, file, environment, -X; and what is then asked of it.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

enum status settings_defaults(struct settings *s, struct error *err) {
  for (int i = 0; i < SETTING_COUNT; i++) {
    struct setting_value *v = &s->values[i];
    v->text = setting_row((enum setting)i)->fallback;
    v->source = "default";
    enum status st = setting_parse(setting_row((enum setting)i), span_of(v->text), &v->number, err);
    if (st != ST_OK) return error_prefix(err, "default of %s", setting_row((enum setting)i)->key);
  }
  return ST_OK;
}

static enum status load_file(struct loading *l, const char *path) {
  struct buffer text = {0};
  enum status st = settings_read(path, SETTINGS_FILE_MAX, &text, l->err);
  if (st == ST_OK) st = settings_parse_file(l, path, buffer_span(&text));
  buffer_release(&text);
  return st;
}

static enum status load_overrides(struct loading *l, const struct settings_sources *from) {
  for (size_t i = 0; i < from->override_count; i++) {
    const char *text = from->overrides[i], *equals = strchr(text, '=');
    if (!equals)
      return error_set(l->err, ST_INVALID, "-X %.80s: a setting is given as key=value", text);
    struct span key = {text, (size_t)(equals - text)};
    struct buffer place = {0};
    buffer_printf(&place, "-X %.*s", (int)(key.len > 80 ? 80 : key.len), key.ptr);
    enum status st = buffer_status(&place, l->err);
    struct origin o = {.source = "-X", .place = buffer_span(&place)};
    if (st == ST_OK) st = settings_assign(l, &o, span_trim(key), span_trim(span_of(equals + 1)));
    buffer_release(&place);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* bootstrap.servers has a default of ours; librdkafka knows metadata.broker.list as its other name.
 */
static enum status default_brokers(struct loading *l) {
  for (size_t i = 0; i < l->s->kafka.count; i++) {
    const char *key = l->s->kafka.at[i].key;
    if (!strcmp(key, "bootstrap.servers") || !strcmp(key, "metadata.broker.list")) return ST_OK;
  }
  struct origin o = {.source = "default"};
  return settings_assign(l, &o, SPAN("kafka.bootstrap.servers"), SPAN("127.0.0.1:9092"));
}

enum status settings_load(const struct settings_sources *sources, struct settings **out,
                          struct buffer *warnings, struct error *err) {
  struct error own = {0};
  struct loading l = {calloc(1, sizeof(struct settings)), warnings, err ? err : &own, true,
                      sources->errors};
  if (!l.s) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = settings_defaults(l.s, l.err);
  if (st == ST_OK && sources->file) st = load_file(&l, sources->file);
  if (st == ST_OK && sources->environment)
    st = settings_parse_environment(&l, sources->environment);
  if (st == ST_OK) st = load_overrides(&l, sources);
  if (st == ST_OK) st = default_brokers(&l);
  if (st != ST_OK) {
    settings_free(l.s);
    return st;
  }
  *out = l.s;
  return ST_OK;
}

void settings_free(struct settings *s) {
  if (!s) return;
  arena_release(&s->arena);
  free(s->kafka.at);
  free(s->routes.at);
  free(s);
}

const char *setting_text(const struct settings *s, enum setting key) {
  enum setting_type type = setting_row(key)->type;
  BUG_ON(type != SETTING_TEXT && type != SETTING_CHOICE);
  return s->values[key].text;
}

int64_t setting_number(const struct settings *s, enum setting key) {
  enum setting_type type = setting_row(key)->type;
  BUG_ON(type != SETTING_NUMBER && type != SETTING_DURATION && type != SETTING_BYTES);
  return s->values[key].number;
}

bool setting_bool(const struct settings *s, enum setting key) {
  BUG_ON(setting_row(key)->type != SETTING_BOOL);
  return s->values[key].number != 0;
}

const char *setting_source(const struct settings *s, enum setting key) {
  BUG_ON((unsigned)key >= SETTING_COUNT);
  return s->values[key].source;
}

size_t settings_state_dirs(const struct settings *s, const char *dirs[STATE_DIRS]) {
  const char *set = setting_text(s, SETTING_STATE_DIR);
  size_t count = 0;
  if (*set) {
    dirs[count++] = set;
    return count;
  }
  if (s->runtime) dirs[count++] = s->runtime;
  dirs[count++] = "/run/busbridge";
  return count;
}

const char *settings_kafka_source(const struct settings *s, size_t i) {
  BUG_ON(i >= s->kafka.count);
  return s->kafka.at[i].source;
}

bool settings_kafka(const struct settings *s, size_t i, const char **key, const char **value) {
  if (i >= s->kafka.count) return false;
  *key = s->kafka.at[i].key;
  *value = s->kafka.at[i].value;
  return true;
}
