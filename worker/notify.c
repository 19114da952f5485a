/* Datagrams to the service manager, its watchdog's ping among them; what it does not take within 5
 * s is dropped.
 * The main thread; a crash leaves nothing. */
#include "worker/notify.h"

#include "bridge/base/text/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { SEND_SECONDS = 5, MESSAGE = 1024 };

static enum status set_address(struct notify *n, const char *socket, struct error *err) {
  size_t length = strlen(socket);
  if ((*socket != '/' && *socket != '@') || length < 2 || length >= sizeof n->address.sun_path)
    return error_set(err, ST_INVALID,
                     "NOTIFY_SOCKET: %.120s is neither an absolute path nor an abstract name",
                     socket);
  n->address.sun_family = AF_UNIX;
  memcpy(n->address.sun_path, socket, length);
  if (*socket == '@')
    n->address.sun_path[0] = '\0'; /* an abstract name has no end but its length */
  n->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*socket == '/'));
  return ST_OK;
}

/* The limit is meant for the process that WATCHDOG_PID names, if it names one. */
static int64_t watchdog_of(const char *watchdog_us, const char *watchdog_pid) {
  uint64_t us = 0, pid = 0;
  if (!watchdog_us || !number_parse(span_of(watchdog_us), INT64_MAX, &us)) return 0;
  if (watchdog_pid &&
      (!number_parse(span_of(watchdog_pid), INT32_MAX, &pid) || (pid_t)pid != getpid()))
    return 0;
  return (int64_t)(us / 1000);
}

enum status notify_init(struct notify *n, const char *socket_name, const char *watchdog_us,
                        const char *watchdog_pid, struct error *err) {
  *n = (struct notify){.fd = -1};
  if (!socket_name || !*socket_name) return ST_OK;
  enum status st = set_address(n, socket_name, err);
  if (st != ST_OK) return st;
  n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (n->fd < 0) return error_sys(err, errno, "Making the socket for NOTIFY_SOCKET");
  /* A manager that hangs must not take the worker with it. */
  struct timeval patience = {.tv_sec = SEND_SECONDS};
  (void)setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  n->watchdog_ms = watchdog_of(watchdog_us, watchdog_pid);
  return ST_OK;
}

void notify_release(struct notify *n) {
  if (n->fd >= 0) close(n->fd);
  n->fd = -1;
}

bool notify_listens(const struct notify *n) {
  return n->fd >= 0;
}

void notify_send(const struct notify *n, const char *fmt, ...) {
  char text[MESSAGE];
  if (n->fd < 0) return;
  va_list args;
  va_start(args, fmt);
  int length = vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (length <= 0) return;
  size_t size = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
  while (sendto(n->fd, text, size, MSG_NOSIGNAL, (const struct sockaddr *)&n->address, n->size) <
             0 &&
         errno == EINTR) {
  }
}

void notify_status(struct notify *n, const char *text) {
  char line[sizeof n->status];
  if (n->fd < 0) return;
  snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"),
           text); /* a newline would begin another variable */
  if (!strcmp(line, n->status)) return;
  memcpy(n->status, line, sizeof line);
  notify_send(n, "STATUS=%s", line);
}

void notify_ping(struct notify *n, int64_t now_ms, bool alive) {
  if (n->fd < 0 || n->watchdog_ms == 0 || !alive || now_ms - n->pinged_ms < n->watchdog_ms / 2)
    return;
  n->pinged_ms = now_ms;
  notify_send(n, "WATCHDOG=1");
}

int notify_sleep_ms(const struct notify *n, int limit_ms) {
  int64_t quarter = n->watchdog_ms / 4;
  if (quarter == 0) return limit_ms;
  return quarter < limit_ms ? (int)quarter : limit_ms;
}
