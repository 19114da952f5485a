/* Manifests that are not whole, damaged, of another form or name are refused, with the reason. */
#include "tests/unit/manifest_box.h"

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

static void assert_refused(const struct room *p, struct span text, enum status want,
                           const char *why) {
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

#define HEAD(count)                                                                                \
  "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"\",\"nonce\":\"n\",\"count\":" count "}\n"
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
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    assert_refused(p, span_of(texts[i]), ST_INVALID, "");
  assert_refused(p, SPAN(HEAD("1")), ST_INVALID, "promises");
  assert_refused(p, SPAN(HEAD("1") LINE LINE), ST_INVALID, "goes on");
  assert_refused(p, SPAN(HEAD("2") LINE "[]                                \n"), ST_INVALID,
                 "line 3");
}

CASE(a_text_of_a_later_release_is_told_apart) {
  struct error err = {0};
  assert_refused(*state, SPAN("{\"busbridge-manifest\":3}\n"), ST_UNSUPPORTED,
                 "it has the form 3 of another release of busbridge; this one (" BUSBRIDGE_VERSION
                 ") reads the forms 1 and 2. Start that release");
  assert_int_equal(journal_readable(SPAN("{\"busbridge-manifest\":3,\"x\":[]}\nrows\n"), &err),
                   ST_UNSUPPORTED);
  assert_int_equal(journal_readable(SPAN("{\"busbridge-manifest\":2}\n"), &err), ST_OK);
  assert_int_equal(journal_readable(SPAN("{\"busbridge-manifest\":\"3\"}\n"), &err), ST_OK);
  assert_int_equal(journal_readable(SPAN("no line"), &err), ST_OK);
}

/* Release 0.1.0 wrote no content; what it left is settled by id alone. */
CASE(the_form_of_the_first_release_is_read_and_the_forms_are_not_mixed) {
  static const char head1[] = "{\"busbridge-manifest\":1,\"number\":7,\"before\":\"" BEFORE
                              "\",\"nonce\":\"n\",\"count\":1}\n";
  static const char head2[] = "{\"busbridge-manifest\":2,\"number\":7,\"before\":\"" BEFORE
                              "\",\"nonce\":\"n\",\"count\":1}\n";
  static const char row1[] = "[\"flat\",\"a.json\",1,2,3,4,\"a\",\"episode.events\",\"k\",true]\n";
  static const char row2[] =
      "[\"flat\",\"a.json\",1,2,3,4,\"a\",\"episode.events\",\"k\",9,true]\n";
  char text[600];
  struct manifest got;
  snprintf(text, sizeof text, "%s%s", head1, row1);
  assert_int_equal(journal_parse(span_of(text), &got, NULL), ST_OK);
  assert_true(span_is(got.entries[0].id, "a") && span_is(got.entries[0].key, "k") &&
              got.entries[0].duplicate);
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
