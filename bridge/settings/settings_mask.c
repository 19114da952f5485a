/* Values for people to see, without what must not be seen. Hiding too much is harmless.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

#define MASK "***"

static bool holds(struct span text, const char *part) {
  return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* user and query of a URL: a password may hold any byte, so what stands before the last @ goes.
 * With a ? before that @ nobody can tell which of the two it is of, and all goes. */
static bool mask_url(struct span value, struct buffer *out) {
  const char *begin = value.len ? memmem(value.ptr, value.len, "://", 3) : NULL;
  const char *end = value.ptr + value.len,
             *at = begin ? memrchr(begin, '@', (size_t)(end - begin)) : NULL;
  struct span rest = value;
  if (at) {
    buffer_append(out, value.ptr, (size_t)(begin + 3 - value.ptr));
    buffer_add_z(out, MASK);
    if (memchr(begin, '?', (size_t)(at - begin))) return true;
    rest = (struct span){at, (size_t)(end - at)};
  }
  const char *query = begin && rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
  if (query) rest.len = (size_t)(query + 1 - rest.ptr);
  buffer_add(out, rest);
  if (query) buffer_add_z(out, MASK);
  return at || query;
}

static bool mask(bool secret, struct span value, struct buffer *out) {
  if (!secret) return mask_url(value, out);
  if (value.len) buffer_add_z(out, MASK);
  return value.len > 0;
}

/* Of librdkafka's keys those that it calls sensitive itself, and what may carry a password by the
 * way. */
static bool kafka_secret(struct span key) {
  static const char *const parts[] = {"password",           "secret",    "key.pem",
                                      "oauthbearer.config", "kinit.cmd", "jaas"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (holds(key, parts[i])) return true;
  return false;
}

/* An outbox on this machine's disk: what stands there is a path, which may hold any byte. */
static bool is_path(struct span value) {
  return span_starts(value, "file:") || (span_starts(value, "sqlite:") && !holds(value, "://"));
}

/* A secret that is an address (redis.url) is shown as far as one may: it is what people look for.
 */
bool setting_show(const struct settings *s, enum setting key, struct buffer *out) {
  const struct setting_row *row = setting_row(key);
  struct span value = span_of(s->values[key].text);
  bool address = span_ends(span_of(row->key), ".url") &&
                 (holds(value, "://") || !holds(value, "@") || is_path(value));
  return mask(row->flags & SETTING_SECRET && !address, value, out);
}

bool settings_kafka_show(const struct settings *s, size_t i, struct buffer *out) {
  BUG_ON(i >= s->kafka.count);
  return mask(kafka_secret(span_of(s->kafka.at[i].key)), span_of(s->kafka.at[i].value), out);
}
