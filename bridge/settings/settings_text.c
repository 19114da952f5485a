/* The table of settings for people: --help-settings and busbridge.conf(5); and what a reload may
 * not change.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

static void add_choices(const struct setting_row *row, struct buffer *out) {
  struct span rest = span_of(row->choices), word;
  for (const char *before = "one of "; span_word(&rest, &word); before = ", ")
    buffer_printf(out, "%s%.*s", before, SPAN_ARGS(word));
}

/* "Default 30s; 100ms to 1d; reloaded by SIGHUP." */
static void add_facts(const struct setting_row *row, struct buffer *out) {
  buffer_printf(out, "Default %s", row->fallback[0] ? row->fallback : "empty");
  if (row->choices[0]) {
    buffer_add_z(out, "; ");
    add_choices(row, out);
  }
  size_t before = out->len;
  buffer_add_z(out, "; ");
  setting_range(row, out);
  if (out->len == before + 2) out->len = before; /* no range */
  if (row->flags & SETTING_RELOADABLE) buffer_add_z(out, "; reloaded by SIGHUP");
  buffer_add_char(out, '.');
}

struct wrap {
  size_t indent, width, column; /* column 0: the line is new */
  bool mdoc;
};

static void wrap_words(struct wrap *w, struct span text, struct buffer *out) {
  size_t at = 0;
  while (at < text.len) {
    const char *blank = memchr(text.ptr + at, ' ', text.len - at);
    size_t len = blank ? (size_t)(blank - text.ptr) - at : text.len - at;
    if (w->column > w->indent && w->column + 1 + len > w->width) {
      buffer_add_char(out, '\n');
      w->column = 0;
    }
    if (w->column == 0) {
      for (size_t i = 0; i < w->indent; i++) buffer_add_char(out, ' ');
      if (w->mdoc && (text.ptr[at] == '.' || text.ptr[at] == '\'')) buffer_add_z(out, "\\&");
      w->column = w->indent;
    } else if (w->column > w->indent) {
      buffer_add_char(out, ' ');
      w->column++;
    }
    for (size_t i = at; i < at + len; i++)
      if (w->mdoc && text.ptr[i] == '\\')
        buffer_add_z(out, "\\e");
      else
        buffer_add_char(out, text.ptr[i]);
    w->column += len;
    at += len + (blank ? 1 : 0);
  }
}

static void help_row(const char *key, struct span text, size_t key_width, size_t width,
                     struct buffer *out) {
  bool stacked = width < key_width + 34;
  struct wrap w = {.indent = stacked ? 4 : key_width + 4, .width = width};
  if (stacked)
    buffer_printf(out, "  %s\n", key);
  else {
    buffer_printf(out, "  %-*s  ", (int)key_width, key);
    w.column = w.indent;
  }
  wrap_words(&w, text, out);
  buffer_add_char(out, '\n');
}

static void route_key(const struct setting_row *row, struct buffer *out) {
  buffer_printf(out, "routing.PATTERN.%s", row->key);
}

/* "One of publish, event.", or nothing. */
static void route_choices(const struct setting_row *row, struct buffer *out) {
  size_t at = out->len;
  if (!row->choices[0]) return;
  add_choices(row, out);
  if (out->len > at) out->ptr[at] = 'O';
  buffer_add_char(out, '.');
}

static size_t group_len(const char *key) {
  return strcspn(key, ".");
}

static const char kafka_help[] =
    "Any setting of librdkafka, like kafka.security.protocol. kafka.bootstrap.servers is "
    "127.0.0.1:9092 unless set.";

/* "  routing.*.topic": the attributes of a route, behind the last row of their group. */
static void route_rows(size_t key_width, size_t width, struct buffer *out) {
  const struct setting_row *row;
  struct buffer key = {0}, text = {0};
  for (size_t i = 0; (row = settings_route_attribute(i)); i++) {
    buffer_clear(&key);
    buffer_clear(&text);
    route_key(row, &key);
    buffer_printf(&text, "Of a route: %s. ", row->help);
    route_choices(row, &text);
    help_row(buffer_z(&key), buffer_span(&text), key_width, width, out);
  }
  out->failed |= key.failed || text.failed;
  buffer_release(&key);
  buffer_release(&text);
}

static void kafka_row(size_t key_width, size_t width, struct buffer *out) {
  buffer_add_z(out, "\nkafka\n");
  help_row("kafka.*", span_of(kafka_help), key_width, width, out);
}

void settings_help(struct buffer *out, int width) {
  size_t key_width = 0, columns = width > 0 ? (size_t)width : 80;
  struct buffer text = {0};
  const char *group = "";
  for (int i = 0; i < SETTING_COUNT; i++) {
    size_t len = strlen(setting_row((enum setting)i)->key);
    if (len > key_width) key_width = len;
  }
  for (int i = 0; i < SETTING_COUNT; i++) {
    const struct setting_row *row = setting_row((enum setting)i);
    if (group_len(row->key) != group_len(group) || strncmp(row->key, group, group_len(group)) != 0)
      buffer_printf(out, "%s%.*s\n", i ? "\n" : "", (int)group_len(row->key), row->key);
    group = row->key;
    buffer_clear(&text);
    buffer_printf(&text, "%s. ", row->help);
    add_facts(row, &text);
    help_row(row->key, buffer_span(&text), key_width, columns, out);
    if (i == SETTING_ROUTING_KEYS) route_rows(key_width, columns, out);
  }
  kafka_row(key_width, columns, out);
  out->failed |= text.failed;
  buffer_release(&text);
}

static void mdoc_line(struct span text, struct buffer *out) {
  struct wrap w = {.width = 78, .mdoc = true};
  wrap_words(&w, text, out);
  buffer_add_char(out, '\n');
}

static void route_mdoc(struct buffer *out) {
  const struct setting_row *row;
  struct buffer text = {0};
  for (size_t i = 0; (row = settings_route_attribute(i)); i++) {
    buffer_printf(out, ".It Sy routing.PATTERN.%s\n", row->key);
    buffer_clear(&text);
    buffer_printf(&text, "Of a route: %s.", row->help);
    mdoc_line(buffer_span(&text), out);
    buffer_clear(&text);
    route_choices(row, &text);
    if (text.len) mdoc_line(buffer_span(&text), out);
  }
  out->failed |= text.failed;
  buffer_release(&text);
}

void settings_mdoc(struct buffer *out) {
  struct buffer text = {0};
  for (int i = 0; i < SETTING_COUNT; i++) {
    const struct setting_row *row = setting_row((enum setting)i);
    buffer_printf(out, ".It Sy %s\n", row->key);
    buffer_clear(&text);
    buffer_printf(&text, "%s.", row->help);
    mdoc_line(buffer_span(&text), out);
    buffer_clear(&text);
    add_facts(row, &text);
    mdoc_line(buffer_span(&text), out);
    if (i == SETTING_ROUTING_KEYS) route_mdoc(out);
  }
  out->failed |= text.failed;
  buffer_release(&text);
}

static const char *pair_value(const struct setting_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (!strcmp(pairs->at[i].key, key)) return pairs->at[i].value;
  return NULL;
}

/* Pairs of a that b lacks, and, when told, those it has with another value. */
static void pair_changes(const struct setting_pairs *a, const struct setting_pairs *b,
                         const char *family, bool values, struct buffer *out) {
  for (size_t i = 0; i < a->count; i++) {
    const char *other = pair_value(b, a->at[i].key);
    if (!other || (values && strcmp(other, a->at[i].value) != 0))
      buffer_printf(out, "%s%s\n", family, a->at[i].key);
  }
}

void settings_fixed_changes(const struct settings *old, const struct settings *fresh,
                            struct buffer *out) {
  for (int i = 0; i < SETTING_COUNT; i++) {
    const struct setting_row *row = setting_row((enum setting)i);
    if (row->flags & SETTING_RELOADABLE) continue;
    bool words = row->type == SETTING_TEXT || row->type == SETTING_CHOICE;
    if (words ? strcmp(old->values[i].text, fresh->values[i].text) != 0
              : old->values[i].number != fresh->values[i].number)
      buffer_printf(out, "%s\n", row->key);
  }
  pair_changes(&old->routes, &fresh->routes, "", true, out);
  pair_changes(&fresh->routes, &old->routes, "", false, out);
  pair_changes(&old->kafka, &fresh->kafka, "kafka.", true, out);
  pair_changes(&fresh->kafka, &old->kafka, "kafka.", false, out);
}
