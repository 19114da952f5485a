/* Which fields are the key of an event: routing.keys, else its schema, else what is built in. */
#include "bridge/base/words.h"
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

static const struct alias builtin_keys[] = {{"episode", "episode_id,id"},
                                            {"plot", "plot_id"},
                                            {"quality", "content_id,episode_id"},
                                            {NULL, NULL}};

static const char *const no_fields[] = {NULL};

static bool path_sound(struct span path) {
  for (size_t i = 0, begin = 0; i <= path.len; i++) {
    if (i < path.len && strchr("=;{}", path.ptr[i])) return false;
    if (i < path.len && path.ptr[i] != '.') continue;
    if (i == begin) return false;
    begin = i + 1;
  }
  return true;
}

/* The next of "a,b", which may be empty; false at the end. */
static bool next_field(struct span *rest, struct span *field) {
  if (!rest->ptr) return false;
  const char *comma = rest->len ? memchr(rest->ptr, ',', rest->len) : NULL;
  size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
  *field = (struct span){rest->ptr, len};
  *rest = comma ? (struct span){comma + 1, rest->len - len - 1} : (struct span){0};
  return true;
}

/* The path, and behind its NUL its steps, each with one. NULL: no memory. */
static const char *path_copy(struct routing *r, struct span path) {
  char *copy = arena_zalloc(&r->memory, 2 * (path.len + 1));
  if (!copy) return NULL;
  memcpy(copy, path.ptr, path.len);
  for (size_t i = 0; i < path.len; i++)
    copy[path.len + 1 + i] = path.ptr[i] == '.' ? '\0' : path.ptr[i];
  return copy;
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
    if (!path_sound(field))
      return error_set(
          err, ST_INVALID,
          "\"%.*s\" is not a field; write FIELD,FIELD (customer.id for id of customer)",
          (int)(field.len < 60 ? field.len : 60), field.ptr);
    if (!(list[count++] = path_copy(r, field))) return routing_no_memory(err);
  }
  *out = (struct key_rule){list, source};
  return ST_OK;
}

static enum status built_in(struct routing *r, struct error *err) {
  for (struct space *s = r->spaces; s; s = s->next)
    s->key = (struct key_rule){no_fields, KEY_OF_NOBODY};
  for (const struct alias *k = builtin_keys; k->seen; k++) {
    struct space *space = table_get(&r->by_namespace, span_of(k->seen));
    enum status st =
        space ? set_fields(r, span_of(k->canonical), KEY_BUILT_IN, &space->key, err) : ST_OK;
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* ---- the setting ---- */

static enum status refuse(struct span word, const char *why, struct error *err) {
  return error_set(err, ST_INVALID, "routing.keys: \"%.*s\": %s",
                   (int)(word.len < 100 ? word.len : 100), word.ptr, why);
}

static enum status of_word(struct routing *r, struct span word, struct error *err) {
  struct span ns, fields;
  if (!routing_halves(word, &ns, &fields))
    return error_set(err, ST_INVALID, "routing.keys: \"%.*s\"; write NAMESPACE=FIELD,FIELD",
                     (int)(word.len < 100 ? word.len : 100), word.ptr);
  if (!fields.len)
    return refuse(
        word,
        "no field is named; write none where the event's id shall be the key, and nothing ordered",
        err);
  struct space *space = table_get(&r->by_namespace, ns);
  if (!space) return refuse(word, "the namespace is not in routing.namespaces; add it there", err);
  if (space->key.source == KEY_OF_SETTING)
    return refuse(word, "that namespace has a key already; write all its fields in one word", err);
  if (span_is(fields, "none")) {
    space->key = (struct key_rule){no_fields, KEY_OF_SETTING};
    return ST_OK;
  }
  struct error why = {0};
  enum status st = set_fields(r, fields, KEY_OF_SETTING, &space->key, &why);
  return st == ST_INVALID ? refuse(word, why.text, err)
         : st == ST_OK    ? ST_OK
                          : routing_no_memory(err);
}

/* ---- the schemas ---- */

static enum status of_schema(struct routing *r, const struct schema_key *said, struct error *err) {
  struct span ns;
  if (!names_canonical(said->event, &ns)) return ST_OK;
  struct space *space = table_get(&r->by_namespace, ns);
  if (!space || space->key.source == KEY_OF_SETTING) return ST_OK;
  struct by_schema *e = arena_zalloc(&r->memory, sizeof *e);
  if (!e || !(e->event = arena_span(&r->memory, said->event)).ptr) return routing_no_memory(err);
  enum status st = set_fields(r, said->field, KEY_OF_SCHEMA, &e->key, err);
  if (st != ST_OK) return st;
  e->next = space->schemas;
  space->schemas = e;
  return table_put(&r->by_event, e->event, e) == ST_OK ? ST_OK : routing_no_memory(err);
}

enum status keys_plan(struct routing *r, const struct routing_config *config, struct error *err) {
  struct span rest = config->keys, word;
  enum status st = built_in(r, err);
  while (st == ST_OK && routing_word(&rest, &word)) st = of_word(r, word, err);
  for (size_t i = config->schema_key_count; st == ST_OK && i > 0; i--)
    st = of_schema(r, &config->schema_keys[i - 1], err);
  return st;
}
