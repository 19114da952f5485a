/* once.h - --once: relay what is there, show how far it is, say what stayed. */
#ifndef WORKER_ONCE_H
#define WORKER_ONCE_H

#include "bridge/base/stop.h"
#include "bridge/service/service.h"

/* The exit status of daemon.h. stop is looked at between looks at the flush, and ends it early. */
int once_run(struct service *service, struct log *log, const struct stop *stop);

#endif
