/* Which fields are the key of an event: its route, else routing.keys, else its schema, else what is
 * built in.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

static const struct alias builtin_keys[] = {{"episode", "episode_id,id"},
                                            {"plot", "plot_id"},
                                            {"quality", "content_id,episode_id"},
                                            {NULL, NULL}};
/* The classes of the older typed bus that name no plot_id. */
static const struct alias lifted_keys[] = {
    {"plot", "plot_id,command_id,plot_file_path,file_path,master_plot_path"}, {NULL, NULL}};

static const char *const no_fields[] = {NULL};
static const char setting[] = "routing.keys";

/* The next of "a,b", which may be empty; false at the end. */
static bool next_field(struct span *rest, struct span *field) {
  if (!rest->ptr) return false;
  const char *comma = rest->len ? memchr(rest->ptr, ',', rest->len) : NULL;
  size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
  *field = (struct span){rest->ptr, len};
  *rest = comma ? (struct span){comma + 1, rest->len - len - 1} : (struct span){0};
  return true;
}

/* ST_INVALID: err says what of them is not a field. */
static enum status set_fields(struct routing *r, struct span fields, enum key_source source,
                              struct key_rule *out, struct error *err) {
  size_t commas = 0, count = 0;
  for (size_t i = 0; i < fields.len; i++) commas += fields.ptr[i] == ',';
  const char **list = arena_zalloc(&r->memory, (commas + 2) * sizeof *list);
  if (!list) return routing_no_memory(err);
  struct span field;
  while (next_field(&fields, &field)) {
    if (!routing_path_sound(field))
      return error_set(
          err, ST_INVALID,
          "\"%.*s\" is not a field; write FIELD,FIELD (customer.id for id of customer)",
          (int)(field.len < 60 ? field.len : 60), field.ptr);
    if (!(list[count++] = routing_path_copy(r, field))) return routing_no_memory(err);
  }
  *out = (struct key_rule){.fields = list, .source = source};
  return ST_OK;
}

static enum status built_in(struct routing *r, bool none, struct error *err) {
  for (unsigned i = 0; i < r->space_count; i++)
    r->spaces[i]->key = (struct key_rule){.fields = no_fields, .source = KEY_OF_NOBODY};
  for (const struct alias *k = builtin_keys; !none && k->seen; k++) {
    struct rule *space = table_get(&r->by_pattern, span_of(k->seen));
    enum status st =
        space ? set_fields(r, span_of(k->canonical), KEY_BUILT_IN, &space->key, err) : ST_OK;
    if (st != ST_OK) return st;
  }
  for (const struct alias *k = lifted_keys; !none && k->seen; k++) {
    struct rule *space = table_get(&r->by_pattern, span_of(k->seen));
    struct key_rule more;
    enum status st = space ? set_fields(r, span_of(k->canonical), KEY_BUILT_IN, &more, err) : ST_OK;
    if (st != ST_OK) return st;
    if (space) space->key.lifted = more.fields;
  }
  return ST_OK;
}

void routing_builtin_keys(struct buffer *out) {
  for (const struct alias *k = builtin_keys; k->seen; k++)
    buffer_printf(out, "%s%s=%s", k == builtin_keys ? "" : " ", k->seen, k->canonical);
}

/* ---- the settings ---- */

static enum status refuse_key(const char *key, struct span word, const char *why,
                              struct error *err) {
  return error_set(err, ST_INVALID, "%s: \"%.*s\": %s", key, routing_shown(word), word.ptr, why);
}

/* As "a;payment=b" and "a," are written by whoever takes another sign for what separates. */
static bool is_several(struct span fields) {
  return memchr(fields.ptr, '=', fields.len) || memchr(fields.ptr, ';', fields.len) ||
         fields.ptr[fields.len - 1] == ',';
}

/* fields: of word, the part that names them. key: of the setting. */
static enum status of_setting(struct routing *r, const char *key, struct span word,
                              struct span fields, struct key_rule *out, struct error *err) {
  bool route = strcmp(key, setting) != 0;
  enum key_source source = route ? KEY_OF_ROUTE : KEY_OF_SETTING;
  if (!fields.len)
    return refuse_key(
        key, word,
        "no field is named; write none where the event's id is to be the key, and nothing "
        "ordered",
        err);
  struct error why = {0};
  enum status st = ST_OK;
  *out = (struct key_rule){.fields = no_fields, .source = source};
  if (!span_is(fields, "none")) st = set_fields(r, fields, source, out, &why);
  out->key = key;
  if (st != ST_INVALID) return st == ST_OK ? ST_OK : routing_no_memory(err);
  if (!route && is_several(fields)) {
    size_t len = strlen(why.text);
    snprintf(why.text + len, sizeof why.text - len, "; a blank stands between two namespaces");
  }
  return refuse_key(key, word, why.text, err);
}

static enum status of_word(struct routing *r, struct span word, struct error *err) {
  struct span ns, fields;
  if (!routing_halves(word, &ns, &fields))
    return error_set(err, ST_INVALID, "%s: \"%.*s\"; write NAMESPACE=FIELD,FIELD", setting,
                     routing_shown(word), word.ptr);
  struct rule *space = table_get(&r->by_pattern, ns);
  if (space && space->key.source == KEY_OF_SETTING)
    return refuse_key(setting, word,
                      "that namespace has a key already; write all its fields in one word", err);
  if (fields.len && (!space || space->pattern.len != space->ns.len))
    return refuse_key(setting, word, "the namespace is not in routing.namespaces; add it there",
                      err);
  struct key_rule none;
  return of_setting(r, setting, word, fields, space ? &space->key : &none, err);
}

static enum status of_route(struct routing *r, struct rule *rule, struct error *err) {
  const struct said *said = &rule->said[ROUTE_KEY];
  return of_setting(r, said->key, said->value, said->value, &rule->key, err);
}

/* ---- all of it ---- */

/* What a setting says holds for all names below it, whatever their schemas say; what a schema says
 * for its own name alone. */
static enum status of_rule(struct routing *r, struct rule *rule, struct error *err) {
  const struct rule *above = rules_above(r, rule);
  enum status st = ST_OK;
  if (above) rule->key = above->key;
  if (rule->own[ROUTE_KEY]) st = of_route(r, rule, err);
  rule->exact = rule->key;
  bool set = rule->key.source == KEY_OF_SETTING || rule->key.source == KEY_OF_ROUTE;
  if (st != ST_OK || set || !rule->schema_key.len) return st;
  return set_fields(r, rule->schema_key, KEY_OF_SCHEMA, &rule->exact, err);
}

enum status keys_plan(struct routing *r, const struct routing_config *config, struct error *err) {
  struct span rest = config->keys, word;
  enum status st = built_in(r, config->no_defaults, err);
  while (st == ST_OK && routing_word(&rest, &word)) st = of_word(r, word, err);
  for (size_t i = 0; st == ST_OK && i < r->rule_count; i++) st = of_rule(r, r->rules[i], err);
  return st;
}
