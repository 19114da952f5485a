/* settings_table.h - one row per setting: id, key, type, default, low, high, flags, choices, help.
 *
 * To add a setting: add a row; README's table and busbridge.conf(5) follow (a test compares them).
 * Choices are words of a CHOICE row, "" elsewhere. Limits of durations are in milliseconds.
 */
#ifndef BRIDGE_SETTINGS_SETTINGS_TABLE_H
#define BRIDGE_SETTINGS_SETTINGS_TABLE_H

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* clang-format off */
#define SETTINGS_TABLE(X)                                                                                                  \
  X(OUTBOX_URL, "outbox.url", TEXT, "file:temp/bus_outbox", 0, 0, SETTING_SECRET,                                                       \
    "", "The outbox to drain: file:DIR, sqlite:FILE or postgresql://... (busbridge-outbox(5), IN A DATABASE)")                                \
  X(OUTBOX_SENT, "outbox.sent", CHOICE, "delete", 0, 0, 0,                                                                 \
    "delete keep", "What becomes of a published entry: deleted, or kept in sent/")                                         \
  X(OUTBOX_SENT_RETENTION, "outbox.sent_retention", DURATION, "7d", 0, 3650 * DAY, 0,                                      \
    "", "How long sent/ keeps an entry; 0s means forever")                                                                \
  X(OUTBOX_SETTLE, "outbox.settle", DURATION, "2s", 0, HOUR, 0,                                                            \
    "", "How long a file that does not parse must lie unchanged before it is a dead letter")                               \
  X(OUTBOX_MAX_ENTRY_BYTES, "outbox.max_entry_bytes", BYTES, "1MiB", KIB, 256 * MIB, 0,                                    \
    "", "Largest entry that is read")                                                                                      \
  X(OUTBOX_WINDOW, "outbox.window", NUMBER, "250000", 1000, 10000000, 0,                                                   \
    "", "Names a scan keeps in memory at a time")                                                                          \
  X(OUTBOX_LIFT, "outbox.lift", CHOICE, "auto", 0, 0, 0,                                                                   \
    "auto off", "Events that the bridge of the older typed bus wrote: lifted out of their envelope, or left as they are")  \
  X(OUTBOX_TYPED, "outbox.typed", TEXT, "", 0, 0, 0,                                                                       \
    "", "The older typed bus's own outbox, drained too: a folder with pending/ in it, temp/outbox as a rule")              \
  X(OUTBOX_TYPED_TIMEOUT, "outbox.typed_timeout", DURATION, "5m", 0, DAY, 0,                                               \
    "", "How long a file in its processing/ must lie untouched before it is taken as left there")                          \
  X(OUTBOX_TYPED_GENERIC, "outbox.typed_generic", CHOICE, "publish", 0, 0, 0,                                              \
    "publish leave", "Its GenericEvents, events of the simple bus that came back: published, or left where they lie")      \
  X(STATE_DIR, "state.dir", TEXT, "", 0, 0, 0,                                                                             \
    "", "Where a worker on an outbox that is no folder keeps its socket and figures; empty: busbridge/ of the runtime directory") \
  X(REDIS_URL, "redis.url", TEXT, "redis://127.0.0.1:6379/0", 0, 0, SETTING_SECRET,                                        \
    "", "Where idempotency keys are kept: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], unix:/PATH, or off")                 \
  X(REDIS_TTL, "redis.ttl", DURATION, "7d", SECOND, 3650 * DAY, 0,                                                         \
    "", "How long an idempotency key is kept")                                                                             \
  X(REDIS_PREFIX, "redis.prefix", TEXT, "", 0, 0, 0,                                                                       \
    "", "Put before the event id; empty means busbridge:<outbox id>:")                                                     \
  X(REDIS_TIMEOUT, "redis.timeout", DURATION, "250ms", 10, 30 * SECOND, 0,                                                 \
    "", "Longest wait for Redis, in connecting and for each answer")                                                       \
  X(REDIS_REQUIRED, "redis.required", BOOL, "false", 0, 0, 0,                                                  \
    "", "Wait for Redis instead of going on without it")                                                                   \
  X(FLUSH_INTERVAL, "flush.interval", DURATION, "30s", 100, DAY, SETTING_RELOADABLE,                                       \
    "", "How often the outbox is scanned, in addition to being watched; first wait of a refused event")                            \
  X(FLUSH_BACKGROUND, "flush.background", BOOL, "true", 0, 0, 0,                                                           \
    "", "Relay all the time; false leaves only explicit flushes (so does NOVELER_DISABLE_BACKGROUND_FLUSH=1)")             \
  X(DLQ_MAX_ATTEMPTS, "dlq.max_attempts", NUMBER, "5", 1, 1000, SETTING_RELOADABLE,                                        \
    "", "Refusals by the broker after which an event is a dead letter")                                                    \
  X(DLQ_HOLD_KEY, "dlq.hold_key", BOOL, "false", 0, 0, 0,                                                                  \
    "", "Later events of a dead letter's key wait until it is replayed or purged")                                         \
  X(RETRY_MAX_RETRIES, "retry.max_retries", NUMBER, "3", 0, 100, SETTING_RELOADABLE,                                       \
    "", "Quick tries when the world fails, before the breaker opens")                                                      \
  X(RETRY_BACKOFF_BASE, "retry.backoff_base", DURATION, "50ms", 1, HOUR, SETTING_RELOADABLE,                               \
    "", "Wait before the first quick try, doubling")                                                                       \
  X(RETRY_BACKOFF_MAX, "retry.backoff_max", DURATION, "500ms", 1, HOUR, SETTING_RELOADABLE,                                \
    "", "Longest wait between quick tries")                                                                                \
  X(RETRY_JITTER, "retry.jitter", DURATION, "50ms", 0, HOUR, SETTING_RELOADABLE,                                           \
    "", "Random time added to each wait, at most")                                                                         \
  X(DELIVERY_GUARANTEE, "delivery.guarantee", CHOICE, "exactly_once", 0, 0, 0,                                            \
    "exactly_once at_least_once", "What is promised of each event")                   \
  X(ROUTING_NAMESPACES, "routing.namespaces", TEXT, "episode quality plot usecase", 0, 0, 0,                               \
    "", "Namespaces that are published; any other is a dead letter")                                                       \
  X(ROUTING_TOPIC, "routing.topic", TEXT, "{namespace}.events", 0, 0, 0,                                                   \
    "", "Topic of a namespace")                                                                                            \
  X(ROUTING_ALIASES, "routing.aliases", TEXT, "", 0, 0, 0,                                                                 \
    "", "Further names: SEEN=CANONICAL words, over the built-in ones")                                                     \
  X(ROUTING_KEYS, "routing.keys", TEXT, "", 0, 0, 0,                                                                       \
    "", "Key fields of a namespace: NAMESPACE=FIELD,FIELD words (customer.id too), over the built-in ones; or NAMESPACE=none")                                  \
  X(ROUTING_DEFAULTS, "routing.defaults", BOOL, "true", 0, 0, 0,                                                           \
    "", "Built-in aliases and keys, those that busbridge config --defaults prints; false: none but those that are set")     \
  X(TOPICS_CREATE, "topics.create", CHOICE, "missing", 0, 0, 0,                                                            \
    "missing never", "Create missing topics at start, or leave that to somebody else")                                     \
  X(TOPICS_PARTITIONS, "topics.partitions", NUMBER, "-1", -1, 10000, 0,                                                    \
    "", "Partitions of a topic that is created; -1 means the broker's default")                                            \
  X(TOPICS_REPLICATION, "topics.replication", NUMBER, "-1", -1, 100, 0,                                                    \
    "", "Replicas of a topic that is created; -1 means the broker's default")                                              \
  X(ENCODING_FRAMING, "encoding.framing", CHOICE, "auto", 0, 0, 0,                                                         \
    "auto single-object confluent confluent-header confluent-json raw json cloudevents", "How a value is framed; auto is confluent with registry.url, else single-object") \
  X(ENCODING_STRICT, "encoding.strict", BOOL, "false", 0, 0, 0,                                                            \
    "", "Older word for encoding.unknown_fields = refuse; never both")                                                    \
  X(ENCODING_UNKNOWN_FIELDS, "encoding.unknown_fields", CHOICE, "carry", 0, 0, 0,                                          \
    "carry refuse drop", "A payload field without a place in its schema: carry it in the header ce_extra, refuse the event, or drop the field") \
  X(ENCODING_UNKNOWN_NAMES, "encoding.unknown_names", CHOICE, "envelope", 0, 0, 0,                                         \
    "envelope refuse", "A name without a schema in a namespace that has some: carry it in the envelope, or set it aside")  \
  X(ENCODING_SCHEMAS, "encoding.schemas", TEXT, "", 0, 0, 0,                                                               \
    "", "Folders of the Avro schemas, divided by blanks or commas; empty means the installed ones")                                                      \
  X(ENCODING_ENVELOPE, "encoding.envelope", CHOICE, "carry", 0, 0, 0,                                                      \
    "carry drop", "Unknown members beside a payload, and what of a lifted event's envelope is not published: in the header busbridge-envelope, or left out") \
  X(REGISTRY_URL, "registry.url", TEXT, "", 0, 0, 0, \
    "", "Schema registry, Confluent's API (of Apicurio: .../apis/ccompat/v7); several URLs of one registry, divided by blanks or commas; empty: none") \
  X(REGISTRY_SUBJECT, "registry.subject", CHOICE, "topic-record", 0, 0, 0, \
    "topic-record record topic", "Under which subject schemas are looked up: TOPIC-RECORD, RECORD, or TOPIC-value of topics with one type of event") \
  X(REGISTRY_VERIFY, "registry.verify", DURATION, "6h", MINUTE, 365 * DAY, 0, \
    "", "How often each id is looked at again: is its schema still ours?") \
  X(REGISTRY_TIMEOUT, "registry.timeout", DURATION, "5s", 10, 5 * MINUTE, 0, \
    "", "Longest wait for an answer of the registry") \
  X(REGISTRY_USERNAME, "registry.username", TEXT, "", 0, 0, 0, \
    "", "User for HTTP Basic") \
  X(REGISTRY_PASSWORD, "registry.password", TEXT, "", 0, 0, SETTING_SECRET, \
    "", "Password for HTTP Basic") \
  X(REGISTRY_TOKEN_FILE, "registry.token_file", TEXT, "", 0, 0, 0, \
    "", "File with a bearer token; read again when the registry refuses it") \
  X(REGISTRY_OAUTH_URL, "registry.oauth_url", TEXT, "", 0, 0, 0, \
    "", "Where OAuth 2 client credentials get a token") \
  X(REGISTRY_OAUTH_ID, "registry.oauth_id", TEXT, "", 0, 0, 0, \
    "", "Client id for that") \
  X(REGISTRY_OAUTH_SECRET, "registry.oauth_secret", TEXT, "", 0, 0, SETTING_SECRET, \
    "", "Client secret for that") \
  X(REGISTRY_OAUTH_SCOPE, "registry.oauth_scope", TEXT, "", 0, 0, 0, \
    "", "Scope to ask for") \
  X(REGISTRY_CA_FILE, "registry.ca_file", TEXT, "", 0, 0, 0, \
    "", "Who signs the registry's certificate, PEM; empty: whom the system trusts") \
  X(REGISTRY_CERTIFICATE_FILE, "registry.certificate_file", TEXT, "", 0, 0, 0, \
    "", "Our client certificate, PEM") \
  X(REGISTRY_KEY_FILE, "registry.key_file", TEXT, "", 0, 0, 0, \
    "", "Its key, PEM") \
  X(REGISTRY_KEY_PASSWORD, "registry.key_password", TEXT, "", 0, 0, SETTING_SECRET, \
    "", "Password of that key") \
  X(REGISTRY_PROXY, "registry.proxy", TEXT, "", 0, 0, 0, \
    "", "URL of a proxy for the registry; http_proxy and its kin are not asked") \
  X(LEDGER_TOPIC, "ledger.topic", TEXT, "busbridge.ledger", 0, 0, 0,                                           \
    "", "Topic whose committed offset carries the ledger of exactly_once")                                                 \
  X(CLOUDEVENTS_SOURCE, "cloudevents.source", TEXT, "", 0, 0, 0,                                                           \
    "", "Header ce_source; empty means /busbridge/<outbox id>")                                                            \
  X(CLOUDEVENTS_DATASCHEMA, "cloudevents.dataschema", TEXT, "", 0, 0, 0, \
    "", "Header ce_dataschema: this, and behind it the fingerprint of the schema as GET /v1/schemas/{fingerprint} takes it; empty means no such header") \
  X(BATCH_MAX_EVENTS, "batch.max_events", NUMBER, "2000", 1, 100000, SETTING_RELOADABLE,                                   \
    "", "Events of a batch, at most")                                                                                      \
  X(BATCH_MAX_BYTES, "batch.max_bytes", BYTES, "4MiB", KIB, GIB, SETTING_RELOADABLE,                                       \
    "", "Bytes of a batch's entries, at most (one entry always fits)")                                                     \
  X(STANDBY, "standby", BOOL, "false", 0, 0, 0,                                                                            \
    "", "Wait for an outbox that another worker holds, without an end, and take it over")                                  \
  X(SHUTDOWN_DRAIN_TIMEOUT, "shutdown.drain_timeout", DURATION, "25s", 0, HOUR, SETTING_RELOADABLE,                        \
    "", "How long SIGTERM waits for what was handed to Kafka")                                                             \
  X(HTTP_LISTEN, "http.listen", TEXT, "off", 0, 0, 0,                                                                      \
    "", "Control API on TCP, for probes and Prometheus: HOST:PORT, [::1]:PORT, :PORT for every address, or off")           \
  X(HTTP_TOKEN, "http.token", TEXT, "", 0, 0, SETTING_SECRET | SETTING_RELOADABLE,                                         \
    "", "Requests over TCP that carry it (Authorization: Bearer) may change things; empty means nobody may")                \
  X(HTTP_HOSTS, "http.hosts", TEXT, "", 0, 0, SETTING_RELOADABLE,                                                          \
    "", "Names by which the control API may be asked, in addition to addresses and localhost")                                    \
  X(HEALTH_COMMAND_FAILURES_WARNING, "health.command_failures_warning", NUMBER, "1", 0, 100, SETTING_RELOADABLE,           \
    "", "Percent of commands failed, judged from 20 on")                                                                   \
  X(HEALTH_COMMAND_FAILURES_CRITICAL, "health.command_failures_critical", NUMBER, "5", 0, 100, SETTING_RELOADABLE,         \
    "", "Percent of commands failed, judged from 20 on")                                                                   \
  X(HEALTH_EVENT_FAILURES_WARNING, "health.event_failures_warning", NUMBER, "3", 0, 100, SETTING_RELOADABLE,               \
    "", "Percent of events failed, judged from 20 on")                                                                     \
  X(HEALTH_EVENT_FAILURES_CRITICAL, "health.event_failures_critical", NUMBER, "10", 0, 100, SETTING_RELOADABLE,            \
    "", "Percent of events failed, judged from 20 on")                                                                     \
  X(HEALTH_DEAD_WARNING, "health.dead_warning", NUMBER, "6", 0, 1000000000, SETTING_RELOADABLE,                            \
    "", "Dead letters")                                                                                                    \
  X(HEALTH_DEAD_CRITICAL, "health.dead_critical", NUMBER, "21", 0, 1000000000, SETTING_RELOADABLE,                         \
    "", "Dead letters")                                                                                                    \
  X(HEALTH_COMMAND_P95_WARNING, "health.command_p95_warning", DURATION, "50ms", 0, HOUR, SETTING_RELOADABLE,               \
    "", "P95 of commands")                                                                                                 \
  X(HEALTH_COMMAND_P95_CRITICAL, "health.command_p95_critical", DURATION, "100ms", 0, HOUR, SETTING_RELOADABLE,            \
    "", "P95 of commands")                                                                                                 \
  X(HEALTH_EVENT_P95_WARNING, "health.event_p95_warning", DURATION, "1s", 0, HOUR, SETTING_RELOADABLE,                     \
    "", "P95 from hand-over to acknowledged")                                                                              \
  X(HEALTH_EVENT_P95_CRITICAL, "health.event_p95_critical", DURATION, "5s", 0, HOUR, SETTING_RELOADABLE,                   \
    "", "P95 from hand-over to acknowledged")                                                                              \
  X(HEALTH_OLDEST_WARNING, "health.oldest_warning", DURATION, "60s", 0, 365 * DAY, SETTING_RELOADABLE,                     \
    "", "Age of the oldest pending entry")                                                                                 \
  X(HEALTH_OLDEST_CRITICAL, "health.oldest_critical", DURATION, "300s", 0, 365 * DAY, SETTING_RELOADABLE,                  \
    "", "Age of the oldest pending entry")                                                                                 \
  X(HEALTH_DISK_WARNING, "health.disk_warning", BYTES, "1GB", 0, INT64_MAX, SETTING_RELOADABLE,                            \
    "", "Free bytes of the outbox's file system")                                                                          \
  X(HEALTH_WORKER, "health.worker", CHOICE, "auto", 0, 0, SETTING_RELOADABLE,                                              \
    "auto optional expected required", "What health makes of it that no worker runs: optional OK, expected WARNING, required CRITICAL; auto is expected, where flush.background is false optional") \
  X(HEALTH_HEARTBEAT, "health.heartbeat", DURATION, "60s", 1000, HOUR, SETTING_RELOADABLE,                                 \
    "", "Silence of a thread of the relay that is a fault; /livez fails when the publisher was silent twice as long, or "  \
    "20 times as long the reader or the finisher, which may wait for the disk")                                            \
  X(LOG_LEVEL, "log.level", CHOICE, "info", 0, 0, SETTING_RELOADABLE,                                                      \
    "debug info warning error", "Least level that is written")                                                             \
  X(LOG_FORMAT, "log.format", CHOICE, "auto", 0, 0, 0,                                                                     \
    "auto logfmt json", "auto is logfmt on a terminal, else JSON")

/* Attributes of a route: "routing.order.key", "routing.order.placed.topic". The last word of such a key is the attribute,
 * what stands before it the namespace or event. X(word, type, choices, help). */
#define ROUTES_TABLE(X)                                                                                                    \
  X("topic", TEXT, "", "Topic; {namespace} and {event} stand for the two parts of the name")                               \
  X("key", TEXT, "", "Key fields, FIELD,FIELD (customer.id too); or none: the event's id")                                 \
  X("timestamp", CHOICE, "publish event", "Time of the record: that of publishing, or the event's own")                    \
  X("unknown_fields", CHOICE, "carry refuse drop", "As encoding.unknown_fields, of these events")                         \
  X("framing", CHOICE, "auto single-object confluent confluent-header confluent-json raw json cloudevents", "As encoding.framing, of these events; auto: what that says")         \
  X("subject", CHOICE, "none topic-record record topic", "As registry.subject, of these events; none: what that says")                       \
  X("headers", TEXT, "", "Own headers of payload members: NAME=FIELD words (customer.id too); or none")
/* clang-format on */

#endif
