/* The list of dead letters that hold their keys: its bound, its file over a restart and a crash,
 * and damage to it. */
#include "tests/unit/files.h"

#include "bridge/relay/parts.h"

struct world {
  struct box *box;
  struct relay r;
  FILE *logged;
};

static void begin(struct world *w) {
  struct relay *r = &w->r;
  memset(&r->holds, 0, sizeof r->holds);
  r->parts.store = w->box->store;
  assert_int_equal(holds_open(r, &w->box->err), ST_OK);
}

static int setup(void **state) {
  struct world *w = calloc(1, sizeof *w);
  const struct routing_config config = {.namespaces = SPAN("quality"),
                                        .topic = SPAN("{namespace}.events")};
  struct box *b = w->box = box_new("file");
  struct relay *r = &w->r;
  struct error err = {0};
  r->parts = (struct relay_parts){.clock = &clock_system};
  r->config.hold_key = true;
  w->logged = log_begin(b, (struct log **)&r->parts.log);
  mutex_init(&r->lock);
  cond_init(&r->changed);
  if (routing_open(&config, (struct routing **)&r->parts.routing, &err) != ST_OK) return -1;
  begin(w);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  void *box = w->box;
  durable_set_hook(NULL, NULL);
  holds_close(&w->r.holds);
  routing_close((struct routing *)w->r.parts.routing);
  log_close((struct log *)w->r.parts.log);
  fclose(w->logged);
  cond_destroy(&w->r.changed);
  mutex_destroy(&w->r.lock);
  free(w);
  return box_free(&box);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

static struct item item_of(const char *key, const char *id, const char *file, int64_t mtime_ns) {
  return (struct item){.routed = true,
                       .key = span_of(key),
                       .id = span_of(id),
                       .ref = {.label = span_of(file), .arrived_ns = mtime_ns},
                       .created_us = mtime_ns / 1000};
}

static void add(struct world *w, const char *key, const char *id, const char *file,
                int64_t mtime_ns) {
  struct item item = item_of(key, id, file, mtime_ns);
  holds_add(&w->r, &item);
}

/* Does an event of this key that arrived at the end of time wait? */
static bool waits(struct world *w, const char *key) {
  struct item later = item_of(key, "later", "z.json", INT64_MAX);
  return holds_key(&w->r.holds, "quality.events", &later);
}

static void restart(struct world *w) {
  holds_close(&w->r.holds);
  box_restart(w->box);
  begin(w);
}

CASE(what_holds_is_read_back_whatever_its_texts_and_times) {
  struct world *w = *state;
  static const char *const keys[] = {"plain", "-", "two words, and %41", "\xff\x01\n\t",
                                     "\xe6\x98\x9f"};
  static const int64_t times[] = {1700000000000000000, 0, -1, INT64_MIN, INT64_MAX - 1};
  for (unsigned i = 0; i < 5; i++) add(w, keys[i], keys[i], keys[4 - i], times[i]);
  assert_true(holds_save(&w->r, &w->box->err));
  for (unsigned again = 0; again < 2; again++) {
    restart(w);
    assert_int_equal(w->r.holds.count, 5);
    for (unsigned i = 0; i < 5; i++) {
      assert_true(waits(w, keys[i]));
      assert_string_equal(holds_file(&w->r.holds, "quality.events", span_of(keys[i])), keys[4 - i]);
      struct item itself = item_of(keys[i], keys[i], "x", INT64_MAX);
      assert_false(holds_key(&w->r.holds, "quality.events", &itself));
    }
    assert_false(waits(w, "another"));
    w->r.holds.saved--; /* written once more */
    assert_true(holds_save(&w->r, &w->box->err));
  }
}

/* Beyond the bound a letter holds nothing, which is said once until there is room again. */
CASE(the_list_is_bounded_and_says_so) {
  struct world *w = *state;
  char key[40];
  for (unsigned i = 0; i < HOLDS_MOST + 3; i++) {
    snprintf(key, sizeof key, "k%u", i);
    add(w, key, key, key, 1);
  }
  assert_int_equal(w->r.holds.count, HOLDS_MOST);
  assert_true(waits(w, "k0"));
  assert_false(waits(w, key));
  assert_int_equal(logged(w->logged, "key_not_held"), 1);
  add(w, "k0", "k0", "k0", 1); /* known: no more of them */
  assert_int_equal(w->r.holds.count, HOLDS_MOST);
  struct item first = item_of("k0", "k0", "k0", 1);
  holds_settled(&w->r, &first);
  holds_tend(&w->r);
  assert_false(waits(w, "k0"));
  add(w, key, key, key, 1);
  assert_true(waits(w, key));
  add(w, "one", "more", "than", 1);
  assert_int_equal(logged(w->logged, "key_not_held"), 2);
  assert_true(holds_save(&w->r, &w->box->err));
  restart(w);
  assert_int_equal(w->r.holds.count, HOLDS_MOST);
  assert_true(waits(w, key));
}

/* Only the scan that is asked for at that moment brings what waited in its order. */
static bool is_free(struct world *w, const char *key) {
  bool free = !waits(w, key);
  assert_int_equal(free, w->r.resumed != 0);
  return free;
}

CASE(a_key_is_held_until_what_went_back_is_asked_for_again) {
  struct world *w = *state;
  add(w, "k", "a", "a.json", 1);
  struct item letter = item_of("k", "a", "a.json", 1);
  holds_settled(&w->r, &letter);
  assert_false(is_free(w, "k"));
  holds_tend(&w->r);
  assert_true(is_free(w, "k"));
}

CASE(a_letter_that_dies_again_at_once_holds_its_key_on) {
  struct world *w = *state;
  add(w, "k", "a", "a.json", 1);
  struct item letter = item_of("k", "a", "a.json", 1);
  holds_settled(&w->r, &letter);
  add(w, "k", "a", "a.json", 1);
  holds_tend(&w->r);
  assert_true(waits(w, "k"));
}

/* Looked at whenever the list is written, and where that fails. */
static int look_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)op, (void)name, (void)after;
  is_free(ctx, "k");
  return ENOSPC;
}

CASE(a_letter_that_is_gone_frees_its_key_though_the_disk_is_full) {
  struct world *w = *state;
  add(w, "k", "a", "a.json", 1);
  durable_set_hook(look_hook, w);
  for (unsigned i = 0; i < 3; i++) holds_tend(&w->r);
  durable_set_hook(NULL, NULL);
  assert_true(is_free(w, "k"));
}

static enum status open_again(struct world *w) {
  holds_close(&w->r.holds);
  memset(&w->r.holds, 0, sizeof w->r.holds);
  w->box->err = (struct error){0};
  return holds_open(&w->r, &w->box->err);
}

/* Cut anywhere but behind a line: refused, with the file and what to do. It is never read as
 * something else. */
CASE(a_file_that_is_cut_or_damaged_is_refused_with_what_to_do) {
  struct world *w = *state;
  char text[4000];
  add(w, "k1", "a", "a.json", 5);
  add(w, "k2", "b", "b.json", 6);
  assert_true(holds_save(&w->r, &w->box->err));
  snprintf(text, sizeof text, "%s", text_of(w->box, ".busbridge/holds"));
  for (size_t cut = strlen(text); cut-- > 0;) {
    bool whole = cut > 0 && text[cut - 1] == '\n';
    text[cut] = '\0';
    put(w->box, ".busbridge/holds", text);
    enum status st = open_again(w);
    if (whole && st == ST_OK) {
      assert_true(w->r.holds.count < 2);
      continue;
    }
    assert_int_equal(st, ST_INVALID);
    assert_non_null(strstr(w->box->err.text, ".busbridge/holds"));
    assert_non_null(strstr(w->box->err.text, "remove it"));
  }
  static const char *const damaged[] = {"busbridge-holds 2\n",
                                        "busbridge-holds 1\nquality.events k a a.json 1\n",
                                        "busbridge-holds 1\nquality.events k a a.json 1 2 3 4\n",
                                        "busbridge-holds 1\nquality.events k a a.json x 2\n",
                                        "busbridge-holds 1\nquality.events %4 a a.json 1 2\n",
                                        "busbridge-holds 1\n\n"};
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    put(w->box, ".busbridge/holds", damaged[i]);
    assert_int_equal(open_again(w), ST_INVALID);
  }
  assert_int_equal(unlink(path_of(w->box, ".busbridge/holds")), 0);
  assert_int_equal(open_again(w), ST_OK);
}

struct fault {
  unsigned at, calls;
  bool crash, after;
};
static int fault_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct fault *f = ctx;
  (void)op, (void)name;
  f->calls += !after;
  if (f->calls == f->at) return after == f->after ? EIO : 0;
  return f->crash && f->calls > f->at ? EIO : 0;
}

/* Each durable call of writing it fails, or is the last before a crash: the old list or the new one
 * is there, whole. */
CASE(each_failure_of_writing_it_leaves_the_old_list_or_the_new_one) {
  struct world *w = *state;
  unsigned count = 0, failed = 0;
  for (unsigned mode = 0; mode < 4; mode++) {
    struct fault f = {.calls = 1};
    for (unsigned at = 1; f.calls >= f.at; at++) {
      char id[20];
      snprintf(id, sizeof id, "%u", count);
      add(w, id, id, id, 1);
      f = (struct fault){.at = at, .crash = mode & 1, .after = mode & 2};
      durable_set_hook(fault_hook, &f);
      bool ok = holds_save(&w->r, NULL);
      durable_set_hook(NULL, NULL);
      failed += !ok;
      restart(w);
      if (ok) assert_true(waits(w, id));
      assert_true(w->r.holds.count == count + waits(w, id));
      add(w, id, id, id, 1);
      assert_true(holds_save(&w->r, &w->box->err));
      restart(w);
      assert_int_equal(w->r.holds.count, ++count);
    }
  }
  assert_true(failed > 10);
}
