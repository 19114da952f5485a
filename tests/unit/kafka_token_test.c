/* A token of OAUTHBEARER: what is one, until when it lasts, and which settings go together. */
#include "bridge/base/text/escape.h"
#include "bridge/kafka/login/token.h"
#include "bridge/kafka/options/options.h"
#include "tests/unit/kafka_mock.h"

#define NOW_US INT64_C(1764590000000000)
#define EXPIRES "1764593600"

/* Base64 as JWTs have it. */
static void part(struct buffer *out, const char *text) {
  struct buffer standard = {0};
  base64_write(&standard, span_of(text));
  for (size_t i = 0; i < standard.len; i++) {
    char c = buffer_span(&standard).ptr[i];
    if (c != '=') buffer_add_char(out, c == '+' ? '-' : c == '/' ? '_' : c);
  }
  buffer_release(&standard);
}

static void jwt(struct buffer *out, const char *claims) {
  buffer_clear(out);
  part(out, "{\"alg\":\"RS256\"}");
  buffer_add_char(out, '.');
  part(out, claims);
  buffer_add_z(out, ".c2lnbmF0dXJl");
}

TEST(a_token_lasts_until_its_exp) {
  static const char *const claims[] = {
      "{\"exp\":" EXPIRES "}", "{\"exp\":" EXPIRES ".0,\"sub\":\"relay\"}",
      "{\"sub\":\"\\u00e9?>~~\xc3\xbf\xc3\xbe\",\"exp\":17645936e2}"};
  struct buffer text = {0};
  for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
    int64_t expires_us = 0;
    struct error err = {0};
    jwt(&text, claims[i]);
    if (token_check(buffer_span(&text), NOW_US, &expires_us, &err) != ST_OK)
      fail_msg("%s: %s", claims[i], err.text);
    assert_true(expires_us == NOW_US + INT64_C(3600000000));
  }
  buffer_release(&text);
}

static void refused(struct span text, const char *word) {
  int64_t expires_us = 0;
  struct error err = {0};
  if (token_check(text, NOW_US, &expires_us, &err) != ST_INVALID)
    fail_msg("%.*s was taken", (int)text.len, text.ptr);
  if (!strstr(err.text, word)) fail_msg("%s instead of %s", err.text, word);
}

TEST(what_is_no_token_or_has_no_end_is_refused) {
  static const char *const texts[][2] = {
      {"", "three parts"},         {"secret", "three parts"},     {"a.b.c.d", "three parts"},
      {"..", "base64url"},         {"e30.e30=.", "base64url"},    {"e30.e3+.", "base64url"},
      {"e30.e3 0.", "base64url"},  {"e30.e30.\xff", "base64url"}, {"e30.YQ.", "JSON object"},
      {"e30.W10.", "JSON object"}, {"e30.e30.", "without an end"}};
  static const char *const claims[][2] = {{"{\"exp\":\"" EXPIRES "\"}", "without an end"},
                                          {"{\"exp\":1e400}", "without an end"},
                                          {"{\"exp\":-1}", "without an end"},
                                          {"{\"exp\":1,\"exp\":" EXPIRES "}", "JSON object"},
                                          {"{\"exp\":1764589910}", "90 s ago"},
                                          {"{\"exp\":1764590000}", "0 s ago"}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    refused(span_of(texts[i][0]), texts[i][1]);
  struct buffer text = {0};
  for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
    jwt(&text, claims[i][0]);
    refused(buffer_span(&text), claims[i][1]);
  }
  buffer_release(&text);
}

TEST(a_token_that_is_cut_short_is_refused_or_lasts_as_long) {
  struct buffer text = {0};
  jwt(&text, "{\"exp\":" EXPIRES "}");
  for (size_t len = 0; len < text.len; len++) {
    int64_t expires_us = 0;
    struct span cut = {buffer_span(&text).ptr, len};
    if (token_check(cut, NOW_US, &expires_us, NULL) == ST_OK)
      assert_true(expires_us == NOW_US + INT64_C(3600000000));
  }
  buffer_release(&text);
}

TEST(a_token_is_read_again_within_a_minute_and_before_it_ends) {
  assert_true(token_lease_ms(NOW_US + INT64_C(3600000000), NOW_US) == NOW_US / 1000 + 60000);
  assert_true(token_lease_ms(NOW_US + INT64_C(60000000), NOW_US) == NOW_US / 1000 + 60000);
  assert_true(token_lease_ms(NOW_US + INT64_C(6000000), NOW_US) == NOW_US / 1000 + 6000);
  assert_true(token_lease_ms(NOW_US + 1000, NOW_US) == NOW_US / 1000 + 1);
}

/* ---- settings ---- */

static enum status check(const char *mechanism, const char *key, const char *value,
                         struct error *err) {
  const struct kafka_pair pairs[] = {{"sasl.mechanism", mechanism}, {key, value}};
  const struct kafka_config config = {.pairs = pairs, .count = 2};
  return options_check(&config, err);
}

TEST(the_settings_of_a_token_go_together) {
  static const char *const rows[][4] = {
      {"PLAIN", TOKEN_FILE, "/run/token", "OAUTHBEARER alone"},
      {"OAUTHBEARER", TOKEN_FILE, "", "is empty"},
      {"OAUTHBEARER", "client.id", "x", "needs a token: set kafka.sasl.oauthbearer.token.location"},
      {"OAUTHBEARER", TOKEN_FILE, "/run/token", NULL},
      {"oauthbearer", "sasl.oauthbearer.method", "oidc", NULL},
      {"OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt", "true", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct error err = {0};
    enum status st = check(rows[i][0], rows[i][1], rows[i][2], &err);
    assert_int_equal(st, rows[i][3] ? ST_INVALID : ST_OK);
    if (rows[i][3] && !strstr(err.text, rows[i][3])) fail_msg("%s", err.text);
  }
}

TEST(two_sources_of_a_token_are_one_too_many) {
  const struct kafka_pair pairs[] = {{"sasl.mechanism", "OAUTHBEARER"},
                                     {TOKEN_FILE, "/run/token"},
                                     {"sasl.oauthbearer.method", "oidc"}};
  const struct kafka_config config = {.pairs = pairs, .count = 3};
  struct error err = {0};
  assert_int_equal(options_check(&config, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "both give a token"));
}

/* Whether the file is there is not asked before the start: it may come later. */
TEST(a_file_that_is_not_there_yet_is_taken) {
  const struct kafka_pair pairs[] = {{"security.protocol", "sasl_ssl"},
                                     {"sasl.mechanism", "OAUTHBEARER"},
                                     {TOKEN_FILE, "/nonexistent/token"}};
  const struct kafka_config config = {.pairs = pairs, .count = 3};
  struct error err = {0};
  assert_int_equal(kafka_config_check(&config, NULL, &err), ST_OK);
}
