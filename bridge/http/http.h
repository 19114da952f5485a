/* http.h - a small blocking HTTP client (libcurl): the control API over its Unix socket, and the
 * schema registry.
 *
 * One client, one thread. Connections are kept, redirects never followed, proxies used only when
 * they are named. Socket paths over 107 bytes work (through /proc/self/fd).
 */
#ifndef BRIDGE_HTTP_HTTP_H
#define BRIDGE_HTTP_HTTP_H

#include "bridge/base/span.h"

struct http;
/* socket_path NULL: TCP. base: "http://localhost" in front of every path. */
MUST_CHECK enum status http_open(const char *socket_path, const char *base, struct http **out,
                                 struct error *err);
/* Over TCP to anybody; texts are copied, NULL and "" are "not said". What cannot be taken (a key
 * that this libcurl does not know) is ST_INVALID; whether files are there is seen at the first
 * request. */
struct http_options {
  const char *proxy;   /* its URL */
  const char *ca_file; /* who signs the other side; else those that the system trusts */
  const char *certificate, *key, *key_password; /* ours, PEM */
  size_t body_most;                             /* bytes of an answer; 0: 64 MiB */
  const _Atomic bool *over; /* true: what is under way ends within a second; may be NULL */
};
MUST_CHECK enum status http_open_tls(const char *base, const struct http_options *options,
                                     struct http **out, struct error *err);
void http_close(struct http *h);
/* method "GET" or "POST". Response body is appended to out (at most 64 MiB), *code is the status.
 * ST_UNAVAILABLE: nobody listens, or no answer within timeout_ms; ST_DENIED: no right to connect.
 */
MUST_CHECK enum status http_request(struct http *h, const char *method, const char *path,
                                    struct span body, int timeout_ms, int *code, struct buffer *out,
                                    struct error *err);
/* The same with all that can be said of a request; body.ptr NULL: there is none. NULL is "not
 * said". */
struct http_call {
  const char *method, *path; /* "GET", "POST" */
  struct span body;
  const char *content_type, *accept;
  const char *username, *password; /* Basic; sent at once */
  const char *bearer;
  int timeout_ms;
};
struct http_answer {
  int code;
  int64_t retry_after_ms; /* as the answer's Retry-After says it; -1: it does not */
};
MUST_CHECK enum status http_call(struct http *h, const struct http_call *call,
                                 struct http_answer *answer, struct buffer *out, struct error *err);
/* Did the last request end because there was no answer within its time? */
bool http_timed_out(const struct http *h);
#endif
