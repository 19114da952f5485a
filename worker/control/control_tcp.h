/* control_tcp.h - the address of http.listen. Private to worker/control; one thread. */
#ifndef WORKER_CONTROL_TCP_H
#define WORKER_CONTROL_TCP_H

#include "bridge/base/status.h"

#include <sys/socket.h>

struct control_tcp {
  bool on;
  bool any;    /* every address of this host */
  bool either; /* ":PORT": IPv6 and IPv4, or IPv4 where there is no IPv6 */
  char text[300];
  struct sockaddr_storage address;
  socklen_t size;
};
#define CONTROL_TCP_EXPECTED "write HOST:PORT, [::1]:PORT, :PORT or off"
/* "off", "HOST:PORT", "[::1]:PORT", ":PORT". HOST may be a name: its first address is taken.
 * ST_INVALID: err says what is wrong. */
MUST_CHECK enum status control_tcp_parse(const char *listen, struct control_tcp *out,
                                         struct error *err);
/* Binds and listens; *fd is the caller's. ST_BUSY: somebody else listens there. ST_DENIED,
 * ST_INVALID, ST_IO. */
MUST_CHECK enum status control_tcp_open(const struct control_tcp *tcp, int *fd, struct error *err);

#endif
