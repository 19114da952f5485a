/* The text of .busbridge/metrics: refused, and then nothing has changed; or taken, and then saving
 * and loading it again gives the same. */
#include "bridge/metrics/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct metrics *m = NULL;
  struct buffer first = {0}, second = {0};
  struct summary summary;
  if (metrics_open(&clock_system, &m) != ST_OK) return 0;
  series_add(metrics_series(m, METRIC_EVENTS, "episode", "published"), 1);
  metrics_save(m, &first);
  enum status st = metrics_load(m, (struct span){(const char *)data, size}, NULL);
  if (st == ST_OK) {
    buffer_clear(&first);
    metrics_save(m, &first);
    metrics_summary(m, METRIC_PUBLISH, &summary);
    st = metrics_load(m, buffer_span(&first), NULL);
    BUG_ON(st != ST_OK);
  }
  metrics_save(m, &second);
  BUG_ON(!span_eq(buffer_span(&first), buffer_span(&second)));
  buffer_release(&first);
  buffer_release(&second);
  metrics_close(m);
  return 0;
}
