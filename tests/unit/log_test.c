/* The log: escaping, both formats, repeats, a descriptor that takes only part of a line, threads.
 */
#include "bridge/base/log.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* A log into a pipe, under a clock the test moves. */
struct fixture {
  int64_t now_ns;
  struct clock clock;
  struct log *log;
  int ends[2];
  char text[16384];
};

static int64_t fixed_wall(void *ctx) {
  (void)ctx;
  return INT64_C(1758510245123456);
}
static int64_t moved_mono(void *ctx) {
  return ((struct fixture *)ctx)->now_ns;
}

static void begin(struct fixture *f, enum log_format format, enum log_level level) {
  *f = (struct fixture){.now_ns = 5 * SECOND};
  f->clock = (struct clock){.wall_us = fixed_wall, .mono_ns = moved_mono, .ctx = f};
  assert_int_equal(pipe2(f->ends, O_NONBLOCK | O_CLOEXEC), 0);
  assert_int_equal(log_open(f->ends[1], format, level, &f->clock, &f->log), ST_OK);
}

static const char *written(struct fixture *f) {
  ssize_t n = read(f->ends[0], f->text, sizeof f->text - 1);
  f->text[n > 0 ? n : 0] = '\0';
  return f->text;
}

static void finish(struct fixture *f) {
  log_close(f->log);
  close(f->ends[0]);
  close(f->ends[1]);
}

static size_t lines_in(const char *text) {
  size_t n = 0;
  for (; *text; text++) n += *text == '\n';
  return n;
}

static void say(struct fixture *f, const char *event, int times) {
  for (int i = 0; i < times; i++) log_write(f->log, LOG_INFO, "relay", event, NO_FIELDS, "said");
}

TEST(a_json_line_has_all_fields) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  log_write(f.log, LOG_WARNING, "relay", "batch_failed",
            FIELDS(F_TEXT("topic", "a.events"), F_INT("partition", -3), F_FLOAT("rate", 0.5),
                   F_SPAN("id", SPAN("x")), F_FLOAT("nan", NAN), F_FLOAT("inf", INFINITY)),
            "%d of %s", 2, "them");
  assert_string_equal(
      written(&f),
      "{\"ts\":\"2025-09-22T03:04:05.123456+00:00\",\"level\":\"warning\",\"msg\":\"2 of them\","
      "\"event\":\"batch_failed\",\"component\":\"relay\",\"topic\":\"a.events\",\"partition\":-3,"
      "\"rate\":0.5,\"id\":\"x\",\"nan\":null,\"inf\":null}\n");
  finish(&f);
}

TEST(a_logfmt_line_quotes_only_where_needed) {
  struct fixture f;
  begin(&f, LOG_LOGFMT, LOG_INFO);
  log_write(f.log, LOG_INFO, "relay", "said",
            FIELDS(F_TEXT("plain", "a/b:c"), F_TEXT("empty", ""), F_TEXT("blank", "a b"),
                   F_TEXT("equal", "a=b"), F_TEXT("quote", "a\"b"), F_TEXT("slash", "a\\b"),
                   F_TEXT("del", "\x7f"), F_TEXT("letter", "\xC3\xA9"), F_TEXT("csi", "\xC2\x9B"),
                   F_TEXT("raw", "\x9B"), F_INT("n", 7), F_FLOAT("x", 1.25)),
            "ready");
  assert_string_equal(
      written(&f),
      "ts=2025-09-22T03:04:05.123456+00:00 level=info msg=ready event=said component=relay "
      "plain=a/b:c empty=\"\" blank=\"a b\" equal=\"a=b\" quote=\"a\\\"b\" slash=\"a\\\\b\" "
      "del=\"\\u007f\" letter=\"\xC3\xA9\" csi=\"\\u009b\" raw=\"\xEF\xBF\xBD\" n=7 x=1.25\n");
  finish(&f);
}

TEST(values_are_escaped) {
  static const struct {
    struct span value;
    const char *want;
  } rows[] = {
      {{"a\0b", 3}, "a\\u0000b"},
      {{"\n\r\t\x1b[31m", 8}, "\\n\\u000d\\u0009\\u001b[31m"},
      {{"\x7f", 1}, "\\u007f"},
      {{"\"\\/", 3}, "\\\"\\\\/"},
      {{"\xC2\x80\xC2\x9F\xC2\xA0", 6}, "\\u0080\\u009f\xC2\xA0"},   /* C1, then U+00A0 */
      {{"\xFF\x80z", 3}, "\xEF\xBF\xBD\xEF\xBF\xBDz"},               /* no UTF-8 */
      {{"\xED\xA0\x80", 3}, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
      {{"\xE6\xBC", 2}, "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* cut in a character */
      {{"\xC2", 1}, "\xEF\xBF\xBD"},                                 /* nothing behind it is read */
      {{"\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80.", 10}, "\xC3\xA9\xE6\xBC\xA2\xF0\x9F\x98\x80."},
      {{NULL, 0}, ""},
  };
  struct fixture f;
  begin(&f, LOG_AUTO, LOG_DEBUG); /* a pipe is not a terminal: JSON */
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char want[200];
    log_write(f.log, LOG_DEBUG, "c", "e", FIELDS(F_SPAN("v", rows[i].value)), "m");
    snprintf(want, sizeof want, "\"component\":\"c\",\"v\":\"%s\"}\n", rows[i].want);
    const char *got = strstr(written(&f), "\"component\"");
    assert_non_null(got);
    assert_string_equal(got, want);
  }
  finish(&f);
}

TEST(a_message_is_escaped_and_bounded) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  log_write(f.log, LOG_ERROR, "c", "e", NO_FIELDS, "%s", "a\nb\x1b");
  assert_non_null(strstr(written(&f), "\"level\":\"error\",\"msg\":\"a\\nb\\u001b\","));
  char longest[5000];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  log_write(f.log, LOG_ERROR, "c", "e", NO_FIELDS, "%s", longest);
  size_t len = strlen(written(&f));
  assert_true(len > 1000 && len < 1500 && lines_in(f.text) == 1);
  finish(&f);
}

TEST(the_level_decides_and_no_log_is_fine) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_WARNING);
  assert_false(log_enabled(f.log, LOG_INFO));
  assert_true(log_enabled(f.log, LOG_WARNING));
  say(&f, "e", 1);
  assert_string_equal(written(&f), "");
  log_set_level(f.log, LOG_DEBUG);
  assert_true(log_enabled(f.log, LOG_DEBUG));
  say(&f, "e", 1);
  assert_int_equal(lines_in(written(&f)), 1);
  assert_false(log_enabled(NULL, LOG_ERROR));
  log_write(NULL, LOG_ERROR, "c", "e", NO_FIELDS, "m");
  log_close(NULL);
  finish(&f);
}

TEST(a_terminal_gets_logfmt) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) skip();
  struct log *log;
  char text[400];
  assert_int_equal(grantpt(terminal) | unlockpt(terminal), 0);
  int line = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  assert_true(line >= 0);
  assert_int_equal(log_open(line, LOG_AUTO, LOG_INFO, &clock_system, &log), ST_OK);
  log_write(log, LOG_INFO, "c", "e", NO_FIELDS, "m");
  ssize_t n = read(terminal, text, sizeof text);
  assert_true(n > 3 && memcmp(text, "ts=", 3) == 0);
  log_close(log);
  close(line);
  close(terminal);
}

/* ---- repeats ---- */

static const char repeated_5[] =
    "{\"ts\":\"2025-09-22T03:04:05.123456+00:00\",\"level\":\"info\",\"msg\":\"this was said more often than written\","
    "\"event\":\"e\",\"component\":\"relay\",\"repeated\":5}\n";

TEST(repeats_are_counted_and_summed_up_when_the_event_returns) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  say(&f, "e", 15);
  assert_int_equal(lines_in(written(&f)), 10);
  assert_null(strstr(f.text, "repeated"));
  f.now_ns += 10 * SECOND; /* the spell's last moment */
  assert_string_equal(written(&f), "");
  f.now_ns += SECOND;
  say(&f, "e", 12);
  assert_int_equal(lines_in(written(&f)), 11); /* the sum, and ten of a new spell */
  assert_memory_equal(f.text, repeated_5, sizeof repeated_5 - 1);
  assert_null(strstr(f.text + sizeof repeated_5 - 1, "repeated"));
  finish(&f);
}

TEST(a_burst_that_stopped_is_summed_up_by_any_later_line) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  say(&f, "e", 15);
  written(&f);
  say(&f, "other", 1);
  assert_null(strstr(written(&f), "repeated"));
  f.now_ns += 11 * SECOND;
  say(&f, "other", 1);
  assert_int_equal(lines_in(written(&f)), 2);
  assert_memory_equal(f.text, repeated_5, sizeof repeated_5 - 1);
  say(&f, "other", 1);
  assert_null(strstr(written(&f), "repeated")); /* said once */
  finish(&f);
}

TEST(closing_sums_up_what_is_left) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  say(&f, "e", 15);
  say(&f, "quiet", 10); /* nothing was left out */
  written(&f);
  log_close(f.log);
  f.log = NULL;
  assert_string_equal(written(&f), repeated_5);
  finish(&f);
}

TEST(a_sum_below_the_level_is_not_written) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  say(&f, "e", 15);
  written(&f);
  log_set_level(f.log, LOG_ERROR);
  log_close(f.log);
  f.log = NULL;
  assert_string_equal(written(&f), "");
  finish(&f);
}

TEST(repeats_count_for_each_component_and_never_for_debug) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_DEBUG);
  say(&f, "e", 15);
  for (int i = 0; i < 15; i++) log_write(f.log, LOG_INFO, "outbox", "e", NO_FIELDS, "said");
  assert_int_equal(lines_in(written(&f)), 20);
  for (int i = 0; i < 15; i++) log_write(f.log, LOG_DEBUG, "relay", "e", NO_FIELDS, "said");
  assert_int_equal(lines_in(written(&f)), 15);
  finish(&f);
}

TEST(long_names_are_limited_like_short_ones) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  static const char name[] = "a_name_of_an_event_that_is_longer_than_what_is_kept_of_it";
  for (int i = 0; i < 15; i++)
    log_write(f.log, LOG_INFO, "a_component_longer_than_its_place", name, NO_FIELDS, "said");
  assert_int_equal(lines_in(written(&f)), 10);
  assert_non_null(strstr(f.text, name));
  finish(&f);
}

TEST(the_event_that_gives_way_is_summed_up) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  say(&f, "e", 15);
  size_t sums = 0, lines = 0;
  for (int i = 0; i < 64;
       i++) { /* as many as there is room for, each a little later: the 64th takes the place of e */
    char name[20];
    snprintf(name, sizeof name, "event_%d", i);
    f.now_ns += SECOND / 100;
    written(&f);
    say(&f, name, 1);
    lines += lines_in(written(&f));
    if (!strstr(f.text, "repeated")) continue;
    sums++;
    assert_memory_equal(f.text, repeated_5, sizeof repeated_5 - 1);
    assert_int_equal(i, 63);
  }
  assert_int_equal(sums, 1);
  assert_int_equal(lines, 65);
  written(&f);
  say(&f, "event_40", 12); /* those that stayed are still counted: one was written before */
  assert_int_equal(lines_in(written(&f)), 9);
  finish(&f);
}

/* ---- a descriptor that does not take it ---- */

TEST(a_torn_line_is_ended_before_the_next) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  if (fcntl(f.ends[1], F_SETPIPE_SZ, 4096) != 4096) skip(); /* larger pages */
  static char large[6000];
  memset(large, 'x', sizeof large);
  log_write(f.log, LOG_INFO, "c", "large",
            FIELDS(F_SPAN("v", ((struct span){large, sizeof large}))), "m");
  say(&f, "lost", 1); /* no room even for the line end */
  assert_int_equal(strlen(written(&f)), 4096);
  assert_int_equal(lines_in(f.text), 0);
  say(&f, "next", 2);
  assert_memory_equal(written(&f), "\n{\"ts\"", 6);
  assert_int_equal(lines_in(f.text), 4);
  assert_null(strstr(f.text, "\"lost\""));
  assert_non_null(
      strstr(f.text, "\"event\":\"lines_dropped\",\"component\":\"log\",\"lines\":2}\n"));
  finish(&f);
}

TEST(a_line_that_lacks_only_its_end_is_written) {
  struct fixture f;
  static char fill[5000];
  begin(&f, LOG_JSON, LOG_INFO);
  if (fcntl(f.ends[1], F_SETPIPE_SZ, 4096) != 4096) skip(); /* larger pages */
  memset(fill, 'x', sizeof fill);
  log_write(f.log, LOG_INFO, "c", "large", FIELDS(F_SPAN("v", SPAN(""))), "m");
  struct span v = {fill, 4097 - strlen(written(&f))};
  log_write(f.log, LOG_INFO, "c", "large", FIELDS(F_SPAN("v", v)), "m");
  assert_int_equal(strlen(written(&f)), 4096);
  assert_int_equal(log_dropped(f.log), 0);
  say(&f, "next", 1);
  assert_memory_equal(written(&f), "\n{\"ts\"", 6);
  assert_int_equal(lines_in(f.text), 2);
  assert_null(strstr(f.text, "lines_dropped"));
  finish(&f);
}

/* ---- nobody takes it ---- */

/* What a terminal takes comes by and by, by the kernel's own hand: more may be written between two
 * lines that are dropped, so that the number of those is told in parts. */
static char everything[1 << 20];

/* Adds what can be read within the wait. */
static void read_more(int take, size_t *len, int wait_ms) {
  struct pollfd fd = {.fd = take, .events = POLLIN};
  while (poll(&fd, 1, wait_ms) == 1) {
    ssize_t n = read(take, everything + *len, sizeof everything - 1 - *len);
    if (n <= 0) break;
    *len += (size_t)n;
  }
  everything[*len] = '\0';
}

static uint64_t told_as_dropped(void) {
  static const char word[] = "\"event\":\"lines_dropped\",\"component\":\"log\",\"lines\":";
  uint64_t sum = 0;
  for (const char *at = everything; (at = strstr(at, word)); at++) {
    char *end;
    uint64_t n = strtoull(at + strlen(word), &end, 10);
    if (*end == '}') sum += n; /* else torn, and told again */
  }
  return sum;
}

/* All that fits, then on: no call waits (it would for ever), each line is whole or counted. */
static void fill(struct fixture *f, int take, const char *name) {
  int before = fcntl(f->ends[1], F_GETFL);
  size_t len = 0;
  assert_int_equal(log_open(f->ends[1], LOG_JSON, LOG_DEBUG, &f->clock, &f->log), ST_OK);
  for (int i = 0; i < 20000 && log_dropped(f->log) < 10; i++)
    log_write(f->log, LOG_DEBUG, "c", "much", FIELDS(F_INT("i", i)), "to %s", name);
  assert_int_equal(log_dropped(f->log), 10);
  assert_int_equal(fcntl(f->ends[1], F_GETFL), before); /* others write there too */
  assert_int_equal(fcntl(take, F_SETFL, O_NONBLOCK), 0);
  read_more(take, &len, 100);
  static const char flows[] = "\"event\":\"flows\",\"component\":\"c\"}";
  for (int i = 0;
       i < 600 && !(strstr(everything, flows) && told_as_dropped() == log_dropped(f->log)); i++) {
    log_write(f->log, LOG_DEBUG, "c", "flows", NO_FIELDS, "again");
    read_more(take, &len, 100); /* a minute at most */
  }
  assert_non_null(strstr(everything, flows));
  assert_int_equal(told_as_dropped(), log_dropped(f->log));
  log_close(f->log);
  everything[0] = '\0';
}

TEST(nobody_waits_for_a_reader) {
  struct fixture f = {.clock = {.wall_us = fixed_wall, .mono_ns = moved_mono}};
  f.clock.ctx = &f;
  assert_int_equal(pipe2(f.ends, O_CLOEXEC), 0);
  fill(&f, f.ends[0], "a pipe");
  close(f.ends[0]), close(f.ends[1]);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f.ends), 0);
  fill(&f, f.ends[0], "a socket");
  close(f.ends[0]), close(f.ends[1]);
  f.ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_true(f.ends[0] >= 0 && grantpt(f.ends[0]) == 0 && unlockpt(f.ends[0]) == 0);
  f.ends[1] = open(ptsname(f.ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_true(f.ends[1] >= 0);
  fill(&f, f.ends[0], "a terminal");
  close(f.ends[0]), close(f.ends[1]);
}

/* As where /proc is not there, or the pipe was made by another user: no description of its own. */
TEST(nobody_waits_for_a_reader_that_must_be_asked) {
  struct fixture f = {.clock = {.wall_us = fixed_wall, .mono_ns = moved_mono}};
  struct rlimit limit, none;
  f.clock.ctx = &f;
  assert_int_equal(pipe2(f.ends, O_CLOEXEC), 0);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = (struct rlimit){3, limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  fill(&f, f.ends[0], "a pipe");
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  close(f.ends[0]), close(f.ends[1]);
}

TEST(a_closed_descriptor_stops_nobody) {
  struct fixture f;
  begin(&f, LOG_JSON, LOG_INFO);
  void (*old)(int) = signal(SIGPIPE, SIG_IGN);
  close(f.ends[0]);
  say(&f, "e", 3);
  f.ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  finish(&f);
  signal(SIGPIPE, old);
}

/* ---- threads ---- */

static void *write_some(void *ctx) {
  for (int i = 0; i < 10; i++) log_write(ctx, LOG_DEBUG, "thread", "e", FIELDS(F_INT("i", i)), "m");
  log_write(ctx, LOG_INFO, "thread", "done", NO_FIELDS, "m");
  log_set_level(ctx, LOG_DEBUG);
  return NULL;
}

TEST(lines_of_threads_stay_whole) {
  struct fixture f;
  pthread_t threads[4];
  begin(&f, LOG_JSON, LOG_DEBUG);
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, write_some, f.log), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  char *at = (char *)(uintptr_t)written(&f), *line;
  size_t n = 0;
  for (; (line = strsep(&at, "\n")) && *line; n++)
    assert_true(line[0] == '{' && line[strlen(line) - 1] == '}');
  assert_int_equal(n, 44);
  finish(&f);
}
