/* BUSBRIDGE_*, NOVELER_DISABLE_BACKGROUND_FLUSH and the runtime directory.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

static bool contains(struct span text, const char *part) {
  return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* What Kubernetes injects for a Service called busbridge or busbridge-something. */
static bool injected(struct span name) {
  return span_ends(name, "_SERVICE_HOST") || contains(name, "_SERVICE_PORT") ||
         span_ends(name, "_PORT") || contains(name, "_PORT_");
}

static bool same_variable(struct span rest, const char *key) {
  if (rest.len != strlen(key)) return false;
  for (size_t i = 0; i < rest.len; i++) {
    char c = key[i] == '.' ? '_' : key[i];
    if (c >= 'a' && c <= 'z') c = (char)(c - 32);
    if (rest.ptr[i] != c) return false;
  }
  return true;
}

static const char *row_of(struct span rest) {
  for (int i = 0; i < SETTING_COUNT; i++)
    if (same_variable(rest, setting_row((enum setting)i)->key))
      return setting_row((enum setting)i)->key;
  return NULL;
}

/* FLUSH_INTERVAL -> flush.interval, KAFKA_SASL_PASSWORD_FILE -> kafka.sasl.password_file; empty
 * when it is not a setting.
 */
static void key_of(struct span rest, struct buffer *key) {
  const char *row = row_of(rest);
  bool file = !row && span_ends(rest, "_FILE");
  if (file) {
    rest.len -= 5;
    row = row_of(rest);
  }
  if (row) {
    buffer_add_z(key, row);
  } else if (span_starts(rest, "KAFKA_") && rest.len > 6) {
    for (size_t i = 0; i < rest.len; i++) {
      char c = rest.ptr[i];
      buffer_add_char(key, (char)(c == '_' ? '.' : c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
  } else {
    return;
  }
  if (file) buffer_add_z(key, "_file");
}

static void warn_unknown(struct loading *l, struct span name) {
  struct span rest = {name.ptr + 10, name.len - 10};
  const char *near = setting_nearest_variable(rest);
  if (!l->warnings) return;
  if (route_variable(rest)) {
    buffer_printf(l->warnings,
                  "%.*s: a route has no variable, ignored; write it in the file or with -X\n",
                  (int)(name.len > 80 ? 80 : name.len), name.ptr);
    return;
  }
  buffer_printf(l->warnings, "%.*s: no such setting, ignored", (int)(name.len > 80 ? 80 : name.len),
                name.ptr);
  if (near) {
    buffer_add_z(l->warnings, "; did you mean BUSBRIDGE_");
    for (const char *c = near; *c; c++)
      buffer_add_char(l->warnings, (char)(*c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 32 : *c));
    buffer_add_char(l->warnings, '?');
  }
  buffer_add_char(l->warnings, '\n');
}

static enum status parse_variable(struct loading *l, const char *variable) {
  const char *equals = strchr(variable, '=');
  struct span name = {variable, equals ? (size_t)(equals - variable) : 0};
  if (!span_starts(name, "BUSBRIDGE_")) return ST_OK;
  struct span rest = {name.ptr + 10, name.len - 10};
  if (!row_of(rest) && injected(name)) return ST_OK;
  struct buffer key = {0};
  key_of(rest, &key);
  enum status st = buffer_status(&key, l->err);
  struct origin o = {.source = arena_copy(&l->s->arena, name), .place = name};
  if (st == ST_OK && !o.source) st = error_set(l->err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK && key.len == 0)
    warn_unknown(l, name);
  else if (st == ST_OK)
    st = settings_assign(l, &o, buffer_span(&key), span_trim(span_of(equals + 1)));
  buffer_release(&key);
  return st;
}

static const char *variable(const char *const *environment, const char *name) {
  size_t len = strlen(name);
  for (const char *const *v = environment; *v; v++)
    if (strncmp(*v, name, len) == 0 && (*v)[len] == '=' && (*v)[len + 1]) return *v + len + 1;
  return NULL;
}

/* The service manager's, which may name several, is ours alone; a login's is everybody's. */
static enum status take_runtime(struct loading *l, const char *const *environment) {
  const char *own = variable(environment, "RUNTIME_DIRECTORY");
  const char *login = variable(environment, "XDG_RUNTIME_DIR");
  struct buffer path = {0};
  if (own)
    buffer_append(&path, own, strcspn(own, ":"));
  else if (login)
    buffer_printf(&path, "%s/busbridge", login);
  else
    return ST_OK;
  enum status st = buffer_status(&path, l->err);
  if (st == ST_OK && !(l->s->runtime = arena_copy(&l->s->arena, buffer_span(&path))))
    st = error_set(l->err, ST_NO_MEMORY, "out of memory");
  buffer_release(&path);
  return st;
}

enum status settings_parse_environment(struct loading *l, const char *const *environment) {
  static const char noveler[] = "NOVELER_DISABLE_BACKGROUND_FLUSH";
  for (const char *const *v = environment; *v; v++) {
    if (strcmp(*v, "NOVELER_DISABLE_BACKGROUND_FLUSH=1") != 0) continue;
    struct origin o = {.source = noveler, .place = SPAN("NOVELER_DISABLE_BACKGROUND_FLUSH")};
    enum status st = settings_assign(l, &o, SPAN("flush.background"), SPAN("false"));
    if (st != ST_OK) return st;
  }
  for (const char *const *v = environment; *v; v++) {
    enum status st = parse_variable(l, *v);
    if (st != ST_OK) return st;
  }
  return take_runtime(l, environment);
}
