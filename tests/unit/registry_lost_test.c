/* An id that was right and is not any more, and a registry that is away: what is told of records
 * that carry it. */
#include "tests/unit/registry_run.h"

/* Until it has noticed that nobody answers: nothing is looked at meanwhile. */
static void hush(struct run *r, bool silent) {
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = silent;
  pthread_mutex_unlock(&r->box->lock);
  while (silent && view(r).why[0] == '\0') assert_true(sleep_ms(5, NULL));
}

/* Known, and then away, until hush(r, false). */
static void known_and_away(struct run *r) {
  r->verify_ms = 20;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  hush(r, true);
}

/* The line of that event. */
static const char *logged(struct run *r, const char *event, char room[8192]) {
  char want[80];
  snprintf(want, sizeof want, "\"event\":\"%s\"", event);
  fflush(r->log_file);
  rewind(r->log_file);
  while (fgets(room, 8192, r->log_file))
    if (strstr(room, want)) return room;
  return "";
}

static void say_gone(struct run *r) {
  box_say(r->box, ID_7, 404, NONE_40403);
  box_say(r->box, LOOK_UP, 404, NONE_40403);
  box_say(r->box, "", 404, NONE_40401);
}

static void assert_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

CASE(an_id_that_vanished_stops_its_type_and_its_offsets_are_told) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  schema_id_published(&r->id, 2, 40);
  schema_id_published(&r->id, 2, 44);
  say_gone(r);
  hush(r, false);
  await(r, ID_MISSING);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_true(view(r).lost);
  assert_has(view(r).why, "the registry knows no schema with the id 7 any more. 2 records were "
                          "published under it since ");
  assert_has(view(r).why, ": t partition 2 offsets 40 to 44");
  assert_has(logged(r, "id_gone", line), ": t partition 2 offsets 40 to 44");
}

CASE(an_id_that_became_another_goes_on_and_the_offsets_of_the_old_one_are_told) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  schema_id_published(&r->id, 0, 9);
  box_say(r->box, ID_7, 404, NONE_40403);
  box_say(r->box, LOOK_UP, 200, "{\"id\":9,\"version\":1,\"schema\":\"" THEIRS "\"}");
  box_say(r->box, "GET /schemas/ids/9", 200, "{\"schema\":\"" THEIRS "\"}");
  hush(r, false);
  while (atomic_load(&r->id.id) != 9) assert_true(sleep_ms(5, NULL));
  await(r, ID_KNOWN);
  assert_false(view(r).lost);
  logged(r, "id_renumbered", line);
  assert_has(line, "knows no schema with the id 7 any more, and has it as 9 now. 1 records were");
  assert_has(line, ": t partition 0 offsets 9 to 9");
}

/* What an earlier process published is told by the time, which is remembered. */
CASE(after_a_restart_the_time_is_told_since_when_an_id_may_be_wrong) {
  struct run *r = *state;
  char since[TIME_TEXT], span[120], line[8192];
  known_and_away(r);
  ids_close(r->ids);
  const char *looked = strrchr(buffer_z(&r->kept), ' ');
  assert_non_null(looked);
  int64_t us = strtoll(looked, NULL, 10);
  assert_true(us > 0 && us <= clock_wall_us(&clock_system));
  snprintf(span, sizeof span, "What was published from %s, when it was right, to ",
           time_format(us, since));
  r->ids = NULL;
  schema_id_clear(&r->id);
  hush(r, false);
  box_say(r->box, ID_7, 500, "");
  box_say(r->box, "", 500, "");
  start(r);
  await(r, ID_CACHED);
  schema_id_published(&r->id, 1, 5);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  await(r, ID_WRONG);
  assert_has(view(r).why, span);
  assert_has(view(r).why, "; 1 records by this process: t partition 1 offsets 5 to 5");
  assert_has(logged(r, "id_wrong", line), span);
}

CASE(a_memory_without_a_time_is_read_and_told_as_one) {
  struct run *r = *state;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  ids_close(r->ids);
  char *time = strrchr(buffer_z(&r->kept), ' ');
  assert_non_null(time);
  memcpy(time, "\n", 2);
  r->kept.len = (size_t)(time + 1 - r->kept.ptr);
  r->ids = NULL;
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  schema_id_clear(&r->id);
  start(r);
  await(r, ID_WRONG);
  assert_has(view(r).why, "Nobody knows when it was right last; what was published until ");
}

CASE(many_partitions_are_told_in_full_by_the_log_and_counted_elsewhere) {
  struct run *r = *state;
  char line[8192];
  known_and_away(r);
  for (int p = 0; p < 40; p++) schema_id_published(&r->id, p, 1000000000000 + p);
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  hush(r, false);
  await(r, ID_WRONG);
  assert_has(view(r).why, " partitions more and 8 in partitions beyond 31");
  logged(r, "id_wrong", line);
  assert_has(line,
             "partition 31 offsets 1000000000031 to 1000000000031 and 8 in partitions beyond");
}

CASE(a_known_id_is_looked_at_again_and_its_offsets_are_told_when_it_is_another) {
  struct run *r = *state;
  r->verify_ms = 20;
  say_known(r);
  start(r);
  await(r, ID_KNOWN);
  while (asked(r, ID_7) < 3) assert_true(sleep_ms(5, NULL)); /* at the start, then every 20 ms */
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = true; /* nothing is looked at meanwhile */
  pthread_mutex_unlock(&r->box->lock);
  while (view(r).why[0] == '\0') assert_true(sleep_ms(5, NULL)); /* it has noticed */
  schema_id_published(&r->id, 2, 40);
  schema_id_published(&r->id, 2, 44);
  schema_id_published(&r->id, 0, 9);
  assert_int_equal(atomic_load(&r->id.id), 7); /* it serves on */
  box_say(r->box, ID_7, 200, "{\"schema\":\"" NO_LOGICAL "\"}");
  pthread_mutex_lock(&r->box->lock);
  r->box->silent = false;
  pthread_mutex_unlock(&r->box->lock);
  await(r, ID_WRONG);
  assert_int_equal(atomic_load(&r->id.id), SCHEMA_NO_ID);
  assert_non_null(strstr(view(r).why, "3 records were published under it since "));
  assert_non_null(
      strstr(view(r).why, ": t partition 0 offsets 9 to 9, partition 2 offsets 40 to 44"));
}

/* ---- JSON Schema ---- */
