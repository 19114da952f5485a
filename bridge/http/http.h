/* http.h - a small blocking HTTP client (libcurl): the control API over its Unix socket; later the
 * schema registry.
 *
 * One client, one thread. Connections are kept. Socket paths over 107 bytes work (through
 * /proc/self/fd).
 */
#ifndef BRIDGE_HTTP_HTTP_H
#define BRIDGE_HTTP_HTTP_H

#include "bridge/base/span.h"

struct http;
/* socket_path NULL: TCP. base: "http://localhost" in front of every path. */
MUST_CHECK enum status http_open(const char *socket_path, const char *base, struct http **out,
                                 struct error *err);
void http_close(struct http *h);
/* method "GET" or "POST". Response body is appended to out (at most 64 MiB), *code is the status.
 * ST_UNAVAILABLE: nobody listens, or no answer within timeout_ms; ST_DENIED: no right to connect.
 */
MUST_CHECK enum status http_request(struct http *h, const char *method, const char *path,
                                    struct span body, int timeout_ms, int *code, struct buffer *out,
                                    struct error *err);
/* Did the last request end because there was no answer within its time? */
bool http_timed_out(const struct http *h);
#endif
