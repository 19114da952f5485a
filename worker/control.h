/* control.h - the control API: HTTP on the Unix socket in .busbridge, for the CLI, for probes and for Prometheus.
 *
 * Threads of its own serve it; every answer comes from an operation of service.h. Whoever may connect has full rights:
 * root, the worker's own user, and members of the socket's group (0660). Errors are application/problem+json: {type,
 * title, status, detail, code}, code being the word of an enum status.
 *
 * GET  /v1/status?detailed=0|1                      service_health
 * GET  /v1/entries?type=pending|dlq|all&limit=N     service_list
 * POST /v1/flush?limit=N&dry_run=0|1                service_flush
 * GET  /v1/flush/ID                                 service_flush_progress
 * DELETE /v1/flush/ID, POST /v1/flush/ID/cancel     service_flush_cancel
 * POST /v1/replay?id=ID&force=0|1                   service_replay
 * GET  /v1/metrics, POST /v1/metrics?reset=1        service_metrics
 * GET  /v1/config                                   service_config
 * GET  /v1/version   GET /livez   GET /readyz   GET /metrics (Prometheus text)
 */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include "bridge/service/service.h"

struct control;
/* Listens at socket_path (may be longer than 107 bytes). A socket lying there is removed: call it only while holding
 * the outbox's lock. service and log are borrowed until control_stop. ST_NOT_FOUND, ST_DENIED, ST_IO: err says which
 * path. */
MUST_CHECK enum status control_start(struct service *service, const char *socket_path, struct log *log,
                                     struct control **out, struct error *err);
/* /readyz answers 503 from now on; everything else goes on. */
void control_drain(struct control *control);
/* Accepts no more, removes the socket, lets running requests finish, at most 5 s. NULL is fine. */
void control_stop(struct control *control);

#endif
