/* home.h - where a process that works on an outbox keeps what is its own: the control socket, what
 * is in hand, the saved figures. For an outbox that is a folder that is the .busbridge within it,
 * as busbridge-outbox(5) tells; for any other a folder in state.dir, or in the runtime directory
 * (settings_state_dirs), called after its url without what opens a door. Private to bridge/service,
 * except for home_socket_path. Any thread; a home is opened and closed on one.
 */
#ifndef BRIDGE_SERVICE_PROCESS_HOME_H
#define BRIDGE_SERVICE_PROCESS_HOME_H

#include "bridge/settings/settings.h"

struct home;
/* Of the outbox of outbox.url. make: for its owner, where it is not in the outbox itself; else
 * nothing is made, and where none is yet home_folder is -1. ST_DENIED, ST_NOT_FOUND, ST_NO_SPACE:
 * it cannot be made; err says what to do. */
MUST_CHECK enum status home_open(const struct settings *settings, bool make, struct home **out,
                                 struct error *err);
void home_close(struct home *h);
int home_folder(const struct home *h); /* descriptor, borrowed; -1: there is none */
int home_tmp(const struct home *h);
/* Where the control socket lies or would lie (may be longer than 107 bytes). */
const char *home_socket(const struct home *h);
/* Appends the file's text. ST_NOT_FOUND: there is none, or no home. */
MUST_CHECK enum status home_read(const struct home *h, const char *file, size_t most,
                                 struct buffer *out, struct error *err);
/* The file has that content, durably; else it is as it was. For the owner of the outbox. */
MUST_CHECK enum status home_replace(const struct home *h, const char *file, struct span content,
                                    struct error *err);
/* Into out, which is empty: home_socket of the outbox of these settings, for who asks its worker.
 */
MUST_CHECK enum status home_socket_path(const struct settings *settings, struct buffer *out,
                                        struct error *err);

#endif
