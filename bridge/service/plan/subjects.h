/* subjects.h - which schema is registered under which subject: what the
 * worker looks up, doctor asks for and `schema register` registers. Private to bridge/service. Any
 * thread.
 */
#ifndef BRIDGE_SERVICE_PLAN_SUBJECTS_H
#define BRIDGE_SERVICE_PLAN_SUBJECTS_H

#include "bridge/registry/ids.h"
#include "bridge/service/plan/configure.h"

struct subject_use {
  const struct catalog_schema *schema;
  size_t i;             /* its number in the catalog */
  enum framing framing; /* of its events */
  unsigned place;       /* of catalog_id_at */
  const char *subject;
};
typedef enum status (*subject_fn)(void *ctx, const struct subject_use *use, struct error *err);
/* Each schema by which events are published, once, whether their framing needs an id or not; the
 * envelope once for each subject and kind of schema that events without a schema need. Ends with
 * what visit does not take (ST_OK goes on). */
MUST_CHECK enum status subjects_each(const struct plan *plan, const struct catalog *catalog,
                                     const struct routing *routing, subject_fn visit, void *ctx,
                                     struct error *err);
/* The text that is registered there, in place of what out has: whole, so that it needs no other
 * subject, and minified. Its type is framing_schema_type. */
MUST_CHECK enum status subject_text(const struct plan *plan, const struct catalog *catalog,
                                    const struct routing *routing, const struct subject_use *use,
                                    struct buffer *out, struct error *err);
/* What it is looked up as. */
const struct ids_kind *subject_kind(const struct subject_use *use);
/* ST_INVALID: a framing needs a registry, and none is named; or a subject is that of its topic,
 * which has not one type of event. */
MUST_CHECK enum status subjects_check(const struct plan *plan, const struct catalog *catalog,
                                      const struct routing *routing, struct error *err);
#endif
