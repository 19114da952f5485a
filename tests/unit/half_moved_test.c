/* Moves to dlq/ that a crash left half done and that cannot be finished now: they wait, cost
 * nothing, are told once, and hold up no other. */
#include "tests/unit/clock_box.h"

#define DEAD                                                                                       \
  "{\"id\": \"%s\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"bad_name\"}"

/* What is taken into tmp goes back from there; all else that leaves tmp fails. */
static struct refusal {
  int code;
  const char *name; /* NULL: of all */
  unsigned tries, failed;
  char last[300];
} refusal;

static int refuse_dlq(void *ctx, enum durable_op op, const char *name, bool after) {
  struct refusal *r = ctx;
  if (op != DURABLE_RENAME || after || strncmp(name, "back-", 5) != 0) return 0;
  if (r->name && !strstr(name, r->name)) return 0;
  if (strcmp(r->last, name) != 0) {
    snprintf(r->last, sizeof r->last, "%s", name);
    r->failed = 0;
  }
  if (r->failed ==
      2) { /* it was tried in the folder that was held, and in the one that lies there */
    r->last[0] = '\0';
    r->tries++;
    return 0;
  }
  r->failed++;
  return r->code;
}

static void put_half(struct box *b, const char *id) {
  char name[40], text[300];
  snprintf(name, sizeof name, "%s.json", id);
  snprintf(text, sizeof text, DEAD, id);
  put(b, name, text);
}

static FILE *begin(struct box *b) {
  struct log *log;
  use_clock(b);
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  return text;
}

static void end(struct box *b, FILE *text) {
  durable_set_hook(NULL, NULL);
  box_stop(b);
  log_close((struct log *)b->options.log);
  b->options.log = NULL;
  fclose(text);
  box_start(b);
}

static void refuse(int code, const char *name) {
  refusal = (struct refusal){.code = code, .name = name};
  durable_set_hook(refuse_dlq, &refusal);
}

/* As the reader does between two scans, whatever inotify tells. */
static void turn(struct box *b, const char *ids) {
  box_release_all(b);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), ids);
  for (int i = 0; i < 20; i++) {
    struct entry e;
    store_wait(b->store, 0);
    assert_int_equal(box_next(b, &e), ST_AGAIN);
  }
}

#define CASE(name) TEST_WITH(name, box_open, reset_clock)

CASE(on_a_full_disk_it_waits_ever_longer_and_is_told_once) {
  struct box *b = *state;
  FILE *text = begin(b);
  put_half(b, "a");
  put_half(b, "c");
  put_pending(b, "b");
  refuse(ENOSPC, NULL);
  turn(b, "b");
  assert_int_equal(refusal.tries, 1); /* nor the other one: the disk is no other for it */
  assert_int_equal(box_counts(b).unmoved, 2);
  assert_int_equal(box_counts(b).unmoved_sys, ENOSPC);
  assert_int_equal(box_counts(b).pending, 3);
  clock_pass(&clock_now, 900);
  turn(b, "b");
  assert_int_equal(refusal.tries, 1);
  clock_pass(&clock_now, 200);
  turn(b, "b");
  assert_int_equal(refusal.tries, 2);
  clock_pass(&clock_now, 1900);
  turn(b, "b");
  assert_int_equal(refusal.tries, 2);
  assert_int_equal(box_counts(b).unmoved, 2);
  for (int i = 0; i < 20; i++) clock_pass(&clock_now, 61000), turn(b, "b");
  assert_int_equal(refusal.tries, 22);
  assert_int_equal(logged(text, "event=move_failed"), 1);
  durable_set_hook(NULL, NULL);
  clock_pass(&clock_now, 61000);
  turn(b, "b");
  assert_int_equal(box_counts(b).unmoved, 0);
  assert_int_equal(box_counts(b).pending, 1);
  assert_int_equal(box_counts(b).dead, 2);
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/c.json"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  end(b, text);
}

CASE(one_alone_keeps_no_other_from_its_move) {
  struct box *b = *state;
  FILE *text = begin(b);
  put_half(b, "a");
  put_half(b, "c");
  put_half(b, "d");
  put_pending(b, "b");
  refuse(EPERM, "-a.json");
  turn(b, "b");
  assert_int_equal(refusal.tries, 1);
  assert_int_equal(box_counts(b).unmoved, 1);
  assert_true(exists(b, "a.json") && exists(b, "dlq/c.json") && exists(b, "dlq/d.json"));
  turn(b, "b");
  assert_int_equal(refusal.tries, 2); /* each scan tries */
  assert_int_equal(logged(text, "event=move_failed"), 1);
  durable_set_hook(NULL, NULL);
  turn(b, "b");
  assert_true(exists(b, "dlq/a.json"));
  assert_int_equal(box_counts(b).unmoved, 0);
  end(b, text);
}

/* What its producer puts at the name meanwhile is told as ever. */
CASE(an_event_that_comes_to_its_name_is_handed_out) {
  struct box *b = *state;
  FILE *text = begin(b);
  put_half(b, "a");
  refuse(EDQUOT, NULL);
  turn(b, "");
  box_tick(b);
  put_pending(b, "n");
  assert_int_equal(rename(path_of(b, "n.json"), path_of(b, "a.json")), 0);
  assert_string_equal(box_take_some(b), "n");
  end(b, text);
}

/* However many fail, each for itself: a scan tries some, and not for ever. */
CASE(many_that_fail_alone_do_not_keep_the_reader) {
  struct box *b = *state;
  FILE *text = begin(b);
  char id[8];
  for (int i = 0; i < 200; i++) snprintf(id, sizeof id, "h%03d", i), put_half(b, id);
  put_pending(b, "b");
  refuse(EACCES, NULL);
  turn(b, "b");
  assert_true(refusal.tries >= 1 && refusal.tries < 100);
  assert_int_equal(box_counts(b).unmoved, 200);
  unsigned tries = refusal.tries;
  turn(b, "b");
  assert_int_equal(refusal.tries, tries);
  end(b, text);
}
