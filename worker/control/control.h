/* control.h - the control API: HTTP on the Unix socket in .busbridge and, if http.listen is set, on
 * TCP; for the CLI, for probes and for Prometheus.
 *
 * Threads of its own serve it; every answer comes from an operation of service.h. Whoever may
 * connect to the socket has full rights: root, the worker's own user, and members of the socket's
 * group (0660). Over TCP questions are answered (GET, HEAD); all else needs the token of
 * http.token. Asked for by an unknown name (Host) or by another site's page (Origin), it refuses.
 * Errors are application/problem+json: {type, title, status, detail, code}, code being the word of
 * an enum status. Which paths there are stands in control_routes.c, what they answer in
 * openapi.json.
 */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include "bridge/service/service.h"

struct control;
/* Are the http.* settings fit to be used? ST_INVALID: err says which is not. */
MUST_CHECK enum status control_check(const struct settings *settings, struct error *err);
/* Listens at socket_path (may be longer than 107 bytes; NULL: not yet) and, if http.listen is set,
 * on TCP. A socket lying there is removed: give it only while holding the outbox's lock. service
 * and log are borrowed until control_stop. ST_INVALID, ST_NOT_FOUND, ST_DENIED, ST_BUSY, ST_IO: err
 * says which path or address. */
MUST_CHECK enum status control_start(struct service *service, const struct settings *settings,
                                     const char *socket_path, struct log *log, struct control **out,
                                     struct error *err);
/* At socket_path too, from now on: of one that was started without. Errors as above. */
MUST_CHECK enum status control_listen(struct control *control, const char *socket_path,
                                      struct error *err);
/* Another service is asked from now on; the one before may be closed as soon as control_left says
 * that no request asks it any more, and not before that comes the next one. */
void control_serve(struct control *control, struct service *service);
bool control_left(struct control *control);
/* Take over http.token and http.hosts. NULL is fine, here and below. */
void control_reload(struct control *control, const struct settings *fresh);
/* Once a second or so: shows out clients that take too long. */
void control_tick(struct control *control);
/* /readyz answers 503 from now on; everything else goes on. */
void control_drain(struct control *control);
/* Accepts no more, removes the socket, lets running requests finish, at most 5 s. */
void control_stop(struct control *control);

#endif
