/* once.h - --once: relay what is there, show how far it is, say what stayed. */
#ifndef WORKER_ONCE_H
#define WORKER_ONCE_H

#include "bridge/service/service.h"

/* The exit status of daemon.h. stop_asked is called between looks; true ends the flush early. */
int once_run(struct service *service, struct log *log, bool (*stop_asked)(void *ctx), void *ctx);

#endif
