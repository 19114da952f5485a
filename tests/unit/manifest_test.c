/* Manifests: what is written is read back, what is not whole is refused, and what a failure anywhere leaves. */
#include "bridge/base/clock.h"
#include "bridge/outbox/file/journal.h"

/* enum place is the store's. */
#define place room
#include "tests/unit/place.h"
#undef place

#include <sys/wait.h>

#define NONCE "run-\"1\""
#define BEFORE "00112233445566778899aabbccddeeff"
#define OTHER "ffeeddccbbaa99887766554433221100"

static struct manifest_entry entry(enum place place, struct span name, const char *id, struct span key) {
  return (struct manifest_entry){.ref = {.name = name, .place = place, .stamp = {1, 2, 3, 4}},
                                 .id = span_of(id),
                                 .topic = SPAN("episode.events"),
                                 .key = key};
}

static struct manifest_entry two[2];

/* Number 7, two entries. */
static struct manifest sample(void) {
  two[0] = entry(PLACE_FLAT, SPAN("a.json"), "a", SPAN("k"));
  two[1] = entry(PLACE_PENDING, SPAN("b.json"), "b", SPAN("k"));
  return (struct manifest){.number = 7, .before = BEFORE, .entries = two, .count = 2};
}

static struct manifest_name name_of(const struct manifest *m, bool settled) {
  struct manifest_name n = {.number = m->number, .settled = settled};
  memcpy(n.digest, m->digest, sizeof n.digest);
  return n;
}

static void file_of(const struct manifest_name *n, char out[80]) {
  snprintf(out, 80, "%s-%llu-%s", n->settled ? "settled" : "batch", (unsigned long long)n->number, n->digest);
}

static void assert_span(struct span got, struct span want) {
  assert_int_equal(got.len, want.len);
  assert_true(span_eq(got, want));
}

static void assert_same(const struct manifest *got, const struct manifest *want) {
  assert_true(got->number == want->number);
  assert_string_equal(got->digest, want->digest);
  assert_string_equal(got->before, want->before);
  assert_int_equal(got->count, want->count);
  for (size_t i = 0; i < want->count; i++) {
    const struct manifest_entry *g = &got->entries[i], *w = &want->entries[i];
    assert_int_equal(g->ref.place, w->ref.place);
    assert_memory_equal(&g->ref.stamp, &w->ref.stamp, sizeof w->ref.stamp);
    assert_int_equal(g->duplicate, w->duplicate);
    assert_span(g->ref.name, w->ref.name);
    assert_span(g->id, w->id);
    assert_span(g->topic, w->topic);
    assert_span(g->key, w->key);
  }
}

static void write_whole(const struct room *p, struct manifest *m) {
  assert_int_equal(journal_write(p->in, p->to, m, NONCE, NULL), ST_OK);
}

/* The only manifest there is m, readable. */
static void assert_one(const struct room *p, const struct manifest *m, bool settled) {
  struct manifest_name *list = NULL;
  struct manifest got;
  size_t count = 0;
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  assert_int_equal(count, 1);
  assert_int_equal(list[0].settled, settled);
  assert_int_equal(journal_read(p->in, &list[0], &got, NULL), ST_OK);
  assert_same(&got, m);
  manifest_release(&got);
  free(list);
}

/* ---- round trip ---- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(what_was_written_is_read_back) {
  struct room *p = *state;
  static char long_name[400];
  memset(long_name, 'n', sizeof long_name);
  struct manifest_entry four[] = {
      entry(PLACE_PENDING, SPAN("3f2b.json"), "3f2b", SPAN("episode-1")),
      entry(PLACE_FLAT, (struct span){long_name, sizeof long_name}, "id\"with\\escapes\n\x01",
            SPAN("k\0ey \xe2\x82\xac")),
      entry(PLACE_FLAT, SPAN("latin-\xe9\xff.json"), "", SPAN("\x7f\xf0\x9f\x98\x80\t")),
      entry(PLACE_PENDING, SPAN("{\"hex\":\"00\"}"), "twin", SPAN("")),
  };
  four[1].topic = SPAN("plot.\"events\"");
  four[2].topic = SPAN("plot.\"events\"");
  four[3].duplicate = true;
  four[0].ref.stamp = (struct stamp){UINT64_MAX, INT64_MAX, INT64_MIN, -1};
  four[1].ref.stamp = (struct stamp){0, 0, INT64_MAX, 1767225600123456789};
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
  assert_string_equal(buffer_z(&text), "{\"busbridge-manifest\":2,\"number\":7,\"before\":\"" BEFORE
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
    if (i == 3) two[1].ref.stamp.ctime_ns++;
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
    many[i] = entry(PLACE_PENDING, span_of(names[i]), names[i], span_of(names[i]));
  }
  struct manifest m = {.number = 1, .entries = many, .count = MANY};
  durable_set_hook(on_point, &h);
  int64_t before = clock_mono_ms(&clock_system);
  write_whole(p, &m);
  print_message("%d entries in %lld ms\n", MANY, (long long)(clock_mono_ms(&clock_system) - before));
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
  for (size_t i = 0; i < MANY; i++) many[i] = entry(PLACE_FLAT, (struct span){name, sizeof name}, "id", SPAN("key"));
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
  buffer_printf(&text, "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"\",\"nonce\":\"n\",\"count\":%zu}\n", keys);
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
  static const char *const others[] = {"id", "lock", "keys-due", "hands", "batches", "settle", "tmp", ".batch-1-x"};
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

/* ---- reading what is not right ---- */

/* A file whose name has the digest of its content. */
static struct manifest_name put_text(const struct room *p, uint64_t number, struct span text) {
  struct manifest_name n = {.number = number};
  char file[80];
  journal_digest(text, n.digest);
  file_of(&n, file);
  enum status st = durable_write_new(p->in, file, text, NULL, NULL);
  assert_true(st == ST_OK || st == ST_EXISTS);
  return n;
}

static void assert_refused(const struct room *p, struct span text, enum status want, const char *why) {
  struct manifest got = {.count = 3};
  struct error err = {0};
  struct manifest_name n = put_text(p, 7, text);
  assert_int_equal(journal_read(p->in, &n, &got, &err), want);
  assert_int_equal(got.count, 0);
  assert_null(got.entries);
  assert_null(got.arena.chunks);
  if (!strstr(err.text, why)) fail_msg("'%s' does not say '%s'", err.text, why);
  assert_int_equal(strncmp(err.text, "batch-7-", 8), 0);
}

#define HEAD(count) "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"\",\"nonce\":\"n\",\"count\":" count "}\n"
#define LINE "[\"flat\",\"a\",1,2,3,4,\"i\",\"t\",\"k\",false]\n"

CASE(damaged_texts_are_refused) {
  struct room *p = *state;
  static const char *const texts[] = {
      "",
      "\n",
      "{}\n",
      "[]\n",
      "7\n",
      "not json\n",
      HEAD("-1"),
      HEAD("1.0"),
      HEAD("\"1\""),
      HEAD("1"),
      HEAD("0") LINE,
      HEAD("1") LINE LINE,
      HEAD("2") LINE "[]\n",
      HEAD("1") LINE "\n",
      HEAD("99999999999999999999"),
      HEAD("18446744073709551615") LINE,
      "{\"busbridge-manifest\":1,\"number\":-7,\"before\":\"\",\"count\":0}\n",
      "{\"busbridge-manifest\":1,\"before\":\"\",\"count\":0}\n",
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"\"}\n",
      "{\"busbridge-manifest\":1,\"number\":7,\"count\":0}\n",
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":0,\"count\":0}\n",
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"abc\",\"count\":0}\n",
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"0011223344556677889\\u0061bbccddeeff\",\"count\":0}\n",
      "{\"busbridge-manifest\":\"1\",\"number\":7,\"before\":\"\",\"count\":0}\n",
      "{\"number\":7,\"before\":\"\",\"count\":0}\n",
#define BAD(line) HEAD("1") line "\n"
      BAD("{}"),
      BAD("[\"flat\",\"a\",1,2,3,4,\"i\",\"t\",\"k\"]"),
      BAD("[\"flat\",\"a\",1,2,3,4,\"i\",\"t\",\"k\",false,false]"),
      BAD("[\"dlq\",\"a\",1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[0,\"a\",1,2,3,4,\"i\",\"t\",\"k\",false]         "),
      BAD("[\"flat\",0,1,2,3,4,\"i\",\"t\",\"k\",false]         "),
      BAD("[\"flat\",\"a\",-1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",\"1\",2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2.0,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2,true,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2,3,9223372036854775808,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2,3,4,null,\"t\",\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2,3,4,\"i\",[],\"k\",false]"),
      BAD("[\"flat\",\"a\",1,2,3,4,\"i\",\"t\",5,false]     "),
      BAD("[\"flat\",\"a\",1,2,3,4,\"i\",\"t\",\"k\",null]"),
      BAD("[\"flat\",{},1,2,3,4,\"i\",\"t\",\"k\",false]      "),
      BAD("[\"flat\",{\"hex\":\"f\"},1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",{\"hex\":\"FF\"},1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",{\"hex\":7},1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",{\"oct\":\"ff\"},1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",{\"hex\":\"ff\",\"a\":0},1,2,3,4,\"i\",\"t\",\"k\",false]"),
      BAD("[\"flat\",\"\xff\",1,2,3,4,\"i\",\"t\",\"k\",false]")};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) assert_refused(p, span_of(texts[i]), ST_INVALID, "");
  assert_refused(p, SPAN(HEAD("1")), ST_INVALID, "promises");
  assert_refused(p, SPAN(HEAD("1") LINE LINE), ST_INVALID, "goes on");
  assert_refused(p, SPAN(HEAD("2") LINE "[]                                \n"), ST_INVALID, "line 3");
}

CASE(a_text_of_a_later_release_is_told_apart) {
  assert_refused(*state, SPAN("{\"busbridge-manifest\":3}\n"), ST_UNSUPPORTED, "another release");
}

/* Release 0.1.0 wrote no content; what it left is settled by id alone. */
CASE(the_form_of_the_first_release_is_read_and_the_forms_are_not_mixed) {
  static const char head1[] =
      "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"" BEFORE "\",\"nonce\":\"n\",\"count\":1}\n";
  static const char head2[] =
      "{\"busbridge-manifest\":2,\"number\":7,\"before\":\"" BEFORE "\",\"nonce\":\"n\",\"count\":1}\n";
  static const char row1[] = "[\"flat\",\"a.json\",1,2,3,4,\"a\",\"episode.events\",\"k\",true]\n";
  static const char row2[] = "[\"flat\",\"a.json\",1,2,3,4,\"a\",\"episode.events\",\"k\",9,true]\n";
  char text[600];
  struct manifest got;
  snprintf(text, sizeof text, "%s%s", head1, row1);
  assert_int_equal(journal_parse(span_of(text), &got, NULL), ST_OK);
  assert_true(span_is(got.entries[0].id, "a") && span_is(got.entries[0].key, "k") && got.entries[0].duplicate);
  assert_int_equal(got.entries[0].ref.content, 0);
  manifest_release(&got);
  snprintf(text, sizeof text, "%s%s", head2, row2);
  assert_int_equal(journal_parse(span_of(text), &got, NULL), ST_OK);
  assert_int_equal(got.entries[0].ref.content, 9);
  manifest_release(&got);
  snprintf(text, sizeof text, "%s%s", head1, row2);
  assert_refused(*state, span_of(text), ST_INVALID, "line 2");
  snprintf(text, sizeof text, "%s%s", head2, row1);
  assert_refused(*state, span_of(text), ST_INVALID, "line 2");
}

CASE(one_byte_cut_or_changed_is_seen) {
  struct room *p = *state;
  struct manifest m = sample(), got;
  struct buffer text = {0};
  journal_print(&m, NONCE, &text);
  struct manifest_name n = put_text(p, 7, buffer_span(&text));
  char file[80];
  file_of(&n, file);
  for (size_t i = 0; i < text.len; i++) {
    assert_int_equal(unlinkat(p->in, file, 0), 0);
    text.ptr[i] ^= 1;
    struct span cut = {text.ptr, i % 2 ? text.len : i};
    assert_int_equal(durable_write_new(p->in, file, cut, NULL, NULL), ST_OK);
    assert_int_equal(journal_read(p->in, &n, &got, NULL), ST_INVALID);
    text.ptr[i] ^= 1;
    /* Without its name, only what is cut can be seen, and no cut text passes. */
    cut.len = i;
    assert_int_equal(journal_parse(cut, &got, NULL), ST_INVALID);
  }
  buffer_release(&text);
}

CASE(a_manifest_under_another_number_or_digest_is_refused) {
  struct room *p = *state;
  struct manifest got;
  struct error err = {0};
  struct manifest_name n = put_text(p, 8, SPAN(HEAD("0")));
  assert_int_equal(journal_read(p->in, &n, &got, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "batch 7"));
  put(p->in, "batch-7-" OTHER, HEAD("0"));
  n = (struct manifest_name){.number = 7, .digest = OTHER};
  assert_int_equal(journal_read(p->in, &n, &got, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "digest"));
  n.number = 9;
  assert_int_equal(journal_read(p->in, &n, &got, &err), ST_NOT_FOUND);
}

CASE(a_file_too_large_or_no_file_is_refused_unread) {
  struct room *p = *state;
  struct manifest got;
  struct manifest_name n = {.number = 1, .digest = BEFORE};
  put(p->in, "batch-1-" BEFORE, "x");
  int fd = openat(p->in, "batch-1-" BEFORE, O_WRONLY | O_CLOEXEC);
  assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0); /* sparse */
  close(fd);
  assert_int_equal(journal_read(p->in, &n, &got, NULL), ST_INVALID);
  assert_int_equal(mkdirat(p->in, "batch-2-" BEFORE, 0700), 0);
  n.number = 2;
  assert_int_equal(journal_read(p->in, &n, &got, NULL), ST_INVALID);
  char *huge = calloc(1, MANIFEST_MAX + 1);
  assert_int_equal(journal_parse((struct span){huge, MANIFEST_MAX + 1}, &got, NULL), ST_INVALID);
  free(huge);
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

/* ---- faults: each call of each function fails once, before it was made and after ---- */

static enum status run_write(const struct room *p, struct manifest *m) {
  return journal_write(p->in, p->to, m, NONCE, NULL);
}

static enum status run_settle(const struct room *p, struct manifest *m) {
  struct manifest_name n = name_of(m, false);
  return journal_settle(p->in, &n, NULL);
}

static enum status run_remove(const struct room *p, struct manifest *m) {
  struct manifest_name n = name_of(m, false);
  return journal_remove(p->in, &n, NULL);
}

static void empty(int folder) {
  struct dirent *d;
  DIR *dir = fdopendir(opened(folder, "."));
  assert_non_null(dir);
  while ((d = readdir(dir)))
    if (d->d_name[0] != '.') unlinkat(folder, d->d_name, 0);
  closedir(dir);
}

/* How many there are; each is whole. */
static size_t count_whole(const struct room *p) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  assert_int_equal(journal_list(p->in, &list, &count, NULL), ST_OK);
  for (size_t i = 0; i < count; i++) {
    struct manifest got;
    assert_int_equal(journal_read(p->in, &list[i], &got, NULL), ST_OK);
    assert_int_equal(got.count, 2);
    manifest_release(&got);
  }
  free(list);
  return count;
}

struct step {
  enum status (*run)(const struct room *p, struct manifest *m);
  bool written; /* the manifest is there before */
  size_t least, most, end;
};
static const struct step steps[] = {
    {run_write, false, 0, 1, 1}, {run_settle, true, 1, 2, 1}, {run_remove, true, 0, 1, 0}};

/* The step again, without faults, comes to its end. */
static void run_again(const struct room *p, const struct step *s, struct manifest *m, int plain) {
  struct hook h = {.plain = plain};
  durable_set_hook(on_point, &h);
  assert_int_equal(s->run(p, m), ST_OK);
  durable_set_hook(NULL, NULL);
  assert_int_equal(count_whole(p), s->end);
  if (s->end) assert_one(p, m, s->run == run_settle);
  assert_int_equal(entries(p->to), 0);
}

static void prepare(const struct room *p, const struct step *s, struct manifest *m) {
  empty(p->in);
  empty(p->to);
  *m = sample();
  if (s->written) write_whole(p, m);
}

static bool fail_at(const struct room *p, const struct step *s, struct hook h) {
  struct manifest m;
  prepare(p, s, &m);
  durable_set_hook(on_point, &h);
  enum status st = s->run(p, &m);
  durable_set_hook(NULL, NULL);
  size_t whole = count_whole(p);
  assert_in_range(whole, s->least, s->most);
  /* Clearing up may fail unseen; nothing else may. */
  if (st == ST_OK) assert_int_equal(whole, s->end);
  if (h.hit && h.op == DURABLE_FSYNC) assert_int_not_equal(st, ST_OK);
  if (!h.hit) assert_int_equal(st, ST_OK);
  run_again(p, s, &m, h.plain);
  return h.hit;
}

CASE(each_failure_leaves_the_whole_manifest_or_none) {
  static const int errors[] = {EIO, ENOSPC, EROFS, EDQUOT};
  int failed = 0;
  for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
      for (int plain = 0; plain < 2; plain++)
        for (int for_ever = 0; for_ever < 2; for_ever++)
          for (int at = 1;; at++, failed++)
            if (!fail_at(*state, &steps[s],
                         (struct hook){.at = at, .err = errors[e], .plain = plain ? EINVAL : 0, .for_ever = for_ever}))
              break;
  assert_true(failed > 200);
}

static bool crash_at(const struct room *p, const struct step *s, int at, int plain) {
  struct manifest m;
  int status;
  prepare(p, s, &m);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct hook h = {.at = at, .exits = true, .plain = plain};
    durable_set_hook(on_point, &h);
    _exit(s->run(p, &m) == ST_OK ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  bool crashed = WEXITSTATUS(status) == 42;
  if (!crashed) assert_int_equal(WEXITSTATUS(status), 0);
  assert_in_range(count_whole(p), s->least, s->most);
  if (s->run == run_write) journal_digest(SPAN(""), m.digest); /* what the child filled in is not ours */
  run_again(p, s, &m, plain);
  return crashed;
}

CASE(the_end_anywhere_leaves_the_whole_manifest_or_none) {
  int crashed = 0;
  for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
    for (int plain = 0; plain < 2; plain++)
      for (int at = 1; crash_at(*state, &steps[s], at, plain ? EINVAL : 0); at++) crashed++;
  assert_true(crashed > 20);
}

CASE(what_is_there_under_the_name_is_not_overwritten) {
  struct room *p = *state;
  struct manifest m = sample();
  struct buffer text = {0};
  char file[80];
  journal_print(&m, NONCE, &text);
  journal_digest(buffer_span(&text), m.digest);
  struct manifest_name n = name_of(&m, false);
  file_of(&n, file);
  put(p->in, file, "something else");
  assert_int_equal(run_write(p, &m), ST_EXISTS);
  assert_true(is_text(p->in, file, "something else"));
  assert_int_equal(entries(p->to), 0);
  buffer_release(&text);
}

/* The rename that a failed fsync stood for is made anew, so that the next fsync is one of it. */
CASE(a_retry_does_not_lean_on_the_failed_fsync) {
  struct room *p = *state;
  struct manifest m = sample();
  struct hook h = {.at = 9, .err = EIO};
  durable_set_hook(on_point, &h);
  assert_int_equal(run_write(p, &m), ST_IO);
  assert_string_equal(h.order, "O+W+F+R+FU+"); /* the folder's; it is taken away */
  assert_int_equal(entries(p->in), 0);
  h = (struct hook){.at = 9, .err = EIO, .for_ever = true};
  assert_int_equal(run_write(p, &m), ST_IO);
  assert_string_equal(h.order, "O+W+F+R+FU"); /* or cannot be */
  assert_int_equal(entries(p->in), 1);
  h = (struct hook){0};
  assert_int_equal(run_write(p, &m), ST_OK);
  assert_string_equal(h.order, "O+W+F+RU+R+F+");
  assert_one(p, &m, false);
}
