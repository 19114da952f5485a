/* schemas_parts.h - what stands behind schemas.h. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_SCHEMAS_PARTS_H
#define BRIDGE_SERVICE_SCHEMAS_PARTS_H

#include "bridge/service/configure.h"
#include "bridge/service/schemas.h"

struct schemas {
  struct plan plan;
  struct routing *routing;
  struct catalog *catalog;
};

#endif
