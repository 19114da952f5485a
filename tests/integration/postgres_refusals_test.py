#!/usr/bin/python3
"""An application's triggers, rules, policies and foreign keys stand in the way of its outbox: what is published and cannot be taken out is
set aside, named, never sent again, and settled when it can be; all others go on."""

import json

import harness
import postgres_test

KEEPS = "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN {} END$f$;"
BEFORE = " CREATE TRIGGER keeps BEFORE DELETE ON busbridge.outbox FOR EACH ROW EXECUTE FUNCTION public.keep();"
DROP = "DROP TRIGGER keeps ON busbridge.outbox"


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

    def is_told(self, *words, ids=("bad",)):
        rows = json.loads(self.run_cli("list", "--type", "aside", "-o", "json").stdout())
        self.assertEqual([row["id"] for row in rows], list(ids))
        check, = (one for one in self.examine("doctor") if one["check"] == "set aside")
        self.assertEqual(check["verdict"], "warning")
        for said in (self.health(), rows[0]["last_error"], check["found"]):
            for word in words:
                self.assertIn(word, said)
        self.assertIn("Let the database delete rows", rows[0]["next"] + check["next"])

    def set_aside_and_heals(self, trouble, remedy, *words):
        """One row is kept: it is published once, over kill -9 too, and its neighbours go."""
        self.sql(trouble)
        want = self.insert("bad", *(f"k-{i}" for i in range(50)))
        worker = self.start_worker()
        harness.wait_until(lambda: self.left() == 1, what="all but one are out")
        harness.wait_until(lambda: worker.logs("entry_aside"), what="it is named")
        self.is_told(*words)
        worker.kill()
        self.is_told(*words)
        worker = self.start_worker()
        want += self.insert("later")
        harness.wait_until(lambda: self.left() == 1, what="a restart goes on")
        self.sql(remedy)
        self.wait_empty()
        harness.wait_until(lambda: "set aside" not in self.health(), what="health forgets it")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sorted(id for _, id in self.records()), sorted(want))

    def test_a_trigger_that_keeps_a_row_without_a_word(self):
        self.set_aside_and_heals(KEEPS.format("IF OLD.id = 'bad' THEN RETURN NULL; END IF; RETURN OLD;") + BEFORE, DROP, "is still there")

    def test_a_trigger_that_raises(self):
        self.set_aside_and_heals(KEEPS.format("IF OLD.id = 'bad' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '45000'; END IF; RETURN OLD;")
                                 + BEFORE, DROP, "not this one")

    def test_a_trigger_that_may_not_write_what_it_writes(self):
        self.set_aside_and_heals("CREATE TABLE public.audit (id text);" + KEEPS.format(
            "IF OLD.id = 'bad' THEN INSERT INTO public.audit VALUES (OLD.id); END IF; RETURN OLD;") + BEFORE,
            "GRANT USAGE ON SCHEMA public TO relay; GRANT INSERT ON public.audit TO relay", "permission denied for table audit")

    def test_a_foreign_key_that_restricts(self):
        self.set_aside_and_heals(
            "ALTER TABLE busbridge.outbox ADD UNIQUE (id); CREATE TABLE public.child (id text REFERENCES busbridge.outbox (id) ON DELETE RESTRICT);"
            "CREATE FUNCTION public.note() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $f$BEGIN "
            "IF NEW.id = 'bad' THEN INSERT INTO public.child VALUES (NEW.id); END IF; RETURN NEW; END$f$;"
            "CREATE TRIGGER note AFTER INSERT ON busbridge.outbox FOR EACH ROW EXECUTE FUNCTION public.note()", "DELETE FROM public.child", "child")

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
