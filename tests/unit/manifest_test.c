/* Manifests: what is written is read back, listed in order, settled and removed; repeating that
 * changes nothing. */
#include "tests/unit/manifest_box.h"

CASE(what_was_written_is_read_back) {
  struct room *p = *state;
  static char long_name[400];
  memset(long_name, 'n', sizeof long_name);
  struct manifest_entry four[] = {
      entry(SPAN("pending/3f2b.json"), "3f2b", SPAN("episode-1")),
      entry((struct span){long_name, sizeof long_name}, "id\"with\\escapes\n\x01",
            SPAN("k\0ey \xe2\x82\xac")),
      entry(SPAN("latin-\xe9\xff.json"), "", SPAN("\x7f\xf0\x9f\x98\x80\t")),
      entry(SPAN("pending/{\"hex\":\"00\"}"), "twin", SPAN("")),
  };
  four[1].topic = SPAN("plot.\"events\"");
  four[2].topic = SPAN("plot.\"events\"");
  four[3].duplicate = true;
  four[2].event_time = four[3].event_time = true;
  memcpy(four[0].ref.own, (uint64_t[4]){UINT64_MAX, INT64_MAX, 1ull << 63}, sizeof four[0].ref.own);
  memcpy(four[1].ref.own, (uint64_t[4]){0, 0, INT64_MAX}, sizeof four[1].ref.own);
  four[0].ref.arrived_ns = -1;
  four[1].ref.arrived_ns = 1767225600123456789;
  struct manifest m = {.number = UINT64_MAX, .before = BEFORE, .entries = four, .count = 4};
  write_whole(p, &m);
  assert_one(p, &m, false);
  assert_int_equal(entries(p->to), 0);
}

CASE(the_first_one_is_empty_and_has_none_before) {
  struct room *p = *state;
  struct manifest m = {.number = 0};
  write_whole(p, &m);
  assert_one(p, &m, false);
}

/* What lies on disk is read by later releases: this text and this name are for ever. */
CASE(the_form_on_disk_is_this) {
  struct room *p = *state;
  struct manifest m = sample();
  struct buffer text = {0};
  char file[80];
  two[1].duplicate = true;
  two[0].ref.content = 5;
  write_whole(p, &m);
  struct manifest_name name = name_of(&m, false);
  file_of(&name, file);
  assert_string_equal(file, "batch-7-c59064dafbde46d8d7ce5267bea2753f");
  assert_int_equal(file_read(p->in, file, 4096, &text, NULL), ST_OK);
  assert_string_equal(buffer_z(&text),
                      "{\"busbridge-manifest\":2,\"number\":7,\"before\":\"" BEFORE
                      "\",\"nonce\":\"run-\\\"1\\\"\",\"count\":2}\n"
                      "[\"flat\",\"a.json\",1,2,3,4,\"a\",\"episode.events\",\"k\",5,false]\n"
                      "[\"pending\",\"b.json\",1,2,3,4,\"b\",\"episode.events\",\"\",0,true]\n");
  buffer_release(&text);
}

CASE(number_nonce_predecessor_and_entries_make_another_name) {
  struct manifest m = sample();
  char seen[5][MANIFEST_DIGEST];
  for (int i = 0; i < 5; i++) {
    struct buffer text = {0};
    if (i == 1) m.number = 8;
    if (i == 2) memcpy(m.before, OTHER, sizeof m.before);
    if (i == 3) two[1].ref.own[2]++;
    journal_print(&m, i == 4 ? "run-2" : NONCE, &text);
    journal_digest(buffer_span(&text), seen[i]);
    for (int k = 0; k < i; k++) assert_string_not_equal(seen[i], seen[k]);
    buffer_release(&text);
  }
}

CASE(a_large_batch_goes_in_one_write) {
  struct room *p = *state;
  enum { MANY = 5000 };
  static struct manifest_entry many[MANY];
  static char names[MANY][48];
  struct hook h = {0};
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof names[i], "3f2b6c1e-0000-4000-8000-%012d.json", i);
    many[i] = entry(span_of(names[i]), names[i], span_of(names[i]));
  }
  struct manifest m = {.number = 1, .entries = many, .count = MANY};
  durable_set_hook(on_point, &h);
  int64_t before = clock_mono_ms(&clock_system);
  write_whole(p, &m);
  print_message("%d entries in %lld ms\n", MANY,
                (long long)(clock_mono_ms(&clock_system) - before));
  durable_set_hook(NULL, NULL);
  assert_string_equal(h.order, "O+W+F+R+F+");
  assert_one(p, &m, false);
}

/* One topic is kept once, not five thousand times. */
CASE(a_topic_is_shared_by_its_entries) {
  struct manifest m = sample(), got;
  struct buffer text = {0};
  journal_print(&m, NONCE, &text);
  assert_int_equal(journal_parse(buffer_span(&text), &got, NULL), ST_OK);
  assert_ptr_equal(got.entries[0].topic.ptr, got.entries[1].topic.ptr);
  manifest_release(&got);
  buffer_release(&text);
}

/* Of a long one what people need to know it by. */
CASE(keys_are_bounded_and_a_duplicate_has_none) {
  struct room *p = *state;
  struct manifest m = sample(), got;
  static char key[65536];
  memset(key, 'k', sizeof key);
  memcpy(key + MANIFEST_KEY - 1, "\xe2\x82\xac", 3); /* a character is not cut */
  two[0].key = two[1].key = (struct span){key, sizeof key};
  two[1].duplicate = true;
  write_whole(p, &m);
  struct manifest_name name = name_of(&m, false);
  assert_int_equal(journal_read(p->in, &name, &got, NULL), ST_OK);
  assert_span(got.entries[0].key, (struct span){key, MANIFEST_KEY - 1});
  assert_int_equal(got.entries[1].key.len, 0);
  manifest_release(&got);
}

CASE(of_more_than_it_may_hold_nothing_is_written_and_it_tells_how_many_fit) {
  struct room *p = *state;
  enum { MANY = 3000 };
  static struct manifest_entry many[MANY];
  static char name[255];
  memset(name, 0xff, sizeof name); /* stands there as 510 digits */
  for (size_t i = 0; i < MANY; i++)
    many[i] = entry((struct span){name, sizeof name}, "id", SPAN("key"));
  struct manifest m = {.number = 7, .before = BEFORE, .entries = many, .count = MANY};
  assert_int_equal(journal_write(p->in, p->to, &m, NONCE, NULL), ST_TOO_LARGE);
  assert_int_equal(entries(p->in) + entries(p->to), 0);
  assert_in_range(m.fit, 1000, MANY - 1);
  struct buffer text = {0};
  m.count = m.fit + 1;
  assert_int_equal(journal_print(&m, NONCE, &text), m.fit);
  m.count = m.fit;
  write_whole(p, &m);
  struct manifest_name n = name_of(&m, false);
  char file[80];
  struct stat st;
  file_of(&n, file);
  assert_int_equal(fstatat(p->in, file, &st, 0), 0);
  assert_in_range(st.st_size, MANIFEST_MOST - 1000, MANIFEST_MOST);
  buffer_release(&text);
}

/* Earlier releases wrote up to MANIFEST_MAX bytes. */
CASE(a_larger_one_of_an_earlier_release_is_read) {
  struct room *p = *state;
  struct buffer text = {0};
  struct manifest got;
  size_t keys = 40;
  buffer_printf(
      &text,
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"\",\"nonce\":\"n\",\"count\":%zu}\n",
      keys);
  for (size_t i = 0; i < keys; i++) {
    buffer_printf(&text, "[\"flat\",\"%zu.json\",1,2,3,4,\"id\",\"episode.events\",\"", i);
    for (size_t k = 0; k < 1000; k++)
      buffer_add_z(&text, "a key of sixty bytes, again and again and again and again...");
    buffer_add_z(&text, i ? "\",true]\n" : "\",false]\n");
  }
  assert_true(text.len > 2 * MANIFEST_MOST);
  struct manifest_name n = {.number = 7};
  journal_digest(buffer_span(&text), n.digest);
  char file[80];
  file_of(&n, file);
  assert_int_equal(durable_write_new(p->in, file, buffer_span(&text), NULL, NULL), ST_OK);
  assert_int_equal(journal_read(p->in, &n, &got, NULL), ST_OK);
  assert_int_equal(got.count, keys);
  assert_int_equal(got.entries[39].key.len, 60000);
  manifest_release(&got);
  buffer_release(&text);
}

/* ---- listing ---- */

CASE(the_list_is_in_order_and_passes_others_over) {
  struct room *p = *state;
  static const char *const files[] = {"batch-10-" BEFORE,   "batch-9-" OTHER,  "settled-9-" OTHER,
                                      "settled-10-" BEFORE, "batch-9-" BEFORE, "settled-0-" BEFORE};
  static const char *const others[] = {"id",      "lock",   "keys-due", "hands",
                                       "batches", "settle", "tmp",      ".batch-1-x"};
  static const char *const want[] = {"settled-0-" BEFORE, "settled-9-" OTHER,   "batch-9-" BEFORE,
                                     "batch-9-" OTHER,    "settled-10-" BEFORE, "batch-10-" BEFORE};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) put(p->in, files[i], "");
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) put(p->in, others[i], "");
  struct manifest_name *list = NULL;
  size_t count = 0;
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  assert_int_equal(count, 6);
  for (size_t i = 0; i < count; i++) {
    char file[80];
    file_of(&list[i], file);
    assert_string_equal(file, want[i]);
  }
  free(list);
}

CASE(many_are_listed) {
  struct room *p = *state;
  struct manifest_name *list = NULL;
  size_t count = 0;
  for (int i = 0; i < 100; i++) {
    char file[80];
    snprintf(file, sizeof file, "batch-%d-" BEFORE, i);
    put(p->in, file, "");
  }
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  assert_int_equal(count, 100);
  for (size_t i = 0; i < count; i++) assert_int_equal(list[i].number, i);
  free(list);
}

CASE(a_name_like_ours_that_is_malformed_is_an_error) {
  struct room *p = *state;
  static const char *const files[] = {"batch-",
                                      "batch-7",
                                      "batch-7-",
                                      "batch--" BEFORE,
                                      "batch-07-" BEFORE,
                                      "batch-+7-" BEFORE,
                                      "batch-18446744073709551616-" BEFORE,
                                      "batch-7-" BEFORE "0",
                                      "batch-7-" BEFORE ".tmp",
                                      "settled-7-00112233445566778899AABBCCDDEEFF",
                                      "settled-x-" BEFORE};
  put(p->in, "batch-1-" BEFORE, "");
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    struct manifest_name *list = (void *)p;
    struct error err = {0};
    size_t count = 1;
    put(p->in, files[i], "");
    assert_int_equal(journal_list(p->in, &list, &count, &err), ST_INVALID);
    assert_null(list);
    assert_int_equal(count, 0);
    assert_non_null(strstr(err.text, files[i]));
    assert_int_equal(unlinkat(p->in, files[i], 0), 0);
  }
}

CASE(a_folder_that_is_gone_cannot_be_listed) {
  struct manifest_name *list;
  size_t count;
  assert_int_not_equal(journal_list(-1, &list, &count, NULL), ST_OK);
  assert_null(list);
}

/* ---- settling and removing ---- */

CASE(settling_and_removing_may_be_repeated) {
  struct room *p = *state;
  struct manifest m = sample();
  write_whole(p, &m);
  struct manifest_name n = name_of(&m, false), settled = name_of(&m, true);
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_OK);
  assert_one(p, &m, true);
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_OK);
  assert_int_equal(journal_settle(p->in, &settled, NULL), ST_OK);
  assert_one(p, &m, true);
  assert_int_equal(journal_remove(p->in, &n, NULL), ST_OK); /* the batch one, which is gone */
  assert_one(p, &m, true);
  assert_int_equal(journal_remove(p->in, &settled, NULL), ST_OK);
  assert_int_equal(entries(p->in), 0);
  assert_int_equal(journal_remove(p->in, &settled, NULL), ST_OK);
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_NOT_FOUND);
}

CASE(a_copy_put_back_beside_the_settled_one_goes) {
  struct room *p = *state;
  struct manifest m = sample();
  struct manifest_name n;
  write_whole(p, &m);
  n = name_of(&m, false);
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_OK);
  write_whole(p, &m);
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_OK);
  assert_one(p, &m, true);
}

CASE(a_settled_one_that_is_damaged_costs_nothing_else) {
  struct room *p = *state;
  struct manifest m = sample();
  struct manifest_name n;
  char file[80];
  write_whole(p, &m);
  n = name_of(&m, true);
  file_of(&n, file);
  put(p->in, file, "damaged");
  n.settled = false;
  assert_int_equal(journal_settle(p->in, &n, NULL), ST_INVALID);
  assert_int_equal(entries(p->in), 2);
}
