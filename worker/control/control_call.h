/* control_call.h - what an answer of the control API is given, and what it gives. Private to
 * worker/control; knows nothing of sockets.
 *
 * To add a path: a function in the file of its subject (control_<subject>.c), its line under "the
 * answers" below, a row in `routes` (control_routes.c), its part of worker/openapi.json.
 */
#ifndef WORKER_CONTROL_CALL_H
#define WORKER_CONTROL_CALL_H

#include "bridge/service/service.h"

#define QUERY_MAX 24
struct query {
  struct {
    const char *key, *value;
  } pairs[QUERY_MAX];
  size_t count;
  bool overflow; /* there were more */
};

struct call {
  struct service *service;
  bool draining;
  bool standby;            /* it waits for the outbox: questions alone are answered */
  bool stranger;           /* asked over TCP without the token */
  bool (*gone)(void *ctx); /* has whoever asked hung up? */
  void *gone_ctx;
  bool wants_json;             /* where words are the usual answer */
  const struct caller *caller; /* NULL: not known */
  const struct query *query;
  struct span body; /* of a row with ROUTE_BODY, at most ROUTE_IDS_MAX bytes; else empty */
  uint64_t id;      /* the path's number, where it has one */
  char name[256];   /* the path's name, likewise */
};

struct answer {
  int code; /* HTTP status */
  const char *type;
  char allow[32]; /* of 405, else "" */
  struct buffer body;
};

/* ---- for the answers */

/* A parameter's value, NULL when it is not there. Which there may be stands in the row. */
const char *call_value(const struct call *call, const char *key);
MUST_CHECK enum status call_bad(struct error *err, const char *key, const char *value,
                                const char *expected);
/* 0, 1, true, false; not there: false. */
MUST_CHECK enum status call_flag(const struct call *call, const char *key, bool *out,
                                 struct error *err);
/* The parameter limit, 0 for all; a stranger's has an end, since an answer lies in memory. */
MUST_CHECK enum status call_limit(const struct call *call, size_t fallback, size_t *out,
                                  struct error *err);
/* The filters among the parameters (of selection.h); none: everything. Borrows their texts. */
MUST_CHECK enum status call_selection(const struct call *call, struct selection *out,
                                      struct error *err);

/* Plain text instead of JSON. */
MUST_CHECK enum status answer_words(struct answer *answer, int code, const char *text,
                                    struct error *err);
/* An application/problem+json. */
void answer_problem(struct answer *answer, int code, enum status st, const char *detail);
/* The HTTP status of an operation's status. */
int answer_code(enum status st);

/* ---- the answers: append one JSON value to answer->body (code 200 and type JSON are set), or fail
 */

typedef enum status (*answer_fn)(const struct call *call, struct answer *answer, struct error *err);
#define ANSWER(name)                                                                               \
  MUST_CHECK enum status answer_##name(const struct call *call, struct answer *answer,             \
                                       struct error *err)
ANSWER(status); /* control_health.c */
ANSWER(metrics);
ANSWER(prometheus);
ANSWER(entries); /* control_entries.c */
ANSWER(dead);
ANSWER(groups);
ANSWER(entry);
ANSWER(entry_raw);
ANSWER(entry_payload);
ANSWER(replay); /* control_bulk.c */
ANSWER(replay_step);
ANSWER(replay_progress);
ANSWER(replay_list);
ANSWER(replay_cancel);
ANSWER(purge);
ANSWER(purge_step);
ANSWER(purge_progress);
ANSWER(purge_list);
ANSWER(purge_cancel);
ANSWER(purge_entries);
ANSWER(import);
ANSWER(flush); /* control_flush.c */
ANSWER(flush_progress);
ANSWER(flush_cancel);
ANSWER(openapi); /* control_openapi.c */
ANSWER(pause);   /* control_pause.c */
ANSWER(resume);
ANSWER(pause_state);
ANSWER(version); /* control_probes.c */
ANSWER(config);
ANSWER(topics);
ANSWER(schemas);
ANSWER(schema);
ANSWER(live);
ANSWER(ready);

#endif
