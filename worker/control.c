/* The socket, the daemon and who may talk to it. Which path means what stands in control_routes.c. */
#include "worker/control.h"

#include "bridge/base/durable.h"
#include "worker/control_routes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64
#define THREADS 4 /* one long listing must not keep a probe waiting */
#define CONNECTION_LIMIT 64
#define IDLE_SECONDS 60
#define STOP_MS 5000
#define BODY_LIMIT (64 * 1024)
#define BODY_READ (16 * 1024 * 1024) /* so much is read, so that the refusal arrives */

struct control {
  struct service *service;
  struct log *log;
  struct MHD_Daemon *daemon;
  int folder; /* O_PATH descriptor of the folder the socket lies in */
  char name[NAME_MAX + 1];
  ino_t inode; /* of our socket: a successor's is not removed */
  gid_t group;
  atomic_bool draining;
  atomic_int running; /* requests begun and not completed */
};

/* ---- the socket --------------------------------------------------------------------------------------------- */

static enum status split(struct control *c, const char *path, struct error *err) {
  const char *slash = strrchr(path, '/');
  struct buffer folder = {0};
  if (!slash || strlen(slash + 1) == 0 || strlen(slash + 1) > NAME_MAX)
    return error_set(err, ST_INVALID, "%s is no path for a socket", path);
  snprintf(c->name, sizeof c->name, "%s", slash + 1);
  buffer_append(&folder, path, slash == path ? 1 : (size_t)(slash - path));
  c->folder = open(buffer_z(&folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
  enum status st = c->folder < 0 ? error_sys(err, errno, "Opening %s", buffer_z(&folder)) : ST_OK;
  buffer_release(&folder);
  return st;
}

/* A path over 107 bytes does not fit into sun_path: through the folder's descriptor every name does. */
static enum status bind_here(struct control *c, int fd, struct error *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat st;
  int n = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", c->folder, c->name);
  if (n < 0 || (size_t)n >= sizeof address.sun_path)
    return error_set(err, ST_INVALID, "The socket's name %s is too long", c->name);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
    return error_sys(err, errno, "Binding the control socket %s", c->name);
  if (fchmodat(c->folder, c->name, 0660, 0) != 0 || fstatat(c->folder, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
      listen(fd, BACKLOG) != 0)
    return error_sys(err, errno, "Opening the control socket %s", c->name);
  c->inode = st.st_ino;
  c->group = st.st_gid;
  return ST_OK;
}

static enum status listen_here(struct control *c, int *out, struct error *err) {
  /* What lies there is of a worker that has ended: we hold the lock. */
  enum status st = durable_unlink(c->folder, c->name, err);
  if (st != ST_OK && st != ST_NOT_FOUND) return error_prefix(err, "Removing the old control socket");
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

/* ---- who may talk to us -------------------------------------------------------------------------------------- */

static bool in_group(int fd, gid_t group) {
  gid_t groups[256];
  socklen_t size = sizeof groups;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) return false;
  for (size_t i = 0; i < size / sizeof *groups; i++)
    if (groups[i] == group) return true;
  return false;
}

static bool may_talk(const struct control *c, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (!info) return false;
  int fd = info->connect_fd; /* copied at once: the struct is used again */
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid() || peer.gid == c->group || in_group(fd, c->group);
}

/* ---- one request ------------------------------------------------------------------------------------------------ */

struct request {
  struct buffer body; /* kept, where the path takes one */
  size_t seen;        /* bytes of body that came */
  size_t limit;       /* that are taken */
  bool kept;
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(answer->body.len, answer->body.ptr, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result result = MHD_NO;
  if (response && MHD_add_response_header(response, "Content-Type", answer->type) == MHD_YES &&
      MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
      (!answer->allow[0] || MHD_add_response_header(response, "Allow", answer->allow) == MHD_YES))
    result = MHD_queue_response(connection, (unsigned)answer->code, response);
  if (response) MHD_destroy_response(response);
  buffer_release(&answer->body);
  return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, int code, enum status st, const char *detail) {
  struct answer answer = {0};
  answer_problem(&answer, code, st, detail);
  return send_answer(connection, &answer);
}

static enum MHD_Result take_query(void *ctx, enum MHD_ValueKind kind, const char *key, const char *value) {
  (void)kind;
  struct query *q = ctx;
  if (q->count == QUERY_MAX) {
    q->overflow = true;
    return MHD_NO;
  }
  q->pairs[q->count].key = key;
  q->pairs[q->count++].value = value ? value : "";
  return MHD_YES;
}

static struct caller caller_of(struct MHD_Connection *connection) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  int fd = info ? info->connect_fd : -1;
  bool known = fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  return (struct caller){known ? (int64_t)peer.uid : -1};
}

static enum MHD_Result answer_request(struct control *c, struct MHD_Connection *connection,
                                      const struct request *request, const char *path, const char *method) {
  struct answer answer = {0};
  struct query query = {0};
  struct caller caller = caller_of(connection);
  struct call call = {.service = c->service,
                      .caller = &caller,
                      .draining = atomic_load(&c->draining),
                      .query = &query,
                      .body = buffer_span(&request->body)};
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
  route_request(&call, method, path, &answer);
  return send_answer(connection, &answer);
}

static enum MHD_Result refuse_body(struct MHD_Connection *connection, size_t limit) {
  char text[60];
  snprintf(text, sizeof text, "The body of this request has at most %zu KiB", limit / 1024);
  return refuse(connection, 413, ST_TOO_LARGE, text);
}

static bool announces_too_much(struct MHD_Connection *connection) {
  const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
  return length && strtoull(length, NULL, 10) > BODY_READ;
}

static enum MHD_Result begin(struct control *c, struct MHD_Connection *connection, const char *path, const char *method,
                             void **state) {
  size_t limit = route_body_limit(method, path);
  if (!may_talk(c, connection))
    return refuse(connection, MHD_HTTP_FORBIDDEN, ST_DENIED, "Only root, the worker's user and the socket's group");
  if (announces_too_much(connection)) return refuse_body(connection, limit ? limit : BODY_LIMIT);
  struct request *request = calloc(1, sizeof *request);
  if (!request) return MHD_NO;
  request->kept = limit > 0;
  request->limit = limit > 0 ? limit : BODY_LIMIT;
  *state = request;
  atomic_fetch_add(&c->running, 1);
  return MHD_YES;
}

/* One part of the body. One that is not needed, or too large, is read and dropped, so that the answer arrives. */
static enum MHD_Result take_body(struct request *request, struct span part) {
  request->seen += part.len;
  if (request->kept && request->seen <= request->limit)
    buffer_add(&request->body, part);
  else
    buffer_release(&request->body);
  return request->seen <= BODY_READ && !request->body.failed ? MHD_YES : MHD_NO;
}

/* libmicrohttpd calls it once with the headers, then with each part of the body, then with none. */
static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state) {
  struct request *request = *state;
  (void)version;
  if (!request) return begin(ctx, connection, path, method, state);
  if (*upload_size > 0) {
    struct span part = {upload, *upload_size};
    *upload_size = 0;
    return take_body(request, part);
  }
  if (request->seen > request->limit) return refuse_body(connection, request->limit);
  return answer_request(ctx, connection, request, path, method);
}

static void completed(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why) {
  struct control *c = ctx;
  (void)connection;
  (void)why;
  struct request *request = *state;
  if (!request) return;
  buffer_release(&request->body);
  free(request);
  *state = NULL;
  atomic_fetch_sub(&c->running, 1);
}

PRINTF_LIKE(2, 0)
static void complain(void *ctx, const char *fmt, va_list args) {
  struct control *c = ctx;
  char text[300];
  vsnprintf(text, sizeof text, fmt, args);
  text[strcspn(text, "\n")] = '\0';
  log_write(c->log, LOG_DEBUG, "control", "http", NO_FIELDS, "%s", text);
}

/* ---- life ----------------------------------------------------------------------------------------------------------
 */

static void forget(struct control *c) {
  if (c->folder >= 0) close(c->folder);
  free(c);
}

static struct MHD_Daemon *start_daemon(struct control *c, int fd) {
  return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, c,
                          MHD_OPTION_EXTERNAL_LOGGER, complain, c, MHD_OPTION_LISTEN_SOCKET, fd,
                          MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT,
                          MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, completed, c,
                          MHD_OPTION_END);
}

enum status control_start(struct service *service, const char *socket_path, struct log *log, struct control **out,
                          struct error *err) {
  struct control *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "Out of memory");
  c->service = service;
  c->log = log;
  c->folder = -1;
  int fd = -1;
  enum status st = split(c, socket_path, err);
  if (st == ST_OK) st = listen_here(c, &fd, err);
  if (st != ST_OK) {
    forget(c);
    return st;
  }
  c->daemon = start_daemon(c, fd);
  if (!c->daemon) {
    close(fd);
    forget(c);
    return error_set(err, ST_IO, "The control API cannot be started on %s", socket_path);
  }
  *out = c;
  return ST_OK;
}

void control_drain(struct control *control) {
  if (control) atomic_store(&control->draining, true);
}

/* Only our own socket: a successor that took the outbox over has made another. */
static void remove_socket(struct control *c) {
  struct stat st;
  struct error err = {0};
  if (fstatat(c->folder, c->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_ino != c->inode) return;
  if (durable_unlink(c->folder, c->name, &err) != ST_OK)
    log_write(c->log, LOG_WARNING, "control", "socket_left", NO_FIELDS, "The control socket stays: %s", err.text);
}

void control_stop(struct control *control) {
  if (!control) return;
  /* Stopping at once would drop a request that is being answered: accept no more, then wait for those. */
  MHD_socket fd = MHD_quiesce_daemon(control->daemon);
  remove_socket(control);
  if (fd != MHD_INVALID_SOCKET) close(fd);
  for (int waited = 0; atomic_load(&control->running) > 0 && waited < STOP_MS; waited += 10) poll(NULL, 0, 10);
  MHD_stop_daemon(control->daemon);
  forget(control);
}
