/* Walks two schemas side by side.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/comparing/difference.h"

#include "bridge/encoding/comparing/resolve.h"

struct walking {
  struct resolver backward, forward; /* the new one reads the old one; the other way round */
  struct table told;                 /* pairs of records */
  struct buffer path, words;
  difference_fn fn;
  void *ctx;
};

struct both {
  struct use old, now;
  const char *old_file, *now_file;
};

const char *difference_name(enum difference_kind k) {
  static const char *const names[] = {
#define X(word) #word,
      DIFFERENCE_TABLE(X)
#undef X
  };
  return names[k];
}

static void tell_difference(struct walking *w, enum difference_kind what, const struct both *b,
                            bool backward, bool forward) {
  struct difference d = {.what = what,
                         .path = buffer_span(&w->path),
                         .words = buffer_z(&w->words),
                         .new_reads_old = backward,
                         .old_reads_new = forward,
                         .before = {b->old_file, b->old.line},
                         .now = {b->now_file, b->now.line}};
  if (w->path.failed || w->words.failed)
    w->backward.status = ST_NO_MEMORY;
  else
    w->fn(w->ctx, &d);
  buffer_clear(&w->words);
}

static void add_type(struct walking *w, const struct use *u) {
  uint32_t count = use_branches(u);
  for (uint32_t i = 0; i < count; i++) {
    struct use branch = use_branch(u, i);
    buffer_add_z(&w->words, i ? ", " : "[");
    type_word(branch.type, &w->words);
  }
  if (count)
    buffer_add_char(&w->words, ']');
  else
    type_word(u->type, &w->words);
}

static bool reads_old(struct walking *w, const struct both *b) {
  return resolver_fits(&w->backward, &b->now, &b->old);
}

static bool reads_new(struct walking *w, const struct both *b) {
  return resolver_fits(&w->forward, &b->old, &b->now);
}

static void tell_changed(struct walking *w, enum difference_kind what, const struct both *b) {
  add_type(w, &b->old);
  buffer_add_z(&w->words, " is ");
  add_type(w, &b->now);
  buffer_add_z(&w->words, " now");
  tell_difference(w, what, b, reads_old(w, b), reads_new(w, b));
}

static void walk_both(struct walking *w, const struct both *b);

/* ---- records ---- */

static struct both fields_of(const struct both *records, const struct field *old,
                             const struct field *now) {
  const struct type *o = records->old.type, *n = records->now.type;
  struct both b = {.old_file = o->file, .now_file = n->file};
  b.old = old ? old->use : (struct use){.line = o->line};
  b.now = now ? now->use : (struct use){.line = n->line};
  return b;
}

static void walk_field(struct walking *w, const struct both *records, const struct field *old,
                       const struct field *now) {
  struct both b = fields_of(records, old, now);
  if (!span_eq(old->name, now->name)) {
    buffer_printf(&w->words, "%.*s has this name now", SPAN_ARGS(old->name));
    tell_difference(w, FIELD_RENAMED, &b, true,
                    types_source(old, records->now.type) || old->has_default);
  }
  if (old->has_default != now->has_default || !span_eq(old->fallback, now->fallback)) {
    buffer_add_z(&w->words, !old->has_default   ? "it has a default now"
                            : !now->has_default ? "it has no default any more"
                                                : "its default is another one");
    tell_difference(w, DEFAULT_CHANGED, &b, true, true);
  }
  if (old->use.json != now->use.json) {
    buffer_add_z(&w->words,
                 now->use.json ? "its strings hold JSON text now" : "its strings are texts now");
    tell_difference(w, JSON_CHANGED, &b, true, true);
  }
  walk_both(w, &b);
}

static void added(struct walking *w, const struct both *records, const struct field *now) {
  struct both b = fields_of(records, NULL, now);
  add_type(w, &now->use);
  buffer_add_z(&w->words, now->has_default ? ", with a default" : ", without a default");
  tell_difference(w, FIELD_ADDED, &b, now->has_default, true);
}

static void removed(struct walking *w, const struct both *records, const struct field *old) {
  struct both b = fields_of(records, old, NULL);
  add_type(w, &old->use);
  buffer_add_z(&w->words, old->has_default ? ", had a default" : ", had no default");
  tell_difference(w, FIELD_REMOVED, &b, true, old->has_default);
}

static size_t step_into(struct walking *w, struct span name) {
  size_t length = w->path.len;
  buffer_printf(&w->path, ".%.*s", SPAN_ARGS(name));
  return length;
}

static void step_back(struct walking *w, size_t length) {
  if (!w->path.failed) w->path.len = length;
}

static bool has_source(const struct type *now, const struct field *old, const struct type *before) {
  for (uint32_t i = 0; i < now->count; i++)
    if (types_source(&now->fields[i], before) == old) return true;
  return false;
}

static void tell_order(struct walking *w, const struct both *b) {
  const struct type *old = b->old.type, *now = b->now.type;
  const struct field *last = NULL;
  for (uint32_t i = 0; i < now->count; i++) {
    const struct field *from = types_source(&now->fields[i], old);
    if (from && last && from < last) {
      buffer_add_z(&w->words, "its fields stand in another order");
      tell_difference(w, FIELDS_REORDERED, b, true, true);
      return;
    }
    last = from ? from : last;
  }
}

static void tell_key(struct walking *w, const struct both *b) {
  const struct type *old = b->old.type, *now = b->now.type;
  struct span none = {"none", 4}, was = old->key < old->count ? old->fields[old->key].name : none,
              is = now->key < now->count ? now->fields[now->key].name : none;
  if (span_eq(was, is)) return;
  buffer_printf(&w->words, "the key was %.*s and is %.*s: events of one key may change their order",
                SPAN_ARGS(was), SPAN_ARGS(is));
  tell_difference(w, KEY_CHANGED, b, true, true);
}

static void walk_fields(struct walking *w, const struct both *b) {
  const struct type *old = b->old.type, *now = b->now.type;
  if (!types_pair(&w->backward, &w->told, now, old)) return;
  tell_key(w, b);
  for (uint32_t i = 0; i < now->count; i++) {
    const struct field *f = &now->fields[i], *from = types_source(f, old);
    size_t length = step_into(w, f->name);
    if (from)
      walk_field(w, b, from, f);
    else
      added(w, b, f);
    step_back(w, length);
  }
  for (uint32_t i = 0; i < old->count; i++) {
    const struct field *f = &old->fields[i];
    if (type_find(now, f->name, i) != SCHEMA_NO_FIELD || has_source(now, f, old)) continue;
    size_t length = step_into(w, f->name);
    removed(w, b, f);
    step_back(w, length);
  }
  tell_order(w, b);
}

/* ---- the others ---- */

static void walk_symbols(struct walking *w, const struct both *b) {
  const struct type *old = b->old.type, *now = b->now.type;
  const char *before = "";
  for (uint32_t i = 0; i < now->count; i++)
    if (type_find(old, now->symbols[i], i) == SCHEMA_NO_FIELD) {
      buffer_printf(&w->words, "%s%.*s is new", before, SPAN_ARGS(now->symbols[i]));
      before = ", ";
    }
  for (uint32_t i = 0; i < old->count; i++)
    if (type_find(now, old->symbols[i], i) == SCHEMA_NO_FIELD) {
      buffer_printf(&w->words, "%s%.*s is gone", before, SPAN_ARGS(old->symbols[i]));
      before = ", ";
    }
  if (w->words.len) tell_difference(w, SYMBOLS_CHANGED, b, reads_old(w, b), reads_new(w, b));
  struct span none = {"none", 4},
              was = old->fallback < old->count ? old->symbols[old->fallback] : none,
              is = now->fallback < now->count ? now->symbols[now->fallback] : none;
  if (span_eq(was, is)) return;
  buffer_printf(&w->words, "its default was %.*s and is %.*s", SPAN_ARGS(was), SPAN_ARGS(is));
  tell_difference(w, DEFAULT_CHANGED, b, true, true);
}

static void walk_items(struct walking *w, const struct both *b) {
  size_t length = w->path.len;
  struct both items = {b->old.type->items, b->now.type->items, b->old_file, b->now_file};
  buffer_add_z(&w->path, b->now.type->kind == KIND_ARRAY ? "[]" : "{}");
  walk_both(w, &items);
  step_back(w, length);
}

static void walk_one(struct walking *w, const struct both *b) {
  const struct type *old = b->old.type, *now = b->now.type;
  if (old->kind != now->kind) {
    tell_changed(w, TYPE_CHANGED, b);
    return;
  }
  if (!span_eq(old->name, now->name)) {
    buffer_printf(&w->words, "%.*s is called %.*s now", SPAN_ARGS(old->name), SPAN_ARGS(now->name));
    tell_difference(w, NAME_CHANGED, b, types_same_name(now, old), types_same_name(old, now));
  }
  if (old->logical != now->logical || types_decimals_differ(old, now))
    tell_changed(w, LOGICAL_TYPE_CHANGED, b);
  if (old->kind == KIND_FIXED && old->size != now->size) {
    buffer_printf(&w->words, "%u bytes are %u now", old->size, now->size);
    tell_difference(w, SIZE_CHANGED, b, false, false);
  }
  if (old->kind == KIND_ENUM) walk_symbols(w, b);
  if (old->kind == KIND_ARRAY || old->kind == KIND_MAP) walk_items(w, b);
  if (old->kind == KIND_RECORD) walk_fields(w, b);
}

/* The branch that a type has become, of a union or of what is none. */
static bool counterpart(const struct use *of, const struct use *among, struct use *out) {
  uint32_t count = use_branches(among);
  for (uint32_t i = 0; i < (count ? count : 1); i++) {
    *out = count ? use_branch(among, i) : *among;
    if (out->type->kind == of->type->kind &&
        (!of->type->name.len || types_same_name(of->type, out->type) ||
         types_same_name(out->type, of->type)))
      return true;
  }
  return false;
}

static void walk_branches(struct walking *w, const struct both *b) {
  uint32_t now = use_branches(&b->now), old = use_branches(&b->old);
  for (uint32_t i = 0; i < (now ? now : 1); i++) {
    struct both one = *b;
    one.now = now ? use_branch(&b->now, i) : b->now;
    if (counterpart(&one.now, &b->old, &one.old)) {
      walk_one(w, &one);
      continue;
    }
    type_word(one.now.type, &w->words);
    buffer_add_z(&w->words, " is taken too now");
    tell_difference(w, BRANCH_ADDED, b, true, resolver_fits(&w->forward, &b->old, &one.now));
  }
  for (uint32_t i = 0; i < (old ? old : 1); i++) {
    struct use was = old ? use_branch(&b->old, i) : b->old, is;
    if (counterpart(&was, &b->now, &is)) continue;
    type_word(was.type, &w->words);
    buffer_add_z(&w->words, " is not taken any more");
    tell_difference(w, BRANCH_REMOVED, b, resolver_fits(&w->backward, &b->now, &was), true);
  }
}

static void walk_both(struct walking *w, const struct both *b) {
  if (w->backward.status != ST_OK || w->forward.status != ST_OK) return;
  if (use_branches(&b->old) || use_branches(&b->now))
    walk_branches(w, b);
  else
    walk_one(w, b);
}

enum status schema_differences(const struct schema *before, const struct schema *now,
                               difference_fn fn, void *ctx, struct error *err) {
  struct walking w = {.fn = fn, .ctx = ctx};
  (void)resolver_run(&w.backward, &now->root, &before->root);
  (void)resolver_run(&w.forward, &before->root, &now->root);
  buffer_add_z(&w.path, "payload");
  walk_both(&w, &(struct both){.old = before->root, .now = now->root});
  enum status st = w.backward.status != ST_OK ? w.backward.status : w.forward.status;
  resolver_release(&w.backward);
  resolver_release(&w.forward);
  table_release(&w.told);
  buffer_release(&w.path);
  buffer_release(&w.words);
  if (st == ST_TOO_LARGE) return error_set(err, st, "the two schemas are too entangled to compare");
  return st == ST_OK ? ST_OK : error_set(err, st, "no memory to compare two schemas");
}
