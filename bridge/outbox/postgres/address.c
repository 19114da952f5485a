/* What outbox.url says of a PostgreSQL, put into libpq's words for each server by itself, so that
 * one that does not answer takes no more than its own time.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/postgres/address.h"

#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

#include <libpq-fe.h>

static enum status wrong(struct error *err, const char *why) {
  return error_set(err, ST_INVALID, "outbox.url: %s", why);
}

static enum status no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "no memory for outbox.url");
}

/* ---- the parameter that is ours ---- */

#define SCHEMA "schema="

static enum status read_schema(struct pg_address *a, struct span text, struct error *err) {
  char name[64]; /* a name of PostgreSQL has 63 bytes at most */
  if (!percent_read_z(text, name, sizeof name) || !*name)
    return wrong(err, "schema= names none, or is longer than 63 bytes");
  a->schema = arena_copy(&a->arena, span_of(name));
  return a->schema ? ST_OK : no_memory(err);
}

/* The url as libpq reads it: without schema=. */
static enum status take_schema(struct pg_address *a, struct span text, struct buffer *url,
                               struct error *err) {
  struct span rest = text, before = span_until(&rest, '?'), one;
  enum status st = ST_OK;
  char sign = '?';
  buffer_add_z(url, "postgresql:");
  buffer_add(url, before);
  while (st == ST_OK && rest.len) {
    one = span_until(&rest, '&');
    if (span_starts(one, SCHEMA)) {
      st = read_schema(a, (struct span){one.ptr + 7, one.len - 7}, err);
      continue;
    }
    buffer_add_char(url, sign);
    buffer_add(url, one);
    sign = '&';
  }
  if (st == ST_OK && !a->schema) a->schema = arena_copy(&a->arena, SPAN("busbridge"));
  if (st == ST_OK) st = a->schema ? buffer_status(url, err) : no_memory(err);
  return st;
}

/* ---- what libpq makes of the rest ---- */

static struct span value_of(const PQconninfoOption *given, const char *name) {
  for (; given && given->keyword; given++)
    if (!strcmp(given->keyword, name)) return span_of(given->val);
  return (struct span){0};
}

/* Given, or what libpq takes without a word: the environment's, or its own. */
static struct span or_default(const PQconninfoOption *given, const PQconninfoOption *defaults,
                              const char *name) {
  struct span s = value_of(given, name);
  return s.len ? s : value_of(defaults, name);
}

/* Item i of a list with commas; of a list of one it is the same for all. */
static struct span item(struct span list, size_t i) {
  struct span rest = list, one = span_until(&rest, ',');
  bool single = one.len == list.len;
  for (; i && !single; i--) one = span_until(&rest, ',');
  return one;
}

static size_t items(struct span list) {
  size_t n = 1;
  for (size_t i = 0; i < list.len; i++) n += list.ptr[i] == ',';
  return n;
}

static bool is_here(struct span host) {
  return !host.len || host.ptr[0] == '/' || host.ptr[0] == '@' || span_is(host, "localhost") ||
         span_starts(host, "127.") || span_is(host, "::1");
}

/* One word more; memory is looked at once, at the end. */
static void add_word(struct pg_host *h, size_t *n, const char *name, const char *value) {
  BUG_ON(*n == PG_WORDS_MOST);
  h->names[*n] = name;
  h->values[(*n)++] = value;
}

static bool is_ours(const char *name) {
  static const char *const ours[] = {"host", "hostaddr", "port", "client_encoding"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (!strcmp(name, ours[i])) return true;
  return false;
}

struct lists {
  struct span hosts, addresses, ports;
};

/* The words of server i; false: memory is out. */
static bool fill_host(struct pg_address *a, size_t i, const struct lists *l,
                      const PQconninfoOption *given) {
  struct pg_host *h = &a->hosts[i];
  struct span host = item(l->hosts, i), address = item(l->addresses, i), port = item(l->ports, i);
  bool here = is_here(l->addresses.len ? address : host), whole = true;
  size_t n = 0;
  for (const PQconninfoOption *o = given; o->keyword; o++)
    if (o->val && *o->val && !is_ours(o->keyword)) {
      const char *name = arena_copy(&a->arena, span_of(o->keyword));
      const char *value = arena_copy(&a->arena, span_of(o->val));
      whole &= name && value;
      add_word(h, &n, name, value);
    }
  const struct {
    const char *name;
    const char *value;
  } without[] = {{"sslmode", here ? "prefer" : "verify-full"},
                 {"channel_binding", "prefer"},
                 {"target_session_attrs", "read-write"},
                 {"application_name", "busbridge"}};
  for (size_t w = 0; w < sizeof without / sizeof *without; w++)
    if (!value_of(given, without[w].name).len) add_word(h, &n, without[w].name, without[w].value);
  add_word(h, &n, "client_encoding", "UTF8");
  add_word(h, &n, "host", arena_copy(&a->arena, host.len ? host : SPAN("")));
  add_word(h, &n, "hostaddr", arena_copy(&a->arena, address.len ? address : SPAN("")));
  add_word(h, &n, "port", arena_copy(&a->arena, port.len ? port : SPAN("5432")));
  char shown[320];
  snprintf(shown, sizeof shown, "%.*s:%.*s", SPAN_ARGS(host.len ? host : address),
           SPAN_ARGS(port.len ? port : SPAN("5432")));
  h->shown = arena_copy(&a->arena, span_of(shown));
  return whole && h->values[n - 3] && h->values[n - 2] && h->values[n - 1] && h->shown;
}

static enum status fill_hosts(struct pg_address *a, const PQconninfoOption *given,
                              const PQconninfoOption *defaults, struct error *err) {
  const struct lists l = {or_default(given, defaults, "host"),
                          or_default(given, defaults, "hostaddr"),
                          or_default(given, defaults, "port")};
  a->count = items(l.addresses.len ? l.addresses : l.hosts);
  size_t ports = items(l.ports);
  if (a->count > PG_HOSTS_MOST) return wrong(err, "it names more than 16 servers");
  if (l.addresses.len && l.hosts.len && items(l.hosts) != a->count)
    return wrong(err, "it does not name as many hosts as addresses (hostaddr)");
  if (ports != 1 && ports != a->count) return wrong(err, "it does not name as many ports as hosts");
  for (size_t i = 0; i < ports; i++) {
    struct span port = item(l.ports, i);
    uint64_t number = 1;
    if (port.len && (!number_parse(port, 65535, &number) || !number))
      return wrong(err, "a port is a number from 1 to 65535");
  }
  for (size_t i = 0; i < a->count; i++)
    if (!fill_host(a, i, &l, given)) return no_memory(err);
  return ST_OK;
}

/* "//user@host:port,host:port/database" */
static enum status show(struct pg_address *a, const PQconninfoOption *given, struct error *err) {
  struct buffer text = {0};
  struct span user = value_of(given, "user"), database = value_of(given, "dbname");
  buffer_printf(&text, "//%.*s%s", SPAN_ARGS(user), user.len ? "@" : "");
  for (size_t i = 0; i < a->count; i++)
    buffer_printf(&text, "%s%s", i ? "," : "", a->hosts[i].shown);
  buffer_printf(&text, "/%.*s", SPAN_ARGS(database));
  enum status st = buffer_status(&text, err);
  a->shown = st == ST_OK ? arena_copy(&a->arena, buffer_span(&text)) : NULL;
  buffer_release(&text);
  return st != ST_OK || a->shown ? st : no_memory(err);
}

/* libpq repeats the whole url, password and all, where it cannot tell its parts. */
static enum status not_read(const char *words, struct error *err) {
  bool all = !words || strstr(words, "://");
  return error_set(err, ST_INVALID, "outbox.url: %s",
                   all ? "it is not written postgresql://USER@HOST/DATABASE; a sign in a name or "
                         "password that means something in a url is written %XX"
                       : words);
}

enum status pg_address_parse(const char *text, struct pg_address *out, struct error *err) {
  struct buffer url = {0};
  char *words = NULL;
  PQconninfoOption *given = NULL, *defaults = NULL;
  *out = (struct pg_address){0};
  enum status st = span_starts(span_of(text), "//") ? take_schema(out, span_of(text), &url, err)
                                                    : not_read(NULL, err);
  if (st == ST_OK && !(given = PQconninfoParse(buffer_z(&url), &words))) st = not_read(words, err);
  if (st == ST_OK && !(defaults = PQconndefaults())) st = no_memory(err);
  if (st == ST_OK) st = fill_hosts(out, given, defaults, err);
  if (st == ST_OK) st = show(out, given, err);
  PQconninfoFree(given);
  PQconninfoFree(defaults);
  PQfreemem(words);
  buffer_release(&url);
  if (st != ST_OK) pg_address_release(out);
  return st;
}

void pg_address_release(struct pg_address *a) {
  arena_release(&a->arena);
  *a = (struct pg_address){0};
}
