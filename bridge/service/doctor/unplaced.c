/* What schemas have no place for in the events that wait: it is about to be published, refused or
 * dropped. Bounded: the oldest entries, and a few paths of each type.
 * One thread; a crash leaves nothing. */
#include "bridge/service/unplaced.h"
#include "bridge/base/text/words.h"
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
    (void)unplaced_meet(r->catalog, &r->d->plan, r->d->routing,
                        routing_canonical(r->d->routing, info->name), info->doc, info->payload,
                        NULL);
  return true;
}

/* "quality.checked: payload.a, payload.b; ..." Returns how many there are. */
static size_t add_paths(const struct reading *r, enum unknown_fields policy, const char **by,
                        struct buffer *out) {
  struct catalog *c = r->catalog;
  struct catalog_schema schema;
  struct span path;
  uint64_t count;
  const char *says;
  size_t all = 0;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++) {
    if (unplaced_policy(&r->d->plan, r->d->routing, span_of(schema.event_name), &says) != policy)
      continue;
    for (size_t n = 0; catalog_left_out(c, i, n, &path, &count); n++) {
      if (++all > PATHS_SHOWN) continue;
      if (n == 0) buffer_printf(out, "%s%s: ", all > 1 ? "; " : "", schema.event_name);
      buffer_printf(out, "%s%.*s", n ? ", " : "", SPAN_ARGS(path));
      *by = says;
    }
  }
  if (all > PATHS_SHOWN) buffer_printf(out, " and %zu more", all - PATHS_SHOWN);
  return all;
}

static const char *what_becomes(enum unknown_fields policy) {
  return policy == UNKNOWN_REFUSE ? "and make their events dead letters"
         : policy == UNKNOWN_DROP ? "and are not published"
                                  : "and appear in the header ce_extra";
}

/* Returns how many there are. by: the setting that says what becomes of them, the last one's. */
static size_t tell_policy(struct doctor *d, const struct reading *r, enum unknown_fields policy) {
  struct buffer paths = {0};
  const char *by = "";
  char entries[COUNTED_TEXT], fields[COUNTED_TEXT];
  size_t all = add_paths(r, policy, &by, &paths);
  if (all) {
    doctor_found(d, "unknown fields", REPORT_WARNING, "%s of %s %s no place in the schema %s: %s",
                 counted_text(all, "field", "fields", fields),
                 counted_text(r->read, "pending entry", "pending entries", entries),
                 all == 1 ? "has" : "have", what_becomes(policy), buffer_z(&paths));
    doctor_next(d,
                policy == UNKNOWN_CARRY
                    ? "Add a field for each, or a map of strings named extra; where they must "
                      "not leave, set %s = drop before a worker starts"
                    : "Add a field for each, or a map of strings named extra; or set %s = carry",
                by);
  }
  buffer_release(&paths);
  return all;
}

static void tell_unplaced(struct doctor *d, const struct reading *r) {
  char entries[COUNTED_TEXT];
  size_t all = 0;
  for (int policy = UNKNOWN_CARRY; policy <= UNKNOWN_DROP; policy++)
    all += tell_policy(d, r, (enum unknown_fields)policy);
  if (!all)
    doctor_found(d, "unknown fields", REPORT_OK, "none in %s",
                 counted_text(r->read, "pending entry", "pending entries", entries));
}

void doctor_check_unplaced(struct doctor *d) {
  struct reading r = {.d = d};
  struct error err = {0};
  uint64_t total = 0;
  if (!d->store || !d->routing || !d->catalog) return;
  enum status st = unplaced_open(&d->plan, &r.catalog, &err);
  if (st == ST_OK)
    st = store_list(d->store, LIST_PENDING, ENTRIES_READ, read_entry, &r, &total, &err);
  if (st == ST_OK)
    tell_unplaced(d, &r);
  else
    doctor_found(d, "unknown fields", REPORT_SKIPPED, "the pending entries cannot be read: %s",
                 err.text);
  catalog_close(r.catalog);
}
