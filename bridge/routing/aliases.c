/* Names that producers write otherwise: the user's, then the built-in ones.
 * Any thread; a crash leaves nothing. */
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

/* A name is looked up once, so a=b b=a would make each the other. That one stands for itself is no
 * loop. */
static enum status check_loops(const struct routing *r, struct error *err) {
  struct span seen;
  void *value;
  for (size_t at = 0; table_each(&r->by_seen, &at, &seen, &value);) {
    const struct known *known = value;
    size_t steps = 0;
    if (span_eq(known->name, seen)) continue;
    for (const struct known *k = known; k && steps <= r->by_seen.count; steps++) {
      const struct known *next = table_get(&r->by_seen, k->name);
      if (next && span_eq(next->name, seen))
        return error_set(
            err, ST_INVALID,
            "routing.aliases: %.*s=%.*s leads back to where it began; take one of them out",
            routing_shown(seen), seen.ptr, routing_shown(known->name), known->name.ptr);
      if (next && span_eq(next->name, k->name)) break;
      k = next;
    }
  }
  return ST_OK;
}

void routing_builtin_aliases(struct buffer *out) {
  bool some = false;
  for (const struct alias *a = names_builtin; a->seen; a++) {
    if (strcmp(a->seen, a->canonical) == 0) continue; /* stands for itself */
    buffer_printf(out, "%s%s=%s", some ? " " : "", a->seen, a->canonical);
    some = true;
  }
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
  for (const struct alias *a = names_builtin; !config->no_defaults && a->seen; a++) {
    enum status st = add_alias(r, span_of(a->seen), span_of(a->canonical), err);
    if (st != ST_OK) return st;
  }
  return check_loops(r, err);
}
