/* Ids of a registry: where they stand, what an event takes of them, and the schemas that a registry
 * has for ids that are not ours. The thread of the catalog, but for the ids themselves, which any
 * thread sets; a crash leaves nothing. */
#include "bridge/encoding/catalog_parts.h"
#include "bridge/json/canonical.h"

enum status catalog_ids_open(struct set *set, unsigned places, struct error *err) {
  set->place_count = 2 * places;
  set->places = calloc(set->place_count + 1, sizeof *set->places);
  if (!set->places) return error_set(err, ST_NO_MEMORY, "no memory for the catalog of schemas");
  for (unsigned i = 0; i < set->place_count; i++) schema_id_clear(&set->places[i]);
  for (size_t i = 0; i < set->schemas.count; i++) schema_id_clear(&set->schemas.list[i].id);
  return ST_OK;
}

/* Of a schema with a name there is one: each event has one framing. */
static struct schema_id *id_of(const struct set *set, struct event_schema *e, unsigned place,
                               enum framing framing) {
  if (e != set->envelope) return &e->id;
  place = 2 * place + framing_is_json(framing);
  return place < set->place_count ? &set->places[place] : NULL;
}

struct schema_id *catalog_id_at(const struct catalog *c, size_t i, unsigned place,
                                enum framing framing) {
  const struct set *set = set_of(c);
  return i < set->schemas.count ? id_of(set, &set->schemas.list[i], place, framing) : NULL;
}

bool catalog_ids_take(struct catalog *c, struct event_schema *e) {
  c->id = SCHEMA_NO_ID;
  if (c->trial) return true;
  c->written = id_of(set_of(c), e, c->place, c->now);
  c->id = c->written ? atomic_load_explicit(&c->written->id, memory_order_relaxed) : SCHEMA_NO_ID;
  c->waits = c->id == SCHEMA_NO_ID;
  return !c->waits;
}

enum framing catalog_framing(const struct catalog *c) {
  return c->now;
}

struct schema_id *catalog_written(const struct catalog *c, int64_t *id) {
  *id = c->id;
  return c->written;
}

bool catalog_waits(const struct catalog *c) {
  return c->waits;
}

/* ---- schemas of others ---- */

void catalog_resolver(struct catalog *c, catalog_resolve_fn resolve, void *ctx) {
  c->resolve = resolve;
  c->resolve_ctx = ctx;
}

void catalog_foreign_release(struct catalog *c) {
  for (struct foreign *f = c->foreign, *next; f; f = next) {
    next = f->next;
    schema_release(&f->schema);
    free(f);
  }
}

enum status catalog_foreign(struct catalog *c, int64_t id, struct foreign **out,
                            struct error *err) {
  struct buffer text = {0};
  for (*out = c->foreign; *out; *out = (*out)->next)
    if ((*out)->id == id) return ST_OK;
  if (!c->resolve)
    return error_set(err, ST_UNSUPPORTED,
                     "cannot decode: its schema has the id %lld of a schema registry, and "
                     "registry.url names none",
                     (long long)id);
  struct foreign *f = calloc(1, sizeof *f);
  enum status st = f ? c->resolve(c->resolve_ctx, id, &text, err)
                     : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK) st = schema_read(buffer_span(&text), NULL, &f->schema, err);
  buffer_release(&text);
  if (st != ST_OK) {
    free(f);
    return st;
  }
  const struct schema *envelope = &set_of(c)->envelope->schema;
  f->id = id;
  f->envelope = f->schema.fingerprint == envelope->fingerprint;
  f->next = c->foreign;
  c->foreign = *out = f;
  return ST_OK;
}

/* ---- are two the same ---- */

static enum status read_form(struct span text, struct buffer *out) {
  struct schema schema;
  enum status st = schema_read(text, NULL, &schema, NULL);
  if (st != ST_OK) return st;
  canonical_write_logical(&schema.root, out);
  schema_release(&schema);
  return buffer_status(out, NULL);
}

bool catalog_same_schema(struct span theirs, struct span ours) {
  struct buffer a = {0}, b = {0};
  bool same = read_form(theirs, &a) == ST_OK && read_form(ours, &b) == ST_OK &&
              span_eq(buffer_span(&a), buffer_span(&b));
  buffer_release(&a);
  buffer_release(&b);
  return same;
}

/* Deeper than what is scanned: its text. */
static void json_form(struct span text, struct buffer *out) {
  struct json_doc doc = {0};
  buffer_add_z(out, "JSON ");
  if (json_scan(&doc, text, NULL) == ST_OK)
    json_canonical_write(&doc, 0, out);
  else
    buffer_add(out, text);
  out->failed |= doc.fault == JSON_NO_MEMORY;
  json_doc_release(&doc);
}

bool catalog_same_json(struct span theirs, struct span ours) {
  struct buffer a = {0}, b = {0};
  json_form(theirs, &a);
  json_form(ours, &b);
  bool same = !a.failed && !b.failed && span_eq(buffer_span(&a), buffer_span(&b));
  buffer_release(&a);
  buffer_release(&b);
  return same;
}

struct digest catalog_json_form(struct span text) {
  struct buffer form = {0};
  struct digest d = {0, 0};
  json_form(text, &form);
  if (!form.failed) d = digest_fixed(buffer_span(&form));
  buffer_release(&form);
  return d;
}

struct digest catalog_form(struct span text) {
  struct buffer form = {0};
  struct digest d = {0, 0};
  if (read_form(text, &form) == ST_OK) d = digest_fixed(buffer_span(&form));
  buffer_release(&form);
  return d;
}
