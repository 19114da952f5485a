/* log_events.h - every event the log may name, and every field a line may have: the manual,
 * --help-events and the check of the sources (tests/tools/check_docs) come from here. Words are
 * never changed: operators match on them.
 */
#ifndef BRIDGE_BASE_LOG_EVENTS_H
#define BRIDGE_BASE_LOG_EVENTS_H

#include "bridge/base/span.h"

/* X(component, event, level, what it means). Where the level differs, the gravest. */
#define LOG_EVENTS(X)                                                                              \
  X("worker", "started", "info", "It relays")                                                      \
  X("worker", "standby", "info",                                                                   \
    "Another worker holds the outbox: it waits; said again when that is another one")              \
  X("worker", "outbox_away", "warning",                                                            \
    "The outbox's server does not answer at the start: it is asked again")                         \
  X("worker", "took_over", "info",                                                                 \
    "The standby has the outbox now; duration_ms is how long it waited")                           \
  X("worker", "start_failed", "error", "It cannot begin: the message says why and what to do")     \
  X("worker", "stopping", "info", "It was told to stop and finishes what was handed to Kafka")     \
  X("worker", "stopped", "info", "It ends, with the status in exit")                               \
  X("worker", "settings", "warning",                                                               \
    "A setting or environment variable that is not what it seems")                                 \
  X("worker", "reloaded", "info", "SIGHUP: the settings were read again")                          \
  X("worker", "reload_needs_restart", "warning", "SIGHUP: this change waits for a restart")        \
  X("worker", "reload_refused", "error", "SIGHUP: a file with an error; the old settings stay")    \
  X("worker", "notify", "warning", "The service manager cannot be told how it is")                 \
  X("worker", "once_done", "warning", "--once ends; a warning when something stayed")              \
  X("worker", "once_failed", "error", "--once could not flush")                                    \
  X("worker", "once_stopped", "error",                                                             \
    "--once: nothing moved for 30 s; reason and exit status tell what stopped it")                 \
  X("worker", "once_unreachable", "error",                                                         \
    "--once: Kafka could not be used for 30 s; reason tells why")                                  \
  X("worker", "metrics_not_saved", "warning",                                                      \
    "The figures of the last 10 s would be lost by a crash")                                       \
  X("service", "metrics_not_saved", "warning", "The same, at the start or the end")                \
  X("service", "metrics_lost", "warning", "The saved figures are damaged and begin anew")          \
  X("service", "abandoned", "warning",                                                             \
    "It ended while Kafka did not answer; the next start resolves it")                             \
  X("encoding", "name_unknown", "warning",                                                         \
    "No schema has that name, though its namespace has some; said once a name")                    \
  X("service", "key_rule", "info", "Which field is the key of a namespace's events")               \
  X("service", "key_field_unknown", "warning",                                                     \
    "routing.keys names a field that no schema of its namespace has")                              \
  X("service", "order_changed", "warning",                                                         \
    "A namespace has another topic or key while events of it are pending")                         \
  X("service", "order_not_kept", "warning",                                                        \
    "Topics and keys of the last start could not be read, or not be kept")                         \
  X("service", "schema_changed", "warning",                                                        \
    "A schema cannot read what its last one wrote, or that is not frozen")                         \
  X("service", "schemas_not_kept", "warning",                                                      \
    "The schemas of the last start could not be read, or not be kept")                             \
  X("service", "schemas_reloaded", "info",                                                         \
    "SIGHUP: the schemas were read again; count is how many")                                      \
  X("service", "schemas_refused", "error", "SIGHUP: they are wrong, and the old ones stay")        \
  X("service", "paused", "warning", "Nothing is published until busbridge resume")                 \
  X("service", "resumed", "info", "Publishing goes on")                                            \
  X("service", "replayed", "info", "A dead letter is pending again")                               \
  X("service", "replayed_some", "info", "So are many: count of the selection")                     \
  X("service", "purged_some", "info", "Dead letters were removed for good")                        \
  X("service", "audit_not_written", "warning",                                                     \
    "A change was made that the audit log does not name")                                          \
  X("relay", "batch_settled", "info", "A batch is in Kafka and out of the outbox")                 \
  X("relay", "event_published", "debug", "One event of it: where it lies, and how long it took")   \
  X("relay", "event_duplicate", "info",                                                            \
    "An entry whose id was published before was removed; twin is where")                           \
  X("relay", "id_reused", "warning",                                                               \
    "Such an entry had another name or payload than the event that was published")                 \
  X("relay", "event_refused", "warning", "The broker refused an event; it is tried again later")   \
  X("relay", "event_dead", "warning", "An entry died; reason is its word, the message its remedy") \
  X("relay", "isolating", "info", "The broker refused a batch; the event it means is looked for")  \
  X("relay", "key_not_held", "warning", "Out of memory: the order of a key is not kept this once") \
  X("relay", "topic_created", "info", "A topic was missing and is there now")                      \
  X("relay", "topic_missing", "warning", "A topic is missing; its events wait")                    \
  X("relay", "topic_unavailable", "error",                                                         \
    "A topic is missing, forbidden or takes no record of our time; others go on")                  \
  X("relay", "batches_bounded", "debug",                                                           \
    "A topic takes no larger record batches, so all are kept below that")                          \
  X("relay", "topic_unclear", "debug", "A topic could not be looked up")                           \
  X("relay", "breaker_closed", "info", "What could not be published to goes on; target names it")  \
  X("relay", "kafka_away", "error", "No broker answers; everything stays pending")                 \
  X("relay", "kafka_back", "info", "A broker answers again")                                       \
  X("relay", "kafka_unavailable", "error",                                                         \
    "Brokers answer and take no records; everything stays pending")                                \
  X("relay", "events_gone", "warning",                                                             \
    "Rows taken up are gone from the database: nothing is published of them")                      \
  X("relay", "producer_renewed", "warning",                                                        \
    "A transaction was given up; a new producer asks the ledger")                                  \
  X("relay", "producer_lost", "error", "librdkafka gave up its producer; a new one is made")       \
  X("outbox", "reserve_used", "warning",                                                           \
    "The disk is full; the reserve is used to publish what frees it")                              \
  X("outbox", "reserve_missing", "debug", "There is no space for the reserve yet")                 \
  X("relay", "recovered", "info", "A batch that was committed before the last end is settled now") \
  X("relay", "position_doubted", "warning",                                                        \
    "Kafka told an older position than before; it is asked again")                                 \
  X("relay", "position_lost", "warning", "Kafka holds no position any more; the topics are read")  \
  X("relay", "outbox_went_back", "warning",                                                        \
    "A database lost what it had said was durable; the topics decided")                            \
  X("relay", "position_restored", "warning", "The ledger begins anew behind what was found there") \
  X("relay", "ledger_found", "info",                                                               \
    "An outbox of 0.1.0 takes up the ledger whose manifest it holds")                              \
  X("relay", "ledger_moved", "warning", "ledger.topic was changed, and the position moved there")  \
  X("relay", "keys_not_kept", "warning",                                                           \
    "Ids reached neither Redis nor the outbox: a crash now may repeat them")                       \
  X("relay", "outbox_unreadable", "error", "The outbox cannot be read; tried again every second")  \
  X("relay", "outbox_readable", "info", "It can be read again")                                    \
  X("relay", "outbox_write_failed", "error",                                                       \
    "The outbox cannot be changed; tried again until it can")                                      \
  X("relay", "outbox_sync_failed", "error",                                                        \
    "What was settled is not durable yet: fix the disk, then restart")                             \
  X("relay", "manifest_stuck", "warning",                                                          \
    "The list of a batch cannot be changed; nothing waits for it")                                 \
  X("relay", "manifest_freed", "info", "It could be")                                              \
  X("relay", "hands_incomplete", "warning", "A crash by stack overflow would not be noted")        \
  X("relay", "relay_failed", "error", "The relay cannot go on; the worker ends")                   \
  X("outbox", "lease_late", "warning",                                                             \
    "A database outbox: its lease ran out and cannot be renewed; no batch begins")                 \
  X("outbox", "lease_kept", "info", "It is renewed again, and nobody took the outbox over")        \
  X("outbox", "entry_odd", "warning", "Left alone: no plain file with one link")                   \
  X("outbox", "entry_dispatched", "warning",                                                       \
    "Another bus marked an entry while it was on its way; said once")                              \
  X("outbox", "entry_left", "warning",                                                             \
    "Left alone in the typed outbox: its status is another (20 are named)")                        \
  X("service", "typed_unread", "warning",                                                          \
    "The older typed bus's own outbox has files, and outbox.typed is off")                         \
  X("service", "typed_doubtful", "warning",                                                        \
    "outbox.typed: nothing of it is read, or it cannot be changed")                                \
  X("service", "schemas_owed", "error",                                                            \
    "Not all ids of reloaded schemas are asked for; tried again within 10 s")                      \
  X("service", "typed_without_redis", "warning",                                                   \
    "outbox.typed without Redis: twins of the two buses may be sent twice")                        \
  X("outbox", "entry_unreadable", "warning", "Left alone: the worker may not read it")             \
  X("outbox", "entry_aside", "warning",                                                            \
    "One entry cannot be changed; it is set aside and tried again")                                \
  X("outbox", "aside_settled", "info", "It could be, or is gone")                                  \
  X("outbox", "move_finished", "info", "A move to the dead letters that a crash cut is finished")  \
  X("outbox", "move_failed", "warning", "Such a move cannot be finished now")                      \
  X("outbox", "pending_unreadable", "warning", "pending/ cannot be read")                          \
  X("outbox", "folder_changed", "warning",                                                         \
    "A folder of the outbox was gone, or is another one now; it goes on")                          \
  X("outbox", "folder_unusable", "warning",                                                        \
    "A folder of the outbox cannot be used; what needs it waits")                                  \
  X("outbox", "watch_failed", "warning", "Arrivals are found by scans only, each flush.interval")  \
  X("outbox", "group_larger_than_window", "warning",                                               \
    "More files than outbox.window have one time")                                                 \
  X("outbox", "exchange_unsupported", "warning", "The file system cannot exchange files")          \
  X("outbox", "sent_swept", "info", "Old files of sent/ were removed")                             \
  X("encoding", "number_cut", "warning",                                                           \
    "A number has more digits than a double keeps; said once a type")                              \
  X("encoding", "fields_left_out", "warning",                                                      \
    "A field has no place in the schema; said once a path")                                        \
  X("kafka", "librdkafka", "error",                                                                \
    "A line of librdkafka, at its own level; facility is its kind")                                \
  X("kafka", "kafka_error", "debug", "An error that librdkafka fixes itself")                      \
  X("kafka", "kafka_fatal", "error", "One that it does not; a new producer is made")               \
  X("kafka", "kafka_guarantee_weakened", "warning",                                                \
    "A kafka.* setting gives up something that is promised")                                       \
  X("kafka", "kafka_scram_old", "warning", "This librdkafka cannot log in to Kafka 4 by SCRAM")    \
  X("kafka", "kafka_setting_unknown", "warning",                                                   \
    "A kafka.* setting that this busbridge does not know is passed on")                            \
  X("service", "framing_changed", "warning",                                                       \
    "The last record of a topic is framed otherwise than the next one will be")                    \
  X("registry", "registry_away", "error",                                                          \
    "The schema registry does not answer; events whose id is known go on")                         \
  X("registry", "registry_back", "info", "It answers again")                                       \
  X("registry", "registry_other", "warning", "It is another one than the ids were remembered of")  \
  X("registry", "schema_unregistered", "warning",                                                  \
    "A schema is not registered; events of that type wait")                                        \
  X("registry", "id_known", "debug", "The id of a schema was found")                               \
  X("registry", "id_wrong", "error",                                                               \
    "The id of a schema is another schema now; error tells which records carry it")                \
  X("registry", "id_gone", "error",                                                                \
    "The id of a schema stands for none any more; error tells which records carry it")             \
  X("registry", "id_renumbered", "error",                                                          \
    "A schema has another id now; error tells which records carry the old one")                    \
  X("registry", "ids_not_kept", "warning", "The ids could not be remembered")                      \
  X("keys", "redis_away", "warning", "Redis cannot be used; publishing goes on")                   \
  X("keys", "redis_back", "info", "It can be used again")                                          \
  X("keys", "redis_may_evict", "warning", "Redis may forget ids before their time")                \
  X("keys", "keys_due_failed", "error", "Ids that wait for Redis cannot be worked off")            \
  X("keys", "keys_due_full", "warning", "More ids wait for Redis than should")                     \
  X("keys", "keys_given_up", "warning", "The oldest of them were given up")                        \
  X("control", "tcp_open", "info", "The control API is open on TCP")                               \
  X("control", "token_short", "warning", "http.token is too short to be one")                      \
  X("control", "token_kept", "warning", "http.token cannot be read again; the old one stays")      \
  X("control", "token_refused", "warning", "A request bore a wrong token")                         \
  X("control", "slow_clients", "info", "Connections that took too long were closed")               \
  X("control", "socket_left", "warning", "The control socket cannot be removed")                   \
  X("control", "http", "debug", "What the HTTP library says")                                      \
  X("log", "lines_dropped", "warning", "So many lines could not be written: nobody took them")

/* Those that many lines have; the others are named in the manual only. */
#define LOG_FIELDS(X)                                                                              \
  X("ts", "When, in UTC, to the microsecond")                                                      \
  X("level", "debug, info, warning or error")                                                      \
  X("msg", "A sentence; its words may change")                                                     \
  X("event", "What happened; one of the words below")                                              \
  X("component", "Who says it")                                                                    \
  X("namespace", "Of the event, where it is known")                                                \
  X("name", "The event's name")                                                                    \
  X("id", "The event's id")                                                                        \
  X("file", "Its file's name; place is its folder")                                                \
  X("row", "Its seq and id, where the outbox is a database")                                       \
  X("topic", "Of Kafka, with partition and offset where the event lies there")                     \
  X("attempt", "Tries counted, this one included")                                                 \
  X("reason", "The dead letter's word")                                                            \
  X("error_code", "librdkafka's number or name")                                                   \
  X("error", "What went wrong, in the words of whoever knows")                                     \
  X("duration_ms", "How long it took")                                                             \
  X("trace_id", "Of the event's traceparent")                                                      \
  X("repeated", "So many lines of this event were not written: ten in ten seconds are")

/* For busbridge-worker(8) and --help-events. */
void log_events_mdoc(struct buffer *out);
void log_events_print(struct buffer *out);

#endif
