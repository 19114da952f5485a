/* What the service manager is told. */
#include "tests/support/test.h"
#include "worker/notify.h"

#include <stdlib.h>
#include <unistd.h>

struct manager {
  int fd;
  char name[64];
};

/* An abstract name: no file is left behind. */
static void manager_open(struct manager *m) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(m->name, sizeof m->name, "@busbridge-notify-%d", (int)getpid());
  memcpy(address.sun_path + 1, m->name + 1, strlen(m->name) - 1);
  m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  assert_true(m->fd >= 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(m->name));
  assert_int_equal(bind(m->fd, (struct sockaddr *)&address, size), 0);
}

/* The next message, "" when there is none. */
static const char *told(struct manager *m) {
  static char text[2048];
  ssize_t n = recv(m->fd, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  return text;
}

TEST(lines_arrive_at_an_abstract_name) {
  struct manager m;
  struct notify n;
  struct error err = {0};
  manager_open(&m);
  assert_int_equal(notify_init(&n, m.name, NULL, NULL, &err), ST_OK);
  notify_send(&n, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", 40000000);
  assert_string_equal(told(&m), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000");
  notify_ping(&n, 1000000, true);
  assert_string_equal(told(&m), ""); /* no watchdog was asked for */
  notify_release(&n);
  notify_send(&n, "READY=1");
  assert_string_equal(told(&m), "");
  close(m.fd);
}

TEST(a_status_is_one_line_and_told_once) {
  struct manager m;
  struct notify n;
  struct error err = {0};
  char longest[2000];
  manager_open(&m);
  assert_int_equal(notify_init(&n, m.name, NULL, NULL, &err), ST_OK);
  notify_status(&n, "OK - 3 pending\nREADY=1");
  assert_string_equal(told(&m), "STATUS=OK - 3 pending");
  notify_status(&n, "OK - 3 pending");
  assert_string_equal(told(&m), "");
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  notify_status(&n, longest);
  assert_int_equal(strlen(told(&m)), strlen("STATUS=") + sizeof n.status - 1);
  notify_status(&n, "OK - 3 pending");
  assert_string_equal(told(&m), "STATUS=OK - 3 pending");
  notify_release(&n);
  close(m.fd);
}

TEST(pings_come_at_half_the_limit_and_only_while_it_is_alive) {
  struct manager m;
  struct notify n;
  struct error err = {0};
  char pid[32];
  manager_open(&m);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  assert_int_equal(notify_init(&n, m.name, "60000000", pid, &err), ST_OK);
  notify_ping(&n, 100000, true);
  assert_string_equal(told(&m), "WATCHDOG=1");
  notify_ping(&n, 129999, true);
  assert_string_equal(told(&m), "");
  notify_ping(&n, 130000, true);
  assert_string_equal(told(&m), "WATCHDOG=1");
  notify_ping(&n, 170000, false);
  notify_ping(&n, 300000, false);
  assert_string_equal(told(&m), "");
  notify_ping(&n, 300001, true);
  assert_string_equal(told(&m), "WATCHDOG=1");
  assert_int_equal(notify_sleep_ms(&n, 500), 500);
  notify_release(&n);
  assert_int_equal(notify_init(&n, m.name, "1000000", NULL, &err), ST_OK);
  assert_int_equal(notify_sleep_ms(&n, 500), 250);
  notify_release(&n);
  close(m.fd);
}

TEST(the_watchdog_of_another_process_is_not_ours) {
  struct notify n;
  struct error err = {0};
  assert_int_equal(notify_init(&n, "/run/none", "60000000", "1", &err), ST_OK);
  assert_int_equal(n.watchdog_ms, 0);
  notify_release(&n);
  assert_int_equal(notify_init(&n, "/run/none", "soon", NULL, &err), ST_OK);
  assert_int_equal(n.watchdog_ms, 0);
  notify_send(&n, "READY=1"); /* nobody is there: not a word */
  notify_release(&n);
}

TEST(without_an_address_nothing_is_told) {
  struct notify n;
  struct error err = {0};
  char longest[200];
  assert_int_equal(notify_init(&n, NULL, "1000", NULL, &err), ST_OK);
  assert_false(notify_listens(&n));
  notify_status(&n, "x");
  notify_ping(&n, 1, true);
  assert_int_equal(notify_sleep_ms(&n, 500), 500);
  assert_int_equal(notify_init(&n, "", NULL, NULL, &err), ST_OK);
  assert_int_equal(notify_init(&n, "relative", NULL, NULL, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "NOTIFY_SOCKET"));
  assert_int_equal(notify_init(&n, "@", NULL, NULL, &err), ST_INVALID);
  memset(longest, 'x', sizeof longest - 1);
  longest[0] = '/';
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(notify_init(&n, longest, NULL, NULL, &err), ST_INVALID);
  assert_false(notify_listens(&n));
  notify_release(&n);
}
