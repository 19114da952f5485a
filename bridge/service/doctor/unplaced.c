/* What schemas have no place for in the events that wait: it is about to be published, refused or
 * dropped. Bounded: the oldest entries, and a few paths of each type.
 * One thread; a crash leaves nothing. */
#include "bridge/service/unplaced.h"
#include "bridge/base/words.h"
#include "bridge/service/doctor/parts.h"

enum { ENTRIES_READ = 1000, PATHS_SHOWN = 20 };

struct reading {
  struct doctor *d;
  struct catalog *catalog;
  uint64_t read;
};

static bool read_entry(void *ctx, const struct entry_info *info) {
  struct reading *r = ctx;
  r->read++;
  if (info->payload != JSON_NONE && info->doc)
    unplaced_meet(r->catalog, routing_canonical(r->d->routing, info->name), info->doc,
                  info->payload);
  return true;
}

/* "quality.checked: payload.a, payload.b; ..." Returns how many there are. */
static size_t add_paths(struct catalog *c, struct buffer *out) {
  struct catalog_schema schema;
  struct span path;
  uint64_t count;
  size_t all = 0;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    for (size_t n = 0; catalog_left_out(c, i, n, &path, &count); n++) {
      if (++all > PATHS_SHOWN) continue;
      if (n == 0) buffer_printf(out, "%s%s: ", all > 1 ? "; " : "", schema.event_name);
      buffer_printf(out, "%s%.*s", n ? ", " : "", SPAN_ARGS(path));
    }
  if (all > PATHS_SHOWN) buffer_printf(out, " and %zu more", all - PATHS_SHOWN);
  return all;
}

static const char *what_becomes(enum unknown_fields policy) {
  return policy == UNKNOWN_REFUSE ? "and make their events dead letters"
         : policy == UNKNOWN_DROP ? "and are not published"
                                  : "and appear in the header ce_extra";
}

static void tell(struct doctor *d, const struct reading *r) {
  struct buffer paths = {0};
  char entries[COUNTED_TEXT], fields[COUNTED_TEXT];
  enum unknown_fields policy = d->plan.catalog.unknown_fields;
  size_t all = add_paths(r->catalog, &paths);
  counted_text(r->read, "pending entry", "pending entries", entries);
  if (!all) {
    doctor_found(d, "unknown fields", REPORT_OK, "none in %s", entries);
  } else {
    doctor_found(d, "unknown fields", REPORT_WARNING, "%s of %s %s no place in the schema %s: %s",
                 counted_text(all, "field", "fields", fields), entries, all == 1 ? "has" : "have",
                 what_becomes(policy), buffer_z(&paths));
    doctor_next(d, policy == UNKNOWN_CARRY
                       ? "Add a field for each, or a map of strings named extra; where they must "
                         "not leave, set encoding.unknown_fields = drop before a worker starts"
                       : "Add a field for each, or a map of strings named extra; or set "
                         "encoding.unknown_fields = carry");
  }
  buffer_release(&paths);
}

void doctor_check_unplaced(struct doctor *d) {
  struct reading r = {.d = d};
  struct error err = {0};
  uint64_t total = 0;
  if (!d->store || !d->routing || !d->catalog || d->plan.catalog.framing == FRAMING_JSON) return;
  enum status st = unplaced_open(&d->plan, &r.catalog, &err);
  if (st == ST_OK)
    st = store_list(d->store, LIST_PENDING, ENTRIES_READ, read_entry, &r, &total, &err);
  if (st == ST_OK)
    tell(d, &r);
  else
    doctor_found(d, "unknown fields", REPORT_SKIPPED, "the pending entries cannot be read: %s",
                 err.text);
  catalog_close(r.catalog);
}
