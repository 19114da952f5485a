/* Rows that a trigger or a policy of the application's keeps without a word when they are to be
 * deleted: nothing is done, so that they can be set aside, and are not published again. */
#include "tests/unit/postgres_box.h"

#include <errno.h>

static void keeps(struct fixture *f, enum db_fate fate, bool attempted) {
  struct db_change list[3];
  for (int i = 0; i < 3; i++) {
    char id[] = {(char)('a' + i), '\0'};
    put(f, id);
    list[i] = change(fate, i + 1, i == 0 ? "a" : i == 1 ? "b" : "c");
    list[i].attempted = attempted;
  }
  bool closed;
  assert_int_equal(S->settle(f->p, list, 3, NULL, &closed, &f->err), ST_INVALID);
  assert_int_equal(f->err.sys, EPERM);
  assert_string_equal(ids(f, SHELF_PENDING), "a b c"); /* nothing of it was done */
  assert_string_equal(ids(f, SHELF_DEAD), "");
  assert_int_equal(settle(f, list[0]), DB_WAS_PENDING);
  assert_int_equal(S->settle(f->p, &list[1], 1, NULL, &closed, &f->err), ST_INVALID);
  assert_non_null(strstr(f->err.text, "still there"));
  assert_int_equal(settle(f, list[2]), DB_WAS_PENDING);
  assert_string_equal(ids(f, SHELF_PENDING), "b");
}

static void one_that_is_gone_is_nowhere(struct fixture *f) {
  struct db_change gone = change(DB_DONE, 3, "gone long ago");
  assert_int_equal(settle(f, gone), DB_NOWHERE);
}

static void keep_b_without_a_word(struct fixture *f) {
  super(f, "CREATE FUNCTION $s.keep() RETURNS trigger LANGUAGE plpgsql "
           "SET search_path = pg_catalog AS "
           "'BEGIN IF OLD.id = ''b'' THEN RETURN NULL; END IF; RETURN OLD; END'");
  super(f,
        "CREATE TRIGGER keep BEFORE DELETE ON $s.outbox FOR EACH ROW EXECUTE FUNCTION $s.keep()");
}

CASE(a_published_row_that_a_trigger_keeps_without_a_word_is_an_error) {
  struct fixture *f = *state;
  OK(S->claim(f->p, &f->err));
  keep_b_without_a_word(f);
  keeps(f, DB_DONE, false);
  one_that_is_gone_is_nowhere(f);
}

CASE(a_dead_row_that_a_trigger_keeps_without_a_word_is_an_error) {
  struct fixture *f = *state;
  OK(S->claim(f->p, &f->err));
  keep_b_without_a_word(f);
  keeps(f, DB_DEAD, true);
  one_that_is_gone_is_nowhere(f);
}

CASE(a_dead_letter_that_a_trigger_swallows_is_an_error) {
  struct fixture *f = *state;
  OK(S->claim(f->p, &f->err));
  super(f, "CREATE FUNCTION $s.keep() RETURNS trigger LANGUAGE plpgsql "
           "SET search_path = pg_catalog AS "
           "'BEGIN IF NEW.id = ''b'' THEN RETURN NULL; END IF; RETURN NEW; END'");
  super(f, "CREATE TRIGGER keep BEFORE INSERT ON $s.dead FOR EACH ROW EXECUTE FUNCTION $s.keep()");
  keeps(f, DB_DEAD, true);
}

CASE(where_rows_may_be_hidden_none_is_taken_for_gone) {
  struct fixture *f = *state;
  bool closed;
  OK(S->claim(f->p, &f->err));
  put(f, "a");
  super(f, "ALTER TABLE $s.outbox ENABLE ROW LEVEL SECURITY");
  struct db_change one = change(DB_DONE, 1, "a");
  assert_int_equal(S->settle(f->p, &one, 1, NULL, &closed, &f->err), ST_INVALID);
  super(f, "ALTER TABLE $s.outbox DISABLE ROW LEVEL SECURITY");
  assert_int_equal(settle(f, one), DB_WAS_PENDING);
}

CASE(a_row_that_a_policy_keeps_is_an_error) {
  struct fixture *f = *state;
  OK(S->claim(f->p, &f->err));
  super(f, "CREATE POLICY see ON $s.outbox FOR SELECT USING (true)");
  super(f, "CREATE POLICY keep ON $s.outbox FOR DELETE USING (id <> 'b')");
  super(f, "CREATE POLICY put ON $s.outbox FOR INSERT WITH CHECK (true)");
  super(f, "ALTER TABLE $s.outbox ENABLE ROW LEVEL SECURITY");
  keeps(f, DB_DONE, false);
}

int main(void) {
  return box_run();
}
