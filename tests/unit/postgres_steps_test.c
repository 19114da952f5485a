/* The steps of an outbox in PostgreSQL, each against a real server: as the role of the relay, under
 * a search_path that means harm and with synchronous_commit = off, as it is. */
#include "tests/unit/postgres_box.h"

static struct manifest_name name_of(uint64_t number, char digit) {
  struct manifest_name name = {.number = number};
  memset(name.digest, digit, MANIFEST_DIGEST - 1);
  return name;
}

static enum status write_batch(struct fixture *f, struct manifest_name name) {
  struct db_batch b = {.number = name.number, .nonce = SPAN("n"), .entries = SPAN("\0\1\xff")};
  memcpy(b.digest, name.digest, sizeof b.digest);
  return S->batch_write(f->p, &b, &f->err);
}

/* Its rows, read before a crash of the server that took the second of them. */
CASE(a_list_is_written_only_of_rows_that_are_there) {
  struct fixture *f = *state;
  struct db_named rows[] = {{.seq = put(f, "a"), .id = SPAN("a")},
                            {.seq = put(f, "b"), .id = SPAN("b")},
                            {.seq = put(f, "c"), .id = {0}}};
  struct manifest_name name = name_of(1, '1');
  struct db_batch b = {.number = 1, .nonce = SPAN("n"), .entries = SPAN("x"), .rows = rows};
  memcpy(b.digest, name.digest, sizeof b.digest);
  b.row_count = 3;
  OK(S->claim(f->p, &f->err));
  super(f, "UPDATE $s.outbox SET id = 'another' WHERE id = 'b'");
  assert_int_equal(S->batch_write(f->p, &b, &f->err), ST_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "1 rows that were read are not there any more"));
  assert_true(!rows[0].missing && rows[1].missing && !rows[2].missing);
  assert_int_equal(S->batch_settle(f->p, 1, name.digest, &f->err), ST_NOT_FOUND);
  rows[1] = rows[2];
  b.row_count = 2;
  OK(S->batch_write(f->p, &b, &f->err));
  OK(S->batch_settle(f->p, 1, name.digest, &f->err));
}

CASE(an_outbox_has_the_first_id_that_it_was_given) {
  struct fixture *f = *state;
  struct db_identity who;
  OK(S->identify(f->p, &who, &f->err));
  assert_true(who.there && strlen(who.id) == 36);
  super(f, "DELETE FROM $s.state WHERE name = 'id'"); /* as somebody may have made the tables */
  OK(S->identify(f->p, &who, &f->err));
  assert_true(who.there && !*who.id);
  OK(S->make_id(f->p, "3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77", &f->err));
  OK(S->make_id(f->p, "00000000-7d4a-4e59-9b60-2c5d1a8f0e77", &f->err));
  OK(S->identify(f->p, &who, &f->err));
  assert_string_equal(who.id, "3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77");
  assert_int_equal(S->renew_id(f->p, "x", &f->err), ST_BUSY);
  OK(S->claim(f->p, &f->err));
  OK(S->renew_id(f->p, "11111111-7d4a-4e59-9b60-2c5d1a8f0e77", &f->err));
  OK(S->identify(f->p, &who, &f->err));
  assert_string_equal(who.id, "11111111-7d4a-4e59-9b60-2c5d1a8f0e77");
}

CASE(tables_that_are_missing_or_of_another_release_are_told) {
  struct fixture *f = *state;
  struct store_options options = {.create = true, .clock = &clock_system};
  struct db_identity who;
  void *p = NULL;
  super(f, "UPDATE $s.state SET value = '2' WHERE name = 'migration'");
  assert_int_equal(S->open(f->address, &options, &p, &f->err), ST_INVALID);
  assert_non_null(strstr(f->err.text, "newer"));
  super(f, "UPDATE $s.state SET value = '0' WHERE name = 'migration'");
  assert_int_equal(S->open(f->address, &options, &p, &f->err), ST_INVALID);
  assert_non_null(strstr(f->err.text, "outbox migrate"));
  char more[300];
  postgres_address(more, sizeof more, "relay", "postgres", "?schema=nobody");
  assert_int_equal(S->open(more, &options, &p, &f->err), ST_NOT_FOUND);
  assert_non_null(strstr(f->err.text, "outbox init"));
  options.create = false;
  OK(S->open(more, &options, &p, &f->err));
  OK(S->identify(p, &who, &f->err));
  assert_false(who.there);
  S->close(p);
  super(f, "UPDATE $s.state SET value = '1' WHERE name = 'migration'");
}

CASE(one_claim_at_a_time_and_each_step_of_its_owner_alone) {
  struct fixture *f = *state;
  void *other = open_another(f);
  struct manifest_name name = name_of(1, '1');
  struct db_batch b = {.number = 1, .nonce = SPAN(""), .entries = SPAN("")};
  struct db_letter letter = {.seq = 1, .id = SPAN("a")};
  struct db_change one = change(DB_DONE, put(f, "a"), "a");
  const struct key key = {SPAN("i"), SPAN("p")};
  uint64_t n;
  bool closed;
  memcpy(b.digest, name.digest, sizeof b.digest);
  struct store_owner owner = {.pid = -1};
  assert_false(S->owner(f->p, &owner));
  OK(S->claim(f->p, &f->err));
  assert_true(S->owner(other, &owner));
  assert_true(owner.pid == getpid() && owner.here && owner.since_us > 1700000000000000);
  assert_int_equal(S->claim(other, &f->err), ST_BUSY);
  char pid[40];
  snprintf(pid, sizeof pid, "held by pid %d on ", (int)getpid());
  assert_non_null(strstr(f->err.text, pid));
  OK(S->renew(f->p, &f->err));
  super(f, "UPDATE $s.lane SET lease_until = now() - interval '1 s'"); /* it slept */
  OK(S->claim(other, &f->err));
  /* whoever wakes now changes nothing */
  assert_int_equal(S->renew(f->p, NULL), ST_BUSY);
  assert_int_equal(S->batch_write(f->p, &b, &f->err), ST_BUSY);
  assert_int_equal(S->batch_settle(f->p, 1, name.digest, &f->err), ST_BUSY);
  assert_int_equal(S->batch_remove(f->p, 1, name.digest, &f->err), ST_BUSY);
  assert_int_equal(S->settle(f->p, &one, 1, &name, &closed, &f->err), ST_BUSY);
  one.fate = DB_DEAD;
  assert_int_equal(S->settle(f->p, &one, 1, NULL, &closed, &f->err), ST_BUSY);
  one.fate = DB_RETRY;
  assert_int_equal(S->settle(f->p, &one, 1, NULL, &closed, &f->err), ST_BUSY);
  assert_int_equal(S->replay(f->p, &letter, 1, 1, &f->err), ST_BUSY);
  assert_int_equal(S->purge(f->p, &letter, 1, &f->err), ST_BUSY);
  assert_int_equal(S->text_replace(f->p, "note/a", SPAN("x"), &f->err), ST_BUSY);
  assert_int_equal(S->text_append(f->p, "note/a", SPAN("x"), &f->err), ST_BUSY);
  assert_int_equal(S->text_remove(f->p, "note/", true, &f->err), ST_BUSY);
  assert_int_equal(S->text_move(f->p, "note/a", "note/b", &f->err), ST_BUSY);
  assert_int_equal(S->keys_due_add(f->p, &key, 1, 10, &n, &n, &f->err), ST_BUSY);
  assert_int_equal(S->keys_due_drop(f->p, 100, &n, &f->err), ST_BUSY);
  assert_string_equal(ids(f, SHELF_PENDING), "a");
  assert_int_equal(super(f, "SELECT (SELECT count(*) FROM $s.batch) + (SELECT count(*) FROM "
                            "$s.text) + (SELECT count(*) FROM $s.due) + (SELECT count(*) FROM "
                            "$s.attempt) + (SELECT count(*) FROM $s.dead)"),
                   0);
  S->release(f->p); /* not his */
  OK(S->renew(other, &f->err));
  S->release(other);
  OK(S->claim(f->p, &f->err));
  S->close(other);
  OK(S->renew(f->p, &f->err));
}

CASE(a_row_is_read_with_what_is_known_of_it) {
  struct fixture *f = *state;
  int64_t seq = put(f, "a");
  OK(S->claim(f->p, &f->err));
  read_page(f, (struct db_query){.shelf = SHELF_PENDING});
  assert_true(f->page.count == 1 && f->page.end);
  const struct db_row *r = f->page.rows;
  assert_true(r->seq == seq && span_is(r->id, "a") && span_is(r->name, "episode.created"));
  assert_true(span_is(r->payload, "{\"a\":1.0, \"a\":2}") && !r->headers.ptr && !r->cut);
  assert_true(span_is(r->created_at, "2025-09-22T03:04:05.123456+00:00"));
  assert_int_equal(r->payload_size, 16);
  assert_int_equal(r->size, 1 + 15 + 1 + 16 + 32);
  assert_true(!r->attempted && r->failed_us == TIME_NONE && r->since_us == TIME_NONE);
  int64_t arrived_us = r->arrived_us;
  assert_true(arrived_us > 1700000000000000);
  assert_int_equal(settle(f, change(DB_RETRY, seq, "a")), DB_WAS_PENDING);
  struct db_change later = change(DB_RETRY, seq, "a");
  later.attempts = 4, later.failed_us += 5, later.now_us += 5;
  assert_int_equal(settle(f, later), DB_WAS_PENDING);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING});
  r = f->page.rows;
  assert_true(r->attempted && r->attempts == 4 && span_is(r->last_error, "it was wrong"));
  assert_true(r->first_failed_us == 1700000001000000 && r->failed_us == 1700000001000005);
  assert_true(r->since_us == 1700000002000005 && r->arrived_us == arrived_us);
  assert_int_equal(settle(f, change(DB_DEAD, seq, "a")), DB_WAS_PENDING);
  assert_string_equal(ids(f, SHELF_PENDING), "");
  read_page(f, (struct db_query){.shelf = SHELF_DEAD});
  r = f->page.rows;
  assert_true(r->seq == seq && span_is(r->reason, "schema_mismatch") && r->error_code == 87);
  assert_true(span_is(r->topic, "episode.events") && r->attempts == 3);
  assert_true(r->first_failed_us == 1700000001000000 && r->arrived_us == arrived_us);
  assert_true(span_is(r->payload, "{\"a\":1.0, \"a\":2}"));
  assert_int_equal(super(f, "SELECT count(*) FROM $s.attempt"), 0);
  struct db_letter letter = {.seq = seq, .id = SPAN("a"), .failed_us = 1};
  OK(S->replay(f->p, &letter, 1, 1700000003000000, &f->err));
  assert_int_equal(letter.status, ST_NOT_FOUND); /* it failed at another time */
  letter.failed_us = 1700000001000000;
  OK(S->replay(f->p, &letter, 1, 1700000003000000, &f->err));
  assert_int_equal(letter.status, ST_OK);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING});
  r = f->page.rows;
  assert_true(r->seq == seq && r->attempted && !r->attempts && !r->last_error.ptr);
  assert_true(r->since_us == 1700000003000000 && r->arrived_us == arrived_us);
  OK(S->replay(f->p, &letter, 1, 1, &f->err));
  assert_int_equal(letter.status, ST_NOT_FOUND);
  assert_int_equal(settle(f, change(DB_DONE, seq, "a")), DB_WAS_PENDING);
  assert_int_equal(settle(f, change(DB_DONE, seq, "a")), DB_NOWHERE);
  assert_int_equal(super(f, "SELECT count(*) FROM $s.attempt"), 0);
}

CASE(a_row_is_settled_by_seq_and_id) {
  struct fixture *f = *state;
  int64_t seq = put(f, "a");
  OK(S->claim(f->p, &f->err));
  for (enum db_fate fate = DB_DONE; fate <= DB_AFRESH; fate++)
    assert_int_equal(settle(f, change(fate, seq, "another")), DB_NOWHERE);
  struct manifest_name name = name_of(1, '1');
  struct db_change one = change(DB_DONE, seq, "another");
  one.attempted = false;
  bool closed = true;
  OK(S->settle(f->p, &one, 1, &name, &closed, &f->err));
  assert_false(closed);
  assert_string_equal(ids(f, SHELF_PENDING), "a");
  assert_int_equal(settle(f, change(DB_DEAD, seq, "a")), DB_WAS_PENDING);
  assert_int_equal(settle(f, change(DB_DONE, seq, "a")), DB_NOWHERE);
  assert_int_equal(settle(f, change(DB_LATE, seq, "another")), DB_NOWHERE);
  assert_int_equal(settle(f, change(DB_LATE, seq, "a")), DB_WAS_DEAD);
  assert_string_equal(ids(f, SHELF_DEAD), "");
}

CASE(a_batch_is_settled_with_its_rows) {
  struct fixture *f = *state;
  struct manifest_name name = name_of(7, 'a');
  struct db_change list[2] = {change(DB_DONE, put(f, "a"), "a"), change(DB_DONE, put(f, "b"), "b")};
  struct db_batch b;
  bool closed = false;
  put(f, "c");
  list[0].attempted = list[1].attempted = false;
  OK(S->claim(f->p, &f->err));
  OK(write_batch(f, name));
  OK(write_batch(f, name)); /* once */
  assert_int_equal(super(f, "SELECT count(*) FROM $s.batch"), 1);
  OK(S->batch_read(f->p, 7, name.digest, &f->arena, &b, &f->err));
  assert_true(!b.settled && span_eq(b.entries, SPAN("\0\1\xff")) && span_is(b.nonce, "n"));
  assert_true(b.made_us > 1700000000000000);
  OK(S->settle(f->p, list, 2, &name, &closed, &f->err));
  assert_true(closed);
  assert_true(list[0].found == DB_WAS_PENDING && list[1].found == DB_WAS_PENDING);
  assert_string_equal(ids(f, SHELF_PENDING), "c");
  OK(S->batch_read(f->p, 7, name.digest, &f->arena, &b, &f->err));
  assert_true(b.settled);
  OK(S->batch_settle(f->p, 7, name.digest, &f->err));
  assert_int_equal(S->batch_settle(f->p, 8, name.digest, &f->err), ST_NOT_FOUND);
  OK(S->batch_remove(f->p, 7, name.digest, &f->err));
  OK(S->batch_remove(f->p, 7, name.digest, &f->err));
  assert_int_equal(S->batch_read(f->p, 7, name.digest, &f->arena, &b, &f->err), ST_NOT_FOUND);
}

CASE(in_a_database_that_went_back_nothing_is_settled_and_no_batch_goes) {
  struct fixture *f = *state;
  struct manifest_name first = name_of(1, '1'), second = name_of(2, '2');
  struct db_change one = change(DB_DONE, put(f, "a"), "a"), two = change(DB_DONE, put(f, "b"), "b");
  bool closed;
  OK(S->claim(f->p, &f->err));
  OK(write_batch(f, name_of(0, '0')));
  OK(write_batch(f, first));
  OK(S->settle(f->p, &one, 1, &first, &closed, &f->err));
  OK(write_batch(f, second));
  super(f, "UPDATE $s.batch SET settled = false WHERE n = 1"); /* a server was killed */
  assert_int_equal(S->settle(f->p, &two, 1, &second, &closed, &f->err), ST_BUSY);
  assert_non_null(strstr(f->err.text, "went back"));
  assert_int_equal(S->batch_settle(f->p, 2, second.digest, &f->err), ST_BUSY);
  assert_int_equal(S->batch_remove(f->p, 0, name_of(0, '0').digest, &f->err), ST_BUSY);
  assert_int_equal(super(f, "SELECT count(*) FROM $s.batch WHERE NOT settled"), 3);
  assert_int_equal(super(f, "SELECT count(*) FROM $s.outbox"), 1);
  OK(S->renew(f->p, &f->err)); /* it is ours until it is given back */
  S->release(f->p);
  OK(S->claim(f->p, &f->err));
  OK(S->settle(f->p, &two, 1, &second, &closed, &f->err));
}

CASE(a_database_that_went_back_takes_no_batch) {
  struct fixture *f = *state;
  struct manifest_name first = name_of(1, '1');
  struct db_change one = change(DB_DONE, put(f, "a"), "a");
  bool closed;
  one.attempted = false;
  OK(S->claim(f->p, &f->err));
  OK(write_batch(f, first));
  OK(S->settle(f->p, &one, 1, &first, &closed, &f->err));
  OK(write_batch(f, name_of(2, '2')));
  super(f, "UPDATE $s.batch SET settled = false WHERE n = 1"); /* its settling is lost */
  assert_int_equal(write_batch(f, name_of(3, '3')), ST_BUSY);
  assert_non_null(strstr(f->err.text, "went back"));
  super(f, "DELETE FROM $s.batch"); /* and the batch too */
  assert_int_equal(write_batch(f, name_of(3, '3')), ST_BUSY);
  assert_int_equal(super(f, "SELECT count(*) FROM $s.batch"), 0);
  S->release(f->p);
  OK(S->claim(f->p, &f->err)); /* what is there is looked at anew */
  OK(write_batch(f, name_of(3, '3')));
}

CASE(a_list_is_on_the_disk_whatever_the_role_is_set_to) {
  struct fixture *f = *state;
  int64_t held = 0;
  OK(S->claim(f->p, &f->err));
  super(f, "SELECT pg_switch_wal()");
  for (uint64_t i = 1; i < 20; i++) {
    put(f, "x"), super(f, "DELETE FROM $s.outbox");
    super(f, "INSERT INTO $s.outbox (name, key, payload) VALUES ('a.b', 'k', '{}')");
    OK(write_batch(f, name_of(i, '1')));
    OK(write_batch(f, name_of(i, '1'))); /* found done: what was written before is waited for too */
    held += super(f, "SELECT (pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn())::int");
  }
  assert_true(held >= 15); /* of 19: the server's own processes write now and then */
}

/* Else the batch is marked later, and a crash in between leaves the mark and brings the rows back.
 */
CASE(what_is_settled_without_its_batch_is_on_the_disk_whatever_the_role_is_set_to) {
  struct fixture *f = *state;
  int64_t held = 0;
  bool closed;
  OK(S->claim(f->p, &f->err));
  for (int i = 0; i < 20; i++) {
    struct db_change one = change(i % 2 ? DB_DONE : DB_LATE, put(f, "x"), "x");
    OK(S->settle(f->p, &one, 1, NULL, &closed, &f->err));
    assert_int_equal(one.found, DB_WAS_PENDING);
    held += super(f, "SELECT (pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn())::int");
  }
  assert_true(held >= 16); /* of 20: likewise */
}

CASE(pages_keep_to_rows_and_bytes) {
  struct fixture *f = *state;
  super(f, "INSERT INTO $s.outbox (id, name, key, payload) SELECT 'id-' || g, 'a.b', 'k', "
           "('\"' || repeat(md5(g::text), CASE g WHEN 4 THEN 30000 ELSE 10 END) || '\"')::json "
           "FROM generate_series(1, 9) g");
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .rows = 3});
  assert_true(f->page.count == 3 && !f->page.end);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .after = 3, .body = 1000});
  assert_true(f->page.count >= 1 && f->page.rows[0].cut && !f->page.rows[0].payload.ptr);
  assert_int_equal(f->page.rows[0].payload_size, 30000 * 32 + 2);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .bytes = 700});
  assert_true((f->page.count == 1 || f->page.count == 2) && !f->page.end); /* two are 724 */
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .bytes = 1});
  assert_true(f->page.count == 1 && !f->page.end);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .after = 8});
  assert_true(f->page.count == 1 && f->page.end);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .after = 9});
  assert_true(!f->page.count && f->page.end);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .seq = 5});
  assert_true(f->page.count == 1 && span_is(f->page.rows[0].id, "id-5"));
  size_t all = 0; /* a page ends in front of a row that needs room for itself */
  int64_t after = 0;
  do {
    read_page(f, (struct db_query){
                     .shelf = SHELF_PENDING, .after = after, .id = SPAN("id-"), .begins = true});
    all += f->page.count;
    if (f->page.count) after = f->page.rows[f->page.count - 1].seq;
  } while (!f->page.end);
  assert_true(all == 9 && after == 9);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .id = SPAN("id-")});
  assert_int_equal(f->page.count, 0);
  read_page(f, (struct db_query){.shelf = SHELF_PENDING, .id = SPAN("id-7")});
  assert_true(f->page.count == 1 && f->page.end);
  struct buffer out = {0};
  uint64_t size;
  OK(S->body(f->p, SHELF_PENDING, 4, SPAN("id-4"), 30000 * 32, 100, &out, &size, &f->err));
  assert_int_equal(size, 30000 * 32 + 2);
  assert_true(out.len == 2 && out.ptr[1] == '"');
  assert_int_equal(S->body(f->p, SHELF_PENDING, 4, SPAN("id-5"), 0, 1, &out, &size, &f->err),
                   ST_NOT_FOUND);
  buffer_release(&out);
}

CASE(a_row_that_shows_late_is_swept) {
  struct fixture *f = *state;
  int64_t seqs[10];
  size_t count;
  bool yes;
  OK(S->arrived(f->p, 0, &yes, &f->err));
  assert_false(yes);
  super(f, "SELECT nextval('$s.outbox_seq_seq')"); /* of a transaction that is still open */
  put(f, "b");
  OK(S->arrived(f->p, 0, &yes, &f->err));
  assert_true(yes);
  OK(S->arrived(f->p, 2, &yes, &f->err));
  assert_false(yes);
  OK(S->sweep(f->p, 0, 2, seqs, 10, &count, &f->err));
  assert_true(count == 1 && seqs[0] == 2);
  super(f, "INSERT INTO $s.outbox (seq, id, name, key, payload) OVERRIDING SYSTEM VALUE "
           "VALUES (1, 'a', 'a.b', 'k', '{}')");
  OK(S->sweep(f->p, 0, 2, seqs, 10, &count, &f->err));
  assert_true(count == 2 && seqs[0] == 1 && seqs[1] == 2);
  OK(S->sweep(f->p, 0, 2, seqs, 1, &count, &f->err));
  assert_true(count == 1 && seqs[0] == 1);
  struct db_figures n;
  OK(S->count(f->p, SIDE_WRITING, DB_COUNT_PENDING | DB_COUNT_DEAD | DB_OLDEST, &n, &f->err));
  assert_true(n.pending == 2 && n.last == 2 && n.dead == 0 && n.oldest_us != TIME_NONE);
}

CASE(rows_that_a_policy_hides_are_an_error) {
  struct fixture *f = *state;
  struct store_options options = {.create = true, .clock = &clock_system};
  struct db_figures n;
  void *p;
  bool yes;
  size_t count;
  int64_t seq;
  super(f, "ALTER TABLE $s.outbox ENABLE ROW LEVEL SECURITY");
  assert_int_equal(S->arrived(f->p, 0, &yes, &f->err), ST_INVALID);
  assert_non_null(strstr(f->err.text, "BYPASSRLS"));
  assert_int_equal(S->sweep(f->p, 0, 9, &seq, 1, &count, &f->err), ST_INVALID);
  assert_int_equal(S->count(f->p, SIDE_READING, DB_COUNT_PENDING, &n, &f->err), ST_INVALID);
  assert_int_equal(S->open(f->address, &options, &p, &f->err), ST_INVALID);
  super(f, "ALTER ROLE relay BYPASSRLS");
  OK(S->arrived(f->p, 0, &yes, &f->err));
  super(f, "ALTER ROLE relay NOBYPASSRLS");
}

CASE(a_dead_letter_is_given_another_payload_and_one_comes_back) {
  struct fixture *f = *state;
  int64_t seq = put(f, "a"), other = 0;
  OK(S->claim(f->p, &f->err));
  assert_int_equal(settle(f, change(DB_DEAD, seq, "a")), DB_WAS_PENDING);
  struct db_letter letter = {.seq = seq, .id = SPAN("a"), .failed_us = 1};
  OK(S->amend(f->p, &letter, SPAN("{\"b\": 2.0}"), &f->err));
  assert_int_equal(letter.status, ST_NOT_FOUND);
  letter.failed_us = TIME_NONE;
  OK(S->amend(f->p, &letter, SPAN("{\"b\": 2.0}"), &f->err));
  assert_int_equal(letter.status, ST_OK);
  assert_int_equal(S->amend(f->p, &letter, SPAN("{"), &f->err), ST_INVALID);
  read_page(f, (struct db_query){.shelf = SHELF_DEAD});
  assert_true(f->page.count == 1 && span_is(f->page.rows->payload, "{\"b\": 2.0}"));
  assert_true(span_is(f->page.rows->reason, "schema_mismatch"));
  const struct db_row row = {.id = SPAN("b"),
                             .name = SPAN("episode.created"),
                             .key = SPAN("k"),
                             .payload = SPAN("{\"a\":1.0}"),
                             .created_at = SPAN("2025-09-22T03:04:05.123456+00:00"),
                             .attempts = 3,
                             .last_error = SPAN("it was wrong"),
                             .first_failed_us = TIME_NONE,
                             .failed_us = 1700000001000000,
                             .reason = SPAN("not_json"),
                             .error_code = 7};
  OK(S->bury(f->p, &row, 1700000002000000, &other, &f->err));
  assert_true(other > seq);
  assert_int_equal(S->bury(f->p, &row, 1, &other, &f->err), ST_EXISTS);
  read_page(f, (struct db_query){.shelf = SHELF_DEAD, .seq = other});
  const struct db_row *r = f->page.rows;
  assert_true(f->page.count == 1 && span_is(r->id, "b") && span_is(r->key, "k"));
  assert_true(r->attempts == 3 && span_is(r->last_error, "it was wrong") && !r->topic.ptr);
  assert_true(r->first_failed_us == TIME_NONE && r->failed_us == 1700000001000000);
  assert_true(span_is(r->reason, "not_json") && r->error_code == 7);
  assert_true(span_is(r->created_at, "2025-09-22T03:04:05.123456+00:00"));
  letter = (struct db_letter){.seq = other, .id = SPAN("b"), .failed_us = TIME_NONE};
  OK(S->replay(f->p, &letter, 1, 1, &f->err));
  assert_int_equal(letter.status, ST_OK);
  assert_true(put(f, "c") > other);
  super(f, "UPDATE $s.lane SET token = 'x'");
  assert_int_equal(S->amend(f->p, &letter, SPAN("{}"), &f->err), ST_BUSY);
  assert_int_equal(S->bury(f->p, &row, 1, &other, &f->err), ST_BUSY);
}

CASE(ids_are_told_apart_by_their_bytes_and_letters_of_one_seq_replayed_once) {
  struct fixture *f = *state;
  int64_t seq = put(f, "a");
  OK(S->claim(f->p, &f->err));
  assert_int_equal(settle(f, change(DB_DEAD, seq, "a")), DB_WAS_PENDING);
  super(f, "INSERT INTO $s.outbox (seq, id, name, key, payload) OVERRIDING SYSTEM VALUE "
           "VALUES (1, 'B', 'a.b', 'k', '{}')"); /* given again by a server that went back */
  struct db_letter letters[2] = {{.seq = seq, .id = SPAN("a"), .failed_us = TIME_NONE},
                                 {.seq = seq, .id = SPAN("B"), .failed_us = TIME_NONE}};
  OK(S->replay(f->p, letters, 2, 1, &f->err));
  assert_true(letters[0].status == ST_EXISTS && letters[1].status == ST_NOT_FOUND);
  assert_int_equal(settle(f, change(DB_DEAD, seq, "B")), DB_WAS_PENDING);
  assert_string_equal(ids(f, SHELF_DEAD), "B a");
  read_page(f, (struct db_query){.shelf = SHELF_DEAD, .after = seq, .after_id = SPAN("B")});
  assert_true(f->page.count == 1 && span_is(f->page.rows[0].id, "a"));
  OK(S->replay(f->p, letters, 2, 1, &f->err));
  assert_true(letters[0].status == ST_OK && letters[1].status == ST_EXISTS);
  OK(S->purge(f->p, letters, 2, &f->err));
  assert_true(letters[0].status == ST_NOT_FOUND && letters[1].status == ST_OK);
  assert_string_equal(ids(f, SHELF_PENDING), "a");
  assert_string_equal(ids(f, SHELF_DEAD), "");
}

CASE(what_the_columns_do_not_take_is_refused) {
  struct fixture *f = *state;
  struct db_row row = {
      .id = SPAN("a"), .name = SPAN("a.b"), .key = SPAN("k"), .payload = SPAN("{")};
  int64_t seq;
  assert_int_equal(S->insert(f->p, &row, &seq, &f->err), ST_INVALID);
  row.payload = SPAN("{}"), row.name = SPAN("a\0b");
  assert_int_equal(S->insert(f->p, &row, &seq, &f->err), ST_INVALID);
  row.name = SPAN("a\xff");
  assert_int_equal(S->insert(f->p, &row, &seq, &f->err), ST_INVALID);
  row.name = SPAN("a.b"), row.created_at = SPAN("yesterday");
  assert_int_equal(S->insert(f->p, &row, &seq, &f->err), ST_INVALID);
  row.created_at = (struct span){0};
  OK(S->insert(f->p, &row, &seq, &f->err));
  assert_int_equal(S->insert(f->p, &row, &seq, &f->err), ST_EXISTS);
}

int main(void) {
  return box_run();
}
