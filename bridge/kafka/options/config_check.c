/* Judges the user's kafka.* settings before anything is started: by the table, then by librdkafka
 * itself; warns of what weakens a guarantee.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/handle.h"
#include "bridge/kafka/options/options.h"

enum status kafka_config_check(const struct kafka_config *config, struct log *log,
                               struct error *err) {
  enum status st = options_check(config, err);
  if (st != ST_OK) return st;
  /* Some combinations are only refused by rd_kafka_new (a certificate that cannot be read, a
   * mechanism this build lacks). */
  struct handle trial;
  st = handle_open(&trial, config, HANDLE_TRIAL, NULL, NULL, NULL, err);
  if (st != ST_OK) return st;
  handle_close(&trial);
  struct kafka_doubt doubt;
  for (size_t at = 0; log && kafka_config_doubt(config, &at, &doubt);)
    log_write(log, LOG_WARNING, "kafka",
              doubt.kind == DOUBT_WEAKENED ? "kafka_guarantee_weakened"
              : doubt.kind == DOUBT_SCRAM  ? "kafka_scram_old"
                                           : "kafka_setting_unknown",
              FIELDS(F_TEXT("key", doubt.key), F_TEXT("value", doubt.value)), "%s", doubt.text);
  return ST_OK;
}
