#!/usr/bin/python3
"""An application's triggers, rules, policies and foreign keys stand in the way of its outbox: what is published and cannot be taken out is
set aside, named, never sent again, and settled when it can be; all others go on."""

import json

import harness
import postgres_test

KEEPS = "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN {} END$f$;"
# Rows that cannot be deleted, each by its id: without a word, by an error of its own, by one that it meets, by a foreign key.
TROUBLE = """
CREATE TABLE public.audit (id text);
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN
  IF OLD.id = 'silent' THEN RETURN NULL; END IF;
  IF OLD.id = 'loud' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '45000'; END IF;
  IF OLD.id = 'audit' THEN INSERT INTO public.audit VALUES (OLD.id); END IF;
  RETURN OLD;
END$f$;
CREATE TRIGGER keeps BEFORE DELETE ON busbridge.outbox FOR EACH ROW EXECUTE FUNCTION public.keep();
ALTER TABLE busbridge.outbox ADD UNIQUE (id);
CREATE TABLE public.child (id text REFERENCES busbridge.outbox (id) ON DELETE RESTRICT);
CREATE FUNCTION public.note() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $f$BEGIN
  IF NEW.id = 'child' THEN INSERT INTO public.child VALUES (NEW.id); END IF;
  RETURN NEW;
END$f$;
CREATE TRIGGER note AFTER INSERT ON busbridge.outbox FOR EACH ROW EXECUTE FUNCTION public.note();
"""
WORDS = {"silent": "is still there", "loud": "not this one", "audit": "permission denied for table audit", "child": "violates foreign key constraint"}


class Refusals(postgres_test.Rows):
    def setUp(self):
        super().setUp()
        self.init()
        self.options["batch.max_events"] = "20"

    def insert(self, *ids):
        self.sql("".join(self.row(id, key=id) for id in ids), user="application")
        return list(ids)

    def health(self):
        return self.run_cli("health").stdout()

    def is_told(self):
        rows = json.loads(self.run_cli("list", "--type", "aside", "-o", "json").stdout())
        self.assertEqual({row["id"] for row in rows}, set(WORDS))
        check, = (one for one in self.examine("doctor") if one["check"] == "set aside")
        self.assertEqual(check["verdict"], "warning")
        self.assertIn("4 entries are set aside", self.health())
        for row in rows:
            self.assertIn(WORDS[row["id"]], row["last_error"])
            self.assertIn("Let the database delete rows", row["next"])

    def test_rows_that_the_database_keeps(self):
        """They are published once, over kill -9 too, and their neighbours go."""
        self.sql(TROUBLE)
        want = self.insert(*WORDS, *(f"k-{i}" for i in range(50)))
        worker = self.start_worker()
        harness.wait_until(lambda: len(worker.logs("entry_aside")) == 4, what="they are named")
        harness.wait_until(lambda: self.left() == 4, what="all others are out")
        worker.kill()
        self.is_told()
        worker = self.start_worker()
        want += self.insert("later")
        harness.wait_until(lambda: self.left() == 4, what="a restart goes on")
        self.sql("DROP TRIGGER keeps ON busbridge.outbox; DELETE FROM public.child")
        self.wait_empty()
        harness.wait_until(lambda: "set aside" not in self.health(), what="health forgets them")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(id for _, id in self.records()), sorted(want))

    def test_a_dead_letter_that_cannot_be_moved_is_kept(self):
        self.sql(KEEPS.format("IF NEW.id = 'bad' THEN RETURN NULL; END IF; RETURN NEW;"))
        self.sql("CREATE TRIGGER keeps BEFORE INSERT ON busbridge.dead FOR EACH ROW EXECUTE FUNCTION public.keep()")
        self.sql(self.row("bad", payload='{"content_id": 1}') + self.row("wrong", payload='{"content_id": 1}') + self.row("good"))
        worker = self.start_worker()
        harness.wait_until(lambda: self.left() == 1, what="the others go on")
        harness.wait_until(lambda: worker.logs("entry_aside"), what="it is named")
        self.assertEqual(self.sql("SELECT id FROM busbridge.outbox"), "bad")
        self.assertEqual(set(self.letters()), {"wrong"})
        self.sql("DROP TRIGGER keeps ON busbridge.dead")
        self.wait_empty()
        self.assertEqual(set(self.letters()), {"wrong", "bad"})
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([id for _, id in self.records()], ["good"])

    def waited_for(self, trouble, remedy, *words):
        """All rows are kept: nothing moves, the cause is told, nothing is published twice."""
        self.sql(trouble)
        want = self.insert(*(f"k-{i}" for i in range(5)))
        worker = self.start_worker()
        harness.wait_until(lambda: all(word in self.health() for word in words), what="health says why")
        worker.kill()
        self.assertEqual(self.left(), 5)
        self.sql(remedy)
        worker = self.start_worker()
        self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(id for _, id in self.records()), sorted(want))

    def test_a_rule_in_the_way_of_all_rows(self):
        self.waited_for("CREATE RULE keep AS ON DELETE TO busbridge.outbox DO INSTEAD NOTHING", "DROP RULE keep ON busbridge.outbox", "drop the rules")

    def test_row_level_security_that_came_after_the_start_settles_nothing(self):
        worker = self.start_worker()
        harness.wait_until(lambda: worker.logs("started"))
        self.sql("ALTER TABLE busbridge.outbox ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON busbridge.outbox FOR SELECT USING (true)")
        self.sql(self.row("a"))
        harness.wait_until(lambda: "row-level security" in self.health(), what="health says why")
        self.sql("ALTER TABLE busbridge.outbox DISABLE ROW LEVEL SECURITY")
        self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([id for _, id in self.records()], ["a"])

    def test_a_manifest_that_is_swallowed_publishes_nothing(self):
        self.sql(KEEPS.format("RETURN NULL;"))
        self.sql("CREATE TRIGGER keeps BEFORE INSERT ON busbridge.batch FOR EACH ROW EXECUTE FUNCTION public.keep()")
        self.insert("a")
        worker = self.start_worker()
        harness.wait_until(lambda: "trigger" in self.health(), what="health says why")
        self.assertEqual(self.records(), [])
        self.sql("DROP TRIGGER keeps ON busbridge.batch")
        self.wait_empty()
        self.assertEqual(worker.stop(), 0)
        self.assertEqual([id for _, id in self.records()], ["a"])


if __name__ == "__main__":
    harness.main()
