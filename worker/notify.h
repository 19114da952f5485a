/* notify.h - tells the service manager how the worker is: the protocol of sd_notify(3), datagrams
 * of VARIABLE=value lines to the socket that NOTIFY_SOCKET names.
 *
 * Without that variable every call does nothing. What cannot be sent is lost without a word: the
 * manager notices by its own time limits. One thread.
 */
#ifndef WORKER_NOTIFY_H
#define WORKER_NOTIFY_H

#include "bridge/base/span.h"
#include "bridge/base/status.h"

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
  int fd; /* -1: nobody listens */
  struct sockaddr_un address;
  socklen_t size;
  int64_t watchdog_ms; /* the manager's limit between two pings, 0: it sets none */
  int64_t pinged_ms;   /* monotonic */
  char status[300];    /* the last one told */
};

/* socket, watchdog_us, watchdog_pid: the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID,
 * NULL where unset. An absolute path or an abstract name ('@' in front); anything else is
 * ST_INVALID, and n tells nobody. */
MUST_CHECK enum status notify_init(struct notify *n, const char *socket, const char *watchdog_us,
                                   const char *watchdog_pid, struct error *err);
void notify_release(struct notify *n);
bool notify_listens(const struct notify *n);

/* Lines VARIABLE=value, parted by newlines; waits a few seconds for a manager that is busy. */
PRINTF_LIKE(2, 3) void notify_send(const struct notify *n, const char *fmt, ...);
/* STATUS=text, when it is not what was told last. */
void notify_status(struct notify *n, const char *text);
/* The watchdog's ping, when half of its limit has passed since the last one and the relay is alive.
 */
void notify_ping(struct notify *n, int64_t now_ms, bool alive);
/* How long the loop may sleep before it has to look again: at most limit_ms. */
int notify_sleep_ms(const struct notify *n, int limit_ms);

#endif
