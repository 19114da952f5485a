/* What every kind of outbox makes of an entry whose payload is the envelope of another bus: it goes
 * by the event inside, and is known again whatever the settings were when it was read. */
#include "tests/contract/rule.h"

/* Every name is one, and is published by it. */
static bool itself(const void *ctx, struct span seen, char out[EVENT_NAME_MAX + 1]) {
  (void)ctx;
  snprintf(out, EVENT_NAME_MAX + 1, "%.*s", SPAN_ARGS(seen));
  return true;
}
static const struct event_lifting lifting = {.canonical = itself};

static int lifting_open(void **state) {
  rule_open(state);
  struct box *b = *state;
  b->options.lifting = &lifting;
  box_restart(b);
  return 0;
}
#define LIFTED(name) TEST_WITH(name, lifting_open, box_free)

static void emit(struct box *b, const char *id, const char *inner, const char *data) {
  struct buffer text = {0}, payload = {0};
  buffer_printf(&payload,
                "{\"event_type\": \"PlotSaved\", \"event_id\": \"%s\", \"occurred_at\": null, "
                "\"data\": %s}",
                inner, data);
  event_write(span_of(id), SPAN("plot.plotsaved"), buffer_span(&payload), 1700000000000000,
              span_of(id), &text);
  box_emit_text(b, id, buffer_span(&text));
  buffer_release(&text);
  buffer_release(&payload);
  box_tick(b);
}

static void restart_lifting(struct box *b, bool on) {
  b->options.lifting = on ? &lifting : NULL;
  box_restart(b);
}

LIFTED(an_entry_goes_by_the_event_in_its_envelope) {
  struct box *b = *state;
  struct entry e;
  emit(b, "a", "in-a", "{\"x\": 1}");
  OK(box_next(b, &e));
  assert_true(span_is(e.ref.id, "in-a") && span_is(e.event.id, "in-a"));
  assert_true(span_is(e.event.name, "PlotSaved"));
  assert_true(span_is(json_slice(&e.doc, e.event.payload), "{\"x\": 1}"));
  box_done(b, &e.ref, SETTLED_GONE);
}

LIFTED(two_copies_of_an_event_say_the_same_and_another_does_not) {
  struct box *b = *state;
  emit(b, "a", "in", "{\"x\": 1}");
  emit(b, "b", "in", "{ \"x\" :1}");
  emit(b, "c", "in", "{\"x\": 2}");
  assert_string_equal(box_take_all(b), "in in in");
  assert_int_equal(b->refs[0].content, b->refs[1].content);
  assert_int_not_equal(b->refs[0].content, b->refs[2].content);
  box_done_all(b);
}

/* A batch was committed, and the settings changed before it was settled. */
LIFTED(it_is_known_again_by_both_its_ids) {
  struct box *b = *state;
  enum settled how;
  emit(b, "a", "in-a", "{}");
  emit(b, "b", "in-b", "{}");
  for (int on = 1; on >= 0; on--) {
    restart_lifting(b, on);
    assert_string_equal(box_take_all(b), on ? "in-a in-b" : "b");
    struct entry_ref first = b->refs[0];
    restart_lifting(b, !on);
    OK(box_late(b, &first, "in-c", &how));
    assert_int_equal(how, SETTLED_CHANGED);
    OK(box_late(b, &first, on ? "in-a" : "b", &how));
    assert_int_equal(how, SETTLED_GONE);
    OK(store_sync(b->store, &b->err));
  }
}

/* What was published by the message's id, as another event or before it had one of its own. */
LIFTED(a_message_id_that_is_used_again_for_another_event_takes_none_out) {
  struct box *b = *state;
  enum settled how;
  for (int on = 0; on < 2; on++) {
    restart_lifting(b, on);
    if (on)
      box_emit(b, "b"); /* no envelope */
    else
      emit(b, "b", "in-a", "{}");
    assert_string_equal(box_take_all(b), "b");
    struct entry_ref was = b->refs[0];
    box_done_all(b);
    restart_lifting(b, true);
    emit(b, "b", "in-b", "{}");
    OK(box_late(b, &was, "b", &how)); /* VANISHED: this one has another token */
    assert_true(how == SETTLED_CHANGED || how == SETTLED_VANISHED);
    assert_string_equal(box_take_some(b), "in-b");
    box_done_all(b);
  }
}

LIFTED(it_lies_there_and_is_found_by_both_its_ids) {
  struct box *b = *state;
  uint64_t total;
  emit(b, "a", "in-a", "{}");
  assert_string_equal(box_take_all(b), "in-a");
  static const char *const ids[] = {"a", "in-a"};
  for (int i = 0; i < 2; i++) {
    assert_true(store_lies(b->store, &b->refs[0], span_of(ids[i])));
    assert_string_equal(box_find(b, LIST_PENDING, ids[i], &total).ids, "in-a");
    assert_int_equal(total, 1);
  }
  assert_false(store_lies(b->store, &b->refs[0], SPAN("b")));
}

LIFTED(a_dead_letter_goes_by_it_too_and_comes_back) {
  struct box *b = *state;
  emit(b, "a", "in-a", "{\"x\": 1}");
  assert_string_equal(box_take_all(b), "in-a");
  box_dead(b, &b->refs[0], REASON_SCHEMA_MISMATCH);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "in-a");
  char token[300];
  box_token(b, LIST_DEAD, "in-a", token);
  OK(store_replay(b->store, SHELF_DEAD, token, &b->err));
  assert_string_equal(box_take_some(b), "in-a");
}

int main(void) {
  return rules_of_each_kind();
}
