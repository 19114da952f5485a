/* The settings in force as JSON: value, default, source, type and help, secrets hidden.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"
#include "bridge/service/plan/configure.h"

struct shown {
  const char *prefix, *key, *fallback, *source, *type,
      *help; /* fallback, help: NULL where there is none */
  bool reloadable, hidden;
};

static void write_row(const struct shown *row, struct buffer *value, struct buffer *json) {
  struct buffer key = {0};
  bool first = true;
  buffer_printf(&key, "%s%s", row->prefix, row->key);
  buffer_add_z(json, json->ptr[json->len - 1] == '[' ? "{" : ", {");
  member_text(json, &first, "key", buffer_span(&key));
  member_text(json, &first, "value", buffer_span(value));
  json_write_key(json, &first, "default");
  if (row->fallback)
    json_write_string(json, span_of(row->fallback));
  else
    buffer_add_z(json, "null");
  member_text(json, &first, "source", span_of(row->source));
  member_text(json, &first, "type", span_of(row->type));
  member_bool(json, &first, "reloadable", row->reloadable);
  member_bool(json, &first, "hidden", row->hidden);
  member_text_or_null(json, &first, "help", span_of(row->help));
  buffer_add_char(json, '}');
  json->failed = json->failed || key.failed || value->failed;
  buffer_release(&key);
  buffer_clear(value);
}

static const char *type_word(enum setting_type type) {
  switch (type) {
  case SETTING_TEXT: return "text";
  case SETTING_NUMBER: return "number";
  case SETTING_DURATION: return "duration";
  case SETTING_BYTES: return "bytes";
  case SETTING_BOOL: return "bool";
  case SETTING_CHOICE: return "choice";
  }
  return "text";
}

enum status configure_show(const struct settings *settings, struct buffer *json,
                           struct error *err) {
  struct buffer value = {0};
  const char *key, *ignored;
  buffer_add_z(json, "{\"version\": 1, \"settings\": [");
  for (int i = 0; i < SETTING_COUNT && !json->failed; i++) {
    const struct setting_row *row = setting_row((enum setting)i);
    bool hidden = setting_show(settings, (enum setting)i, &value);
    struct shown shown = {.prefix = "",
                          .key = row->key,
                          .fallback = row->fallback,
                          .source = setting_source(settings, (enum setting)i),
                          .type = type_word(row->type),
                          .help = row->help,
                          .reloadable = (row->flags & SETTING_RELOADABLE) != 0,
                          .hidden = hidden};
    write_row(&shown, &value, json);
  }
  struct setting_route route;
  for (size_t i = 0; settings_route(settings, i, &route) && !json->failed; i++) {
    struct shown shown = {.prefix = "",
                          .key = route.key,
                          .source = route.source,
                          .type = type_word(route.attribute->type),
                          .help = route.attribute->help};
    buffer_add_z(&value, route.value);
    write_row(&shown, &value, json);
  }
  for (size_t i = 0; settings_kafka(settings, i, &key, &ignored) && !json->failed; i++) {
    bool hidden = settings_kafka_show(settings, i, &value);
    struct shown shown = {.prefix = "kafka.",
                          .key = key,
                          .source = settings_kafka_source(settings, i),
                          .type = "text",
                          .hidden = hidden};
    write_row(&shown, &value, json);
  }
  buffer_add_z(json, "]}");
  buffer_release(&value);
  return buffer_status(json, err);
}

enum status service_config(struct service *s, struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "config");
  mutex_lock(&s->lock); /* a reload frees the old ones */
  enum status st = configure_show(s->settings, json, err);
  mutex_unlock(&s->lock);
  return operation_end(&o, st);
}
