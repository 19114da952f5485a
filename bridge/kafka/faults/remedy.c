/* From an error's code and librdkafka's words to a cause, and from a cause to the sentence that
 * tells what to do.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/faults/remedy.h"

#include "bridge/base/disk/denial.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/options/options.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <strings.h>

/* ---- causes ---- */

/* Of a login: what Kafka says of a token, and librdkafka where it was given none. */
static enum kafka_cause cause_of_login(const char *words) {
  return strstr(words, "OAUTHBEARER token") || strstr(words, "invalid_token") ? CAUSE_TOKEN
                                                                              : CAUSE_LOGIN;
}

/* A connection that ends while it is made may be one of the wrong protocol: librdkafka's words
 * tell, no code does. */
static enum kafka_cause cause_of_link(const char *words) {
  static const char *const wrong[] = {"security.protocol", "requires SASL",
                                      "connecting to a PLAINTEXT", "TLS/SSL"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (strstr(words, wrong[i])) return CAUSE_PROTOCOL;
  return CAUSE_ADDRESS;
}

enum kafka_cause kafka_cause_of(int code, const char *words) {
  if (code < 0 && strstr(words, "Too many open files")) return CAUSE_DESCRIPTORS;
  switch (code) {
  case RD_KAFKA_RESP_ERR__TRANSPORT:
  case RD_KAFKA_RESP_ERR__RESOLVE:
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: return cause_of_link(words);
  case RD_KAFKA_RESP_ERR__SSL:
    return strstr(words, "verify") || strstr(words, "alert") ? CAUSE_CERTIFICATE : CAUSE_PROTOCOL;
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
  case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
  case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
  case RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL: return cause_of_login(words);
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED: return CAUSE_CLUSTER_DENIED;
  case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return CAUSE_TRANSACTION_DENIED;
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED: return CAUSE_GROUP_DENIED;
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return CAUSE_TOPIC_DENIED;
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC: return CAUSE_TOPIC_MISSING;
  case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP: return CAUSE_CLOCK;
  case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT: return CAUSE_TRANSACTION_TIMEOUT;
  case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
  case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND: return CAUSE_REPLICAS;
  case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
  case RD_KAFKA_RESP_ERR_NOT_COORDINATOR: return CAUSE_COORDINATOR;
  default: return CAUSE_UNKNOWN;
  }
}

bool kafka_cause_passes(enum kafka_cause cause) {
  return cause == CAUSE_UNKNOWN || cause == CAUSE_ADDRESS || cause == CAUSE_REPLICAS ||
         cause == CAUSE_COORDINATOR;
}

/* ---- remedies ---- */

static const char *principal(const struct kafka_config *config) {
  return options_text(config, "sasl.username", "sasl.username", "NAME");
}

/* "Allow <rights>: kafka-acls.sh --bootstrap-server ... --add --allow-principal User:NAME <what>"
 */
PRINTF_LIKE(4, 5)
static void allow(struct buffer *out, const struct kafka_config *config, const char *rights,
                  const char *fmt, ...) {
  char what[500];
  va_list args;
  va_start(args, fmt);
  vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  buffer_printf(out, "Allow %s: ", rights);
  cluster_command(config, "kafka-acls.sh", out);
  buffer_printf(out, " --add --allow-principal User:%s %s", principal(config), what);
}

static const char *group_of(const struct kafka_config *config) {
  return config->transactional_id ? config->transactional_id : "busbridge-";
}

/* Those that need no figures of this worker. */
static const char *const plain[CAUSE_DESCRIPTORS + 1] = {
    [CAUSE_ADDRESS] =
        "Start the broker, or fix kafka.bootstrap.servers; the port may want TLS or a login "
        "(kafka.security.protocol, kafka.sasl.*)",
    [CAUSE_MISNAMED] =
        "Set advertised.listeners of the broker to an address that can be reached from here, or "
        "make that name lead to it (DNS, /etc/hosts, a port-forward of the same port)",
    [CAUSE_PROTOCOL] =
        "Set kafka.security.protocol to what this port speaks (plaintext, ssl, sasl_plaintext, "
        "sasl_ssl), or kafka.bootstrap.servers to another port",
    [CAUSE_CERTIFICATE] =
        "Fix the certificates: kafka.ssl.ca.location for the broker's, "
        "kafka.ssl.certificate.location and kafka.ssl.key.location for ours; the host name must "
        "be in the broker's",
    [CAUSE_LOGIN] =
        "Fix kafka.sasl.username, kafka.sasl.password or kafka.sasl.mechanism; the broker's log "
        "names the login that failed",
    [CAUSE_TOKEN] = "Put a token that lasts, and that the broker takes, into the file of "
                    "kafka.sasl.oauthbearer.token.location: it is read again within a minute",
    [CAUSE_REPLICAS] =
        "Bring the missing brokers back: fewer replicas are in sync than the topic's "
        "min.insync.replicas",
    [CAUSE_COORDINATOR] =
        "See the broker's log about __consumer_offsets and __transaction_state: their replication "
        "factors (offsets.topic., transaction.state.log.) need as many brokers",
    [CAUSE_UNKNOWN] = "See the broker's log; busbridge doctor tells more",
};

/* A right is missing: how to give it. False: the cause is another. */
static bool write_rights(enum kafka_cause cause, const struct kafka_config *config,
                         const char *subject, struct buffer *out) {
  switch (cause) {
  case CAUSE_CLUSTER_DENIED:
    allow(out, config, "it", "--operation IdempotentWrite --cluster");
    return true;
  case CAUSE_TRANSACTION_DENIED:
    allow(out, config, "it",
          "--operation Write --operation Describe --transactional-id %s --resource-pattern-type "
          "prefixed",
          group_of(config));
    return true;
  case CAUSE_GROUP_DENIED:
    allow(out, config, "it",
          "--operation Read --operation Describe --group %s --resource-pattern-type prefixed",
          group_of(config));
    return true;
  case CAUSE_TOPIC_DENIED:
    allow(out, config, "Write and Describe", "--producer --topic '%s'", subject);
    return true;
  default: return false;
  }
}

/* A topic is missing, or takes no such time. False: the cause is another. */
static bool write_topic(enum kafka_cause cause, const struct kafka_config *config,
                        const char *subject, struct buffer *out) {
  switch (cause) {
  case CAUSE_TOPIC_MISSING:
    buffer_add_z(out, "Create it, and its events follow within 30 s: ");
    cluster_create_hint(config, subject, out);
    return true;
  case CAUSE_LEDGER_MISSING:
    buffer_add_z(out, "Create the ledger's topic again: ");
    cluster_create_hint(config, subject, out);
    buffer_add_z(out, " --partitions 1");
    return true;
  case CAUSE_CLOCK:
    buffer_printf(
        out,
        "Set this machine's clock (timedatectl set-ntp true), or the broker's; its events follow "
        "within 30 s. What the topic %s takes is its message.timestamp.after.max.ms and "
        ".before.max.ms",
        subject);
    return true;
  default: return false;
  }
}

static void write_remedy(enum kafka_cause cause, const struct kafka_config *config,
                         const char *subject, struct buffer *out) {
  if (write_rights(cause, config, subject, out) || write_topic(cause, config, subject, out)) return;
  if (cause == CAUSE_SCRAM)
    buffer_printf(
        out,
        "librdkafka %s cannot log in to Kafka 4 by SCRAM, even with the right password: take "
        "librdkafka 2.6.1 or newer (Debian 13), or kafka.sasl.mechanism = PLAIN with "
        "kafka.security.protocol = sasl_ssl, or OAUTHBEARER; with an older Kafka fix user and "
        "password",
        rd_kafka_version_str());
  else if (cause == CAUSE_TRANSACTION_TIMEOUT)
    buffer_printf(out,
                  "Set kafka.transaction.timeout.ms (now %lld) to at most the broker's "
                  "transaction.max.timeout.ms, or raise that",
                  (long long)options_number(config, "transaction.timeout.ms",
                                            "transaction.timeout.ms", 60000));
  else if (cause == CAUSE_DESCRIPTORS)
    buffer_add_z(out, sys_remedy(EMFILE));
  else
    buffer_add_z(out, plain[plain[cause] ? cause : CAUSE_UNKNOWN]);
}

void kafka_remedy(enum kafka_cause cause, const struct kafka_config *config, const char *subject,
                  char *out, size_t size) {
  struct buffer text = {0};
  write_remedy(cause, config, subject ? subject : "NAME", &text);
  snprintf(out, size, "%s", buffer_z(&text));
  buffer_release(&text);
}
