/* control_routes.h - which path and method mean which answer. Private to worker/control; knows
 * nothing of sockets.
 */
#ifndef WORKER_CONTROL_ROUTES_H
#define WORKER_CONTROL_ROUTES_H

#include "worker/control/control_call.h"

#define ROUTE_IDS_MAX (8 * 1024 * 1024) /* 200,000 ids */

struct route_needs {
  size_t body; /* bytes of body that it takes at most, 0: it needs none */
  bool walks;  /* may go through the whole outbox: only so many at once */
  bool rights; /* not for everyone who may ask questions over TCP */
};
struct route_needs route_needs(const char *method, const char *path);
/* Always gives an answer; the caller releases its body. request->id is set here. */
void route_request(const struct call *request, const char *method, const char *path,
                   struct answer *answer);

/* The table, a line each: METHOD PATH PARAMETER... and (body), (token) where it takes one, needs it
 * over TCP. */
void routes_print(struct buffer *out);

#endif
