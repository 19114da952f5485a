/* control_gate.h - which requests over HTTP are let in, by what they say of themselves: Host,
 * Origin, Authorization.
 *
 * A browser can be made to send requests to us, by a page of any site, and by a name of that site
 * that leads to our address (DNS rebinding): so we answer to no name but our own, and to no page at
 * all. Private to worker/control; any thread.
 */
#ifndef WORKER_CONTROL_GATE_H
#define WORKER_CONTROL_GATE_H

#include "bridge/base/thread.h"
#include "bridge/settings/settings.h"

struct gate {
  struct mutex lock;          /* both below: replaced by a reload */
  struct buffer token, hosts; /* of http.token and http.hosts */
};
void gate_init(struct gate *g);
void gate_release(struct gate *g);
/* Are http.token and http.hosts fit to be used? ST_INVALID: err says why not. */
MUST_CHECK enum status gate_check(const struct settings *settings, struct error *err);
/* Take them over. ST_NO_MEMORY: the old ones stay. */
MUST_CHECK enum status gate_set(struct gate *g, const struct settings *settings, struct error *err);
bool gate_has_token(struct gate *g);

/* An address, localhost, or a name of http.hosts; with or without a port. */
bool gate_knows_host(struct gate *g, const char *host);
/* Does the page come from where the request goes to? */
bool gate_same_origin(const char *origin, const char *host);

enum bearer { BEARER_NONE, BEARER_RIGHT, BEARER_WRONG };
/* authorization: the header, NULL when there is none. In time that tells nothing of the token but
 * its length. */
enum bearer gate_bearer(struct gate *g, const char *authorization);

#endif
