/* The two listeners, from opening to stopping. What a request goes through stands in
 * control_request.c.
 * The main thread opens and stops them; a crash leaves the file of the socket. */
#include "worker/control/control.h"

#include "bridge/base/stop.h"
#include "worker/control/control_parts.h"
#include "worker/control/control_tcp.h"

#include <unistd.h>

/* Guests that were shown out and are not gone yet; beyond, libmicrohttpd itself turns newcomers
 * away */
#define LEAVING_MAX 192
#define HEADER_BYTES (16 * 1024)
#define IDLE_SECONDS 60
#define STOP_MS 5000
#define TOKEN_LEAST 16

PRINTF_LIKE(2, 0)
static void complain(void *ctx, const char *fmt, va_list args) {
  struct control *c = ctx;
  char text[300];
  vsnprintf(text, sizeof text, fmt, args);
  text[strcspn(text, "\n")] = '\0';
  log_write(c->log, LOG_DEBUG, "control", "http", NO_FIELDS, "%s", text);
}

/* ---- opening ---- */

static enum status listener_start(struct listener *l, int fd, const char *where,
                                  struct error *err) {
  l->daemon = MHD_start_daemon(
      MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC |
          MHD_USE_ERROR_LOG,
      0, NULL, NULL, request_handle, l, MHD_OPTION_EXTERNAL_LOGGER, complain, l->control,
      MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, GUESTS_MAX + LEAVING_MAX,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
      IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, request_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
      request_guest, l, MHD_OPTION_END);
  if (l->daemon) return ST_OK;
  close(fd);
  return error_set(err, ST_IO, "The control API cannot be started on %s", where);
}

static void say_open(struct control *c, const struct control_tcp *tcp,
                     const struct settings *settings) {
  size_t token = strlen(setting_text(settings, SETTING_HTTP_TOKEN));
  log_write(c->log, LOG_INFO, "control", "tcp_open",
            FIELDS(F_TEXT("address", tcp->text), F_TEXT("rights", token ? "token" : "read")),
            "The control API is open on TCP at %s%s%s", tcp->text,
            tcp->any ? " (every address of this host)" : "",
            token ? "; changes need the token"
                  : ", for questions only; http.token would allow changes");
  if (token && token < TOKEN_LEAST)
    log_write(c->log, LOG_WARNING, "control", "token_short", NO_FIELDS,
              "http.token has less than %d characters; make one by: openssl rand -hex 32",
              TOKEN_LEAST);
}

static enum status open_network(struct control *c, const struct settings *settings,
                                struct error *err) {
  struct control_tcp tcp;
  int fd = -1;
  enum status st = control_tcp_parse(setting_text(settings, SETTING_HTTP_LISTEN), &tcp, err);
  if (st != ST_OK || !tcp.on) return st;
  st = control_tcp_open(&tcp, &fd, err);
  if (st == ST_OK) st = listener_start(&c->network, fd, tcp.text, err);
  if (st == ST_OK) say_open(c, &tcp, settings);
  return st;
}

enum status control_check(const struct settings *settings, struct error *err) {
  struct control_tcp tcp;
  enum status st = control_tcp_parse(setting_text(settings, SETTING_HTTP_LISTEN), &tcp, err);
  return st == ST_OK ? gate_check(settings, err) : st;
}

enum status control_listen(struct control *c, const char *socket_path, struct error *err) {
  int fd = -1;
  enum status st = control_socket_open(&c->socket, socket_path, &fd, err);
  return st == ST_OK ? listener_start(&c->local, fd, socket_path, err) : st;
}

enum status control_start(struct service *service, const struct settings *settings,
                          const char *socket_path, struct log *log, struct control **out,
                          struct error *err) {
  struct control *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "Out of memory");
  mutex_init(&c->lock);
  c->service = service;
  c->log = log;
  c->socket.folder = -1;
  c->local = (struct listener){.control = c};
  c->network = (struct listener){.control = c, .tcp = true};
  gate_init(&c->gate);
  guests_init(&c->guests, &clock_system);
  enum status st = gate_set(&c->gate, settings, err);
  if (st == ST_OK && socket_path) st = control_listen(c, socket_path, err);
  if (st == ST_OK) st = open_network(c, settings, err);
  if (st != ST_OK) {
    control_stop(c);
    return st;
  }
  *out = c;
  return ST_OK;
}

/* ---- life ---- */

void control_reload(struct control *control, const struct settings *fresh) {
  struct error err = {0};
  if (control && gate_set(&control->gate, fresh, &err) != ST_OK)
    log_write(control->log, LOG_WARNING, "control", "token_kept", FIELDS(F_TEXT("error", err.text)),
              "http.token and http.hosts stay as they were");
}

void control_tick(struct control *control) {
  size_t count = control ? guests_hurry(&control->guests) : 0;
  if (count > 0)
    log_write(control->log, LOG_INFO, "control", "slow_clients", FIELDS(F_INT("count", count)),
              "Connections of the control API that took too long were closed");
}

void control_drain(struct control *control) {
  if (control) atomic_store(&control->draining, true);
}

/* Stopping at once would drop a request that is being answered: accept no more, then wait for
 * those. */
static void close_door(struct listener *l) {
  MHD_socket fd = l->daemon ? MHD_quiesce_daemon(l->daemon) : MHD_INVALID_SOCKET;
  if (fd != MHD_INVALID_SOCKET) close(fd);
}

void control_stop(struct control *control) {
  struct error err = {0};
  if (!control) return;
  close_door(&control->network);
  close_door(&control->local);
  if (control_socket_remove(&control->socket, &err) != ST_OK)
    log_write(control->log, LOG_WARNING, "control", "socket_left", NO_FIELDS,
              "The control socket stays: %s", err.text);
  for (int waited = 0; atomic_load(&control->running) > 0 && waited < STOP_MS; waited += 10)
    sleep_ms(10, NULL);
  if (control->network.daemon) MHD_stop_daemon(control->network.daemon);
  if (control->local.daemon) MHD_stop_daemon(control->local.daemon);
  guests_release(&control->guests);
  gate_release(&control->gate);
  control_socket_release(&control->socket);
  mutex_destroy(&control->lock);
  free(control);
}
