/* ids_parts.h - what the files of ids share. Private to bridge/registry. */
#ifndef BRIDGE_REGISTRY_IDS_PARTS_H
#define BRIDGE_REGISTRY_IDS_PARTS_H

#include "bridge/base/thread.h"
#include "bridge/registry/ids.h"

enum { ASKERS = 8, FORM_TEXT = 33 };

struct slot {
  const struct ids_kind *kind;
  char *subject, *event;
  char *name;     /* form and subject, as ids.by_name has it */
  uint64_t round; /* behind ids.lock: in which it was added last; not in ids.round: it is retired */
  struct span text; /* minified */
  struct digest form;
  struct target {
    struct schema_id *id; /* all get the same one */
    const char *topic;
  } *targets;
  size_t target_count;
  /* Behind ids.lock: */
  enum id_state state;
  int64_t id, remembered; /* SCHEMA_NO_ID: none */
  int64_t due_ms;         /* monotonic: when it is asked for next */
  int64_t looked_us;      /* when its id was seen to be right last; remembered too */
  bool looked;            /* that was this process */
  bool lost;              /* its id is another schema's, or none's; told in why until it has one */
  unsigned tries;         /* in a row that nobody answered */
  bool busy;
  struct digest versions; /* of its subject, among which it was not: see finding.versions */
  int64_t compared_ms;    /* monotonic: since when that list spares comparing: not forever */
  char why[600];
};

struct ids {
  struct ids_config config;
  struct registry *clients[ASKERS];
  struct thread threads[ASKERS];
  size_t running;
  struct mutex lock;
  struct cond changed;
  bool stopping, dirty, saving;
  _Atomic bool over; /* stopping, for requests under way */
  struct slot **slots;
  size_t count, cap, next; /* next: where one looks first */
  struct table by_name;
  uint64_t round; /* grows with ids_retire */
  const struct slot *asked[ASKERS];
  size_t failed; /* answers in a row that were none */
  bool away;     /* nobody answers any more: one asks for all */
  bool met;      /* it answered once in this run */
  char cluster[REGISTRY_CLUSTER];
  int64_t away_due_ms, saved_ms;
  int64_t all_due_ms; /* not before are all looked at after an outage once more */
  unsigned away_tries;
  _Atomic uint64_t changes;
};

/* What a slot's question brought. */
struct finding {
  enum id_state state; /* ID_KNOWN, ID_MISSING, ID_NOWHERE, ID_WRONG */
  int64_t id;
  int64_t gone; /* the id that it had, of which the registry knows nothing; or SCHEMA_NO_ID */
  struct digest versions; /* the list of its subject, each of which was compared; 0: was not */
  struct error why;
};
/* ids_ask.c: no lock held. known: the id that it has, SCHEMA_NO_ID: none. compared: the list of
 * versions that need not be compared again. */
void ids_ask(struct registry *r, const struct ids_question *q, int64_t known,
             struct digest compared, struct finding *out);
/* remembered_ids.c; lock held by ids_remembered alone. */
const char *ids_form_text(struct digest form, char out[FORM_TEXT]);
void ids_recall(struct ids *ids);
void ids_remember(struct ids *ids);
/* ids_answered.c: lock held. What was found is what holds from now on. */
void ids_take(struct ids *ids, struct registry *r, struct slot *slot, const struct finding *f);
void ids_set(struct slot *slot, int64_t id);
/* ids_lost.c: lock held, before what was found is taken. Is its id not right any more? Then
 * slot->why says so and which records carry it, and so does the log. */
bool ids_lost(struct ids *ids, struct slot *slot, const struct finding *f);

#endif
