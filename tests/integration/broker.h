/* broker.h - for C tests against a real broker: its address is in the file that BUSBRIDGE_BROKER
 * names. */
#ifndef TESTS_INTEGRATION_BROKER_H
#define TESTS_INTEGRATION_BROKER_H

#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/cluster/cluster.h"

static inline bool broker_find(char bootstrap[64]) {
  const char *file = getenv("BUSBRIDGE_BROKER");
  char text[1024] = "";
  FILE *f = file ? fopen(file, "r") : NULL;
  if (!f) return false;
  text[fread(text, 1, sizeof text - 1, f)] = 0;
  fclose(f);
  const char *at = strstr(text, "\"bootstrap\": \"");
  return at && sscanf(at, "\"bootstrap\": \"%63[^\"]\"", bootstrap) == 1;
}

/* Creates it and waits until it shows: the broker answers before its own metadata does. */
static inline void broker_topic(struct cluster *cluster, const char *topic, int partitions) {
  struct error err = {0};
  if (cluster_create_topic(cluster, topic, partitions, -1, PATIENCE_MS, &err) != ST_OK)
    fail_msg("%s", err.text);
  enum topic_state found = TOPIC_MISSING;
  while (found != TOPIC_THERE)
    if (cluster_topic(cluster, topic, PATIENCE_MS, &found, NULL, &err) != ST_OK)
      fail_msg("%s", err.text);
}

#define BROKER_SKIPPED                                                                             \
  "SKIPPED: no Kafka broker: run broker.py start FILE and set BUSBRIDGE_BROKER=FILE"

#endif
