/* What each error code of Kafka and librdkafka means to us.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/client.h"

#include <librdkafka/rdkafka.h>

struct row {
  int code;
  enum kafka_fault fault;
};

#define E(name) RD_KAFKA_RESP_ERR_##name
/* A code that is not here is KAFKA_OTHER: the world's fault, tried again, charged to no event. So
 * only what is certain to lie in the record itself may stand under KAFKA_RECORD_REFUSED. */
static const struct row rows[] = {
    {E(_QUEUE_FULL), KAFKA_QUEUE_FULL},
    /* MSG_SIZE_TOO_LARGE is also what producev says of a record over our own message.max.bytes;
       publisher_send tells apart. */
    {E(MSG_SIZE_TOO_LARGE), KAFKA_RECORD_REFUSED},
    {E(RECORD_LIST_TOO_LARGE), KAFKA_RECORD_REFUSED},
    {E(INVALID_MSG_SIZE), KAFKA_RECORD_REFUSED},
    {E(INVALID_MSG), KAFKA_RECORD_REFUSED}, /* brokers before INVALID_RECORD was there: no key on a
                                               compacted topic */
    {E(INVALID_RECORD), KAFKA_RECORD_REFUSED},
    {E(INVALID_TIMESTAMP), KAFKA_CLOCK}, /* the record's time is librdkafka's, not the event's */
    {E(UNKNOWN_TOPIC_OR_PART), KAFKA_TOPIC_UNKNOWN},
    {E(_UNKNOWN_TOPIC), KAFKA_TOPIC_UNKNOWN},
    {E(_UNKNOWN_PARTITION), KAFKA_TOPIC_UNKNOWN},
    {E(TOPIC_EXCEPTION), KAFKA_TOPIC_UNKNOWN}, /* a name that no topic can have */
    {E(TOPIC_AUTHORIZATION_FAILED), KAFKA_TOPIC_DENIED},
    {E(_TRANSPORT), KAFKA_UNREACHABLE},
    {E(_ALL_BROKERS_DOWN), KAFKA_UNREACHABLE},
    {E(_RESOLVE), KAFKA_UNREACHABLE},
    {E(_NODE_UPDATE), KAFKA_UNREACHABLE},
    {E(_WAIT_CACHE), KAFKA_UNREACHABLE},
    {E(NETWORK_EXCEPTION), KAFKA_UNREACHABLE},
    {E(BROKER_NOT_AVAILABLE), KAFKA_UNREACHABLE},
    {E(LEADER_NOT_AVAILABLE), KAFKA_UNREACHABLE},
    {E(NOT_LEADER_FOR_PARTITION), KAFKA_UNREACHABLE},
    {E(REPLICA_NOT_AVAILABLE), KAFKA_UNREACHABLE},
    {E(LISTENER_NOT_FOUND), KAFKA_UNREACHABLE},
    {E(FENCED_LEADER_EPOCH), KAFKA_UNREACHABLE},
    {E(UNKNOWN_LEADER_EPOCH), KAFKA_UNREACHABLE},
    {E(KAFKA_STORAGE_ERROR), KAFKA_UNREACHABLE}, /* its disk failed: the leader moves */
    {E(NOT_CONTROLLER), KAFKA_UNREACHABLE},
    {E(_TIMED_OUT), KAFKA_TIMED_OUT},
    {E(_MSG_TIMED_OUT), KAFKA_TIMED_OUT},
    {E(_TIMED_OUT_QUEUE), KAFKA_TIMED_OUT},
    {E(REQUEST_TIMED_OUT), KAFKA_TIMED_OUT},
    {E(NOT_ENOUGH_REPLICAS), KAFKA_NOT_ENOUGH_REPLICAS},
    {E(NOT_ENOUGH_REPLICAS_AFTER_APPEND), KAFKA_NOT_ENOUGH_REPLICAS},
    {E(_ISR_INSUFF), KAFKA_NOT_ENOUGH_REPLICAS},
    {E(_AUTHENTICATION), KAFKA_AUTHENTICATION},
    {E(_SSL), KAFKA_AUTHENTICATION},
    {E(SASL_AUTHENTICATION_FAILED), KAFKA_AUTHENTICATION},
    {E(UNSUPPORTED_SASL_MECHANISM), KAFKA_AUTHENTICATION},
    {E(ILLEGAL_SASL_STATE), KAFKA_AUTHENTICATION},
    {E(SECURITY_DISABLED), KAFKA_AUTHENTICATION},
    {E(UNACCEPTABLE_CREDENTIAL), KAFKA_AUTHENTICATION},
    {E(CLUSTER_AUTHORIZATION_FAILED), KAFKA_AUTHENTICATION},
    {E(GROUP_AUTHORIZATION_FAILED), KAFKA_AUTHENTICATION},
    {E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), KAFKA_AUTHENTICATION},
    {E(DELEGATION_TOKEN_AUTHORIZATION_FAILED), KAFKA_AUTHENTICATION},
    {E(DELEGATION_TOKEN_EXPIRED), KAFKA_AUTHENTICATION},
    {E(_WAIT_COORD), KAFKA_COORDINATOR},
    {E(COORDINATOR_LOAD_IN_PROGRESS), KAFKA_COORDINATOR},
    {E(COORDINATOR_NOT_AVAILABLE), KAFKA_COORDINATOR},
    {E(NOT_COORDINATOR), KAFKA_COORDINATOR},
    {E(CONCURRENT_TRANSACTIONS), KAFKA_COORDINATOR},
    {E(TRANSACTION_COORDINATOR_FENCED),
     KAFKA_COORDINATOR}, /* the coordinator is an old one, not we */
    {E(UNSTABLE_OFFSET_COMMIT), KAFKA_COORDINATOR},
    {E(_FENCED), KAFKA_FENCED},
    {E(PRODUCER_FENCED), KAFKA_FENCED},
    {E(INVALID_PRODUCER_EPOCH), KAFKA_FENCED},
    {E(_PURGE_QUEUE), KAFKA_PURGED},
    {E(_PURGE_INFLIGHT), KAFKA_PURGED},
    {E(_DESTROY), KAFKA_PURGED},
    {E(_FATAL), KAFKA_FATAL},
    {E(_GAPLESS_GUARANTEE), KAFKA_FATAL},
    {E(OUT_OF_ORDER_SEQUENCE_NUMBER), KAFKA_FATAL},
    {E(UNKNOWN_PRODUCER_ID), KAFKA_FATAL},
    {E(INVALID_PRODUCER_ID_MAPPING), KAFKA_FATAL},
    {E(INVALID_TXN_STATE), KAFKA_FATAL},
};
#undef E

enum kafka_fault kafka_fault_of(int code) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return KAFKA_OK;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == code) return rows[i].fault;
  return KAFKA_OTHER;
}

bool kafka_refused_for_size(int code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
         code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

const char *kafka_fault_word(enum kafka_fault f) {
  switch (f) {
  case KAFKA_OK: return "ok";
  case KAFKA_QUEUE_FULL: return "queue_full";
  case KAFKA_RECORD_TOO_LARGE: return "record_too_large";
  case KAFKA_RECORD_REFUSED: return "record_refused";
  case KAFKA_CLOCK: return "clock";
  case KAFKA_TOPIC_UNKNOWN: return "topic_unknown";
  case KAFKA_TOPIC_DENIED: return "topic_denied";
  case KAFKA_UNREACHABLE: return "unreachable";
  case KAFKA_TIMED_OUT: return "timed_out";
  case KAFKA_NOT_ENOUGH_REPLICAS: return "not_enough_replicas";
  case KAFKA_AUTHENTICATION: return "authentication";
  case KAFKA_COORDINATOR: return "coordinator";
  case KAFKA_FENCED: return "fenced";
  case KAFKA_PURGED: return "purged";
  case KAFKA_FATAL: return "fatal";
  case KAFKA_OTHER: return "other";
  }
  BUG_ON(true);
}
