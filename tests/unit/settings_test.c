#include "tests/unit/settings_box.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

CASE(defaults_hold_without_any_source) {
  struct run *r = *state;
  load(r, NULL, NULL, NULL);
  assert_ok(r);
  assert_string_equal(setting_text(r->s, SETTING_OUTBOX_URL), "file:temp/bus_outbox");
  assert_int_equal(setting_number(r->s, SETTING_FLUSH_INTERVAL), 30000);
  assert_int_equal(setting_number(r->s, SETTING_OUTBOX_SENT_RETENTION), 7 * DAY);
  assert_int_equal(setting_number(r->s, SETTING_BATCH_MAX_BYTES), 4 * MIB);
  assert_int_equal(setting_number(r->s, SETTING_HEALTH_DISK_WARNING), 1000000000);
  assert_int_equal(setting_number(r->s, SETTING_TOPICS_PARTITIONS), -1);
  assert_true(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
  assert_false(setting_bool(r->s, SETTING_ENCODING_STRICT));
  assert_string_equal(setting_text(r->s, SETTING_DELIVERY_GUARANTEE), "exactly_once");
  assert_string_equal(setting_source(r->s, SETTING_LOG_LEVEL), "default");
  assert_int_equal(r->warnings.len, 0);
}

CASE(bootstrap_servers_have_a_default_until_they_are_set) {
  struct run *r = *state;
  const char *key, *value;
  load(r, NULL, NULL, NULL);
  assert_true(settings_kafka(r->s, 0, &key, &value));
  assert_string_equal(key, "bootstrap.servers");
  assert_string_equal(value, "127.0.0.1:9092");
  assert_false(settings_kafka(r->s, 1, &key, &value));
  load(r, NULL, NULL, "kafka.metadata.broker.list=a:1");
  assert_true(settings_kafka(r->s, 0, &key, &value));
  assert_string_equal(key, "metadata.broker.list");
  assert_false(settings_kafka(r->s, 1, &key, &value));
}

CASE(file_environment_and_override_rise) {
  struct run *r = *state;
  char expected[200];
  load(r, "# a comment\n\nflush.interval = 10s\nredis.ttl=1d\n  log.level =  debug  \r\n",
       ENV("BUSBRIDGE_FLUSH_INTERVAL=20s", "BUSBRIDGE_REDIS_TTL=2d", "PATH=/bin"), "redis.ttl=3h");
  assert_ok(r);
  assert_int_equal(setting_number(r->s, SETTING_FLUSH_INTERVAL), 20000);
  assert_string_equal(setting_source(r->s, SETTING_FLUSH_INTERVAL), "BUSBRIDGE_FLUSH_INTERVAL");
  assert_int_equal(setting_number(r->s, SETTING_REDIS_TTL), 3 * HOUR);
  assert_string_equal(setting_source(r->s, SETTING_REDIS_TTL), "-X");
  assert_string_equal(setting_text(r->s, SETTING_LOG_LEVEL), "debug");
  snprintf(expected, sizeof expected, "%s:5", r->path);
  assert_string_equal(setting_source(r->s, SETTING_LOG_LEVEL), expected);
}

CASE(value_is_everything_after_the_first_equals_sign) {
  struct run *r = *state;
  load(r, "routing.aliases = a.b=c.d  \"x\" # y\nredis.prefix =\n", NULL, NULL);
  assert_ok(r);
  assert_string_equal(setting_text(r->s, SETTING_ROUTING_ALIASES), "a.b=c.d  \"x\" # y");
  assert_string_equal(setting_text(r->s, SETTING_REDIS_PREFIX), "");
}

CASE(a_long_line_is_one_value) {
  struct run *r = *state;
  struct buffer text = {0};
  buffer_add_z(&text, "\xEF\xBB\xBFrouting.aliases = ");
  for (int i = 0; i < 5000; i++) buffer_add_z(&text, "x=y ");
  buffer_add_z(&text, "z");
  load(r, buffer_z(&text), NULL, NULL);
  buffer_release(&text);
  assert_ok(r);
  assert_int_equal(strlen(setting_text(r->s, SETTING_ROUTING_ALIASES)), 20001);
}

CASE(every_unit_is_understood) {
  struct run *r = *state;
  static const struct {
    const char *x;
    enum setting key;
    int64_t n;
  } rows[] = {{"redis.timeout=300ms", SETTING_REDIS_TIMEOUT, 300},
              {"redis.timeout=3s", SETTING_REDIS_TIMEOUT, 3000},
              {"redis.ttl=4m", SETTING_REDIS_TTL, 240000},
              {"redis.timeout=1.5s", SETTING_REDIS_TIMEOUT, 1500},
              {"redis.timeout=0.250s", SETTING_REDIS_TIMEOUT, 250},
              {"redis.ttl=0.5h", SETTING_REDIS_TTL, HOUR / 2},
              {"batch.max_bytes=1.5MiB", SETTING_BATCH_MAX_BYTES, 3 * MIB / 2},
              {"redis.ttl=5h", SETTING_REDIS_TTL, 5 * HOUR},
              {"redis.ttl=6d", SETTING_REDIS_TTL, 6 * DAY},
              {"batch.max_bytes=2000", SETTING_BATCH_MAX_BYTES, 2000},
              {"batch.max_bytes=2000B", SETTING_BATCH_MAX_BYTES, 2000},
              {"batch.max_bytes=2KiB", SETTING_BATCH_MAX_BYTES, 2048},
              {"batch.max_bytes=3MiB", SETTING_BATCH_MAX_BYTES, 3 * MIB},
              {"batch.max_bytes=1GiB", SETTING_BATCH_MAX_BYTES, GIB},
              {"batch.max_bytes=2kB", SETTING_BATCH_MAX_BYTES, 2000},
              {"batch.max_bytes=2MB", SETTING_BATCH_MAX_BYTES, 2000000},
              {"health.disk_warning=2GB", SETTING_HEALTH_DISK_WARNING, 2000000000},
              {"topics.partitions=-1", SETTING_TOPICS_PARTITIONS, -1}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    load(r, NULL, NULL, rows[i].x);
    assert_ok(r);
    assert_int_equal(setting_number(r->s, rows[i].key), rows[i].n);
  }
  for (const char *const *w = ENV("false", "no", "off", "0"); *w; w++) {
    char x[64];
    snprintf(x, sizeof x, "flush.background=%s", *w);
    load(r, NULL, NULL, x);
    assert_false(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
  }
  for (const char *const *w = ENV("true", "yes", "on", "1"); *w; w++) {
    char x[64];
    snprintf(x, sizeof x, "encoding.strict=%s", *w);
    load(r, NULL, NULL, x);
    assert_true(setting_bool(r->s, SETTING_ENCODING_STRICT));
  }
}

CASE(refusals_say_where_and_what_is_allowed) {
  struct run *r = *state;
  static const struct {
    const char *file, *x, *text;
  } rows[] = {
      {"# x\n\nflush.intervall = 30s\n", NULL,
       ":3: flush.intervall: no such setting; did you mean flush.interval?"},
      {"quux = 1\n", NULL, ":1: quux: no such setting"},
      {"interval = 30s\n", NULL, ":1: interval: no such setting; did you mean flush.interval?"},
      {"flush.interval = 30\n", NULL,
       ":1: flush.interval: a duration needs a unit: ms, s, m, h or d (like 30s)"},
      {NULL, "flush.interval=1.5",
       "-X flush.interval=1.5: a duration needs a unit: ms, s, m, h or d (like 30s)"},
      {NULL, "flush.interval=1.",
       "-X flush.interval=1.: a duration needs a unit: ms, s, m, h or d (like 30s)"},
      {NULL, "flush.interval=-1.5s",
       "-X flush.interval=-1.5s: a duration needs a unit: ms, s, m, h or d (like 30s)"},
      {NULL, "flush.interval=1.0005s", "-X flush.interval=1.0005s: is not a whole number of ms"},
      {NULL, "batch.max_bytes=1.5", "-X batch.max_bytes=1.5: is not a whole number of bytes"},
      {NULL, "flush.interval=30",
       "-X flush.interval=30: a duration needs a unit: ms, s, m, h or d (like 30s)"},
      {NULL, "flush.interval=1ms", "-X flush.interval=1ms: out of range, which is 100ms to 1d"},
      {NULL, "outbox.settle=2h", "-X outbox.settle=2h: out of range, which is 0s to 1h"},
      {NULL, "outbox.settle=-1s", "-X outbox.settle=-1s: out of range, which is 0s to 1h"},
      {NULL, "outbox.settle=99999999999999999999d",
       "-X outbox.settle=99999999999999999999d: too large a number"},
      {NULL, "outbox.settle=-99999999999999999999d",
       "-X outbox.settle=-99999999999999999999d: out of range, which is 0s to 1h"},
      {NULL, "batch.max_bytes=1", "-X batch.max_bytes=1: out of range, which is 1KiB to 1GiB"},
      {NULL, "batch.max_bytes=1 MiB",
       "-X batch.max_bytes=1 MiB: a size is a whole number, with KiB, MiB, GiB, kB, MB, GB or nothing after it (like "
       "4MiB)"},
      {NULL, "health.disk_warning=-5",
       "-X health.disk_warning=-5: out of range, which is at least 0"},
      {NULL, "batch.max_events=5k", "-X batch.max_events=5k: must be a whole number"},
      {NULL, "batch.max_events=", "-X batch.max_events=: must be a whole number"},
      {NULL, "batch.max_events=0", "-X batch.max_events=0: out of range, which is 1 to 100000"},
      {NULL, "flush.background=maybe", "-X flush.background=maybe: must be true or false"},
      {NULL, "log.level=warn", "-X log.level=warn: must be one of debug, info, warning, error"},
      {NULL, "log.level=warnin",
       "-X log.level=warnin: must be one of debug, info, warning, error; did you mean warning?"},
      {NULL, "bootstrap.servers=x",
       "-X bootstrap.servers: no such setting; did you mean kafka.bootstrap.servers?"},
      {NULL, "kafka.=x", "-X kafka.: no such setting"},
      {NULL, "verbose", "-X verbose: a setting is given as key=value"},
      {"flush.interval 30s\n", NULL, ":1: flush.interval: a line is key = value"},
      {"my pass = word\n", NULL, ":1: my: a line is key = value"},
      {"= word\n", NULL, ":1: not a line of the form key = value"},
      {"s3cr\xC3\xA9t!\n", NULL, ":1: not a line of the form key = value"},
      {"redis.prefix = \xFF\n", NULL, ":1: redis.prefix: the value is not UTF-8 text"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    load(r, rows[i].file, NULL, rows[i].x);
    assert_refused(r, rows[i].text);
  }
}

CASE(a_secret_is_not_shown) {
  struct run *r = *state;
  load(r, NULL, ENV("BUSBRIDGE_REDIS_URL=hunter2\xFF"), NULL);
  assert_refused(r, "BUSBRIDGE_REDIS_URL: the value is not UTF-8 text");
  load(r, NULL, NULL, "kafka.sasl.password=hunter2\xFF");
  assert_refused(r, "-X kafka.sasl.password: the value is not UTF-8 text");
}

CASE(a_value_may_come_from_a_file) {
  struct run *r = *state;
  char secret[200], link[200], text[600];
  const char *key, *value;
  snprintf(secret, sizeof secret, "%s/secret", r->folder);
  snprintf(link, sizeof link, "%s/link", r->folder); /* as Kubernetes mounts them */
  put(secret, " pa=ss \n");
  assert_int_equal(chmod(secret, 0644), 0);
  assert_int_equal(symlink(secret, link), 0);
  snprintf(text, sizeof text, "redis.prefix_file = %s\nkafka.sasl.password_file = %s\n", secret,
           link);
  load(r, text, NULL, NULL);
  assert_ok(r);
  assert_string_equal(setting_text(r->s, SETTING_REDIS_PREFIX), " pa=ss ");
  assert_true(settings_kafka(r->s, 1, &key, &value));
  assert_string_equal(key, "sasl.password");
  assert_string_equal(value, " pa=ss ");
  put(secret, "x\r\n");
  snprintf(text, sizeof text, "BUSBRIDGE_KAFKA_SASL_PASSWORD_FILE=%s", secret);
  load(r, NULL, ENV(text), NULL);
  assert_true(settings_kafka(r->s, 1, &key, &value));
  assert_string_equal(key, "sasl.password");
  assert_string_equal(value, "x");
  snprintf(text, sizeof text, "BUSBRIDGE_REDIS_PREFIX_FILE=%s", secret);
  load(r, NULL, ENV(text), NULL);
  assert_string_equal(setting_text(r->s, SETTING_REDIS_PREFIX), "x");
}

/* As <(...) of a shell gives it. */
CASE(a_value_may_come_out_of_a_pipe) {
  struct run *r = *state;
  int ends[2];
  char text[100];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "piped\n", 6), 6);
  close(ends[1]);
  snprintf(text, sizeof text, "redis.prefix_file=/dev/fd/%d", ends[0]);
  load(r, NULL, NULL, text);
  close(ends[0]);
  assert_ok(r);
  assert_string_equal(setting_text(r->s, SETTING_REDIS_PREFIX), "piped");
}

CASE(a_secret_of_a_file_is_there_and_for_few) {
  struct run *r = *state;
  char secret[200], text[600], expected[600];
  snprintf(secret, sizeof secret, "%s/secret", r->folder);
  snprintf(text, sizeof text, "http.token_file=%s", secret);
  put(secret, "\n");
  load(r, NULL, NULL, text);
  snprintf(expected, sizeof expected, "-X %s: the file is empty", text);
  assert_refused(r, expected);
  put(secret, "canary\n");
  assert_int_equal(chmod(secret, 0600), 0);
  load(r, NULL, NULL, text);
  assert_ok(r);
  assert_string_equal(setting_text(r->s, SETTING_HTTP_TOKEN), "canary");
  static const struct {
    mode_t mode;
    const char *words;
  } rows[] = {{0640, "its group (mode 0640)"},
              {0604, "everyone (mode 0604)"},
              {0644, "everyone (mode 0644)"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(chmod(secret, rows[i].mode), 0);
    buffer_clear(&r->warnings);
    load(r, NULL, NULL, text);
    snprintf(expected, sizeof expected, "http.token_file: %s may be read by %s; chmod 600 it\n",
             secret, rows[i].words);
    assert_string_equal(buffer_z(&r->warnings), expected);
  }
}

CASE(an_unreadable_secret_names_key_path_and_reason) {
  struct run *r = *state;
  assert_int_equal(load(r, "redis.url_file = /nonexistent/secret\n", NULL, NULL), ST_NOT_FOUND);
  char expected[300];
  snprintf(expected, sizeof expected,
           "%s:1: redis.url_file: /nonexistent/secret: No such file or directory", r->path);
  assert_string_equal(r->err.text, expected);
  load(r, NULL, NULL, "redis.url_file=/proc");
  assert_string_equal(r->err.text, "-X redis.url_file=/proc: /proc: Is a directory");
  load(r, NULL, NULL, "redis.url_file=");
  assert_refused(r, "-X redis.url_file=: not the path of a file");
  load(r, NULL, NULL, "quux_file=/proc");
  assert_refused(r, "-X quux_file=/proc: no such setting");
  assert_int_equal(load(r, NULL, NULL, "redis.url_file=/dev/zero"), ST_TOO_LARGE);
}

CASE(a_missing_file_is_an_error) {
  struct run *r = *state;
  struct settings_sources from = {.file = "/nonexistent/busbridge.conf"};
  struct settings *s = NULL;
  assert_int_equal(settings_load(&from, &s, NULL, &r->err), ST_NOT_FOUND);
  assert_string_equal(r->err.text, "/nonexistent/busbridge.conf: No such file or directory");
  assert_int_equal(settings_load(&from, &s, NULL, NULL), ST_NOT_FOUND);
}

CASE(kafka_pairs_are_verbatim_sorted_and_the_last_wins) {
  struct run *r = *state;
  const char *key, *value;
  struct buffer all = {0};
  load(
      r,
      "kafka.ssl.ca.location = /a b\nkafka.acks = 1\nkafka.Acks = X\nkafka.linger.ms = 1\nkafka.linger.ms = 2\n",
      ENV("BUSBRIDGE_KAFKA_BOOTSTRAP_SERVERS=b:1", "BUSBRIDGE_KAFKA_ACKS=all"), NULL);
  assert_ok(r);
  for (size_t i = 0; settings_kafka(r->s, i, &key, &value); i++)
    buffer_printf(&all, "%s=%s\n", key, value);
  assert_string_equal(
      buffer_z(&all),
      "Acks=X\nacks=all\nbootstrap.servers=b:1\nlinger.ms=2\nssl.ca.location=/a b\n");
  buffer_release(&all);
  buffer_add_z(&all, "");
  for (int i = 0; i < 40; i++) buffer_printf(&all, "kafka.k%d = %d\n", i, i);
  load(r, buffer_z(&all), NULL, NULL);
  buffer_release(&all);
  size_t count = 0;
  while (settings_kafka(r->s, count, &key, &value)) count++;
  assert_int_equal(count, 41);
}

CASE(unknown_variables_warn_and_injected_ones_are_ignored) {
  struct run *r = *state;
  load(r, NULL,
       ENV("BUSBRIDGE_SERVICE_HOST=10.0.0.1", "BUSBRIDGE_SERVICE_PORT=80",
           "BUSBRIDGE_SERVICE_PORT_HTTP=80", "BUSBRIDGE_PORT=tcp://10.0.0.1:80",
           "BUSBRIDGE_PORT_80_TCP_ADDR=10.0.0.1", "BUSBRIDGE_KAFKA_PORT_9092_TCP=tcp://x",
           "BUSBRIDGE_KAFKA_SERVICE_HOST=x"),
       NULL);
  assert_ok(r);
  assert_int_equal(r->warnings.len, 0);
  load(r, NULL,
       ENV("BUSBRIDGE_FLUSH_INTERVALL=1s", "BUSBRIDGE_=1", "BUSBRIDGE_QUUXQUUX=1", "BUSBRIDGE"),
       NULL);
  assert_ok(r);
  assert_string_equal(
      buffer_z(&r->warnings),
      "BUSBRIDGE_FLUSH_INTERVALL: no such setting, ignored; did you mean BUSBRIDGE_FLUSH_INTERVAL?\n"
      "BUSBRIDGE_: no such setting, ignored\n"
      "BUSBRIDGE_QUUXQUUX: no such setting, ignored\n");
}

CASE(the_old_buses_switch_is_heard_below_our_own) {
  struct run *r = *state;
  const char *noveler = "NOVELER_DISABLE_BACKGROUND_FLUSH=1";
  load(r, "flush.background = true\n", ENV(noveler), NULL);
  assert_false(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
  assert_string_equal(setting_source(r->s, SETTING_FLUSH_BACKGROUND),
                      "NOVELER_DISABLE_BACKGROUND_FLUSH");
  load(r, NULL, ENV("BUSBRIDGE_FLUSH_BACKGROUND=true", noveler), NULL);
  assert_true(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
  load(r, NULL, ENV(noveler), "flush.background=true");
  assert_true(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
  load(r, NULL, ENV("NOVELER_DISABLE_BACKGROUND_FLUSH=0"), NULL);
  assert_true(setting_bool(r->s, SETTING_FLUSH_BACKGROUND));
}

CASE(a_key_set_twice_in_one_file_is_warned_about) {
  struct run *r = *state;
  char expected[300];
  load(r, "dlq.max_attempts = 6\n#\ndlq.max_attempts = 7\n", NULL, NULL);
  assert_ok(r);
  assert_int_equal(setting_number(r->s, SETTING_DLQ_MAX_ATTEMPTS), 7);
  snprintf(expected, sizeof expected, "%s:3: dlq.max_attempts is set again; line 1 is overruled\n",
           r->path);
  assert_string_equal(buffer_z(&r->warnings), expected);
}

CASE(changes_a_reload_may_not_make_are_named) {
  struct run *r = *state;
  load(r, "kafka.acks = 1\nkafka.linger.ms = 5\nredis.ttl = 24h\n", NULL, NULL);
  struct settings *old = r->s;
  r->s = NULL;
  load(
      r,
      "kafka.acks = all\nkafka.batch.size = 5\nredis.ttl = 1d\nredis.prefix = x\nflush.interval = 1s\noutbox.window = 1000\n",
      NULL, NULL);
  assert_ok(r);
  struct buffer changes = {0};
  settings_fixed_changes(old, r->s, &changes);
  assert_string_equal(
      buffer_z(&changes),
      "outbox.window\nredis.prefix\nkafka.acks\nkafka.linger.ms\nkafka.batch.size\n");
  buffer_release(&changes);
  settings_free(old);
}

static size_t widest(struct span text) {
  size_t most = 0, now = 0;
  for (size_t i = 0; i < text.len; i++) {
    now = text.ptr[i] == '\n' ? 0 : now + 1;
    if (now > most) most = now;
  }
  return most;
}

TEST(help_names_every_key_and_keeps_to_the_width) {
  static const int widths[] = {40, 80, 100, 0, 200};
  for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
    struct buffer out = {0};
    settings_help(&out, widths[w]);
    for (int i = 0; i < SETTING_COUNT; i++)
      assert_non_null(strstr(buffer_z(&out), setting_row((enum setting)i)->key));
    assert_non_null(strstr(buffer_z(&out), "\nredis\n  redis.url"));
    assert_non_null(strstr(buffer_z(&out), "kafka.*"));
    /* one word may be longer than a narrow terminal */
    if (widths[w] != 40)
      assert_true(widest(buffer_span(&out)) <= (size_t)(widths[w] ? widths[w] : 80));
    buffer_release(&out);
  }
  struct buffer out = {0};
  settings_help(&out, 200);
  assert_non_null(strstr(buffer_z(&out), "Default 30s; 100ms to 1d; reloaded by SIGHUP."));
  assert_non_null(strstr(buffer_z(&out), "confluent-header, confluent-json, raw"));
  buffer_release(&out);
}

TEST(mdoc_lists_every_key) {
  struct buffer out = {0};
  settings_mdoc(&out);
  for (int i = 0; i < SETTING_COUNT; i++) {
    char item[100];
    snprintf(item, sizeof item, ".It Sy %s\n", setting_row((enum setting)i)->key);
    assert_non_null(strstr(buffer_z(&out), item));
  }
  assert_true(widest(buffer_span(&out)) <= 80);
  buffer_release(&out);
}
