/* signals.h - signals are taken by the loop, one at a time; the second SIGTERM or SIGINT leaves at
 * once. */
#ifndef WORKER_SIGNALS_H
#define WORKER_SIGNALS_H

/* Before any thread is started: blocks SIGTERM, SIGINT and SIGHUP everywhere, ignores SIGPIPE and
 * SIGXFSZ. */
void signals_block(void);
/* While the settings are read, before signals_block: SIGTERM and SIGINT end the process with status
 * 0. */
void signals_early(void);
/* The next signal within timeout_ms, or 0. */
int signals_wait(int timeout_ms);
/* From now on SIGTERM and SIGINT end the process by themselves, without draining. */
void signals_last(void);

#endif
