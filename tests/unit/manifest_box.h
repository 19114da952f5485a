/* manifest_box.h - a manifest of two entries, and the folder that manifests of the file kind are
 * written in. */
#ifndef TESTS_UNIT_MANIFEST_BOX_H
#define TESTS_UNIT_MANIFEST_BOX_H

#include "bridge/base/clock.h"
#include "bridge/outbox/file/records/journal.h"

/* enum place is the file kind's. */
#define place room
#include "tests/unit/place.h"
#undef place

#define NONCE "run-\"1\""
#define BEFORE "00112233445566778899aabbccddeeff"
#define OTHER "ffeeddccbbaa99887766554433221100"

static inline struct manifest_entry entry(struct span token, const char *id, struct span key) {
  size_t folder = span_starts(token, "pending/") ? strlen("pending/") : 0;
  return (struct manifest_entry){.ref = {.token = token,
                                         .label = {token.ptr + folder, token.len - folder},
                                         .own = {1, 2, 3},
                                         .arrived_ns = 4},
                                 .id = span_of(id),
                                 .topic = SPAN("episode.events"),
                                 .key = key};
}

static struct manifest_entry two[2];

/* Number 7, two entries. */
static inline struct manifest sample(void) {
  two[0] = entry(SPAN("a.json"), "a", SPAN("k"));
  two[1] = entry(SPAN("pending/b.json"), "b", SPAN("k"));
  return (struct manifest){.number = 7, .before = BEFORE, .entries = two, .count = 2};
}

static inline struct manifest_name name_of(const struct manifest *m, bool settled) {
  struct manifest_name n = {.number = m->number, .settled = settled};
  memcpy(n.digest, m->digest, sizeof n.digest);
  return n;
}

static inline void file_of(const struct manifest_name *n, char out[80]) {
  snprintf(out, 80, "%s-%llu-%s", n->settled ? "settled" : "batch", (unsigned long long)n->number,
           n->digest);
}

static inline void assert_span(struct span got, struct span want) {
  assert_int_equal(got.len, want.len);
  assert_true(span_eq(got, want));
}

static inline void assert_same(const struct manifest *got, const struct manifest *want) {
  assert_true(got->number == want->number);
  assert_string_equal(got->digest, want->digest);
  assert_string_equal(got->before, want->before);
  assert_int_equal(got->count, want->count);
  for (size_t i = 0; i < want->count; i++) {
    const struct manifest_entry *g = &got->entries[i], *w = &want->entries[i];
    assert_int_equal(g->ref.shelf, SHELF_PENDING);
    assert_memory_equal(g->ref.own, w->ref.own, sizeof w->ref.own);
    assert_true(g->ref.arrived_ns == w->ref.arrived_ns);
    assert_span(g->ref.token, w->ref.token);
    assert_int_equal(g->duplicate, w->duplicate);
    assert_int_equal(g->event_time, w->event_time);
    assert_span(g->ref.label, w->ref.label);
    assert_span(g->id, w->id);
    assert_span(g->topic, w->topic);
    assert_span(g->key, w->key);
  }
}

static inline void write_whole(const struct room *p, struct manifest *m) {
  assert_int_equal(journal_write(p->in, p->to, m, NONCE, NULL), ST_OK);
}

/* The only manifest there is m, readable. */
static inline void assert_one(const struct room *p, const struct manifest *m, bool settled) {
  struct manifest_name *list = NULL;
  struct manifest got;
  size_t count = 0;
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  assert_int_equal(count, 1);
  assert_int_equal(list[0].settled, settled);
  assert_int_equal(journal_read(p->in, &list[0], &got, NULL), ST_OK);
  assert_same(&got, m);
  manifest_release(&got);
  free(list);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
