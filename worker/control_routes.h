/* control_routes.h - which path and method mean which operation. Private to worker/control*.c; knows nothing of
 * sockets.
 */
#ifndef WORKER_CONTROL_ROUTES_H
#define WORKER_CONTROL_ROUTES_H

#include "bridge/service/service.h"

#define QUERY_MAX 16
struct query {
  struct {
    const char *key, *value;
  } pairs[QUERY_MAX];
  size_t count;
  bool overflow; /* there were more */
};

struct answer {
  int code; /* HTTP status */
  const char *type;
  char allow[32]; /* of 405, else "" */
  struct buffer body;
};

/* Always gives an answer; the caller releases its body. */
void route_request(struct service *service, bool draining, const char *method, const char *path,
                   const struct query *query, struct answer *answer);
/* An application/problem+json. */
void answer_problem(struct answer *answer, int code, enum status st, const char *detail);

#endif
