/* client.h - the operations, answered by the worker where one runs, else by opening the outbox
 * here.
 *
 * A worker runs when the control socket answers. Every call appends the operation's JSON
 * (service.h) to a buffer; errors have the same status either way. One thread.
 */
#ifndef ADMIN_CLIENT_H
#define ADMIN_CLIENT_H

#include "admin/admin.h"
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/service.h"

struct client;
/* local: how to open the outbox when no worker runs (SERVICE_INSPECT for commands that only read).
 */
MUST_CHECK enum status client_open(struct admin *a, enum service_mode local, struct client **out,
                                   struct error *err);
/* For what no single answer of a worker holds: the outbox is opened here (SERVICE_INSPECT) beside a
 * worker too, where we may read what the worker may; else as client_open. */
MUST_CHECK enum status client_open_beside(struct admin *a, struct client **out, struct error *err);
void client_close(struct client *c); /* NULL is fine */
bool client_remote(const struct client *c);
/* Nobody: somebody took the call at the socket, and did not answer. */
bool client_unanswered(const struct client *c);
/* Wait at most so long for each answer of a worker, whatever is asked. */
void client_patience(struct client *c, int timeout_ms);

MUST_CHECK enum status client_list(struct client *c, const struct list_request *r,
                                   struct buffer *json, struct error *err);
MUST_CHECK enum status client_groups(struct client *c, const struct list_request *r,
                                     struct buffer *json, struct error *err);
/* raw: the bytes themselves, else JSON. */
MUST_CHECK enum status client_show(struct client *c, const struct show_request *r,
                                   struct buffer *out, struct error *err);
MUST_CHECK enum status client_replay(struct client *c, const struct replay_request *r,
                                     struct buffer *json, struct error *err);
MUST_CHECK enum status client_amend(struct client *c, const struct amend_request *r,
                                    struct buffer *json, struct error *err);
/* Lines of a copy; a worker takes 8 MiB of them. */
MUST_CHECK enum status client_import(struct client *c, struct span lines, struct buffer *json,
                                     struct error *err);
MUST_CHECK enum status client_bulk_freeze(struct client *c, const struct bulk_request *r,
                                          struct buffer *json, struct error *err);
MUST_CHECK enum status client_bulk_step(struct client *c, bool purge, uint64_t selection,
                                        size_t limit, struct buffer *json, struct error *err);
MUST_CHECK enum status client_bulk_progress(struct client *c, bool purge, uint64_t selection,
                                            struct buffer *json, struct error *err);
MUST_CHECK enum status client_bulk_list(struct client *c, bool purge, struct buffer *json,
                                        struct error *err);
MUST_CHECK enum status client_bulk_cancel(struct client *c, bool purge, uint64_t selection,
                                          struct buffer *json, struct error *err);
MUST_CHECK enum status client_bulk_entries(struct client *c, uint64_t selection, const char *from,
                                           struct buffer *json, struct error *err);
MUST_CHECK enum status client_flush(struct client *c, const struct flush_request *r,
                                    struct buffer *json, struct error *err);
MUST_CHECK enum status client_flush_progress(struct client *c, uint64_t id, struct buffer *json,
                                             struct error *err);
void client_flush_cancel(struct client *c, uint64_t id);
MUST_CHECK enum status client_pause(struct client *c, const struct pause_request *r,
                                    struct buffer *json, struct error *err);
MUST_CHECK enum status client_resume(struct client *c, const struct pause_request *r,
                                     struct buffer *json, struct error *err);
MUST_CHECK enum status client_health(struct client *c, bool detailed, struct buffer *json,
                                     struct error *err);
/* Prometheus text of all metrics, appended. */
MUST_CHECK enum status client_prometheus(struct client *c, struct buffer *text, struct error *err);
MUST_CHECK enum status client_metrics(struct client *c, bool reset, struct buffer *json,
                                      struct error *err);
MUST_CHECK enum status client_config(struct client *c, struct buffer *json, struct error *err);

#endif
