/* The family of settings whose keys are open: routing.PATTERN.ATTRIBUTE.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/settings/settings_private.h"

static const struct setting_row attributes[] = {
#define X(word, type, choices, help) {(word), SETTING_##type, "", 0, 0, (choices), 0, (help)},
    ROUTES_TABLE(X)
#undef X
};
#define ATTRIBUTES (sizeof attributes / sizeof *attributes)
static const char family[] = "routing.";

static const char *last_dot(struct span key) {
  return key.len ? memrchr(key.ptr, '.', key.len) : NULL;
}

bool route_like(struct span key) {
  return span_starts(key, family) && last_dot(key) >= key.ptr + strlen(family);
}

const struct setting_row *settings_route_attribute(size_t i) {
  return i < ATTRIBUTES ? &attributes[i] : NULL;
}

static const struct setting_row *attribute_of(struct span key) {
  const char *dot = last_dot(key);
  if (!route_like(key)) return NULL;
  struct span word = {dot + 1, (size_t)(key.ptr + key.len - dot - 1)};
  for (size_t i = 0; i < ATTRIBUTES; i++)
    if (span_is(word, attributes[i].key)) return &attributes[i];
  return NULL;
}

static void list_attributes(struct buffer *out) {
  for (size_t i = 0; i < ATTRIBUTES; i++)
    buffer_printf(out, "%s%s", !i ? "" : i + 1 < ATTRIBUTES ? ", " : " or ", attributes[i].key);
}

enum status route_attribute(struct span key, const struct setting_row **out, struct error *why) {
  const char *words[ATTRIBUTES], *dot = last_dot(key);
  char typed[WORD_FAR] = "";
  if ((*out = attribute_of(key))) return ST_OK;
  for (size_t i = 0; i < ATTRIBUTES; i++) words[i] = attributes[i].key;
  size_t front = (size_t)(dot + 1 - key.ptr);
  if (key.len - front < sizeof typed) memcpy(typed, dot + 1, key.len - front);
  const char *near = word_nearest(typed, words, ATTRIBUTES);
  if (near && front < 100)
    return error_set(why, ST_INVALID, "a route has no such attribute; did you mean %.*s%s?",
                     (int)front, key.ptr, near);
  struct buffer list = {0};
  list_attributes(&list);
  error_set(why, ST_INVALID, "no such setting; of a route the last word is %s", buffer_z(&list));
  buffer_release(&list);
  return ST_INVALID;
}

bool route_variable(struct span rest) {
  if (!span_starts(rest, "ROUTING_")) return false;
  if (span_ends(rest, "_FILE")) rest.len -= 5;
  for (size_t i = 0; i < ATTRIBUTES; i++) {
    char end[WORD_FAR] = "_";
    for (size_t j = 0; attributes[i].key[j]; j++) {
      char c = attributes[i].key[j];
      end[j + 1] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    if (span_ends(rest, end) && rest.len > strlen("ROUTING") + strlen(end)) return true;
  }
  return false;
}

const char *route_source(const struct settings *s, struct span key) {
  for (size_t i = 0; i < s->routes.count; i++)
    if (span_is(key, s->routes.at[i].key)) return s->routes.at[i].source;
  return NULL;
}

bool settings_route(const struct settings *s, size_t i, struct setting_route *out) {
  if (i >= s->routes.count) return false;
  const struct setting_pair *pair = &s->routes.at[i];
  *out = (struct setting_route){pair->key, pair->value, pair->source,
                                attribute_of(span_of(pair->key))};
  return true;
}
