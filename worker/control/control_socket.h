/* control_socket.h - the Unix socket in .busbridge and who may use it: root, the worker's own user,
 * members of the socket's group. Private to worker/control; one thread, control_socket_admits
 * any.
 */
#ifndef WORKER_CONTROL_SOCKET_H
#define WORKER_CONTROL_SOCKET_H

#include "bridge/base/status.h"

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

struct control_socket {
  int folder; /* O_PATH descriptor of the folder the socket lies in, -1: not open */
  char name[NAME_MAX + 1];
  ino_t inode; /* of our socket: a successor's is not removed */
  gid_t group;
};
/* Binds and listens at path (may be longer than 107 bytes); *fd is the caller's. What lies there is
 * removed: hold the outbox's lock. After a failure: control_socket_release. ST_INVALID,
 * ST_NOT_FOUND, ST_DENIED, ST_IO: err says which path. */
MUST_CHECK enum status control_socket_open(struct control_socket *c, const char *path, int *fd,
                                           struct error *err);
/* May the process at the other end of this connection talk to us? */
bool control_socket_admits(const struct control_socket *c, int fd);
/* The user at the other end; -1: not known. */
int64_t control_socket_peer(int fd);
/* Only if it is still ours. */
MUST_CHECK enum status control_socket_remove(const struct control_socket *c, struct error *err);
void control_socket_release(struct control_socket *c);

#endif
