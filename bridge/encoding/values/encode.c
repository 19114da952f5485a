/* Walks a compiled schema over a payload's nodes and writes Avro: records, arrays, maps, unions.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/types/reach.h"
#include "bridge/encoding/values/encode_parts.h"

static enum reason put_elements(struct encoder *e, const struct use *u, uint32_t node) {
  const struct json_node *n = &e->doc->nodes[node];
  bool map = u->type->kind == KIND_MAP;
  enum reason reason = REASON_NONE;
  if (n->type != (map ? JSON_OBJECT : JSON_ARRAY)) return encode_mismatch(e, u, node, NULL);
  if (n->count) avro_put_long(e->out, n->count);
  uint32_t at = node + 1;
  for (uint32_t i = 0; i < n->count && reason == REASON_NONE; i++, at = e->doc->nodes[at].next) {
    if (map) avro_put_string(e->out, encode_string(e, at++));
    reason = encode_use(e, &u->type->items, at);
  }
  avro_put_long(e->out, 0);
  return reason;
}

/* Records: the payload's members are walked once; `places` of the stack then has the node of each
 * field found (or JSON_NONE) and, after them, the keys of the members that have no field. Indexes,
 * not pointers: the stack may move. */

static bool stack_take(struct encoder *e, size_t count) {
  if (count > e->cap - e->used) {
    size_t cap = (e->used + count) * 2;
    uint32_t *grown = realloc(e->stack, cap * sizeof *grown);
    if (!grown) {
      e->out->failed = true;
      return false;
    }
    e->stack = grown;
    e->cap = cap;
  }
  e->used += count;
  return true;
}

/* Returns how many members have no field. */
static uint32_t sort_members(struct encoder *e, const struct type *t, uint32_t node,
                             size_t places) {
  const struct json_node *nodes = e->doc->nodes;
  uint32_t at = node + 1, guess = 0, unknown = 0;
  for (uint32_t i = 0; i < t->count; i++) e->stack[places + i] = JSON_NONE;
  for (uint32_t i = 0; i < nodes[node].count; i++, at = nodes[at + 1].next) {
    uint32_t field = type_find(t, encode_string(e, at), guess);
    if (field == SCHEMA_NO_FIELD || (field == t->extra && !e->defaults)) {
      e->stack[places + t->count + unknown++] = at;
    } else {
      e->stack[places + field] = at + 1;
      guess = field + 1;
    }
  }
  return unknown;
}

static void put_extra(struct encoder *e, size_t keys, uint32_t count) {
  if (count) avro_put_long(e->out, count);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t key = e->stack[keys + i];
    avro_put_string(e->out, encode_string(e, key));
    avro_put_string(e->out, json_slice(e->doc, key + 1));
  }
  avro_put_long(e->out, 0);
}

static void leave_out(struct encoder *e, size_t keys, uint32_t count) {
  if (count > e->left_cap - e->left_count) {
    size_t cap = (e->left_count + count) * 2;
    uint32_t *grown = realloc(e->left_out, cap * sizeof *grown);
    if (!grown) {
      e->out->failed = true;
      return;
    }
    e->left_out = grown;
    e->left_cap = cap;
  }
  memcpy(e->left_out + e->left_count, e->stack + keys, count * sizeof *e->stack);
  e->left_count += count;
}

static enum reason put_fields(struct encoder *e, const struct type *t, uint32_t node,
                              size_t places) {
  uint32_t unknown = sort_members(e, t, node, places);
  if (unknown && (t->extra == SCHEMA_NO_FIELD || e->defaults)) {
    uint32_t first = e->stack[places + t->count];
    if (e->strict || e->defaults) return encode_no_place(e, first);
    leave_out(e, places + t->count, unknown);
  }
  for (uint32_t i = 0; i < t->count; i++) {
    const struct field *f = &t->fields[i];
    uint32_t value = e->stack[places + i];
    enum reason reason = REASON_NONE;
    if (i == t->extra && !e->defaults)
      put_extra(e, places + t->count, unknown);
    else if (value != JSON_NONE)
      reason = encode_use(e, &f->use, value);
    else if (f->has_default)
      buffer_add(e->out, f->fallback);
    else
      reason = encode_missing(e, f, node);
    if (reason != REASON_NONE) return reason;
  }
  return REASON_NONE;
}

static enum reason put_record(struct encoder *e, const struct use *u, uint32_t node) {
  size_t places = e->used;
  if (e->doc->nodes[node].type != JSON_OBJECT) return encode_mismatch(e, u, node, NULL);
  if (!u->type->height) return encode_mismatch(e, u, node, "inside the record itself");
  if (!stack_take(e, (size_t)u->type->count + e->doc->nodes[node].count)) return REASON_NONE;
  enum reason reason = put_fields(e, u->type, node, places);
  e->used = places;
  return reason;
}

/* ---- unions ---- */

/* What is found out while a branch is tried, so that no value is tried again and again by the
 * branches around it: a payload could make that endless. */
static struct choice *choice_of(struct encoder *e, const struct type *t, uint32_t node) {
  size_t at = (((uintptr_t)t >> 4) * 31 + node) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
  for (size_t mask = e->choice_cap - 1;; at++) {
    struct choice *c = &e->choices[at & mask];
    if (!c->type || (c->type == t && c->node == node)) return c;
  }
}

static bool choices_grow(struct encoder *e) {
  struct choice *old = e->choices;
  size_t cap = e->choice_cap;
  e->choice_cap = cap ? cap * 2 : 64;
  e->choices = calloc(e->choice_cap, sizeof *e->choices);
  if (!e->choices) {
    e->choices = old;
    e->choice_cap = cap;
    e->out->failed = true;
    return false;
  }
  for (size_t i = 0; i < cap; i++)
    if (old[i].type) *choice_of(e, old[i].type, old[i].node) = old[i];
  free(old);
  return true;
}

static void remember_branch(struct encoder *e, const struct type *t, uint32_t node,
                            uint32_t branch) {
  if (!e->trying) return;
  if (e->choice_count * 2 >= e->choice_cap && !choices_grow(e)) return;
  *choice_of(e, t, node) = (struct choice){t, node, branch};
  e->choice_count++;
}

static bool known(struct encoder *e, const struct type *t, uint32_t node, uint32_t *branch) {
  const struct choice *c = e->trying && e->choice_count ? choice_of(e, t, node) : NULL;
  if (!c || !c->type) return false;
  *branch = c->branch;
  return true;
}

enum { CHOICES_KEPT = 4096 }; /* a larger table costs more to clear than to make anew */

static void forget_choices(struct encoder *e) {
  if (e->choice_cap > CHOICES_KEPT) {
    free(e->choices);
    e->choices = NULL;
    e->choice_cap = 0;
  } else if (e->choice_count)
    memset(e->choices, 0, e->choice_cap * sizeof *e->choices);
  e->choice_count = 0;
}

/* Leaves the value by that branch, or nothing. */
static bool fits(struct encoder *e, const struct use *u, uint32_t node) {
  size_t len = e->out->len, used = e->used, left = e->left_count;
  uint64_t cut = e->cut;
  uint32_t cut_node = e->cut_node;
  e->trying++;
  enum reason reason = encode_use(e, u, node);
  if (!--e->trying) forget_choices(e);
  if (reason == REASON_NONE) return true;
  e->out->len = len;
  e->used = used;
  e->left_count = left;
  e->cut = cut;
  e->cut_node = cut_node;
  return false;
}

/* The branches that may take it by its JSON type; null goes to null. */
static uint32_t candidates(const struct encoder *e, const struct type *t, uint32_t node,
                           uint32_t *first) {
  enum json_type json = (enum json_type)e->doc->nodes[node].type;
  uint32_t count = 0;
  *first = SCHEMA_NO_FIELD;
  for (uint32_t i = 0; i < t->count; i++) {
    if (!use_takes(&t->branches[i], json)) continue;
    if (!count++) *first = i;
    if (t->branches[i].type->kind != KIND_NULL) continue;
    *first = i;
    return 1;
  }
  return count;
}

static enum reason put_branch(struct encoder *e, const struct type *t, uint32_t branch,
                              uint32_t node) {
  avro_put_long(e->out, branch);
  return encode_use(e, &t->branches[branch], node);
}

static enum reason try_branches(struct encoder *e, const struct use *u, uint32_t first,
                                uint32_t node) {
  const struct type *t = u->type;
  size_t start = e->out->len;
  for (uint32_t i = first; i < t->count; i++) {
    if (!use_takes(&t->branches[i], (enum json_type)e->doc->nodes[node].type)) continue;
    avro_put_long(e->out, i);
    if (fits(e, &t->branches[i], node)) {
      remember_branch(e, t, node, i);
      return REASON_NONE;
    }
    e->out->len = start;
  }
  remember_branch(e, t, node, SCHEMA_NO_FIELD);
  return encode_mismatch(e, u, node, NULL);
}

/* The first branch that fits. Where no other can, its own words say why it does not. */
static enum reason put_union(struct encoder *e, const struct use *u, uint32_t node) {
  const struct type *t = u->type;
  uint32_t first, branch;
  if (e->defaults) return put_branch(e, t, 0, node); /* Avro: the default is the first branch's */
  uint32_t count = candidates(e, t, node, &first);
  if (count == 1) return put_branch(e, t, first, node);
  if (!count) return encode_mismatch(e, u, node, NULL);
  if (!known(e, t, node, &branch)) return try_branches(e, u, first, node);
  return branch == SCHEMA_NO_FIELD ? encode_mismatch(e, u, node, NULL)
                                   : put_branch(e, t, branch, node);
}

static enum reason put_value(struct encoder *e, const struct use *u, uint32_t node) {
  if (u->type->kind <= KIND_ENUM) return encode_scalar(e, u, node);
  if (u->type->kind == KIND_RECORD) return put_record(e, u, node);
  return u->type->kind == KIND_UNION ? put_union(e, u, node) : put_elements(e, u, node);
}

enum reason encode_use(struct encoder *e, const struct use *u, uint32_t node) {
  if (!u->null) return put_value(e, u, node);
  bool null = e->doc->nodes[node].type == JSON_NULL;
  bool first = null == (u->null == NULL_FIRST);
  if (e->defaults && !first) {
    /* Avro: the default of a union belongs to its first branch. */
    struct use only = *u;
    static const struct type null_type = {.kind = KIND_NULL, .height = 1};
    only.null = NULL_NONE;
    if (!null) only.type = &null_type;
    return encode_mismatch(e, &only, node, NULL);
  }
  avro_put_long(e->out, first ? 0 : 1);
  return null ? REASON_NONE : put_value(e, u, node);
}

void encoder_release(struct encoder *e) {
  free(e->stack);
  free(e->left_out);
  free(e->choices);
  buffer_release(&e->text);
  buffer_release(&e->bytes);
  e->choices = NULL;
  e->choice_count = e->choice_cap = 0;
  e->stack = e->left_out = NULL;
  e->used = e->cap = e->left_count = e->left_cap = 0;
}
