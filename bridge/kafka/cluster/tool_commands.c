/* The commands of Kafka's tools that messages name.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/cluster/cluster.h"

/* In single quotes for a shell, whatever it holds. */
static void quoted(struct buffer *out, const char *word) {
  buffer_add_char(out, '\'');
  for (; *word; word++) {
    if (*word == '\'')
      buffer_add_z(out, "'\\''");
    else
      buffer_add_char(out, *word);
  }
  buffer_add_char(out, '\'');
}

void cluster_command(const struct kafka_config *config, const char *tool, struct buffer *out) {
  buffer_printf(out, "%s --bootstrap-server ", tool);
  quoted(out, kafka_servers(config));
}

void cluster_create_hint(const struct kafka_config *config, const char *topic, struct buffer *out) {
  cluster_command(config, "kafka-topics.sh", out);
  buffer_add_z(out, " --create --topic ");
  quoted(out, topic);
}
