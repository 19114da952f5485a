/* health_rules.h - from the facts about an outbox to its state of health, in words. Pure; private
 * to bridge/service.
 *
 * Never OK while nothing moves: a pause, an open breaker, an old pending entry and a relay that
 * does not turn are each a reason of their own. To add a rule: a fact, a function in
 * health_rules.c, a row in its table, a row in the unit test.
 */
#ifndef BRIDGE_SERVICE_HEALTH_HEALTH_RULES_H
#define BRIDGE_SERVICE_HEALTH_HEALTH_RULES_H

#include "bridge/service/operations.h"

enum health_state {
  HEALTH_OK,
  HEALTH_WARNING,
  HEALTH_CRITICAL,
  HEALTH_UNKNOWN
}; /* exit codes of monitoring plugins */
const char *health_word(enum health_state s);

struct limits {                                  /* health.* settings */
  double command_failures[2], event_failures[2]; /* percent: warning, critical; and so on */
  int64_t command_p95_ms[2], event_p95_ms[2], oldest_ms[2], heartbeat_ms;
  uint64_t dead[2];
  int64_t disk_bytes;
  bool background;    /* flush.background */
  bool keys_required; /* redis.required */
  enum health_state no_worker;
};
void limits_read(const struct settings *settings, struct limits *out);

struct facts {
  int64_t now_us;
  const char *unreadable; /* why the outbox could not be counted, NULL: it could */
  struct store_counts counts;
  uint64_t left; /* entries that lie in .busbridge/tmp for long */
  bool relay;    /* this process relays */
  bool owned;    /* else: somebody holds the lock: */
  struct store_owner owner;
  bool away;                         /* its server does not answer, which is what is waited for */
  bool standby;                      /* this process waits for it: */
  char waits[400];                   /* for what */
  char standbys[STORE_STANDBY_TEXT]; /* who waits, in words; "": nobody known */
  bool unanswered;   /* somebody took the call on the control socket and did not answer */
  char refused[360]; /* no worker runs, and none would start: what is wrong with the settings; else
                        "" */
  char schemas_refused[360]; /* why a reload did not take the schemas over; else "" */
  struct figures commands, events;
  const struct relay_status *status; /* NULL: none */
  struct store_pause pause;
  bool keys_known; /* Redis was asked at least once */
  struct keys_state keys;
  int64_t disk_free;                /* -1: not known */
  char aside[360], aside_next[160]; /* the first one that is set aside, and what to do */
  bool went_back;                   /* the database did, within the last week */
  struct store_loss loss;           /* then: what it lost; its ids are lost_ids */
  char lost_ids[300];               /* the first of them */
  uint64_t unread_seen;
  char unread[300];      /* of what nobody may read the first, and whose it is; "" */
  uint64_t typed_unread; /* files of the typed bus that nothing reads */
  char typed[300];       /* where */
};

struct reason_line {
  enum health_state state; /* HEALTH_OK: only worth knowing */
  char text[512], next[416];
};
#define JUDGE_LINES 96
struct judgement {
  enum health_state state;
  char summary[160]; /* "12 pending, oldest 3s" */
  size_t count;
  struct reason_line lines[JUDGE_LINES];
};
/* Worst first. About 90 KB: allocate it. */
void judge(const struct facts *facts, const struct limits *limits, struct judgement *out);
/* Age of the oldest pending entry in ms, -1 when none is pending. */
int64_t facts_oldest_ms(const struct facts *facts);

#endif
