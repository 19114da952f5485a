/* What the store says of what came, left and came back adds up, and is true. */
#include "tests/unit/files.h"

enum { FILES = 400, HANDS = 40 };

struct truth {
  uint64_t put, deleted, settled, returned;
  uint64_t seed;
  unsigned serial, dead[FILES], dead_count;
  struct entry_ref hand[HANDS];
  char names[HANDS][32];
  unsigned hands;
};

static unsigned pick(struct truth *t, unsigned below) {
  t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(t->seed >> 33) % below;
}

static void check_sum(struct box *b) {
  struct store_counts c = box_counts(b);
  assert_int_equal((int64_t)(c.first + c.returned) + c.arrived,
                   (int64_t)(c.gone + c.vanished + c.pending));
}

static void put_one(struct box *b, struct truth *t) {
  char id[20];
  if (t->serial == FILES) return;
  snprintf(id, sizeof id, "n%03u", t->serial++);
  if (pick(t, 2))
    put_pending(b, id); /* told when it is closed */
  else
    box_emit(b, id); /* told when it is moved there */
  t->put++;
}

static unsigned number_of(const char *name) {
  return (unsigned)strtoul(name + 1, NULL, 10);
}

static bool held(const struct truth *t, const char *name) {
  for (unsigned i = 0; i < t->hands; i++)
    if (!strcmp(t->names[i], name)) return true;
  return false;
}

static void delete_one(struct box *b, struct truth *t) {
  char name[32];
  if (!t->serial) return;
  snprintf(name, sizeof name, "n%03u.json", pick(t, t->serial));
  if (held(t, name)) return; /* the relay counts those */
  if (unlink(path_of(b, name)) == 0) t->deleted++;
}

static void take_one(struct box *b, struct truth *t) {
  struct entry e;
  if (t->hands == HANDS || box_next(b, &e) != ST_OK) return;
  snprintf(t->names[t->hands], sizeof t->names[0], "%.*s", SPAN_ARGS(e.ref.label));
  t->hand[t->hands] = e.ref;
  t->hand[t->hands].token = span_of(t->names[t->hands]);
  t->hands++;
}

static void settle_one(struct box *b, struct truth *t) {
  if (!t->hands) return;
  unsigned i = --t->hands;
  switch (pick(t, 3)) {
  case 0: store_release(b->store, &t->hand[i]); return;
  case 1: box_done(b, &t->hand[i], SETTLED_GONE); break;
  default:
    box_dead(b, &t->hand[i], REASON_SCHEMA_MISMATCH);
    t->dead[t->dead_count++] = number_of(t->names[i]);
  }
  t->settled++;
}

static void replay_one(struct box *b, struct truth *t) {
  char name[32];
  if (!t->dead_count) return;
  snprintf(name, sizeof name, "n%03u.json", t->dead[--t->dead_count]);
  OK(store_replay(b->store, SHELF_DEAD, name, &b->err));
  t->returned++;
}

/* All is given back, and a scan from the start has seen what is there. */
static void rest(struct box *b, struct truth *t) {
  while (t->hands) store_release(b->store, &t->hand[--t->hands]);
  uint64_t generation = store_rescan(b->store);
  while (!store_scanned(b->store, generation)) {
    take_one(b, t);
    while (t->hands) store_release(b->store, &t->hand[--t->hands]);
  }
}

static void run(struct box *b, uint64_t seed) {
  struct truth t = {.seed = seed};
  static void (*const acts[])(struct box *, struct truth *) = {
      put_one, put_one, take_one, take_one, settle_one, delete_one, replay_one};
  for (int i = 0; i < 5; i++) put_one(b, &t);
  take_one(b, &t); /* the first listing */
  assert_true(box_counts(b).listed);
  t.put -= box_counts(b).first;
  for (int i = 0; i < 300; i++) {
    acts[pick(&t, 7)](b, &t);
    if (pick(&t, 20) == 0) store_rescan(b->store);
    check_sum(b);
    arena_reset(&b->scratch);
  }
  rest(b, &t);
  check_sum(b);
  struct store_counts c = box_counts(b);
  assert_int_equal(c.pending, (uint64_t)files_in(b, "."));
  assert_int_equal(c.gone, t.settled);
  assert_int_equal(c.returned, t.returned);
  assert_int_equal(c.arrived - (int64_t)c.vanished, (int64_t)(t.put - t.deleted));
  assert_true(c.arrived <= (int64_t)t.put);
}

TEST(it_adds_up_whatever_happens) {
  for (uint64_t seed = 1; seed <= 4; seed++) {
    struct box *b = box_new("file");
    void *box = b;
    print_message("seed %llu\n", (unsigned long long)seed);
    run(b, seed);
    box_free(&box);
  }
  (void)state;
}

TEST(a_quiet_life_is_told_exactly) {
  struct box *b = box_new("file");
  void *box = b;
  struct store_counts c;
  (void)state;
  put_pending(b, "a");
  put_pending(b, "b");
  assert_string_equal(box_take_all(b), "a b");
  assert_int_equal(box_counts(b).first, 2);
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
  put_pending(b, "c");
  assert_string_equal(box_take_some(b), "c");
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  c = box_counts(b);
  assert_int_equal(c.pending, 3); /* before it is told */
  assert_int_equal(c.returned, 1);
  assert_string_equal(box_take_some(b), "a");
  put(b, "d.json", "{\"id\": \"d\"");
  unlink(path_of(b, "d.json"));
  put(b, "e.json",
      "{\"id\": \"e\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"dispatched\"}");
  assert_string_equal(box_take_all(b), "");
  c = box_counts(b);
  assert_int_equal(c.arrived, 3); /* c, d, e */
  assert_int_equal(c.vanished, 2);
  assert_int_equal(c.pending, 3);
  assert_int_equal(c.foreign, 1);
  box_free(&box);
}
