/* control_parts.h - what the control API is made of; private to control.c and
 * control_request.c.
 *
 * Two listeners with places of their own, so that nobody on the network can keep the operator out,
 * and a thread for each connection, so that a long answer keeps no other waiting, least of all a
 * probe's.
 */
#ifndef WORKER_CONTROL_PARTS_H
#define WORKER_CONTROL_PARTS_H

#include "bridge/service/service.h"
#include "worker/control/control_gate.h"
#include "worker/control/control_guests.h"
#include "worker/control/control_socket.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct control;
struct listener {
  struct control *control;
  struct MHD_Daemon *daemon; /* NULL: not open */
  atomic_int walking;        /* answers under way that may go through the whole outbox */
  atomic_size_t sending;     /* bytes of answers on their way */
  bool tcp;
};

struct control {
  struct mutex lock;       /* the three below */
  struct service *service; /* who is asked; changes by control_serve */
  unsigned turn;           /* of requests that ask this one, the other is of those before */
  int inside[2];           /* requests at work, by turn */
  struct log *log;
  struct control_socket socket;
  struct gate gate;
  struct guests guests;
  struct listener local, network;
  atomic_bool draining;
  atomic_int running; /* requests begun and not completed */
};

/* Who is asked by a request that begins; it is there until control_leave. */
struct service *control_enter(struct control *c, unsigned *turn);
void control_leave(struct control *c, unsigned turn);

/* libmicrohttpd's callbacks; ctx is a struct listener. */
enum MHD_Result request_handle(void *ctx, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **state);
void request_completed(void *ctx, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode why);
void request_guest(void *ctx, struct MHD_Connection *connection, void **guest,
                   enum MHD_ConnectionNotificationCode what);

#endif
