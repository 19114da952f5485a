/* What others do to an entry that is refused or dies: its attempts count, and another event in its
 * place is not lost. */
#include "tests/unit/same_box.h"

/* ---- refused and dead ones ---- */

struct toucher {
  struct box *b;
  deed_fn deed;
};
static int touch_hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct toucher *t = ctx;
  (void)op, (void)name;
  if (!after && exists(t->b, "a.json") && strstr(text_of(t->b, "a.json"), "\"attempts\": 0"))
    t->deed(t->b, "a.json");
  return 0;
}

CASE(a_refused_event_that_is_touched_all_the_time_counts_its_attempts) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 3);
  for (int i = 0; i < HARMLESS; i++) {
    enum settled how;
    struct toucher t = {.b = b, .deed = deeds[i]};
    take_old(b, "a");
    int64_t mtime = mtime_of(b, "a.json");
    deeds[i](b, "a.json");
    durable_set_hook(touch_hook, &t);
    OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
    durable_set_hook(NULL, NULL);
    assert_int_equal(how, SETTLED_GONE);
    assert_non_null(strstr(text_of(b, "a.json"), "\"attempts\": 3"));
    assert_int_equal(mtime_of(b, "a.json"), mtime); /* its place in the order */
    unlink(path_of(b, "backup")), unlink(path_of(b, "a.json"));
  }
}

CASE(one_that_dies_while_it_is_touched_is_a_dead_letter) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 5);
  for (int i = 0; i < HARMLESS; i++) {
    enum settled how;
    struct toucher t = {.b = b, .deed = deeds[i]};
    take_old(b, "a");
    deeds[i](b, "a.json");
    durable_set_hook(touch_hook, &t);
    OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
    durable_set_hook(NULL, NULL);
    assert_int_equal(how, SETTLED_GONE);
    assert_int_equal(files_in(b, "dlq"), 1);
    unlink(path_of(b, "backup")), unlink(path_of(b, "dlq/a.json"));
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
  }
}

CASE(one_that_another_bus_dispatched_is_not_refused_any_more) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 5);
  enum settled how;
  take_old(b, "a");
  do_dispatch(b, "a.json");
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_CHANGED);
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_non_null(strstr(text_of(b, "a.json"), "dispatched"));
}

CASE(what_becomes_dispatched_in_hand_is_named_once) {
  struct box *b = *state;
  struct log *log;
  box_stop(b);
  FILE *text = log_begin(b, &log);
  b->options.log = log;
  box_start(b);
  for (int i = 0; i < 3; i++) {
    take_old(b, "a");
    do_dispatch(b, "a.json");
    box_done(b, &b->refs[0], SETTLED_GONE);
  }
  assert_int_equal(logged(text, "event=entry_dispatched"), 1);
  box_stop(b);
  b->options.log = NULL;
  log_close(log);
  fclose(text);
  box_start(b);
}
