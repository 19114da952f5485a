/* Replays and purges of many: what is frozen, what a step does, what is told and written down. */
#include "tests/unit/bulk_box.h"

/* ---- freezing ---- */

CASE(a_dry_run_tells_and_writes_nothing) {
  many(6);
  open_outbox(SERVICE_INSPECT);
  struct bulk_request r = request(false);
  r.all = r.dry_run = true;
  const char *text = answered(freeze(r));
  assert_has(text, "\"selection\": null, \"kind\": \"replay\", \"count\": 6");
  assert_has(text, "\"topics\": {\"plot.events\": 2, \"episode.events\": 4}");
  assert_has(text, "\"reasons\": {\"schema_mismatch\": 2, \"bad_name\": 4}");
  assert_has(text, "\"samples\": [\"d-00\", \"d-01\", \"d-02\", \"d-03\", \"d-04\"]");
  assert_false(there(".busbridge"));
  assert_int_equal(files_in("dlq"), 6);
}

CASE(what_is_meant_must_be_said_in_one_way) {
  many(1);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(freeze(request(true)), ST_INVALID);
  struct bulk_request r = request(true);
  r.ids = SPAN("d-00");
  r.all = true;
  assert_int_equal(freeze(r), ST_INVALID);
  r = request(false);
  r.all = true;
  r.selection.dead = false;
  assert_int_equal(freeze(r), ST_INVALID);
}

CASE(filters_choose_and_what_comes_later_stays) {
  many(9);
  open_outbox(SERVICE_CHANGE);
  assert_has(answered(freeze_reason("schema_mismatch")),
             "\"selection\": 1, \"kind\": \"replay\", \"count\": 3");
  dead("d-60", "plot.created", "schema_mismatch", 1);
  assert_has(answered(step(false, 1, 0)),
             "\"replayed\": 3, \"refused\": 0, \"busy\": 0, \"failed\": 0, \"vanished\": 0, "
             "\"finished\": true, \"done\": 3, \"wait\": false, \"errors\": []");
  assert_true(there("d-00.json") && there("d-03.json") && there("d-06.json") &&
              there("dlq/d-60.json"));
  assert_int_equal(files_in("."), 3);
  assert_int_equal(files_in("dlq"), 7);
  assert_int_equal(step(false, 1, 0), ST_NOT_FOUND);
  assert_has(text_of(".busbridge/audit.log"),
             "\"command\": \"replay\", \"what\": \"selection 1: type=dlq "
             "reason=schema_mismatch\", \"counts\": {\"replayed\": 3, \"of\": 3");
  assert_has(text_of(".busbridge/audit.log"), "\"uid\": 0, \"user\": \"root\"");
}

CASE(nothing_that_matches_is_no_selection) {
  many(3);
  open_outbox(SERVICE_CHANGE);
  assert_has(answered(freeze_reason("too_large")),
             "\"selection\": null, \"kind\": \"replay\", \"count\": 0");
  assert_false(there(".busbridge/replay-1"));
}

CASE(ids_are_names_of_files_or_ids_and_the_missing_are_told) {
  many(3);
  dead("other", "plot.created", "bad_name", 1);
  char from[300];
  snprintf(from, sizeof from, "%s", path_of("dlq/other.json"));
  assert_int_equal(rename(from, path_of("dlq/named_so.json")), 0); /* its id is other */
  open_outbox(SERVICE_CHANGE);
  struct bulk_request r = request(false);
  r.ids = SPAN("  d-01\n\nother\r\nnowhere\nd-01\n../d-00\n");
  const char *text = answered(freeze(r));
  assert_has(text, "\"count\": 2");
  assert_has(text, "\"missing\": 2, \"missing_samples\": [\"nowhere\", \"../d-00\"]");
  answered(step(false, 1, 0));
  assert_true(there("d-01.json") && there("named_so.json") && there("dlq/d-00.json"));
}

/* ---- steps and what cuts them ---- */

CASE(steps_go_on_where_they_stopped_also_after_a_restart) {
  many(10);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  assert_has(answered(step(false, 1, 4)),
             "\"total\": 10, \"left\": 6, \"round\": 1, \"replayed\": 4");
  assert_int_equal(files_in("."), 4);
  restart();
  buffer_clear(&json);
  assert_has(
      answered(service_bulk_list(service, false, &json, &err)),
      "{\"version\": 1, \"selections\": [{\"version\": 1, \"selection\": 1, \"kind\": \"replay\", \"filter\": "
      "\"all\", \"force\": false");
  buffer_clear(&json);
  assert_has(answered(service_bulk_list(service, true, &json, &err)), "\"selections\": []");
  assert_has(answered(step(false, 1, 4)), "\"left\": 2, \"round\": 1, \"replayed\": 8");
  assert_has(answered(step(false, 1, 4)), "\"left\": 0, \"round\": 1, \"replayed\": 10, ");
  assert_has(buffer_z(&json), "\"finished\": true");
  assert_int_equal(files_in("."), 10);
}

CASE(what_vanished_or_died_again_is_not_touched) {
  many(4);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  assert_int_equal(unlink(path_of("dlq/d-01.json")), 0);
  dead("d-02", "episode.created", "bad_name", 59);
  const char *text = answered(step(false, 1, 0));
  assert_has(
      text,
      "\"replayed\": 2, \"refused\": 0, \"busy\": 0, \"failed\": 0, \"vanished\": 2, \"finished\": true");
  assert_true(there("dlq/d-02.json"));
}

CASE(what_cannot_be_moved_is_told_and_left) {
  many(3);
  put("d-01.json", "{}");
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  const char *text = answered(step(false, 1, 0));
  assert_has(text, "\"replayed\": 2, \"refused\": 0, \"busy\": 0, \"failed\": 1");
  assert_has(text, "\"errors\": [{\"file\": \"d-01.json\", \"code\": \"exists\"");
  assert_true(there("dlq/d-01.json"));
}

/* As if the process had ended in the middle of a step: its note stands, some of its moves are made.
 */
CASE(a_step_that_was_cut_is_finished_by_the_next) {
  struct frozen f;
  many(6);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  assert_int_equal(frozen_open(&f, service->store, 1, &err), ST_OK);
  f.note.until = f.note.end;
  assert_int_equal(frozen_write_note(&f, &err), ST_OK);
  frozen_close(&f);
  for (int i = 0; i < 3; i++) { /* by hand: the moves of the step */
    char stem[60], moved[300];
    snprintf(stem, sizeof stem, "dlq/d-%02d.json", i);
    snprintf(moved, sizeof moved, "%s", path_of(stem));
    assert_int_equal(rename(moved, path_of(stem + 4)), 0);
  }
  restart();
  assert_has(answered(step(false, 1, 0)),
             "\"replayed\": 6, \"refused\": 0, \"busy\": 0, \"failed\": 0, \"vanished\": 0");
  assert_has(buffer_z(&json), "\"done\": 3");
  assert_int_equal(files_in("."), 6);
  assert_int_equal(files_in("dlq"), 0);
}

CASE(half_a_note_is_passed_over) {
  many(6);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  answered(step(false, 1, 2));
  FILE *f = fopen(path_of(".busbridge/replay-1"), "ab");
  assert_non_null(f);
  fputs("{\"total\": 6, \"first\":", f);
  fclose(f);
  restart();
  assert_has(answered(step(false, 1, 2)), "\"left\": 2, \"round\": 1, \"replayed\": 4");
  assert_has(answered(step(false, 1, 2)), "\"replayed\": 6");
}

CASE(a_damaged_one_is_refused_and_can_be_given_up) {
  many(2);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  put(".busbridge/replay-1", "junk\n");
  assert_int_equal(step(false, 1, 0), ST_INVALID);
  assert_has(err.text, "--give-up 1");
  buffer_clear(&json);
  answered(service_bulk_cancel(service, false, 1, &json, &err));
  assert_false(there(".busbridge/replay-1"));
  assert_has(answered(freeze_all(false)), "\"selection\": 2"); /* a number is not used twice */
}

/* Named in a manifest that is not settled: tried again in later rounds, then left. */
CASE(the_busy_are_tried_again_and_then_left) {
  struct manifest_entry entry = {.ref = {.token = SPAN("d-01.json")},
                                 .id = SPAN("d-01"),
                                 .topic = SPAN("episode.events"),
                                 .key = SPAN("k")};
  struct manifest m = {.number = 1, .entries = &entry, .count = 1};
  many(3);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  assert_int_equal(
      journal_write(home_folder(service->home), home_tmp(service->home), &m, "nonce", &err), ST_OK);
  const char *text = answered(step(false, 1, 0));
  assert_has(text, "\"round\": 2, \"replayed\": 2");
  assert_has(text, "\"finished\": false, \"done\": 2, \"wait\": true");
  assert_has(answered(step(false, 1, 0)), "\"round\": 3");
  text = answered(step(false, 1, 0));
  assert_has(
      text,
      "\"replayed\": 2, \"refused\": 0, \"busy\": 1, \"failed\": 0, \"vanished\": 0, \"finished\": true");
  assert_has(text, "is in a batch that is not settled yet");
  assert_true(there("dlq/d-01.json"));
}

CASE(giving_up_leaves_the_rest) {
  many(4);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(false));
  buffer_clear(&json);
  assert_int_equal(service_bulk_progress(service, true, 1, &json, &err),
                   ST_NOT_FOUND); /* of the other kind */
  answered(step(false, 1, 1));
  buffer_clear(&json);
  assert_has(answered(service_bulk_cancel(service, false, 1, &json, &err)), "\"left\": 3");
  assert_int_equal(files_in("dlq"), 3);
  assert_has(text_of(".busbridge/audit.log"),
             "selection 1: all (given up)\", \"counts\": {\"replayed\": 1, \"of\": 4");
  assert_int_equal(step(false, 1, 0), ST_NOT_FOUND);
}

/* ---- purge ---- */

CASE(a_purge_exports_bytes_and_removes_what_was_meant) {
  many(1);
  put("dlq/odd.json", "{\n  \"id\": \"odd\", \"status\": \"dlq\"\n}\n");
  put("dlq/r.json",
      "{\"id\": \"r\", \"name\": \"\", \"payload\": {}, \"failed_at\": null, \"status\": \"dlq\", "
      "\"inode\": 1}");
  put("dlq/r.raw", "raw\001bytes");
  put("pending-one.json",
      "{\"id\": \"p\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}");
  open_outbox(SERVICE_CHANGE);
  assert_has(answered(freeze_all(true)), "\"kind\": \"purge\", \"count\": 3");
  buffer_clear(&json);
  struct buffer want = {0};
  buffer_printf(&want, "{\"file\": \"d-00.json\", \"entry\": %s}", text_of("dlq/d-00.json"));
  const char *text = answered(service_bulk_entries(service, 1, "", 0, &json, &err));
  assert_has(text, buffer_z(&want));
  assert_has(
      text,
      "{\"file\": \"odd.json\", \"bytes\": \"ewogICJpZCI6ICJvZGQiLCAic3RhdHVzIjogImRscSIKfQo=\"}");
  assert_has(text, "\"raw_size\": 9, \"raw\": \"cmF3AWJ5dGVz\"}");
  assert_has(text, "\"next\": null");
  buffer_release(&want);
  buffer_clear(&json);
  assert_int_equal(service_bulk_entries(service, 1, "999999", 0, &json, &err), ST_INVALID);
  assert_has(answered(step(true, 1, 0)), "\"purged\": 3");
  assert_false(there("dlq/d-00.json") || there("dlq/r.json") || there("dlq/r.raw") ||
               there("dlq/odd.json"));
  assert_true(there("pending-one.json"));
  assert_has(text_of(".busbridge/audit.log"),
             "\"command\": \"purge\", \"what\": \"selection 1: all\"");
}

CASE(an_export_goes_on_where_the_answer_before_ended) {
  struct buffer from = {0};
  unsigned answers = 0, seen = 0;
  many(5);
  open_outbox(SERVICE_CHANGE);
  answered(freeze_all(true));
  do {
    buffer_clear(&json);
    const char *text = answered(service_bulk_entries(service, 1, buffer_z(&from), 2, &json, &err));
    for (const char *p = text; (p = strstr(p, "\"file\"")); p++) seen++;
    const char *next = strstr(text, "\"next\": \"");
    buffer_clear(&from);
    if (next) buffer_append(&from, next + 9, strcspn(next + 9, "\""));
    answers++;
  } while (from.len);
  assert_int_equal(answers, 3);
  assert_int_equal(seen, 5);
  buffer_release(&from);
}

/* ---- files ---- */

CASE(any_name_of_a_file_comes_back_from_a_selection) {
  static const char *const names[] = {"plain-1_2.json", "with blank.json", "line\nend.json",
                                      "\xff\xfe%41.json", "\xe6\x97\xa5.json"};
  struct frozen_head head = {.uid = -1, .began_us = 5, .filter = "name=\"a b\""};
  struct frozen_writer w;
  struct frozen f;
  char file[FROZEN_NAME];
  int64_t when_us;
  uint64_t number, at;
  open_outbox(SERVICE_CHANGE);
  frozen_begin(&w, service->store, &head);
  for (int round = 0; round < 8000; round++) /* more than is kept in memory */
    for (int i = 0; i < 5; i++) assert_int_equal(frozen_add(&w, names[i], i - 2, &err), ST_OK);
  assert_int_equal(frozen_commit(&w, &number, &err), ST_OK);
  frozen_release(&w);
  assert_int_equal(frozen_open(&f, service->store, number, &err), ST_OK);
  assert_string_equal(f.head.filter, head.filter);
  assert_int_equal(f.note.total, 40000);
  at = f.note.first;
  for (int i = 0; i < 40000; i++) {
    assert_int_equal(frozen_read(&f, &at, file, &when_us, &err), ST_OK);
    assert_string_equal(file, names[i % 5]);
    assert_int_equal(when_us, i % 5 - 2);
  }
  assert_int_equal(frozen_read(&f, &at, file, &when_us, &err), ST_END);
  frozen_close(&f);
}

CASE(so_many_may_be_unfinished) {
  many(1);
  open_outbox(SERVICE_CHANGE);
  for (int i = 0; i < SELECTIONS_MOST; i++) answered(freeze_all(false));
  assert_int_equal(freeze_all(false), ST_NO_SPACE);
  assert_has(err.text, "--give-up");
}

CASE(a_long_audit_log_is_put_aside_and_half_a_line_is_left_behind) {
  open_outbox(SERVICE_CHANGE);
  put(".busbridge/audit.log", "{\"half");
  audit_write(service, NULL, "test", SPAN("a \"b\""), NULL, 0);
  const char *text = text_of(".busbridge/audit.log");
  assert_has(text, "{\"half\n{\"time\": \"");
  assert_has(
      text,
      "\"uid\": null, \"user\": null, \"command\": \"test\", \"what\": \"a \\\"b\\\"\", \"counts\": {}}\n");
  assert_int_equal(truncate(path_of(".busbridge/audit.log"), STORE_AUDIT_MOST), 0);
  audit_write(service, NULL, "next", SPAN(""), NULL, 0);
  assert_true(there(".busbridge/audit.log.1"));
  assert_int_equal(strncmp(text_of(".busbridge/audit.log"), "{\"time\"", 7), 0);
}

CASE(looking_writes_no_audit_line) {
  open_outbox(SERVICE_INSPECT);
  audit_write(service, NULL, "test", SPAN(""), NULL, 0);
  assert_false(there(".busbridge"));
}
