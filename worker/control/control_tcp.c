/* Parses http.listen and listens there; without a host on IPv6 and IPv4 alike.
 * The main thread; a crash leaves nothing. */
#include "worker/control/control_tcp.h"

#include "bridge/base/text/words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#define BACKLOG 64

static enum status wrong_address(const char *listen, const char *why, struct error *err) {
  return error_set(err, ST_INVALID, "http.listen=%.100s: %s; " CONTROL_TCP_EXPECTED, listen, why);
}

static bool is_any(const struct sockaddr_storage *address) {
  const struct sockaddr_in *four = (const void *)address;
  const struct sockaddr_in6 *six = (const void *)address;
  return address->ss_family == AF_INET ? four->sin_addr.s_addr == htonl(INADDR_ANY)
                                       : IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}

static enum status look_up(const char *listen, const char *host, const char *port,
                           struct control_tcp *out, struct error *err) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                  *list = NULL;
  int rc = getaddrinfo(host, port, &hints, &list);
  if (rc != 0 || !list)
    return wrong_address(listen, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc), err);
  memcpy(&out->address, list->ai_addr, list->ai_addrlen);
  out->size = list->ai_addrlen;
  out->any = is_any(&out->address);
  freeaddrinfo(list);
  return ST_OK;
}

static void any_address(const char *port, bool six, struct control_tcp *out) {
  in_port_t number = htons((in_port_t)strtoul(port, NULL, 10));
  memset(&out->address, 0, sizeof out->address);
  out->either = six;
  out->any = true;
  if (six) {
    *(struct sockaddr_in6 *)&out->address =
        (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = number};
    out->size = sizeof(struct sockaddr_in6);
  } else {
    *(struct sockaddr_in *)&out->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = number};
    out->size = sizeof(struct sockaddr_in);
  }
}

enum status control_tcp_parse(const char *listen, struct control_tcp *out, struct error *err) {
  char host[256];
  const char *colon = strrchr(listen, ':');
  uint64_t port;
  *out = (struct control_tcp){.on = strcmp(listen, "off") != 0};
  snprintf(out->text, sizeof out->text, "%s", listen);
  if (!out->on) return ST_OK;
  if (!colon) return wrong_address(listen, "there is no port", err);
  if (!number_parse(span_of(colon + 1), 65535, &port) || port == 0)
    return wrong_address(listen, "the port is a number from 1 to 65535", err);
  struct span name = {listen, (size_t)(colon - listen)};
  if (name.len == 0) {
    any_address(colon + 1, true, out);
    return ST_OK;
  }
  bool brackets = name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
  if (brackets) name = (struct span){name.ptr + 1, name.len - 2};
  if (name.len >= sizeof host) return wrong_address(listen, "the host is too long", err);
  if (!brackets && memchr(name.ptr, ':', name.len))
    return wrong_address(listen, "an IPv6 address stands in brackets", err);
  snprintf(host, sizeof host, "%.*s", SPAN_ARGS(name));
  return look_up(listen, host, colon + 1, out, err);
}

static int bind_and_listen(const struct control_tcp *tcp) {
  int on = 1, both = !tcp->either;
  int fd = socket(tcp->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (tcp->address.ss_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
  if (bind(fd, (const struct sockaddr *)&tcp->address, tcp->size) == 0 && listen(fd, BACKLOG) == 0)
    return fd;
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

enum status control_tcp_open(const struct control_tcp *tcp, int *fd, struct error *err) {
  *fd = bind_and_listen(tcp);
  if (*fd < 0 && tcp->either && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
    struct control_tcp four = *tcp;
    any_address(tcp->text + 1, false, &four);
    *fd = bind_and_listen(&four);
  }
  if (*fd >= 0) return ST_OK;
  if (errno == EADDRINUSE)
    return error_set(err, ST_BUSY,
                     "http.listen=%s: another program listens there; choose another port",
                     tcp->text);
  return error_sys(err, errno, "Listening at http.listen=%s", tcp->text);
}
