/* Makes the socket, knows its peers by their credentials, and removes it while it is still its own.
 * A crash leaves it, and the next holder of the lock replaces it.
 * The main thread makes and removes it, any thread asks of peers. */
#include "worker/control/control_socket.h"

#include "bridge/base/disk/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static enum status split(struct control_socket *c, const char *path, struct error *err) {
  const char *slash = strrchr(path, '/');
  struct buffer folder = {0};
  if (!slash || strlen(slash + 1) == 0 || strlen(slash + 1) > NAME_MAX)
    return error_set(err, ST_INVALID, "%s is not a path for a socket", path);
  snprintf(c->name, sizeof c->name, "%s", slash + 1);
  buffer_append(&folder, path, slash == path ? 1 : (size_t)(slash - path));
  c->folder = open(buffer_z(&folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
  enum status st = c->folder < 0 ? error_sys(err, errno, "Opening %s", buffer_z(&folder)) : ST_OK;
  buffer_release(&folder);
  return st;
}

/* A path over 107 bytes does not fit into sun_path: through the folder's descriptor every name
 * does. */
static enum status bind_here(struct control_socket *c, int fd, struct error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat st;
  int n = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", c->folder,
                   c->name);
  if (n < 0 || (size_t)n >= sizeof address.sun_path)
    return error_set(err, ST_INVALID, "The socket's name %s is too long", c->name);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
    return error_sys(err, errno, "Binding the control socket %s", c->name);
  if (fchmodat(c->folder, c->name, 0660, 0) != 0 ||
      fstatat(c->folder, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || listen(fd, BACKLOG) != 0)
    return error_sys(err, errno, "Opening the control socket %s", c->name);
  c->inode = st.st_ino;
  c->group = st.st_gid;
  return ST_OK;
}

enum status control_socket_open(struct control_socket *c, const char *path, int *out,
                                struct error *err) {
  c->folder = -1;
  enum status st = split(c, path, err);
  if (st != ST_OK) return st;
  /* What lies there is of a worker that has ended: we hold the lock. */
  st = durable_unlink(c->folder, c->name, err);
  if (st != ST_OK && st != ST_NOT_FOUND)
    return error_prefix(err, "Removing the old control socket");
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return error_sys(err, errno, "Making the control socket");
  st = bind_here(c, fd, err);
  if (st != ST_OK) {
    close(fd);
    return st;
  }
  *out = fd;
  return ST_OK;
}

static bool in_group(int fd, gid_t group) {
  gid_t groups[256];
  socklen_t size = sizeof groups;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) return false;
  for (size_t i = 0; i < size / sizeof *groups; i++)
    if (groups[i] == group) return true;
  return false;
}

bool control_socket_admits(const struct control_socket *c, int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid() || peer.gid == c->group || in_group(fd, c->group);
}

int64_t control_socket_peer(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  bool known =
      fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  return known ? (int64_t)peer.uid : -1;
}

/* A successor that took the outbox over has made another. */
enum status control_socket_remove(const struct control_socket *c, struct error *err) {
  struct stat st;
  if (fstatat(c->folder, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_ino != c->inode)
    return ST_OK;
  return durable_unlink(c->folder, c->name, err);
}

void control_socket_release(struct control_socket *c) {
  if (c->folder >= 0) close(c->folder);
  c->folder = -1;
}
