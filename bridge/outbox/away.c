/* Which errors of an outbox are worth another try, and nothing else.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/store.h"

#include <errno.h>

bool store_is_away(const struct error *err) {
  return err->sys == EHOSTUNREACH || (err->sys == EBUSY && err->status == ST_UNAVAILABLE);
}
