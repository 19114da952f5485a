/* Says why one schema cannot read another: the types that do not match, each once, with its places.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/comparing/compatibility.h"

#include "bridge/encoding/comparing/resolve.h"

struct telling {
  struct resolver resolver;
  struct table told; /* pairs of records */
  struct buffer path, words;
  incompatible_fn fn;
  void *ctx;
};

/* A type, and the file that the record around it stands in. */
struct side {
  struct use use;
  const char *file;
};

const char *incompatibility_name(enum incompatibility i) {
  static const char *const names[] = {
#define X(word) #word,
      INCOMPATIBILITY_TABLE(X)
#undef X
  };
  return names[i];
}

enum status compatibility_read(struct span text, struct schema **out, struct error *err) {
  struct schema *s = calloc(1, sizeof *s);
  *out = NULL;
  if (!s) return error_set(err, ST_NO_MEMORY, "no memory for a schema");
  enum status st = schema_read_foreign(text, s, err);
  if (st == ST_OK)
    *out = s;
  else
    free(s);
  return st;
}

void compatibility_free(struct schema *s) {
  if (!s) return;
  schema_release(s);
  free(s);
}

static void tell_at(struct telling *t, enum incompatibility what, struct schema_place reader,
                    struct schema_place writer) {
  struct incompatible one = {.what = what,
                             .path = buffer_span(&t->path),
                             .words = buffer_z(&t->words),
                             .reader = reader,
                             .writer = writer};
  if (t->path.failed || t->words.failed)
    t->resolver.status = ST_NO_MEMORY;
  else
    t->fn(t->ctx, &one);
}

static void tell_incompatibility(struct telling *t, enum incompatibility what, const struct side *r,
                                 const struct side *w) {
  tell_at(t, what, (struct schema_place){r->file, r->use.line},
          (struct schema_place){w->file, w->use.line});
}

/* Where it is said what such a type holds. */
static struct schema_place place_of(const struct type *t) {
  return (struct schema_place){t->file, t->line};
}

static void both_words(struct telling *t, const struct type *reader, const struct type *writer) {
  buffer_clear(&t->words);
  buffer_add_z(&t->words, "the reader has ");
  type_word(reader, &t->words);
  buffer_add_z(&t->words, ", the writer has ");
  type_word(writer, &t->words);
}

static void tell_names(struct telling *t, const struct side *r, const struct side *w) {
  buffer_clear(&t->words);
  buffer_printf(&t->words,
                "the reader's %s is %.*s, the writer's is %.*s: its name among the reader's "
                "\"aliases\" makes them one",
                kind_name(r->use.type->kind), SPAN_ARGS(r->use.type->name),
                SPAN_ARGS(w->use.type->name));
  tell_incompatibility(t, NAME_MISMATCH, r, w);
}

static void tell_symbols(struct telling *t, const struct type *reader, const struct type *writer) {
  buffer_clear(&t->words);
  buffer_add_z(&t->words, "the reader's enum has no default and has not the writer's");
  const char *before = " ";
  for (uint32_t i = 0; types_missing_symbol(reader, writer, &i); i++, before = ", ")
    buffer_printf(&t->words, "%s%.*s", before, SPAN_ARGS(writer->symbols[i]));
  tell_at(t, MISSING_ENUM_SYMBOLS, place_of(reader), place_of(writer));
}

static void tell_size(struct telling *t, const struct type *reader, const struct type *writer) {
  buffer_clear(&t->words);
  buffer_printf(&t->words, "the reader's fixed has %u bytes, the writer's has %u", reader->size,
                writer->size);
  tell_at(t, FIXED_SIZE_MISMATCH, place_of(reader), place_of(writer));
}

static void tell_field(struct telling *t, const struct field *f, const struct side *r,
                       const struct type *writer) {
  buffer_clear(&t->words);
  buffer_printf(&t->words, "the writer's record has no %.*s, and the reader's has no default",
                SPAN_ARGS(f->name));
  tell_at(t, READER_FIELD_MISSING_DEFAULT_VALUE, (struct schema_place){r->file, f->use.line},
          place_of(writer));
}

static void walk_types(struct telling *t, const struct side *r, const struct side *w);

static void walk_fields(struct telling *t, const struct type *reader, const struct type *writer) {
  size_t length = t->path.len;
  if (!types_pair(&t->resolver, &t->told, reader, writer)) return;
  for (uint32_t i = 0; i < reader->count; i++) {
    const struct field *f = &reader->fields[i], *from = types_source(f, writer);
    struct side r = {f->use, reader->file}, w;
    buffer_printf(&t->path, ".%.*s", SPAN_ARGS(f->name));
    if (from) {
      w = (struct side){from->use, writer->file};
      walk_types(t, &r, &w);
    } else if (!f->has_default) {
      tell_field(t, f, &r, writer);
    }
    if (!t->path.failed) t->path.len = length;
  }
}

static void walk_items(struct telling *t, const struct side *r, const struct side *w) {
  size_t length = t->path.len;
  struct side reader = {r->use.type->items, r->file}, writer = {w->use.type->items, w->file};
  buffer_add_z(&t->path, r->use.type->kind == KIND_ARRAY ? "[]" : "{}");
  walk_types(t, &reader, &writer);
  if (!t->path.failed) t->path.len = length;
}

/* Neither is a union, and both are of one kind. */
static void walk_same(struct telling *t, const struct side *r, const struct side *w) {
  const struct type *reader = r->use.type, *writer = w->use.type;
  uint32_t at = 0;
  bool named =
      reader->kind == KIND_FIXED || reader->kind == KIND_ENUM || reader->kind == KIND_RECORD;
  if (named && !types_same_name(reader, writer)) tell_names(t, r, w);
  if (reader->kind == KIND_FIXED && reader->size != writer->size) tell_size(t, reader, writer);
  if (reader->kind == KIND_ENUM && types_missing_symbol(reader, writer, &at))
    tell_symbols(t, reader, writer);
  if (types_decimals_differ(reader, writer)) {
    both_words(t, reader, writer);
    tell_incompatibility(t, DECIMAL_MISMATCH, r, w);
  }
  if (reader->kind == KIND_ARRAY || reader->kind == KIND_MAP) walk_items(t, r, w);
  if (reader->kind == KIND_RECORD) walk_fields(t, reader, writer);
}

static void walk_one(struct telling *t, const struct side *r, const struct side *w) {
  if (r->use.type->kind == w->use.type->kind) {
    walk_same(t, r, w);
    return;
  }
  both_words(t, r->use.type, w->use.type);
  tell_incompatibility(t, TYPE_MISMATCH, r, w);
}

/* The one that was meant: of the same kind, and of the same name where it has one. */
static bool meant(const struct type *reader, const struct type *writer) {
  return reader->kind == writer->kind && (!reader->name.len || types_same_name(reader, writer));
}

/* No branch of the reader reads that type. */
static void walk_union(struct telling *t, const struct side *r, const struct side *w) {
  uint32_t count = use_branches(&r->use);
  for (uint32_t i = 0; i < count; i++) {
    struct side branch = {use_branch(&r->use, i), r->file};
    if (!meant(branch.use.type, w->use.type)) continue;
    walk_one(t, &branch, w);
    return;
  }
  buffer_clear(&t->words);
  buffer_add_z(&t->words, "no branch of the reader's union takes the writer's ");
  type_word(w->use.type, &t->words);
  if (w->use.type->name.len) buffer_printf(&t->words, " %.*s", SPAN_ARGS(w->use.type->name));
  tell_incompatibility(t, MISSING_UNION_BRANCH, r, w);
}

static void walk_types(struct telling *t, const struct side *r, const struct side *w) {
  uint32_t of_writer = use_branches(&w->use);
  if (t->resolver.status != ST_OK || resolver_fits(&t->resolver, &r->use, &w->use)) return;
  for (uint32_t i = 0; i < of_writer; i++) {
    struct side branch = {use_branch(&w->use, i), w->file};
    walk_types(t, r, &branch);
  }
  if (of_writer) return;
  if (use_branches(&r->use))
    walk_union(t, r, w);
  else
    walk_one(t, r, w);
}

enum status compatibility_check(const struct schema *reader, const struct schema *writer,
                                incompatible_fn fn, void *ctx, bool *compatible,
                                struct error *err) {
  struct telling t = {.fn = fn, .ctx = ctx};
  *compatible = resolver_run(&t.resolver, &reader->root, &writer->root);
  if (!*compatible && fn && t.resolver.status == ST_OK) {
    buffer_add_z(&t.path, "payload");
    walk_types(&t, &(struct side){reader->root, NULL}, &(struct side){writer->root, NULL});
  }
  enum status st = t.resolver.status;
  resolver_release(&t.resolver);
  table_release(&t.told);
  buffer_release(&t.path);
  buffer_release(&t.words);
  if (st == ST_TOO_LARGE) return error_set(err, st, "the two schemas are too entangled to compare");
  return st == ST_OK ? ST_OK : error_set(err, st, "no memory to compare two schemas");
}
