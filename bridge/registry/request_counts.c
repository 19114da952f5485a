/* Requests by what was asked and what came of it, for registry_requests_total. The
 * thread of the client; a crash leaves nothing. */
#include "bridge/registry/parts.h"

void registry_count(struct registry *r, enum registry_op op, int code) {
  char text[16] = "none";
  if (!r->config.metrics) return;
  if (code) snprintf(text, sizeof text, "%d", code);
  series_add(metrics_series(r->config.metrics, METRIC_REGISTRY, registry_op_word(op), text), 1);
}
