/* home.h - where a process that works on an outbox keeps what is its own: the control socket, what
 * is in hand, the saved figures. For an outbox in a folder
 * that is the .busbridge within it, as busbridge-outbox(5) tells. Private to bridge/service, except
 * for home_socket_path. Any thread; a home is opened and closed on one.
 */
#ifndef BRIDGE_SERVICE_PROCESS_HOME_H
#define BRIDGE_SERVICE_PROCESS_HOME_H

#include "bridge/base/span.h"
#include "bridge/base/status.h"

struct home;
/* Of the outbox of that url. It makes nothing: where no .busbridge is yet, home_folder is -1.
 * ST_INVALID, ST_UNSUPPORTED: as store_address. */
MUST_CHECK enum status home_open(const char *url, struct home **out, struct error *err);
void home_close(struct home *h);
int home_folder(const struct home *h); /* descriptor, borrowed; -1: there is none */
int home_tmp(const struct home *h);
/* Appends the file's text. ST_NOT_FOUND: there is none, or no home. */
MUST_CHECK enum status home_read(const struct home *h, const char *file, size_t most,
                                 struct buffer *out, struct error *err);
/* The file has that content, durably; else it is as it was. For the owner of the outbox. */
MUST_CHECK enum status home_replace(const struct home *h, const char *file, struct span content,
                                    struct error *err);
/* Where the control socket of that outbox lies or would lie (may be longer than 107 bytes). */
MUST_CHECK enum status home_socket_path(const char *url, struct buffer *out, struct error *err);

#endif
