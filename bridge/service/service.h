/* service.h - everything of busbridge behind one door: built from the settings, asked by the
 * worker's control API and by the CLI alike, so that a command gives the same answer with and
 * without a worker.
 *
 * Modes: INSPECT reads an outbox and locks nothing. CHANGE holds the outbox's lock, without Kafka.
 * RELAY holds the lock and runs the relay's threads. A worker that waits for the lock has two: one
 * that is prepared for RELAY, and one of INSPECT that answers meanwhile (standby). Operations
 * append one JSON value to a buffer; its shape stands at each function below. Any thread may call
 * operations; open and close on one.
 */
#ifndef BRIDGE_SERVICE_SERVICE_H
#define BRIDGE_SERVICE_SERVICE_H

#include "bridge/base/log.h"
#include "bridge/base/stop.h"
#include "bridge/outbox/store.h"
#include "bridge/service/entries/selection.h"
#include "bridge/settings/settings.h"

enum service_mode { SERVICE_INSPECT, SERVICE_CHANGE, SERVICE_RELAY };

struct service;
struct service_options {
  enum service_mode mode;
  bool background; /* RELAY: relay all the time (settings' flush.background=false wins); else only
                      by service_flush */
  int64_t lock_wait_ms;
  bool unanswered; /* INSPECT: the control socket was connected to, and nobody answered; for health
                    */
  bool passing;    /* tests: an outbox that ends with this process will do */
  bool standby;    /* INSPECT: it answers for a worker that waits for the outbox */
  bool away;       /* with standby: its server does not answer, which is what it waits for */
  const struct clock *clock;
};
/* ST_BUSY: the lock is held (err says by whom). ST_INVALID: a setting, a schema, a kafka.* key;
 * nothing was started. ST_NOT_FOUND, ST_DENIED, ST_NO_SPACE: the outbox folder. Kafka and Redis
 * need not be there. settings and log are borrowed. */
MUST_CHECK enum status service_open(const struct settings *settings, struct log *log,
                                    const struct service_options *options, struct service **out,
                                    struct error *err);
/* Of an error of these: the server of the outbox does not answer; it is worth another try. */
bool service_is_away(const struct error *err);
/* The same in two steps, for who waits in between. Prepared is all that needs no lock: settings,
 * schemas, what librdkafka takes, the outbox met. Then nothing may be asked of it but to take it
 * and to close it. */
MUST_CHECK enum status service_meet(const struct settings *settings, struct log *log,
                                    const struct service_options *options, struct service **out,
                                    struct error *err);
/* ST_BUSY: somebody holds the lock. ST_AGAIN: that cannot be seen now (a database is away). Behind
 * these it may be asked again; close it after any other failure. ST_NOT_FOUND: since it was
 * prepared the outbox went, or another one came to its place. */
MUST_CHECK enum status service_take(struct service *s, int64_t lock_wait_ms, struct error *err);
/* Of one that is prepared and was told ST_BUSY: others can see that it waits, if the outbox's kind
 * has a way. */
void service_stand_by(struct service *s);
/* Of the standby that answers: whoever waits beside it still turns, and this is what service_take
 * said. Else service_alive is false after a while. Any thread, here and below. */
void service_waits(struct service *s, const struct error *why);
bool service_stands_by(const struct service *s);
#define SERVICE_WAITS_TEXT 400
/* "the outbox is held by pid 17 on app-0 since ...", or what else it waits for. Returns out. */
const char *service_waits_for(struct service *s, char out[SERVICE_WAITS_TEXT]);
/* RELAY: takes nothing more and finishes what was handed to Kafka, at most drain_ms (0: leaves at
 * once). Operations go on answering meanwhile and after it, until service_close; a flush gets no
 * further. NULL is fine, here and below. */
void service_drain(struct service *s, int64_t drain_ms);
/* Drains if that was not done, saves the metrics. */
void service_close(struct service *s, int64_t drain_ms);
/* Take over reloadable settings and the schemas' files (SIGHUP; main thread): those are taken over
 * whole or not at all, which log and health tell. fresh is borrowed from now on, the old ones may
 * be freed after it returns. */
void service_reload(struct service *s, const struct settings *fresh);

/* Write the figures down now, so that a crash loses little (RELAY, CHANGE; main thread), and do
 * what a reload could not. */
MUST_CHECK enum status service_save(struct service *s, struct error *err);
/* RELAY: ST_OK, or why it cannot go on (fenced, not our cluster, no ledger topic): end the process.
 * Any thread. */
enum status service_failure(struct service *s, struct error *err);
/* RELAY: until what a start looks at in the background was looked at once, and told in the log:
 * some seconds at most, or until the caller is to end. */
void service_await_looks(struct service *s, const struct stop *stop);
/* Where the control socket of this outbox lies. */
void service_socket_path(const struct service *s, struct buffer *out);

/* Who asks for a change, for the audit log. */
struct caller {
  int64_t uid; /* -1: not known */
};

/* ---- operations: one JSON value each; commands_total and command_duration count those of RELAY
 * and CHANGE
 *
 * In the shapes below a name alone is a member whose value is a text, a number or null as its name
 * says; N is a whole number, X any. They are kept from the formatter. */

struct list_request {
  struct selection selection;
  size_t limit; /* 0 = all */
  size_t room;  /* of the entries in the answer at most so many bytes, else ST_TOO_LARGE; 0 = no
                   bound */
  /* May be NULL. Asked now and then: does nobody wait for the answer any more? Then it ends with
   * ST_CANCELLED. */
  bool (*gone)(void *ctx);
  /* May be NULL. Given each entry instead of its being kept for the answer; false ends the list
   * with ST_CANCELLED. */
  bool (*each)(void *ctx, struct span entry);
  void *ctx; /* of both */
};
/* clang-format off */
/* total: how many there are that match (a filter but type, and the times of pending entries, reads
 * every file of the places asked for).
 * {"version":1,"total":N,"entries":[
 *   {id,name,created_at,attempts,last_error,failed_at,payload_size,status,reason,topic,file,mtime}]} */
/* clang-format on */
MUST_CHECK enum status service_list(struct service *s, const struct list_request *request,
                                    struct buffer *json, struct error *err);

/* Dead letters that died alike, by the selection of a list (limit: groups, 0 = all).
 * {"version":1,"total":N,"groups":[{"reason":..|null,"name","error":..|null,"count":N,"first",
 * "last","sample":id}],"others":N}: the largest first; numbers and quoted texts of an error do not
 * count. */
MUST_CHECK enum status service_groups(struct service *s, const struct list_request *request,
                                      struct buffer *json, struct error *err);

struct show_request {
  const char *id; /* or its beginning, or the stem of a file */
  bool pending, dead;
  bool raw; /* the bytes as they were found, instead of JSON */
};
/* clang-format off */
/* One entry whole:
 * {"version":1, the members of a list's entry,
 *  "path","also":[files named so in other places],
 *  "state":"dead|ready|retrying|held|unread","due_at","held_behind":file|null,
 *  "waits_for":null|{target,reason,remedy,since},
 *  "first_failed_at","error_code","remedy",
 *  "unknown_fields":[paths without a place in the schema],
 *  "fits":bool|null (would it be published now?),"fits_reason","fits_error","fault":null|{byte,line,column,error,before,after},
 *  "mended":bool (a raw dead letter whose bytes are JSON now),
 *  "beginning":text|null (of what is not a JSON object),
 *  "payload"}
 * ST_NOT_FOUND, ST_EXISTS (ambiguous: err lists the candidates), ST_TOO_LARGE (raw). */
/* clang-format on */
MUST_CHECK enum status service_show(struct service *s, const struct show_request *request,
                                    struct buffer *out, struct error *err);

struct replay_request {
  const char *id;
  bool force; /* also a pending entry; forgets the idempotency key */
  const struct caller *by;
};
/* {"version":1,"id","name","file","from":"dlq|pending"}. ST_NOT_FOUND, ST_EXISTS (ambiguous: err
 * lists the candidates; or its id was published already and force is not set), ST_BUSY,
 * ST_UNAVAILABLE (Redis must forget the key and is away). */
MUST_CHECK enum status service_replay(struct service *s, const struct replay_request *request,
                                      struct buffer *json, struct error *err);

struct amend_request {
  const char *id;      /* of a dead letter, as for replay */
  struct span payload; /* of one that is not JSON: what is to stand in place of its bytes */
  bool force;          /* although it would die again */
  const struct caller *by;
};
/* A dead letter's payload becomes another, if it fits then; the audit keeps what differs.
 * {"version":1,"id","name","file","changed":bool,"fits":bool,"reason":..|null,"error":..|null,
 * "remedy":..|null}
 * changed false: it did not fit, or is the same. ST_INVALID: not a JSON object, or it cannot be
 * rewritten; else as service_replay. */
MUST_CHECK enum status service_amend(struct service *s, const struct amend_request *request,
                                     struct buffer *json, struct error *err);

struct pause_request {
  const char *reason; /* NULL: not told */
  const struct caller *by;
};
/* Publishing stops until service_resume, over restarts too: everything stays pending, and what
 * Kafka has is settled. Paused already: nothing changes, the answer tells of the pause there is.
 * RELAY, CHANGE.
 * {"version":1,"paused":true,"changed":bool,"since","by","reason","worker":bool}
 * with "pending":N where it is known without looking. */
MUST_CHECK enum status service_pause(struct service *s, const struct pause_request *request,
                                     struct buffer *json, struct error *err);
/* {"version":1,"paused":false,"changed":bool, of the pause that ended:
 * "since","by","reason","pending","worker"} */
MUST_CHECK enum status service_resume(struct service *s, const struct pause_request *request,
                                      struct buffer *json, struct error *err);
/* The same without "changed"; any mode. */
MUST_CHECK enum status service_pause_state(struct service *s, struct buffer *json,
                                           struct error *err);

struct flush_request {
  size_t limit; /* 0 = all */
  bool dry_run;
  bool patient; /* --once: keep due times, wait for growing files and for retries due within
                   flush.interval */
  const struct caller *by; /* NULL: nobody's, not in the audit log */
};
/* Starts a flush (RELAY only) and answers at once; ST_BUSY while paused (err names the command), or
 * while one runs. dry_run changes nothing and works in every mode: the entries that would be tried,
 * by topic and by reason of refusal.
 * {"version":1,"flush":ID} or
 * {"version":1,"dry_run":true,"count":N,"topics":{..},"reasons":{..},"samples":[..],
 * "keys":[{"namespace","key":"which field orders them, in a sentence"}]} */
MUST_CHECK enum status service_flush(struct service *s, const struct flush_request *request,
                                     struct buffer *json, struct error *err);
/* clang-format off */
/* {"version":1,"finished":bool,
 *  "taken":N,"published":N,"duplicates":N,"retried":N,"dead":N,"held":N,"left":N,"total":N,
 *  "unreachable":bool,"stopped_by":null|"kafka|redis|outbox|limit",
 *  "reason":null|"kafka is away...","next":null|"..."}
 * ST_NOT_FOUND: no such flush. */
/* clang-format on */
MUST_CHECK enum status service_flush_progress(struct service *s, uint64_t flush,
                                              struct buffer *json, struct error *err);
/* Ctrl-C: take nothing more; what was handed to Kafka is still settled. An unknown or finished
 * flush is left as it is.
 */
void service_flush_cancel(struct service *s, uint64_t flush);

/* clang-format off */
/* {"version":1,"state":0..3,"word":"OK","summary":"12 pending, oldest 3s",
 *  "reasons":[{state,text,next}],
 *  "pending":N,"oldest_seconds":X|null,"dead":N,"processed":N,
 *  "commands":{total,p95_ms,failure_rate},"events":{the same},
 *  "dlq":{"total":N,"in":what stands before their names,"oldest","errors":[{error,count}],"groups":[as of service_groups]},
 *  "keyless":{"NAMESPACE":N},"unknown_fields":[{"type","count":N,"fields":["payload.x"]}] (detailed),
 *  "paused":null|{since,by,reason},
 *  "breakers":[{target,state,reason,remedy}],
 *  "redis":{...},"worker":bool,"standby":null|{"owned":bool,"pid","host","since"} (of a worker that waits:
 *  who has the outbox),"perfdata":{...}} */
/* clang-format on */
MUST_CHECK enum status service_health(struct service *s, bool detailed, struct buffer *json,
                                      struct error *err);

/* Health's first line, with its first reason unless all is well: "WARNING - 12 pending, oldest 70s:
 * The oldest pending entry ...". For the service manager; not counted as a command. */
void service_summary(struct service *s, struct buffer *line);

/* clang-format off */
/* {"version":1,"since",
 *  "commands":{total,average_ms,p50_ms,p95_ms,failure_rate},"events":{the same},
 *  "account":null|{since,pending_then,found,replayed,published,duplicate,dead,vanished,pending,
 *                  missing,balanced},
 *  "counters":{...}}
 * reset begins a new period (needs CHANGE or RELAY). The account: account.h. */
/* clang-format on */
MUST_CHECK enum status service_metrics(struct service *s, bool reset, struct buffer *json,
                                       struct error *err);

/* clang-format off */
/* Each namespace and its topic. Kafka is asked, for at most 3 s, and not again within 5 s.
 * {"version":1,"kafka":"up|away","error":null|"...",
 *  "topics":[{"namespace","topic","state":"there|missing|forbidden|unknown","partitions":N|null,
 *             "breaker":"closed|open|probing"|null,"reason":null|"...","remedy":null|"..."}]}
 * breaker is null without a relay. */
/* clang-format on */
MUST_CHECK enum status service_topics(struct service *s, struct buffer *json, struct error *err);
/* The schemas in force, then those of .history/ (frozen: the number there).
 * {"version":1,"schemas":[{"event","fingerprint","wire","frozen":N|null,"fields":N,"file"}]} */
MUST_CHECK enum status service_schemas(struct service *s, struct buffer *json, struct error *err);
/* One of them, whole, by its fingerprint or its bytes in a record, in hex. ST_INVALID: it is none;
 * ST_NOT_FOUND. {"version":1,"event","fingerprint","wire","frozen":N|null,"schema":{...}} */
MUST_CHECK enum status service_schema(struct service *s, const char *fingerprint,
                                      struct buffer *json, struct error *err);

/* The settings in force: configure_show (configure.h), which a command without an outbox may use
 * itself. */
MUST_CHECK enum status service_config(struct service *s, struct buffer *json, struct error *err);

/* Prometheus text of all metrics, with the gauges of this moment. */
MUST_CHECK enum status service_prometheus(struct service *s, struct buffer *text,
                                          struct error *err);
/* May work be sent here (GET /readyz)? Settings valid, folders writable, the lock held, Kafka
 * reached once in this life, the relay able to go on, not draining.
 * {"version":1,"ready":bool,"checks":[{"check":"settings|folders|lock|kafka|relay|draining|
 * standby","ok":bool,"text"}]}
 * *ready the same. One whose outbox's server does not answer at its start is not. A standby is
 * ready while it waits: in the place of lock, kafka and relay stands standby, which says who has
 * the outbox. */
MUST_CHECK enum status service_ready(struct service *s, bool draining, bool *ready,
                                     struct buffer *json, struct error *err);
/* Does the relay's loop turn? (GET /livez; true in other modes.) */
bool service_alive(struct service *s);

struct prepare_request {
  const struct settings *settings;
  const struct clock *clock;
  bool migrate; /* bring what is there to this release; else make what is not */
  bool dry_run; /* only tell */
};
/* Makes the outbox ready that outbox.url names; no service is open. Done already: nothing happens.
 * {"version":1,"outbox","dry_run":bool,"from":N,"to":N,"known":N,"steps":"SQL, or commands"}: the
 * versions of its tables before and after, and the newest that this program knows; 0: there are
 * none. steps: what was done, or would be. Errors: store_prepare, and a kind that does not last
 * (ST_INVALID). */
MUST_CHECK enum status service_prepare(const struct prepare_request *request, struct buffer *json,
                                       struct error *err);

struct emit_request {
  struct span id;            /* empty: a new uuid4 */
  struct span name, payload; /* payload: the text of one JSON object */
};
/* Writes an entry durably, locks nothing: any mode.
 * {"version":1,"id","file","topic":"..."|null,"warning":null|"..."}: the warning says why the relay
 * would set it aside, that no schema has its name where others have, or which members have no place
 * in its schema. ST_INVALID: not an object (with the byte offset), bad id or name.
 */
MUST_CHECK enum status service_emit(struct service *s, const struct emit_request *request,
                                    struct buffer *json, struct error *err);

#endif
