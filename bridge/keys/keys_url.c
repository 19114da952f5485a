/* Parses redis.url: redis://[[user]:password@]host[:port][/db], unix:/path[?db=n] or off.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/keys/keys_redis.h"

static enum status wrong_url(struct error *err, const char *why) {
  return error_set(err, ST_INVALID, "redis.url: %s", why);
}

static bool to_number(struct span s, int max, int *n) {
  uint64_t number;
  if (!number_parse(s, (uint64_t)max, &number)) return false;
  *n = (int)number;
  return true;
}

/* What stands before the separator goes to *head; false (and *rest untouched) when there is none.
 */
static bool cut(struct span *rest, const char *separator, struct span *head) {
  *head = (struct span){rest->ptr, 0};
  if (!separator) return false;
  head->len = (size_t)(separator - rest->ptr);
  *rest = (struct span){separator + 1, rest->len - head->len - 1};
  return true;
}

static enum status parse_login(struct span login, struct redis_url *out, struct error *err) {
  struct span user;
  if (!cut(&login, memchr(login.ptr, ':', login.len), &user))
    return wrong_url(err, "a password is written :PASSWORD@HOST, or USER:PASSWORD@HOST");
  if (!percent_read_z(user, out->user, sizeof out->user) ||
      !percent_read_z(login, out->password, sizeof out->password))
    return wrong_url(err, "user or password is too long, or not percent-encoded text");
  if (out->user[0] && !out->password[0]) return wrong_url(err, "a user needs a password");
  return ST_OK;
}

static enum status parse_host(struct span rest, struct redis_url *out, struct error *err) {
  struct span host = rest, port = SPAN("6379");
  if (rest.len > 0 && rest.ptr[0] == '[') { /* an IPv6 address */
    rest = (struct span){rest.ptr + 1, rest.len - 1};
    if (!cut(&rest, memchr(rest.ptr, ']', rest.len), &host) || (rest.len > 0 && rest.ptr[0] != ':'))
      return wrong_url(err, "an IPv6 address is written [ADDRESS]:PORT");
    if (rest.len > 0) port = (struct span){rest.ptr + 1, rest.len - 1};
  } else if (cut(&rest, memchr(rest.ptr, ':', rest.len), &host)) {
    port = rest;
  } else {
    host = rest;
  }
  if (host.len == 0 || host.len >= sizeof out->host || memchr(host.ptr, '\0', host.len))
    return wrong_url(err, "the host is missing or too long");
  if (!to_number(port, 65535, &out->port) || out->port == 0)
    return wrong_url(err, "the port is a number from 1 to 65535");
  memcpy(out->host, host.ptr, host.len);
  out->host[host.len] = '\0';
  return ST_OK;
}

static enum status parse_network(struct span rest, struct redis_url *out, struct error *err) {
  struct span login, host;
  if (cut(&rest, memrchr(rest.ptr, '@', rest.len), &login)) {
    enum status st = parse_login(login, out, err);
    if (st != ST_OK) return st;
  }
  if (cut(&rest, memchr(rest.ptr, '/', rest.len), &host)) {
    if (rest.len > 0 && !to_number(rest, 1000000, &out->db))
      return wrong_url(err, "what stands after / is the number of the database");
  } else {
    host = rest;
  }
  return parse_host(host, out, err);
}

static enum status parse_unix(struct span rest, struct redis_url *out, struct error *err) {
  struct span path;
  if (cut(&rest, memchr(rest.ptr, '?', rest.len), &path)) {
    if (!span_starts(rest, "db=") ||
        !to_number((struct span){rest.ptr + 3, rest.len - 3}, 1000000, &out->db))
      return wrong_url(err, "after the path only ?db=NUMBER may stand");
  } else {
    path = rest;
  }
  if (path.len == 0 || path.ptr[0] != '/')
    return wrong_url(err, "a Unix socket is written unix:/PATH");
  if (path.len >= sizeof out->path)
    return wrong_url(err, "the path of a Unix socket has at most 107 bytes");
  memcpy(out->path, path.ptr, path.len);
  return ST_OK;
}

enum status redis_url_parse(const char *text, struct redis_url *out, struct error *err) {
  struct span s = span_of(text);
  *out = (struct redis_url){.off = span_is(s, "off")};
  if (out->off) return ST_OK;
  if (span_starts(s, "redis://"))
    return parse_network((struct span){s.ptr + 8, s.len - 8}, out, err);
  if (span_starts(s, "unix:")) return parse_unix((struct span){s.ptr + 5, s.len - 5}, out, err);
  if (span_starts(s, "rediss://"))
    return error_set(
        err, ST_UNSUPPORTED,
        "redis.url: rediss:// is not there: this build's hiredis has no TLS; use redis:// through "
        "a tunnel or on a trusted network");
  return wrong_url(err, "must begin with redis:// or unix:/, or be off");
}
