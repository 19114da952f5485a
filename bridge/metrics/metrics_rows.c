/* The table of metrics, as rows.
 * Any thread; a crash leaves nothing. */
#include "bridge/metrics/metrics_private.h"

const struct metric_row metric_rows[METRIC_COUNT] = {
#define X(id, name, kind, label1, label2, help)                                                    \
  [METRIC_##id] = {(name), METRIC_##kind, (label1), (label2), (help)},
    METRICS_TABLE(X)
#undef X
};
