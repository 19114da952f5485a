/* Names that producers write otherwise: the user's, then the built-in ones. */
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

/* The first that is put for a name stays: the user's come before the built-in ones. */
static enum status add_alias(struct routing *r, struct span seen, struct span canonical,
                             struct error *err) {
  struct known *known = arena_zalloc(&r->memory, sizeof *known);
  if (!known) return routing_no_memory(err);
  seen = arena_span(&r->memory, seen);
  known->name = arena_span(&r->memory, canonical);
  if (!seen.ptr || !known->name.ptr) return routing_no_memory(err);
  bool canonical_name = names_canonical(known->name, &known->ns);
  BUG_ON(!canonical_name);
  return table_put(&r->by_seen, seen, known) == ST_NO_MEMORY ? routing_no_memory(err) : ST_OK;
}

enum status aliases_plan(struct routing *r, const struct routing_config *config,
                         struct error *err) {
  struct span rest = config->aliases, word, seen, canonical, ns;
  while (span_word(&rest, &word)) {
    int shown = routing_shown(word);
    if (!routing_halves(word, &seen, &canonical))
      return error_set(err, ST_INVALID, "routing.aliases: \"%.*s\"; write SEEN=CANONICAL", shown,
                       word.ptr);
    if (!names_canonical(canonical, &ns))
      return error_set(
          err, ST_INVALID,
          "routing.aliases: \"%.*s\": what stands behind = is not a name; write namespace.event in "
          "[a-z0-9_.-]",
          shown, word.ptr);
    if (table_get(&r->by_seen, seen))
      return error_set(err, ST_INVALID,
                       "routing.aliases: \"%.*s\": that name has an alias already; leave one out",
                       shown, word.ptr);
    enum status st = add_alias(r, seen, canonical, err);
    if (st != ST_OK) return st;
  }
  for (const struct alias *a = names_builtin; a->seen; a++) {
    enum status st = add_alias(r, span_of(a->seen), span_of(a->canonical), err);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}
