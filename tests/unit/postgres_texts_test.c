/* Texts and due keys of an outbox in PostgreSQL: steps like those of unit.postgres_steps, and tried
 * alike. */
#include "tests/unit/postgres_box.h"

static bool add_name(void *ctx, const char *name) {
  char *names = ctx;
  size_t len = strlen(names);
  snprintf(names + len, 200 - len, "%s", name);
  return true;
}

static const char *text_of(struct fixture *f, const char *name, uint64_t from, size_t most) {
  static struct buffer out;
  uint64_t size;
  buffer_clear(&out);
  OK(S->text_read(f->p, name, from, most, &out, &size, &f->err));
  return buffer_z(&out);
}

CASE(texts_are_replaced_grow_move_and_go) {
  struct fixture *f = *state;
  struct buffer out = {0};
  uint64_t size;
  char names[200] = "";
  OK(S->claim(f->p, &f->err));
  assert_int_equal(S->text_read(f->p, "note/a", 0, 9, &out, &size, &f->err), ST_NOT_FOUND);
  OK(S->text_append(f->p, "note/a", SPAN("one"), &f->err));
  OK(S->text_append(f->p, "note/a", SPAN("two"), &f->err));
  OK(S->text_append(f->p, "note/a", SPAN("two"), &f->err)); /* it may well be said twice */
  assert_string_equal(text_of(f, "note/a", 0, 100), "onetwotwo");
  assert_string_equal(text_of(f, "note/a", 2, 3), "etw");
  assert_string_equal(text_of(f, "note/a", 8, 100), "o");
  assert_string_equal(text_of(f, "note/a", 9, 100), "");
  OK(S->text_replace(f->p, "note/a", SPAN("x"), &f->err));
  assert_string_equal(text_of(f, "note/a", 0, 100), "x");
  OK(S->text_append(f->p, "draft/1", SPAN("d"), &f->err));
  OK(S->text_move(f->p, "draft/1", "note/a", &f->err));
  assert_string_equal(text_of(f, "note/a", 0, 100), "d");
  assert_int_equal(S->text_move(f->p, "draft/1", "note/a", &f->err), ST_NOT_FOUND);
  assert_string_equal(text_of(f, "note/a", 0, 100), "d");
  OK(S->text_replace(f->p, "note/empty", (struct span){0}, &f->err));
  assert_string_equal(text_of(f, "note/empty", 0, 100), "");
  OK(S->text_names(f->p, "note/e", add_name, names, &f->err));
  assert_string_equal(names, "note/empty");
  OK(S->text_remove(f->p, "note/a", false, &f->err));
  assert_int_equal(S->text_remove(f->p, "note/a", false, &f->err), ST_NOT_FOUND);
  OK(S->text_remove(f->p, "note/", true, &f->err));
  OK(S->text_remove(f->p, "note/", true, &f->err));
  assert_int_equal(S->text_read(f->p, "note/empty", 0, 9, &out, &size, &f->err), ST_NOT_FOUND);
  buffer_release(&out);
}

CASE(keys_due_are_a_queue_with_an_end) {
  struct fixture *f = *state;
  struct key keys[20], got[20];
  char id[20][8];
  uint64_t given_up, left;
  size_t count;
  int64_t upto;
  bool has;
  for (int i = 0; i < 20; i++) {
    snprintf(id[i], sizeof id[i], "id-%d", i);
    keys[i] = (struct key){span_of(id[i]), SPAN("t/0/1")};
  }
  OK(S->claim(f->p, &f->err));
  OK(S->keys_due_add(f->p, keys, 5, 16, &given_up, &left, &f->err));
  assert_true(given_up == 0 && left == 5);
  OK(S->keys_due_add(f->p, keys + 5, 12, 16, &given_up, &left, &f->err));
  assert_true(given_up == 2 && left == 15);
  OK(S->keys_due_read(f->p, 3, &f->arena, got, &count, &upto, &f->err));
  assert_true(count == 3 && span_is(got[0].id, "id-2") && span_is(got[2].id, "id-4"));
  assert_true(span_is(got[0].place, "t/0/1"));
  OK(S->keys_due_has(f->p, SPAN("id-2"), &has, &f->err));
  assert_true(has);
  OK(S->keys_due_drop(f->p, upto, &left, &f->err));
  assert_int_equal(left, 12);
  OK(S->keys_due_has(f->p, SPAN("id-2"), &has, &f->err));
  assert_false(has);
  OK(S->keys_due_add(f->p, keys, 20, 16, &given_up, &left, &f->err));
  assert_true(given_up == 16 && left == 16);
  OK(S->keys_due_count(f->p, &left, &f->err));
  assert_int_equal(left, 16);
  OK(S->keys_due_read(f->p, 20, &f->arena, got, &count, &upto, &f->err));
  assert_true(count == 16 && span_is(got[0].id, "id-4") && span_is(got[15].id, "id-19"));
}

int main(void) {
  return box_run();
}
