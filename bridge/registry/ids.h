/* ids.h - the ids of our schemas: asked for in the background, looked at again, remembered.
 *
 * A schema is looked up (never registered): by its minified text, then normalized, then among the
 * subject's newest 50 versions. An id is taken only when the registry's text of that id is the same
 * schema as ours, of the same kind. Eight requests at a time, one a subject. What is not registered
 * is asked for again after 30 s; an id that is known is looked at again after an outage and every
 * verify_ms; where it has another schema now, its type stops. Where it is not a schema's any more
 * the type goes on with another id, or waits for one; in each case the records that carry the old
 * one are told. Only an answer changes what is known: while the registry cannot be reached known
 * ids serve on, and at a start the remembered ones do.
 *
 * Whoever encodes reads `struct schema_id` alone. Threads: ids_open, ids_add, ids_start and
 * ids_close by one; the rest by any.
 */
#ifndef BRIDGE_REGISTRY_IDS_H
#define BRIDGE_REGISTRY_IDS_H

#include "bridge/base/log.h"
#include "bridge/base/table.h"
#include "bridge/registry/registry.h"

enum id_state {
  ID_ASKING,  /* nobody has answered yet */
  ID_KNOWN,   /* and its schema is ours */
  ID_CACHED,  /* remembered; the registry cannot be reached */
  ID_MISSING, /* not registered */
  ID_NOWHERE, /* the registry cannot be reached, and none is remembered */
  ID_WRONG    /* the id has another schema */
};

struct ids_kind {
  const char *type;                                   /* "AVRO", "JSON" */
  bool (*same)(struct span theirs, struct span ours); /* texts of the same schema? Any thread */
  struct digest (*form)(
      struct span text); /* what makes a schema; no two kinds have one in common */
};

struct ids_config {
  struct registry_config registry;
  int64_t verify_ms;
  /* What is remembered; load may be ST_NOT_FOUND. */
  enum status (*load)(void *ctx, struct buffer *out, struct error *err);
  enum status (*save)(void *ctx, struct span text, struct error *err);
  void *ctx;
  struct log *log; /* may be NULL */
};

struct ids;
MUST_CHECK enum status ids_open(const struct ids_config *config, struct ids **out,
                                struct error *err);
struct ids_schema {
  const struct ids_kind *kind; /* outlives ids, as topic does */
  const char *subject;
  const char *event, *topic; /* whose schema it is and where those go, for people */
  struct span text;          /* whole; it is minified */
};
/* target outlives ids. */
MUST_CHECK enum status ids_add(struct ids *ids, const struct ids_schema *schema,
                               struct schema_id *target, struct error *err);
/* What was added meanwhile is asked for: once, when all are added. Else within a second. */
void ids_ask_now(struct ids *ids);
/* What was added so far is asked for no longer, unless it is added again: its events are written by
 * other schemas from now on. Any time. */
void ids_retire(struct ids *ids);
MUST_CHECK enum status ids_start(struct ids *ids, struct error *err);
void ids_close(struct ids *ids); /* NULL is fine */

/* Is there one that was not answered at all yet? */
bool ids_asking(struct ids *ids);
uint64_t ids_changes(const struct ids *ids); /* grows with each change of what ids_at tells */
struct ids_view {
  const char *event, *subject; /* live as long as ids */
  enum id_state state;
  int64_t id;
  bool wanted; /* events wait for it */
  bool lost;   /* MISSING: it had an id, which records carry; why tells which */
  bool retired;
  char why[600];
};
bool ids_at(struct ids *ids, size_t i, struct ids_view *out); /* false: there are no more */
const char *ids_shown(const struct ids *ids);                 /* the URLs, without secrets */

/* One look-up, as all of ids make it, by whoever has none. text: minified. *id: with KNOWN and
 * WRONG. KNOWN, MISSING, NOWHERE or WRONG, and why. */
struct ids_question {
  const char *subject;
  struct span text;
  const struct ids_kind *kind;
};
enum id_state ids_look_up(struct registry *r, const struct ids_question *q, int64_t *id,
                          struct error *why);

#endif
