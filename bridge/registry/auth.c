/* Who we are: Basic, a bearer token out of a file, or one by client credentials. Tokens are in
 * memory alone: a crash leaves nothing. The thread of the client. */
#include "bridge/base/disk/durable.h"
#include "bridge/base/text/escape.h"
#include "bridge/registry/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TOKEN_MOST = 64 * 1024, BEFORE_ITS_END_MS = 10 * 1000 };

static bool said(const char *text) {
  return text && *text;
}

enum status auth_config_check(const struct registry_config *c, struct error *err) {
  int kinds = said(c->username) + said(c->token_file) + said(c->oauth_url);
  if (kinds > 1)
    return error_set(err, ST_INVALID,
                     "registry.username, registry.token_file and registry.oauth_url are three ways "
                     "to say who we are; set one of them");
  if (said(c->password) && !said(c->username))
    return error_set(err, ST_INVALID, "registry.password is set, and registry.username is not");
  if (said(c->oauth_url) != said(c->oauth_id))
    return error_set(err, ST_INVALID,
                     "registry.oauth_url and registry.oauth_id go together; set both or none");
  if (said(c->key) && !said(c->certificate))
    return error_set(err, ST_INVALID,
                     "registry.key_file is set, and registry.certificate_file is not");
  return ST_OK;
}

static void forget(struct registry *r) {
  buffer_clear(&r->token);
  r->token_known = false;
  r->token_until_ms = 0;
}

static enum status read_file(struct registry *r, struct error *err) {
  struct buffer text = {0};
  int fd = open(r->config.token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  enum status st = fd < 0 ? error_sys(err, errno, "opening %s", r->config.token_file)
                          : stream_read(fd, r->config.token_file, TOKEN_MOST, &text, err);
  if (fd >= 0) close(fd);
  struct span token = span_trim(buffer_span(&text));
  if (st == ST_OK && (!token.len || memchr(token.ptr, '\n', token.len)))
    st = error_set(err, ST_UNAVAILABLE, "%s holds no token of one line", r->config.token_file);
  if (st == ST_OK) buffer_add(&r->token, token);
  buffer_release(&text);
  r->token_known = st == ST_OK;
  if (st != ST_OK) (void)error_prefix(err, "registry.token_file");
  return st == ST_OK ? ST_OK : ST_UNAVAILABLE;
}

static enum status take_token(struct registry *r, struct span body, struct error *err) {
  struct json_doc doc = {0};
  int64_t seconds = 0;
  enum status st = json_scan(&doc, body, NULL);
  bool object = st == ST_OK && doc.nodes[0].type == JSON_OBJECT;
  uint32_t token = object ? json_member(&doc, 0, "access_token") : JSON_NONE;
  uint32_t expires = object ? json_member(&doc, 0, "expires_in") : JSON_NONE;
  bool good = token != JSON_NONE && doc.nodes[token].type == JSON_STRING;
  if (good) json_unescape(&doc, token, &r->token);
  good = good && r->token.len && !r->token.failed;
  if (expires != JSON_NONE && doc.nodes[expires].type == JSON_NUMBER &&
      json_int(&doc, expires, &seconds) && seconds > 0 && seconds < 1000000000)
    r->token_until_ms = clock_mono_ms(r->config.clock) + seconds * 1000 - BEFORE_ITS_END_MS;
  json_doc_release(&doc);
  r->token_known = good;
  return good ? ST_OK : error_set(err, ST_UNAVAILABLE, "its answer has no access_token");
}

/* RFC 6749, 4.4 and 2.3.1. */
static enum status ask_for_one(struct registry *r, struct error *err) {
  struct buffer body = {0}, answer = {0}, id = {0}, secret = {0};
  struct http_answer said_by = {0, -1};
  struct error why = {0};
  percent_write(&id, span_of(r->config.oauth_id));
  percent_write(&secret, span_of(r->config.oauth_secret ? r->config.oauth_secret : ""));
  buffer_add_z(&body, "grant_type=client_credentials");
  if (said(r->config.oauth_scope)) {
    buffer_add_z(&body, "&scope=");
    percent_write(&body, span_of(r->config.oauth_scope));
  }
  const struct http_call call = {.method = "POST",
                                 .path = "",
                                 .body = buffer_span(&body),
                                 .content_type = "application/x-www-form-urlencoded",
                                 .accept = "application/json",
                                 .username = buffer_z(&id),
                                 .password = buffer_z(&secret),
                                 .timeout_ms = r->config.timeout_ms};
  enum status st = r->oauth ? http_call(r->oauth, &call, &said_by, &answer, &why)
                            : error_set(&why, ST_UNAVAILABLE, "the URL cannot be used");
  registry_count(r, OP_TOKEN, said_by.code);
  if (st == ST_OK && said_by.code != 200)
    st = error_set(&why, ST_UNAVAILABLE, "HTTP %d", said_by.code);
  if (st == ST_OK) st = take_token(r, buffer_span(&answer), &why);
  buffer_release(&body);
  buffer_release(&answer);
  buffer_release(&id);
  buffer_release(&secret);
  if (st == ST_OK) return ST_OK;
  return error_set(err, ST_UNAVAILABLE, "registry.oauth_url gives no token: POST %s: %s",
                   r->oauth_shown, why.text);
}

enum status auth_put(struct registry *r, struct http_call *call, struct error *err) {
  const struct registry_config *c = &r->config;
  enum status st = ST_OK;
  call->username = c->username;
  call->password = c->password;
  if (!said(c->token_file) && !said(c->oauth_url)) return ST_OK;
  if (r->token_until_ms && clock_mono_ms(c->clock) >= r->token_until_ms) forget(r);
  if (!r->token_known) {
    forget(r);
    st = said(c->token_file) ? read_file(r, err) : ask_for_one(r, err);
  }
  call->bearer = buffer_z(&r->token);
  return st;
}

bool auth_again(struct registry *r) {
  if (!said(r->config.token_file) && !said(r->config.oauth_url)) return false;
  forget(r);
  return true;
}
