/* registry.h - a client of a schema registry, as Confluent's API speaks (Apicurio's
 * /apis/ccompat/v7 too).
 *
 * One client, one thread; each call asks and waits, at most timeout_ms an URL. Several URLs are one
 * registry: the next one is asked where an answer is the world's fault, and stays the first from
 * then on. Nothing here registers but registry_register, which no worker calls. Texts of *out live
 * until the next call of that client. Secrets never stand in an error: an URL is shown without its
 * user.
 *
 * What an answer means (enum registry_said) is judged in one place, from the code of HTTP and the
 * error_code within:
 *
 *   GIVEN     200 with what was asked for
 *   MISSING   404 with an error_code of 404xx (40401 no such subject, 40402 version, 40403 schema);
 *             at a look-up 422 too: it is not registered yet
 *   REFUSED   409, and 422 elsewhere: the schema itself is refused (register, compatible)
 *   NOWHERE   all else, the world's fault: no connection, no answer in time, 404 without a 404xx,
 *             401, 403, 405, 406, 408, 415, 429, 3xx, other 4xx, 5xx, what is not JSON of
 *             that shape, more than 8 MiB
 */
#ifndef BRIDGE_REGISTRY_REGISTRY_H
#define BRIDGE_REGISTRY_REGISTRY_H

#include "bridge/base/clock.h"
#include "bridge/base/span.h"
#include "bridge/event/framing.h"
#include "bridge/metrics/metrics.h"

/* NULL and "" are "not said". Texts are copied. */
struct registry_config {
  const char *urls;                /* words, "http://host:8081 https://other/apis/ccompat/v7" */
  const char *username, *password; /* Basic */
  const char *token_file;          /* a bearer token; read at first, and again after a 401 */
  const char *oauth_url, *oauth_id, *oauth_secret, *oauth_scope; /* client credentials (RFC 6749) */
  const char *ca_file, *certificate, *key, *key_password;        /* PEM */
  const char *proxy;                                             /* its URL */
  int timeout_ms;                                                /* of one request */
  const _Atomic bool *over; /* true: requests end within a second, NOWHERE; may be NULL */
  const struct clock *clock;
  struct metrics *metrics; /* registry_requests_total{op,code}; may be NULL */
};

enum registry_said { REGISTRY_GIVEN, REGISTRY_MISSING, REGISTRY_REFUSED, REGISTRY_NOWHERE };

#define REGISTRY_BODY_MOST ((size_t)8 * 1024 * 1024)
#define REGISTRY_NO_ID (-1)

struct registry;
/* ST_INVALID: an URL that is none, two kinds of authentication at once. Nothing is asked yet. */
MUST_CHECK enum status registry_open(const struct registry_config *config, struct registry **out,
                                     struct error *err);
void registry_close(struct registry *r);
/* As registry_open judges it. */
MUST_CHECK enum status registry_config_check(const struct registry_config *config,
                                             struct error *err);

struct registry_schema {
  int64_t id;       /* 0 to 2^31 - 1; REGISTRY_NO_ID where the answer has none */
  int64_t version;  /* likewise, from 1 */
  struct span text; /* of the schema; empty: the answer has none */
  struct span type; /* "AVRO", "JSON"; empty: the answer has none, which means Avro, but Apicurio's
                       to a look-up, and of a version, which never have one */
  bool references;  /* it names other subjects: its text is not whole */
};

/* POST /subjects/SUBJECT, with ?normalize=true: the schema of that text. type: "AVRO" or "JSON". */
enum registry_said registry_look_up(struct registry *r, const char *subject, struct span text,
                                    const char *type, bool normalize, struct registry_schema *out,
                                    struct error *err);
/* POST /subjects/SUBJECT/versions: registers it. */
enum registry_said registry_register(struct registry *r, const char *subject, struct span text,
                                     const char *type, bool normalize, struct registry_schema *out,
                                     struct error *err);
/* POST /compatibility/subjects/SUBJECT/versions/latest?verbose=true: *compatible, and why not in
 * err's text. MISSING: nothing is registered under the subject yet. */
enum registry_said registry_compatible(struct registry *r, const char *subject, struct span text,
                                       const char *type, bool *compatible, struct error *err);
/* GET /subjects/SUBJECT/versions: the newest, at most REGISTRY_VERSIONS of them, newest first. */
#define REGISTRY_VERSIONS 50
enum registry_said registry_versions(struct registry *r, const char *subject,
                                     int64_t versions[REGISTRY_VERSIONS], size_t *count,
                                     struct error *err);
/* GET /subjects/SUBJECT/versions/VERSION */
enum registry_said registry_version(struct registry *r, const char *subject, int64_t version,
                                    struct registry_schema *out, struct error *err);
/* GET /schemas/ids/ID */
enum registry_said registry_by_id(struct registry *r, int64_t id, struct registry_schema *out,
                                  struct error *err);
/* GET /v1/metadata/id: the id of the registry's own cluster. False: it has none, as Apicurio's. */
#define REGISTRY_CLUSTER 200
bool registry_cluster(struct registry *r, char out[REGISTRY_CLUSTER]);

/* Of the answer asked for last: how long it says one should wait (Retry-After), -1: nothing. */
int64_t registry_retry_after_ms(const struct registry *r);
/* The URLs without users and queries, for people. Lives as long as the client. */
const char *registry_shown(const struct registry *r);

/* A schema's JSON without white space outside of its strings, appended to out; members stay in
 * their order. What is not JSON comes out as some other text. */
void registry_minify(struct span text, struct buffer *out);
/* The subject that a schema is registered under, by its record's full name. */
void registry_subject_write(enum subject_naming how, const char *topic, struct span record,
                            struct buffer *out);

#endif
