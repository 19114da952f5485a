/* key.h - an idempotency key: the id of an event that was published, and where its record lies.
 */
#ifndef BRIDGE_EVENT_KEY_H
#define BRIDGE_EVENT_KEY_H

#include "bridge/base/span.h"

struct key {
  struct span id;
  struct span place; /* "<topic>/<partition>/<offset>" */
};

#endif
