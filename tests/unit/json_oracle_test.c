/* json_oracle_test.c - the scanner's verdict on a list of texts, each judged by jansson too. Where
 * the two differ the list says why, and a difference that is gone fails as well. */

/* jansson's names of types are ours too: renamed while its header is read */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_INTEGER JANSSON_INTEGER
#define JSON_REAL JANSSON_REAL
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_INTEGER
#undef JSON_REAL
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "bridge/json/json.h"
#include "tests/support/test.h"

struct row {
  struct span text;
  enum json_fault fault;
  const char *differs; /* why jansson judges otherwise, NULL when it agrees */
};
#define T(fault, lit) {SPAN(lit), JSON_##fault, NULL}
#define D(fault, lit, why) {SPAN(lit), JSON_##fault, why}

#define X8(s) s s s s s s s s
#define X64(s) X8(X8(s))
static const char big_int[] =
    "an integer beyond 64 bit keeps its text here; jansson has no place for it";
static const char overflow[] =
    "a real beyond a double keeps its text here; jansson has no place for it";
static const char depth[] = "at most 64 levels here, 2048 in jansson";
static const char nul_name[] = "jansson cannot keep a NUL byte in a member's name";

static const struct row rows[] = {
    /* plain values */
    T(OK, "null"),
    T(OK, "true"),
    T(OK, "false"),
    T(OK, "0"),
    T(OK, "-0"),
    T(OK, "1"),
    T(OK, "-1"),
    T(OK, "10"),
    T(OK, "1.5"),
    T(OK, "-0.0"),
    T(OK, "1e5"),
    T(OK, "1E5"),
    T(OK, "1e+5"),
    T(OK, "1e-5"),
    T(OK, "0e0"),
    T(OK, "0.1e1"),
    T(OK, "9223372036854775807"),
    T(OK, "-9223372036854775808"),
    D(OK, "9223372036854775808", big_int),
    D(OK, "-9223372036854775809", big_int),
    D(OK, "123456789012345678901234567890", big_int),
    D(OK, "1e309", overflow),
    D(OK, "-1e999", overflow),
    T(OK, "1e308"),
    T(OK, "1e-999"),
    T(OK, "\"\""),
    T(OK, "\"a\""),
    T(OK, "[]"),
    T(OK, "{}"),
    /* white space */
    T(OK, " null"),
    T(OK, "null "),
    T(OK, "\t\r\n [ \t1\r, \n2 ] "),
    T(OK, "{ }"),
    T(OK, "[ ]"),
    T(OK, "{ \"a\" : 1 , \"b\" : 2 }"),
    T(SYNTAX, "\v1"),
    T(SYNTAX, "\f1"),
    T(SYNTAX, "\xc2\xa0"
              "1"),
    T(SYNTAX, "[1\v]"),
    /* nothing */
    T(EMPTY, ""),
    T(EMPTY, " "),
    T(EMPTY, "\n\n\t "),
    T(SYNTAX, "\0"),
    T(SYNTAX, "\0\0\0\0\0\0\0\0\0"),
    /* containers */
    T(OK, "[1,2,3]"),
    T(OK, "[[],[[]],{}]"),
    T(OK, "{\"a\":{\"b\":{\"c\":[]}}}"),
    T(OK, "[\"a\",1,true,null,{}]"),
    T(SYNTAX, "[1,]"),
    T(SYNTAX, "[,1]"),
    T(SYNTAX, "[,]"),
    T(SYNTAX, "[1,,2]"),
    T(SYNTAX, "[1 2]"),
    T(SYNTAX, "["),
    T(SYNTAX, "[1"),
    T(SYNTAX, "[1,"),
    T(SYNTAX, "]"),
    T(SYNTAX, "[1}"),
    T(SYNTAX, "{]"),
    T(SYNTAX, "{"),
    T(SYNTAX, "}"),
    T(SYNTAX, "{\"a\""),
    T(SYNTAX, "{\"a\":"),
    T(SYNTAX, "{\"a\":1"),
    T(SYNTAX, "{\"a\":1,"),
    T(SYNTAX, "{\"a\":1,}"),
    T(SYNTAX, "{,}"),
    T(SYNTAX, "{\"a\"}"),
    T(SYNTAX, "{\"a\" 1}"),
    T(SYNTAX, "{\"a\",1}"),
    T(SYNTAX, "{\"a\"::1}"),
    T(SYNTAX, "{a:1}"),
    T(SYNTAX, "{1:1}"),
    T(SYNTAX, "{null:1}"),
    T(SYNTAX, "{'a':1}"),
    T(SYNTAX, "{\"a\":1 \"b\":2}"),
    T(SYNTAX, "[\"a\":1]"),
    T(SYNTAX, "[1]]"),
    T(SYNTAX, "{}}"),
    /* what follows the value */
    T(SYNTAX, "1 2"),
    T(SYNTAX, "{} {}"),
    T(SYNTAX, "null,"),
    T(SYNTAX, "nullx"),
    T(SYNTAX, "\"a\"b"),
    T(SYNTAX, "{}\0"),
    T(SYNTAX, "1 //"),
    T(SYNTAX, "/**/1"),
    T(SYNTAX, "# a\n1"),
    /* words */
    T(SYNTAX, "nul"),
    T(SYNTAX, "n"),
    T(SYNTAX, "tru"),
    T(SYNTAX, "True"),
    T(SYNTAX, "None"),
    T(SYNTAX, "NULL"),
    T(SYNTAX, "nan"),
    T(SYNTAX, "inf"),
    T(SYNTAX, "undefined"),
    T(SYNTAX, "trux"),
    T(SYNTAX, "fals "),
    T(NOT_A_NUMBER, "NaN"),
    T(NOT_A_NUMBER, "Infinity"),
    T(NOT_A_NUMBER, "-Infinity"),
    T(SYNTAX, "+Infinity"),
    T(SYNTAX, "-NaN"),
    T(SYNTAX, "Inf"),
    T(SYNTAX, "-Inf"),
    T(NOT_A_NUMBER, "[1,NaN]"),
    T(NOT_A_NUMBER, "{\"a\": -Infinity}"),
    /* numbers */
    T(SYNTAX, "-"),
    T(SYNTAX, "+1"),
    T(SYNTAX, "01"),
    T(SYNTAX, "-01"),
    T(SYNTAX, "00"),
    T(SYNTAX, "1."),
    T(SYNTAX, ".5"),
    T(SYNTAX, "-.5"),
    T(SYNTAX, "1.e5"),
    T(SYNTAX, "1e"),
    T(SYNTAX, "1e+"),
    T(SYNTAX, "1e-"),
    T(SYNTAX, "1e5.5"),
    T(SYNTAX, "1..2"),
    T(SYNTAX, "0x10"),
    T(SYNTAX, "1_000"),
    T(SYNTAX, "1,000"),
    T(SYNTAX, "--1"),
    T(SYNTAX, "1-"),
    T(SYNTAX, "[1.]"),
    T(SYNTAX, "[-]"),
    T(SYNTAX, "[1e]"),
    T(SYNTAX, "1f"),
    /* strings */
    T(OK, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T(OK, "\"\\u0041\\u00e9\\u20AC\""),
    T(OK, "\"\\u0000\""),
    T(OK, "\"\x7f\""),
    T(OK, "\"/\""),
    T(OK, "\"01234567\\\"89\""),
    T(SYNTAX, "\""),
    T(SYNTAX, "\"a"),
    T(SYNTAX, "\"\\"),
    T(SYNTAX, "\"\\\""),
    T(SYNTAX, "\"\\q\""),
    T(SYNTAX, "\"\\x41\""),
    T(SYNTAX, "\"\\'\""),
    T(SYNTAX, "\"\\u\""),
    T(SYNTAX, "\"\\u12\""),
    T(SYNTAX, "\"\\u123g\""),
    T(SYNTAX, "\"\\U0041\""),
    T(SYNTAX, "\"\\u12"),
    T(SYNTAX, "\"a\nb\""),
    T(SYNTAX, "\"a\tb\""),
    T(SYNTAX, "\"a\0b\""),
    T(SYNTAX, "\"\x1f\""),
    T(SYNTAX, "'a'"),
    T(SYNTAX, "\"0123456789abcdef\x01\""),
    /* surrogates */
    T(OK, "\"\\ud83d\\ude00\""),
    T(OK, "\"\\uD83D\\uDE00\""),
    T(OK, "\"\\ud800\\udc00\""),
    T(OK, "\"\\udbff\\udfff\""),
    T(LONE_SURROGATE, "\"\\ud800\""),
    T(LONE_SURROGATE, "\"\\udc00\""),
    T(LONE_SURROGATE, "\"\\udfff\\ud800\""),
    T(LONE_SURROGATE, "\"\\ud800\\ud800\""),
    T(LONE_SURROGATE, "\"\\ud800x\""),
    T(LONE_SURROGATE, "\"\\ud800\\n\""),
    T(LONE_SURROGATE, "\"\\ud83d\\u0041\""),
    T(LONE_SURROGATE, "\"\xed\xa0\x80\""),
    T(LONE_SURROGATE, "\"\xed\xbf\xbf\""),
    T(LONE_SURROGATE, "\"\xed\xa0\xbd\xed\xb8\x80\""),
    T(SYNTAX, "\"\\ud800"),
    T(SYNTAX, "\"\\ud800\\"),
    T(SYNTAX, "\"\\ud800\\u"),
    T(SYNTAX, "\"\\ud800\\uzzzz\""),
    T(LONE_SURROGATE, "{\"\\ud800\":1}"),
    /* UTF-8 */
    T(OK, "\"\xc3\xa9\xe2\x82\xac\xe6\x97\xa5\xf0\x9f\x98\x80\""),
    T(OK, "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\""),
    T(OK, "\"\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
    T(INVALID_UTF8, "\"\x80\""),
    T(INVALID_UTF8, "\"\xbf\""),
    T(INVALID_UTF8, "\"\xc0\xaf\""),
    T(INVALID_UTF8, "\"\xc1\xbf\""),
    T(INVALID_UTF8, "\"\xe0\x9f\xbf\""),
    T(INVALID_UTF8, "\"\xf0\x8f\xbf\xbf\""),
    T(INVALID_UTF8, "\"\xf4\x90\x80\x80\""),
    T(INVALID_UTF8, "\"\xf5\x80\x80\x80\""),
    T(INVALID_UTF8, "\"\xff\""),
    T(INVALID_UTF8, "\"\xc3\""),
    T(INVALID_UTF8, "\"\xe2\x82\""),
    T(INVALID_UTF8, "\"\xf0\x9f\x98\""),
    T(INVALID_UTF8, "\"\xe9t\xe9\""),
    T(INVALID_UTF8, "\"\xe2\x28\xa1\""),
    T(SYNTAX, "\"\xe6\x97"),
    T(SYNTAX, "\"\xf0\x9f\x98"),
    T(SYNTAX, "\xef\xbb\xbf{}"),
    T(SYNTAX, "\xff\xfe{\0}\0"),
    T(SYNTAX, "\xe9"),
    /* members of the same name */
    T(DUPLICATE_KEY, "{\"a\":1,\"a\":2}"),
    T(DUPLICATE_KEY, "{\"\":1,\"\":2}"),
    T(DUPLICATE_KEY, "{\"a\":1,\"\\u0061\":2}"),
    T(DUPLICATE_KEY, "{\"\\u00e9\":1,\"\xc3\xa9\":2}"),
    T(DUPLICATE_KEY, "{\"\\/\":1,\"/\":2}"),
    T(DUPLICATE_KEY, "[{\"x\":{\"k\":1,\"l\":2,\"k\":3}}]"),
    T(DUPLICATE_KEY, "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"),
    T(DUPLICATE_KEY,
      "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0,"
      "\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"r\":0,\"\\u0063\":0}"),
    T(OK,
      "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0,"
      "\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"r\":0,\"\\u0043\":0}"),
    T(OK, "{\"a\":{\"a\":{\"a\":1}}}"),
    T(OK, "[{\"a\":1},{\"a\":2}]"),
    T(OK, "{\"a\":1,\"A\":2,\"aa\":3,\"\":4}"),
    D(OK, "{\"\\u0000\":1,\"\":2}", nul_name),
    /* depth */
    T(OK, X64("[") X64("]")),
    D(TOO_DEEP, X64("[") "[]" X64("]"), depth),
    D(TOO_DEEP, X64("[") "{}" X64("]"), depth),
    T(OK, X64("[") "1" X64("]")),
    T(OK, X8(X8("{\"a\":")) "1" X64("}")),
    T(TOO_DEEP, X64("[") "["),
    T(SYNTAX, X64("[")),
    T(TOO_DEEP, X64(X64("["))),
};

static bool jansson_takes(struct span text) {
  json_error_t why;
  json_t *tree = json_loadb(text.ptr, text.len,
                            JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  json_decref(tree);
  return tree != NULL;
}

TEST(judged_as_listed) {
  struct json_doc doc = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct error err = {0};
    enum status st = json_scan(&doc, rows[i].text, &err);
    if (doc.fault != rows[i].fault)
      fail_msg("row %zu (%.60s): %s, listed as %s: %s", i, rows[i].text.ptr,
               json_fault_word(doc.fault), json_fault_word(rows[i].fault), err.text);
    assert_int_equal(st, doc.fault == JSON_OK ? ST_OK : ST_INVALID);
    assert_int_equal(err.text[0] != 0, st != ST_OK);
  }
  json_doc_release(&doc);
}

TEST(judged_as_jansson_does) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bool agrees = jansson_takes(rows[i].text) == (rows[i].fault == JSON_OK);
    if (agrees != (rows[i].differs == NULL))
      fail_msg("row %zu (%.60s): jansson %s, listed reason: %s", i, rows[i].text.ptr,
               agrees ? "agrees" : "differs", rows[i].differs ? rows[i].differs : "none");
  }
}

/* Every prefix of a text is refused by both, or taken by both. */
TEST(prefixes_of_an_entry_are_refused) {
  static const char entry[] =
      "{\"id\": \"\\ud83d\\ude00 \xe6\x97\xa5\", \"n\": [-1.5e+3, true, false, null, {}], \"p\": {\"q\": {}}}";
  struct json_doc doc = {0};
  for (size_t len = 0; len < sizeof entry - 1; len++) {
    char *copy = malloc(len ? len : 1); /* exactly its size, so that sanitizers see a step beyond */
    assert_non_null(copy);
    memcpy(copy, entry, len);
    struct error err = {0};
    assert_int_equal(json_scan(&doc, (struct span){copy, len}, &err), ST_INVALID);
    assert_int_equal(doc.fault, len ? JSON_SYNTAX : JSON_EMPTY);
    assert_int_equal(doc.fault_at, len);
    assert_true(!len || strstr(err.text, "ends ") != NULL);
    free(copy);
  }
  assert_int_equal(json_scan(&doc, (struct span){entry, sizeof entry - 1}, NULL), ST_OK);
  json_doc_release(&doc);
}
