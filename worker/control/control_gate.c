/* Compares Host, Origin and token of a request with what is allowed, the token in a time that tells
 * nothing of it.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_gate.h"

#include <arpa/inet.h>
#include <strings.h>

#define HOST_MAX 256

void gate_init(struct gate *g) {
  *g = (struct gate){0};
  mutex_init(&g->lock);
}

void gate_release(struct gate *g) {
  buffer_release(&g->token);
  buffer_release(&g->hosts);
  mutex_destroy(&g->lock);
}

/* What a header can carry. */
enum status gate_check(const struct settings *settings, struct error *err) {
  const char *token = setting_text(settings, SETTING_HTTP_TOKEN);
  for (const char *c = token; *c; c++)
    if (*c <= ' ' || *c > '~')
      return error_set(err, ST_INVALID,
                       "http.token: only letters, digits and signs of ASCII, without blanks");
  return ST_OK;
}

enum status gate_set(struct gate *g, const struct settings *settings, struct error *err) {
  struct buffer token = {0}, hosts = {0};
  buffer_add_z(&token, setting_text(settings, SETTING_HTTP_TOKEN));
  buffer_add_z(&hosts, setting_text(settings, SETTING_HTTP_HOSTS));
  if (token.failed || hosts.failed) {
    buffer_release(&token);
    buffer_release(&hosts);
    return error_set(err, ST_NO_MEMORY, "Out of memory");
  }
  mutex_lock(&g->lock);
  struct buffer old_token = g->token, old_hosts = g->hosts;
  g->token = token;
  g->hosts = hosts;
  mutex_unlock(&g->lock);
  buffer_release(&old_token);
  buffer_release(&old_hosts);
  return ST_OK;
}

bool gate_has_token(struct gate *g) {
  mutex_lock(&g->lock);
  bool has = g->token.len > 0;
  mutex_unlock(&g->lock);
  return has;
}

/* ---- names ---- */

static bool is_port(const char *text) {
  return *text == '\0' || (*text == ':' && strspn(text + 1, "0123456789") == strlen(text + 1));
}

/* The host without brackets and port; false when it is none. */
static bool take_host(const char *text, char out[HOST_MAX], bool *brackets) {
  *brackets = text[0] == '[';
  const char *begin = text + *brackets, *end = begin + strcspn(begin, *brackets ? "]" : ":");
  size_t len = (size_t)(end - begin);
  if (len == 0 || len >= HOST_MAX || (*brackets && *end != ']') || !is_port(end + *brackets))
    return false;
  memcpy(out, begin, len);
  out[len] = '\0';
  return true;
}

static bool is_listed(struct gate *g, const char *name) {
  struct span word;
  bool found = false;
  mutex_lock(&g->lock);
  struct span rest = buffer_span(&g->hosts);
  while (!found && span_word(&rest, &word))
    found = word.len == strlen(name) && !strncasecmp(word.ptr, name, word.len);
  mutex_unlock(&g->lock);
  return found;
}

bool gate_knows_host(struct gate *g, const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  char name[HOST_MAX];
  bool brackets;
  if (!take_host(host, name, &brackets)) return false;
  if (brackets) return inet_pton(AF_INET6, name, address) == 1;
  return inet_pton(AF_INET, name, address) == 1 || !strcasecmp(name, "localhost") ||
         is_listed(g, name);
}

bool gate_same_origin(const char *origin, const char *host) {
  const char *rest = !strncasecmp(origin, "http://", 7)    ? origin + 7
                     : !strncasecmp(origin, "https://", 8) ? origin + 8
                                                           : "";
  return *rest && !strcasecmp(rest, host);
}

/* ---- the token ---- */

static bool is_token(struct span token, struct span given) {
  volatile unsigned char differ = token.len != given.len;
  for (size_t i = 0; i < given.len; i++)
    differ = (unsigned char)(differ | (given.ptr[i] ^ token.ptr[i % token.len]));
  return differ == 0;
}

enum bearer gate_bearer(struct gate *g, const char *authorization) {
  if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0) return BEARER_NONE;
  mutex_lock(&g->lock);
  bool right =
      g->token.len > 0 && is_token(buffer_span(&g->token), span_trim(span_of(authorization + 7)));
  mutex_unlock(&g->lock);
  return right ? BEARER_RIGHT : BEARER_WRONG;
}
