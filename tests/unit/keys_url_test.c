#include "bridge/keys/keys_redis.h"
#include "tests/support/test.h"

TEST(good_urls_are_read) {
  static const struct {
    const char *text, *host;
    int port;
    const char *path, *user, *password;
    int db;
  } rows[] = {
      {"redis://127.0.0.1:6379/0", "127.0.0.1", 6379, "", "", "", 0},
      {"redis://redis", "redis", 6379, "", "", "", 0},
      {"redis://redis/", "redis", 6379, "", "", "", 0},
      {"redis://redis:7000/15", "redis", 7000, "", "", "", 15},
      {"redis://[::1]:7000/1", "::1", 7000, "", "", "", 1},
      {"redis://[::1]", "::1", 6379, "", "", "", 0},
      {"redis://:secret@h", "h", 6379, "", "", "secret", 0},
      {"redis://me:se%20c%2f@h:1/2", "h", 1, "", "me", "se c/", 2},
      {"redis://me:p@ss:w@h", "h", 6379, "", "me", "p@ss:w", 0},
      {"unix:/run/redis.sock", "", 0, "/run/redis.sock", "", "", 0},
      {"unix:/run/redis.sock?db=4", "", 0, "/run/redis.sock", "", "", 4},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct redis_url url;
    struct error err = {0};
    if (redis_url_parse(rows[i].text, &url, &err) != ST_OK)
      fail_msg("%s: %s", rows[i].text, err.text);
    assert_false(url.off);
    assert_string_equal(url.host, rows[i].host);
    assert_int_equal(url.port, rows[i].port);
    assert_string_equal(url.path, rows[i].path);
    assert_string_equal(url.user, rows[i].user);
    assert_string_equal(url.password, rows[i].password);
    assert_int_equal(url.db, rows[i].db);
  }
  struct redis_url url;
  assert_int_equal(redis_url_parse("off", &url, NULL), ST_OK);
  assert_true(url.off);
}

TEST(wrong_urls_are_refused_without_their_secret) {
  static const struct {
    const char *text, *part;
  } rows[] = {
      {"", "must begin with"},
      {"127.0.0.1:6379", "must begin with"},
      {"http://hunter2", "must begin with"},
      {"redis://", "host"},
      {"redis:///0", "host"},
      {"redis://h:", "port"},
      {"redis://h:0", "port"},
      {"redis://h:65536", "port"},
      {"redis://h:99999999999999999999", "port"},
      {"redis://h:x", "port"},
      {"redis://h/x", "database"},
      {"redis://h/-1", "database"},
      {"redis://[::1", "IPv6"},
      {"redis://[::1]7", "IPv6"},
      {"redis://[::1]:", "port"},
      {"redis://hunter2@h", ":PASSWORD@HOST"},
      {"redis://hunter2:@h", "needs a password"},
      {"redis://:hunter2%@h", "percent-encoded"},
      {"redis://:hunter2%0@h", "percent-encoded"},
      {"redis://:hunter2%zz@h", "percent-encoded"},
      {"redis://:hunter2%00@h", "percent-encoded"},
      {"unix:run/x", "unix:/PATH"},
      {"unix:", "unix:/PATH"},
      {"unix:/x?db=", "?db="},
      {"unix:/x?base=1", "?db="},
      {"unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
       "aaaaaaaaa",
       "107"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct redis_url url;
    struct error err = {0};
    if (redis_url_parse(rows[i].text, &url, &err) != ST_INVALID)
      fail_msg("taken: %s", rows[i].text);
    if (!strstr(err.text, rows[i].part)) fail_msg("%s: %s", rows[i].text, err.text);
    assert_non_null(strstr(err.text, "redis.url: "));
    assert_null(strstr(err.text, "hunter2"));
  }
}

TEST(tls_is_refused_with_the_reason) {
  struct redis_url url;
  struct error err = {0};
  assert_int_equal(redis_url_parse("rediss://h", &url, &err), ST_UNSUPPORTED);
  assert_non_null(strstr(err.text, "no TLS"));
}
