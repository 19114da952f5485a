/* Status, span, buffer, table, digest set. Arena, clock and log have tests of their own. */
#include "bridge/base/table.h"
#include "tests/support/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The tests ask for more memory than there is and want NULL, not a report. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
  return "allocator_may_return_null=1";
}

/* More than any machine has, and not so much that a length check refuses it first. */
#define IMPOSSIBLE (SIZE_MAX / 16)

/* ---- status ---- */

TEST(status_names_are_all_different) {
  for (int a = ST_OK; a <= ST_CANCELLED; a++) {
    assert_string_not_equal(status_name((enum status)a), "unknown");
    for (int b = ST_OK; b < a; b++)
      assert_string_not_equal(status_name((enum status)a), status_name((enum status)b));
  }
  assert_string_equal(status_name((enum status)99), "unknown");
}

TEST(error_set_fills_once_and_accepts_null) {
  struct error err = {.sys = 7};
  assert_int_equal(error_set(&err, ST_BUSY, "pid %d holds %s", 42, "it"), ST_BUSY);
  assert_int_equal(err.status, ST_BUSY);
  assert_int_equal(err.sys, 0);
  assert_string_equal(err.text, "pid 42 holds it");
  assert_int_equal(error_set(NULL, ST_END, "x"), ST_END);
  assert_int_equal(error_sys(NULL, ENOSPC, "x"), ST_NO_SPACE);
  assert_int_not_equal(error_prefix(NULL, "x"), ST_OK); /* what is prefixed is a failure */
}

TEST(error_sys_chooses_the_status_and_says_why) {
  static const struct {
    int sys;
    enum status st;
  } rows[] = {{ENOSPC, ST_NO_SPACE},   {EDQUOT, ST_NO_SPACE}, {EMFILE, ST_NO_SPACE},
              {EFBIG, ST_NO_SPACE},    {ENFILE, ST_NO_SPACE}, {EACCES, ST_DENIED},
              {EPERM, ST_DENIED},      {EROFS, ST_DENIED},    {ENOENT, ST_NOT_FOUND},
              {ENOTDIR, ST_NOT_FOUND}, {EEXIST, ST_EXISTS},   {ENOTEMPTY, ST_EXISTS},
              {ENOMEM, ST_NO_MEMORY},  {EIO, ST_IO}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct error err = {0};
    assert_int_equal(error_sys(&err, rows[i].sys, "doing %s", "it"), rows[i].st);
    assert_int_equal(err.status, rows[i].st);
    assert_int_equal(err.sys, rows[i].sys);
  }
  struct error err = {0};
  assert_int_equal(error_sys(&err, EIO, "reading x"), ST_IO);
  assert_string_equal(err.text, "reading x: Input/output error");
}

TEST(error_prefix_puts_words_in_front) {
  struct error err = {0};
  error_set(&err, ST_INVALID, "line 3");
  assert_int_equal(error_prefix(&err, "reading %s", "a.conf"), ST_INVALID);
  assert_string_equal(err.text, "reading a.conf: line 3");
}

TEST(error_text_is_cut_between_characters) {
  /* Bytes before a character of n bytes so that the cut falls on each place inside it. */
  static const char *const letters[] = {"\xC3\xA9", "\xE6\xBC\xA2", "\xF0\x9F\x98\x80"};
  for (size_t l = 0; l < 3; l++)
    for (size_t room = 0; room <= strlen(letters[l]); room++) {
      struct error err;
      char text[700];
      size_t before = sizeof err.text - 1 - room;
      memset(text, 'a', before);
      memcpy(text + before, letters[l], strlen(letters[l]) + 1);
      error_set(&err, ST_INVALID, "%s", text);
      size_t whole = room == strlen(letters[l]) ? room : 0;
      assert_int_equal(strlen(err.text), before + whole);
      error_prefix(&err, "%s", "p");
      assert_true(strlen(err.text) < sizeof err.text);
      assert_int_equal(span_utf8_prefix(span_of(err.text)), strlen(err.text));
    }
}

TEST(error_text_keeps_what_stands_behind_a_foreign_byte) {
  struct error err;
  char text[700];
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  text[5] = '\xFF';
  error_set(&err, ST_INVALID, "%s", text);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  text[10] = '\0';
  memset(text, '\xBF', 10); /* continuation bytes only, shorter than the text: nothing to cut */
  error_set(&err, ST_INVALID, "%s", text);
  assert_int_equal(strlen(err.text), 10);
}

TEST(a_broken_invariant_aborts) {
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    signal(SIGABRT, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) _exit(9);
    BUG_ON(1 + 1 == 2);
    _exit(0);
  }
  int how = 0;
  assert_int_equal(waitpid(pid, &how, 0), pid);
  assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

#define RULE_X1 "What must hold."

TEST(a_broken_rule_is_told_by_its_number_and_its_words) {
  int ends[2];
  char text[600] = "";
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    BUG_ON_RULE(X1, 1 + 1 == 3);
    BUG_ON_RULE(X1, 1 + 1 == 2);
    _exit(0);
  }
  close(ends[1]);
  int how = 0;
  assert_int_equal(waitpid(pid, &how, 0), pid);
  assert_true(read(ends[0], text, sizeof text - 1) > 0);
  close(ends[0]);
  assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
  assert_non_null(strstr(text, "X1, What must hold. (1 + 1 == 2); please report this line"));
}

/* ---- span, buffer ---- */

TEST(spans_compare_and_trim) {
  struct span none = {NULL, 0}, ab = SPAN("ab");
  assert_true(span_eq(none, SPAN("")) && span_is(ab, "ab") && span_is(none, NULL));
  assert_false(span_eq(ab, SPAN("ac")) || span_eq(ab, SPAN("abc")));
  assert_true(span_starts(ab, "a") && span_starts(ab, "ab") && span_starts(none, ""));
  assert_false(span_starts(ab, "b") || span_starts(ab, "abc"));
  assert_true(span_ends(ab, "b") && span_ends(ab, "ab") && span_ends(none, ""));
  assert_false(span_ends(ab, "a") || span_ends(ab, "xab"));
  assert_int_equal(span_cmp(ab, SPAN("ab")), 0);
  assert_true(span_cmp(ab, SPAN("abc")) < 0 && span_cmp(SPAN("abc"), ab) > 0 &&
              span_cmp(none, ab) < 0);
  assert_true(span_cmp(SPAN("a\xFF"), ab) > 0); /* bytes, not chars */
  assert_true(span_is(span_trim(SPAN(" \t\r\na b\n ")), "a b") && span_trim(SPAN(" \n")).len == 0);
  assert_int_equal(span_trim(none).len, 0);
}

TEST(words_are_divided_by_blanks_and_commas) {
  struct span rest = SPAN(" one,two\t, three ,"), word;
  static const char *const want[] = {"one", "two", "three"};
  for (int i = 0; i < 3; i++) {
    assert_true(span_word(&rest, &word));
    assert_true(span_is(word, want[i]));
  }
  assert_false(span_word(&rest, &word));
  struct span none = {NULL, 0};
  assert_false(span_word(&none, &word));
}

TEST(utf8_prefix_stops_at_the_first_wrong_byte) {
  static const char *const good[] = {"",
                                     "a",
                                     "\xC2\x80",
                                     "\xE0\xA0\x80",
                                     "\xED\x9F\xBF",
                                     "\xEE\x80\x80",
                                     "\xF0\x90\x80\x80",
                                     "\xF4\x8F\xBF\xBF"};
  static const char *const bad[] = {"\x80",
                                    "\xC1\xBF",
                                    "\xC2",
                                    "\xC2\x41",
                                    "\xE0\x9F\xBF",
                                    "\xED\xA0\x80",
                                    "\xE6\xBC",
                                    "\xF0\x8F\xBF\xBF",
                                    "\xF4\x90\x80\x80",
                                    "\xF5\x80\x80\x80",
                                    "\xF0\x9F\x98\x41",
                                    "\xFF"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_int_equal(span_utf8_prefix(span_of(good[i])), strlen(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char text[16];
    snprintf(text, sizeof text, "ok%sok", bad[i]);
    assert_int_equal(span_utf8_prefix(span_of(text)), 2);
    assert_int_equal(span_utf8_prefix(span_of(bad[i])), 0);
  }
}

TEST(buffer_grows_and_terminates) {
  struct buffer b = {0};
  struct error err = {0};
  assert_int_equal(buffer_span(&b).len, 0);
  for (int i = 0; i < 1000; i++) {
    buffer_add_char(&b, 'a');
    buffer_add_z(&b, "bc");
    buffer_add(&b, SPAN("d"));
    buffer_add(&b, (struct span){NULL, 0});
    buffer_printf(&b, "%s%d", "", i % 10);
  }
  assert_int_equal(b.len, 5000);
  assert_int_equal(buffer_status(&b, &err), ST_OK);
  const char *z = buffer_z(&b);
  assert_int_equal(strlen(z), 5000);
  assert_memory_equal(z, "abcd0abcd1abcd2", 15);
  assert_memory_equal(z + 4990, "abcd8abcd9", 10);
  size_t cap = b.cap;
  buffer_clear(&b);
  assert_int_equal(b.cap, cap);
  assert_string_equal(buffer_z(&b), "");
  buffer_printf(&b, "%s", "");
  assert_int_equal(b.len, 0);
  buffer_release(&b);
  assert_string_equal(buffer_z(&b), "");
  buffer_release(&b);
}

TEST(buffer_failure_is_sticky_until_cleared) {
  static const size_t too_much[] = {SIZE_MAX, SIZE_MAX / 4, IMPOSSIBLE};
  for (size_t i = 0; i < 3; i++) {
    struct buffer b = {0};
    struct error err = {0};
    buffer_add_z(&b, "kept");
    buffer_reserve(&b, too_much[i]);
    buffer_add_z(&b, "x");
    buffer_printf(&b, "%d", 1);
    assert_true(b.failed && b.len == 4);
    assert_int_equal(buffer_status(&b, &err), ST_NO_MEMORY);
    assert_int_equal(err.status, ST_NO_MEMORY);
    assert_string_equal(buffer_z(&b), "");
    buffer_clear(&b);
    buffer_add_z(&b, "again");
    assert_string_equal(buffer_z(&b), "again");
    buffer_release(&b);
  }
}

/* ---- table, digests ---- */

enum { KEYS = 5000 };
static char keys[KEYS][12];

static struct span key_of(size_t i) {
  return (struct span){keys[i], (size_t)snprintf(keys[i], sizeof keys[i], "k%zu", i)};
}

TEST(table_holds_what_was_put) {
  struct table t = {0};
  int values[2];
  assert_null(table_get(&t, SPAN("a")));
  assert_null(table_remove(&t, SPAN("a")));
  assert_int_equal(table_put(&t, SPAN("a"), &values[0]), ST_OK);
  assert_int_equal(table_put(&t, SPAN("a"), &values[1]), ST_EXISTS);
  assert_ptr_equal(table_get(&t, SPAN("a")), &values[0]);
  assert_int_equal(table_put(&t, (struct span){NULL, 0}, &values[1]),
                   ST_OK); /* the empty key is a key */
  assert_ptr_equal(table_get(&t, SPAN("")), &values[1]);
  assert_int_equal(t.count, 2);
  assert_ptr_equal(table_remove(&t, SPAN("a")), &values[0]);
  assert_null(table_get(&t, SPAN("a")));
  assert_int_equal(t.count, 1);
  assert_int_equal(table_put(&t, SPAN("a"), &values[0]), ST_OK); /* into the place it had */
  assert_true(t.count == 2 && t.used == 2);
  table_clear(&t);
  assert_null(table_get(&t, SPAN("")));
  table_release(&t);
  table_clear(&t);
}

/* Random puts and removes beside a plain array that knows what must be in. */
TEST(table_agrees_with_a_plain_array) {
  static void *model[KEYS];
  struct table t = {0};
  uint64_t seed = 1;
  size_t count = 0;
  for (int step = 0; step < 60000; step++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    size_t i = (seed >> 33) % KEYS;
    if (seed >> 63) {
      assert_int_equal(table_put(&t, key_of(i), &keys[i]), model[i] ? ST_EXISTS : ST_OK);
      count += !model[i];
      model[i] = &keys[i];
    } else {
      assert_ptr_equal(table_remove(&t, key_of(i)), model[i]);
      count -= model[i] != NULL;
      model[i] = NULL;
    }
    assert_int_equal(t.count, count);
    assert_true(t.used >= t.count && t.used * 4 <= t.cap * 3);
  }
  for (size_t i = 0; i < KEYS; i++) assert_ptr_equal(table_get(&t, key_of(i)), model[i]);
  size_t pos = 0, seen = 0;
  struct span key;
  void *value;
  for (; table_each(&t, &pos, &key, &value); seen++) assert_true(span_is(key, value));
  assert_int_equal(seen, count);
  table_release(&t);
}

TEST(table_does_not_grow_by_coming_and_going) {
  struct table t = {0};
  for (int round = 0; round < 200; round++)
    for (size_t i = 0; i < 4; i++) {
      size_t k = ((size_t)round * 4 + i) % KEYS;
      assert_int_equal(table_put(&t, key_of(k), &keys[k]), ST_OK);
      assert_ptr_equal(table_remove(&t, key_of(k)), &keys[k]);
    }
  assert_int_equal(t.count, 0);
  assert_int_equal(t.cap, 16);
  table_release(&t);
}

TEST(digests_tell_texts_apart) {
  char text[40];
  memset(text, 'a', sizeof text);
  for (size_t a = 0; a <= sizeof text;
       a++) { /* every length of the last block, and contents of one length */
    struct digest x = digest_of((struct span){text, a}), same = digest_of((struct span){text, a});
    assert_true(x.lo == same.lo && x.hi == same.hi && x.lo != x.hi);
    for (size_t b = 0; b < a; b++) {
      struct digest y = digest_of((struct span){text, b});
      assert_true(x.lo != y.lo && x.hi != y.hi);
    }
    if (a == 0) continue;
    text[a - 1] = 'b';
    struct digest other = digest_of((struct span){text, a});
    text[a - 1] = 'a';
    assert_true(x.lo != other.lo && x.hi != other.hi);
  }
}

/* The vectors of SipHash-2-4-128's reference implementation (input 00 01 02 ...): what is on disk
 * is read by any later release, so these never change. */
TEST(fixed_digests_are_the_published_ones) {
  static const struct {
    size_t len;
    struct digest digest;
  } rows[] = {{0, {0xe6a825ba047f81a3u, 0x930255c71472f66du}},
              {1, {0x44af996bd8c187dau, 0x45fc229b11597634u}},
              {8, {0x61f55862baa9623bu, 0xb49714f364e2830fu}},
              {15, {0x11a8b03399e99354u, 0xd9c3cf970fec087eu}}};
  char text[16];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)i;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct digest d = digest_fixed((struct span){text, rows[i].len});
    assert_true(d.lo == rows[i].digest.lo && d.hi == rows[i].digest.hi);
  }
}

/* As libxxhash 0.8 makes them of the same input; they stand on disk too. */
TEST(fixed_hashes_are_those_of_xxh64) {
  static const struct {
    size_t len;
    uint64_t hash;
  } rows[] = {{0, 0xef46db3751d8e999u},  {1, 0xe934a84adb052768u},  {3, 0xe5c7bb4533bc65ddu},
              {4, 0xffced8604453cc1eu},  {7, 0x14cc643f630c72d2u},  {8, 0x884a173614b81b8du},
              {14, 0x5cda8b69bbfc1d45u}, {31, 0xc346d2b59b4d8ee1u}, {32, 0xcbf59c5116ff32b4u},
              {33, 0x0c535d1acafb8eadu}, {63, 0xe26aa9e2a95f8e4fu}, {64, 0xf7c67301db6713f0u},
              {100, 0x6ac1e58032166597u}};
  char text[100];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)i;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_true(fixed_hash((struct span){text, rows[i].len}) == rows[i].hash);
}

TEST(digest_set_remembers_what_was_added) {
  struct digest_set s = {0};
  assert_false(digest_set_has(&s, (struct digest){0, 0}));
  for (size_t i = 0; i < KEYS; i += 2) {
    assert_int_equal(digest_set_add(&s, digest_of(key_of(i))), ST_OK);
    assert_int_equal(digest_set_add(&s, digest_of(key_of(i))), ST_OK);
  }
  assert_int_equal(s.count, KEYS / 2);
  for (size_t i = 0; i < KEYS; i++)
    assert_int_equal(digest_set_has(&s, digest_of(key_of(i))), i % 2 == 0);
  assert_false(digest_set_has(&s, (struct digest){0, 0}));
  assert_int_equal(digest_set_add(&s, (struct digest){0, 0}),
                   ST_OK); /* the mark of an empty slot is a digest too */
  assert_true(digest_set_has(&s, (struct digest){0, 0}));
  digest_set_release(&s);
  assert_int_equal(s.count, 0);
}
