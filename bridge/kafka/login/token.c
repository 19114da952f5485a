/* A token of OAUTHBEARER, looked into only for its end.
 * Pure but for token_refresh, which runs on librdkafka's background thread; a crash leaves nothing.
 */
#include "bridge/kafka/login/token.h"

#include "bridge/base/clock.h"
#include "bridge/base/disk/durable.h"
#include "bridge/base/text/escape.h"
#include "bridge/json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_MOST 65536

/* ---- the text ---- */

/* Base64 as JWTs have it: - and _ for + and /, no padding. */
static bool read_base64url(struct span text, struct buffer *out) {
  struct buffer standard = {0};
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    buffer_add_char(&standard, c == '-' ? '+' : c == '_' ? '/' : c == '+' || c == '/' ? '!' : c);
  }
  while (standard.len % 4) buffer_add_char(&standard, '=');
  bool fine = !memchr(text.ptr, '=', text.len) && !standard.failed &&
              base64_read(buffer_span(&standard), out);
  buffer_release(&standard);
  return fine;
}

/* The JSON of its claims. */
static enum status claims(struct span text, struct buffer *out, struct error *err) {
  struct span part[3];
  size_t dots = 0;
  for (size_t i = 0; i < text.len; i++) dots += text.ptr[i] == '.';
  if (dots != 2) return error_set(err, ST_INVALID, "holds no JWT (three parts between two dots)");
  part[0] = span_until(&text, '.');
  part[1] = span_until(&text, '.');
  part[2] = text;
  struct buffer other = {0};
  bool fine = part[0].len > 0 && part[1].len > 0 && read_base64url(part[0], &other) &&
              (part[2].len == 0 || read_base64url(part[2], &other)) && read_base64url(part[1], out);
  buffer_release(&other);
  return fine ? ST_OK : error_set(err, ST_INVALID, "holds no JWT: its parts are not base64url");
}

/* Seconds since 1970, perhaps with a fraction, to microseconds. */
static enum status find_end(struct span text, int64_t *us, struct error *err) {
  struct json_doc doc = {0};
  double seconds = 0;
  struct error why = {0};
  enum status st = json_scan(&doc, text, &why);
  if (st == ST_NO_MEMORY) {
    error_set(err, st, "%s", why.text);
  } else if (st != ST_OK || doc.nodes[0].type != JSON_OBJECT) {
    st = error_set(err, ST_INVALID, "holds no JWT: its second part is not a JSON object");
  } else {
    uint32_t exp = json_member(&doc, 0, "exp");
    if (exp == JSON_NONE || doc.nodes[exp].type != JSON_NUMBER ||
        !json_double(&doc, exp, &seconds, NULL) || seconds < 0 || seconds > 9e12)
      st = error_set(err, ST_INVALID, "holds a JWT without an end (exp, in seconds since 1970)");
  }
  *us = (int64_t)(seconds * 1e6);
  json_doc_release(&doc);
  return st;
}

enum status token_check(struct span text, int64_t now_us, int64_t *expires_us, struct error *err) {
  struct buffer json = {0};
  enum status st = claims(text, &json, err);
  if (st == ST_OK) st = find_end(buffer_span(&json), expires_us, err);
  buffer_release(&json);
  if (st != ST_OK || *expires_us / 1000 > now_us / 1000) return st;
  char end[TIME_TEXT];
  return error_set(err, ST_INVALID, "holds a token that expired at %s, %lld s ago",
                   time_format(*expires_us, end), (long long)((now_us - *expires_us) / 1000000));
}

int64_t token_lease_ms(int64_t expires_us, int64_t now_us) {
  const int64_t most_us = INT64_C(60000000);
  return (expires_us - now_us > most_us ? now_us + most_us : expires_us) / 1000;
}

/* ---- librdkafka ---- */

static enum status give(rd_kafka_t *rk, struct span text, struct error *err) {
  char words[256] = "";
  int64_t expires_us = 0, now_us = clock_wall_us(&clock_system);
  enum status st = token_check(text, now_us, &expires_us, err);
  if (st != ST_OK) return st;
  char *token = strndup(text.ptr, text.len);
  if (!token) return error_set(err, ST_NO_MEMORY, "cannot be read: out of memory");
  /* The name is for its own log: the broker takes it from the token. */
  if (rd_kafka_oauthbearer_set_token(rk, token, token_lease_ms(expires_us, now_us), "busbridge",
                                     NULL, 0, words, sizeof words))
    st = error_set(err, ST_INVALID, "holds a token that librdkafka refuses: %s", words);
  explicit_bzero(token, text.len);
  free(token);
  return st;
}

/* Through links: where a volume of Kubernetes is renewed, the name is one. */
static enum status read_whole(const char *file, struct buffer *out, struct error *err) {
  int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening it");
  enum status st = stream_read(fd, "it", TOKEN_MOST, out, err);
  close(fd);
  return st;
}

void token_refresh(rd_kafka_t *rk, const char *setting, const char *file) {
  struct buffer text = {0};
  struct error why = {0};
  char words[sizeof why.text + 512];
  enum status st = read_whole(file, &text, &why);
  if (st == ST_OK) st = give(rk, span_trim(buffer_span(&text)), &why);
  if (st != ST_OK) {
    snprintf(words, sizeof words, "%s: %s: %s", setting, file, why.text);
    rd_kafka_oauthbearer_set_token_failure(rk, words);
  }
  if (text.len) explicit_bzero((void *)(uintptr_t)buffer_span(&text).ptr, text.len);
  buffer_release(&text);
}
