/* Who is let in over HTTP, and who has taken too long: without a server, and with a clock of our
 * own. */
#include "tests/support/test.h"
#include "worker/control/control_gate.h"
#include "worker/control/control_guests.h"
#include "worker/control/control_tcp.h"

#include <poll.h>
#include <unistd.h>

static struct settings *settings_of(const char *const *overrides, size_t count) {
  struct settings_sources from = {.overrides = overrides, .override_count = count};
  struct settings *s = NULL;
  struct error err = {0};
  if (settings_load(&from, &s, NULL, &err) != ST_OK) fail_msg("%s", err.text);
  return s;
}

TEST(only_addresses_localhost_and_listed_names_are_answered_to) {
  static const char *const with[] = {"http.hosts=relay.example, Pod-1"};
  static const char *const good[] = {"127.0.0.1",         "10.1.2.3:9464", "[::1]:80",
                                     "[fe80::1]",         "localhost:1",   "LOCALHOST",
                                     "relay.example:123", "pod-1"};
  static const char *const bad[] = {"",
                                    "evil.example",
                                    "evil.example:80",
                                    "localhost.evil.example",
                                    "127.0.0.1.evil.example",
                                    "0x7f.1",
                                    "2130706433",
                                    "[::1",
                                    "[::1]x",
                                    "::1",
                                    "localhost:80:80",
                                    "localhost:x",
                                    "[localhost]",
                                    "relay.example.",
                                    "pod",
                                    ":80"};
  struct settings *s = settings_of(with, 1);
  struct gate g;
  (void)state;
  gate_init(&g);
  assert_int_equal(gate_set(&g, s, NULL), ST_OK);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    if (!gate_knows_host(&g, good[i])) fail_msg("%s", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (gate_knows_host(&g, bad[i])) fail_msg("%s", bad[i]);
  gate_release(&g);
  settings_free(s);
}

TEST(a_page_is_of_the_same_origin_only_when_host_and_port_are_the_same) {
  assert_true(gate_same_origin("http://127.0.0.1:80", "127.0.0.1:80"));
  assert_true(gate_same_origin("https://Pod", "pod"));
  assert_false(gate_same_origin("http://127.0.0.1:81", "127.0.0.1:80"));
  assert_false(gate_same_origin("http://127.0.0.1:80.evil.example", "127.0.0.1:80"));
  assert_false(gate_same_origin("null", "null"));
  assert_false(gate_same_origin("", ""));
  assert_false(gate_same_origin("http://", ""));
  assert_false(gate_same_origin("file://", ""));
}

TEST(the_token_is_all_of_it_or_none) {
  static const char *const with[] = {"http.token=secret-token"};
  static const char *const bad[] = {"Bearer secret-toke",
                                    "Bearer secret-token2",
                                    "Bearer secret-tokeN",
                                    "Bearer ",
                                    "Bearer secret-tokensecret-token",
                                    "Bearer secret token"};
  struct settings *s = settings_of(with, 1), *none = settings_of(NULL, 0);
  struct gate g;
  (void)state;
  gate_init(&g);
  assert_int_equal(gate_bearer(&g, "Bearer x"), BEARER_WRONG);
  assert_int_equal(gate_set(&g, s, NULL), ST_OK);
  assert_true(gate_has_token(&g));
  assert_int_equal(gate_bearer(&g, "Bearer secret-token"), BEARER_RIGHT);
  assert_int_equal(gate_bearer(&g, "bearer  secret-token "), BEARER_RIGHT);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(gate_bearer(&g, bad[i]), BEARER_WRONG);
  assert_int_equal(gate_bearer(&g, NULL), BEARER_NONE);
  assert_int_equal(gate_bearer(&g, "Basic c2VjcmV0LXRva2Vu"), BEARER_NONE);
  assert_int_equal(gate_set(&g, none, NULL), ST_OK);
  assert_false(gate_has_token(&g));
  assert_int_equal(gate_bearer(&g, "Bearer secret-token"), BEARER_WRONG);
  gate_release(&g);
  settings_free(s);
  settings_free(none);
}

TEST(a_token_that_no_header_can_carry_is_refused) {
  static const char *const blank[] = {"http.token=two words"}, *const umlaut[] = {
                                                                   "http.token=schl\u00fcssel"};
  struct settings *a = settings_of(blank, 1), *b = settings_of(umlaut, 1);
  (void)state;
  assert_int_equal(gate_check(a, NULL), ST_INVALID);
  assert_int_equal(gate_check(b, NULL), ST_INVALID);
  settings_free(a);
  settings_free(b);
}

TEST(addresses_are_understood_or_refused_with_what_was_expected) {
  static const char *const bad[] = {
      "",       "9464",  "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", ":x",
      "::1:80", "[::1]", "[]:80",     "on",         ":80 ",        "no..name:80"};
  struct control_tcp tcp;
  struct error err;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    err = (struct error){0};
    if (control_tcp_parse(bad[i], &tcp, &err) != ST_INVALID) fail_msg("%s", bad[i]);
    assert_non_null(strstr(err.text, CONTROL_TCP_EXPECTED));
  }
  assert_int_equal(control_tcp_parse("off", &tcp, NULL), ST_OK);
  assert_false(tcp.on);
  assert_int_equal(control_tcp_parse("127.0.0.1:9464", &tcp, NULL), ST_OK);
  assert_true(tcp.on && !tcp.any && tcp.address.ss_family == AF_INET);
  assert_int_equal(control_tcp_parse("[::1]:9464", &tcp, NULL), ST_OK);
  assert_true(tcp.on && !tcp.any && tcp.address.ss_family == AF_INET6);
  assert_int_equal(control_tcp_parse("0.0.0.0:9464", &tcp, NULL), ST_OK);
  assert_true(tcp.any && !tcp.either);
  assert_int_equal(control_tcp_parse(":9464", &tcp, NULL), ST_OK);
  assert_true(tcp.any && tcp.either);
}

static int64_t now_ns;
static int64_t mono(void *ctx) {
  (void)ctx;
  return now_ns;
}

static bool shut(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  char byte;
  return poll(&p, 1, 0) == 1 && read(fd, &byte, 1) == 0;
}

TEST(who_asks_or_takes_too_slowly_is_shown_out) {
  const struct clock clock = {.mono_ns = mono};
  struct guests g;
  struct guest *guest[3];
  int pair[3][2];
  (void)state;
  now_ns = 1;
  guests_init(&g, &clock);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
    guest[i] = guest_enter(&g, pair[i][0], NULL);
    assert_non_null(guest[i]);
  }
  now_ns += GUESTS_ASK_MS * INT64_C(1000000);
  assert_int_equal(guests_hurry(&g), 0);
  guest_phase(&g, guest[1], GUEST_WAITS);
  guest_phase(&g, guest[2], GUEST_TAKES);
  now_ns += INT64_C(1000000);
  assert_int_equal(guests_hurry(&g), 1);
  assert_true(shut(pair[0][1]) && !shut(pair[1][1]) && !shut(pair[2][1]));
  guest_leave(&g, guest[0]);
  now_ns += GUESTS_TAKE_MS * INT64_C(1000000);
  assert_int_equal(guests_hurry(&g), 1);
  assert_true(!shut(pair[1][1]) && shut(pair[2][1]));
  guest_leave(&g, guest[2]);
  guest_leave(&g, guest[1]);
  guest_leave(&g, NULL);
  guest_phase(&g, NULL, GUEST_ASKS);
  guests_release(&g);
  for (int i = 0; i < 3; i++) close(pair[i][0]), close(pair[i][1]);
}

enum { CAME = 120 };

/* By socketpair: without an address. */
static void come(struct guests *g, struct guest *guest[CAME], int pair[CAME][2], int from, int to,
                 const void *door) {
  for (int i = from; i < to; i++) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
    guest[i] = guest_enter(g, pair[i][0], door);
    assert_non_null(guest[i]);
    now_ns += 1000000;
  }
}

static int shown_out(int pair[CAME][2], int from, int to) {
  int count = 0;
  for (int i = from; i < to; i++) count += shut(pair[i][1]);
  return count;
}

TEST(whoever_comes_finds_a_place) {
  const struct clock clock = {.mono_ns = mono};
  static struct guest *guest[CAME];
  static int pair[CAME][2];
  struct guests g;
  int door, other;
  (void)state;
  now_ns = 1;
  guests_init(&g, &clock);
  const int room = GUESTS_MAX - GUESTS_FREE;
  come(&g, guest, pair, 0, room, &door);
  assert_int_equal(shown_out(pair, 0, room), 0);
  for (int i = 1; i < room; i += 2) guest_phase(&g, guest[i], GUEST_WAITS);
  come(&g, guest, pair, room, room + 2, &door); /* the two that have asked for longest go */
  assert_true(shut(pair[0][1]) && shut(pair[2][1]));
  assert_int_equal(shown_out(pair, 0, room + 2), 2);
  come(&g, guest, pair, room + 2, room + 4, &other); /* another door has places of its own */
  assert_int_equal(shown_out(pair, 0, room + 4), 2);
  for (int i = 4; i < room + 2; i += 2)
    guest_phase(&g, guest[i], i == 8 ? GUEST_TAKES : GUEST_WAITS);
  guest_phase(&g, guest[room + 1], GUEST_WAITS);
  come(&g, guest, pair, room + 4, room + 5, &door); /* none asks: the one that takes an answer */
  assert_true(shut(pair[8][1]));
  guest_phase(&g, guest[room + 4], GUEST_WAITS);
  come(&g, guest, pair, room + 5, room + 6,
       &door); /* all are at work: there are a few places more */
  assert_int_equal(shown_out(pair, 0, room + 6), 3);
  int last = room + 6;
  for (; last < CAME && shown_out(pair, 0, last) == 3; last++) {
    guest_phase(&g, guest[last - 1], GUEST_WAITS);
    come(&g, guest, pair, last, last + 1, &door);
  }
  assert_int_equal(
      last - 2 - 3,
      GUESTS_MAX + 1); /* two by the other door, three gone: then one too many, who goes himself */
  assert_true(shut(pair[last - 1][1]));
  for (int i = 0; i < last; i++) guest_leave(&g, guest[i]), close(pair[i][0]), close(pair[i][1]);
  guests_release(&g);
}
