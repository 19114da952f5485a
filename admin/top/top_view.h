/* top_view.h - the lines that `top` shows, for a width: the same on a screen and in plain text.
 * Pure. */
#ifndef ADMIN_TOP_VIEW_H
#define ADMIN_TOP_VIEW_H

#include "admin/client/answer.h"
#include "admin/top/metrics_sample.h"
#include "admin/top/screen.h"

#define VIEW_LINES 200

struct view {
  struct view_line {
    struct buffer text; /* printable */
    enum tint tint;
  } lines[VIEW_LINES];
  size_t count;
};

struct top_facts {
  const struct json_doc *health; /* NULL: not known yet, */
  const char *problem; /* for this reason; also beside figures of a moment ago. NULL: none */
  bool worker;         /* it answered; else the outbox itself was read */
  const struct sample *now, *before,
      *long_before; /* rates are since before, latencies since long_before; may be now */
};
/* Clears it and fills it anew. */
void view_fill(struct view *v, const struct top_facts *f, int columns);
void view_help(struct view *v);
void view_release(struct view *v);

/* The same as one JSON object. */
void top_json(const struct top_facts *f, struct buffer *out);

#endif
