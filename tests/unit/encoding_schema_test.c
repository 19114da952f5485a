/* The checker of schemas, the canonical form and its fingerprint. */
#include "bridge/encoding/types/schema.h"
#include "tests/support/test.h"

#define RECORD(fields) "{\"type\": \"record\", \"name\": \"R\", \"fields\": [" fields "]}"
#define FIELD(type) RECORD("{\"name\": \"a\", \"type\": " type "}")

TEST(canonical_forms_and_fingerprints_are_the_published_ones) {
  /* canonical forms by Apache Avro's Python library; the first two fingerprints are published */
  static const struct {
    const char *text, *canonical;
    uint64_t fingerprint;
  } table[] = {
      {" \"int\" ", "\"int\"", 0x7275d51a3f395c8f},
      {"{\"name\":\"Example\",\"type\":\"record\",\"fields\":[{\"name\":\"foobar\",\"type\":\"string\"}]}",
       "{\"name\":\"Example\",\"type\":\"record\",\"fields\":[{\"name\":\"foobar\",\"type\":\"string\"}]}",
       0x70cf38a27d6f5db7},
      {"{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}", "\"long\"",
       0xd054e14493f41db7},
      {"{\"type\": \"record\", \"name\": \"Node\", \"namespace\": \"t\", \"fields\": [{\"name\": \"next\", \"type\": "
       "[\"null\", \"Node\"], \"default\": null}, {\"name\": \"v\", \"type\": [\"int\", \"string\", {\"logicalType\": "
       "\"decimal\", \"type\": \"fixed\", \"size\": 5, \"name\": \"F\", \"precision\": 9, \"aliases\": [\"G\"]}]}, "
       "{\"name\": \"b\", \"type\": {\"type\": \"bytes\"}}, {\"name\": \"f\", \"type\": \"F\"}]}",
       "{\"name\":\"t.Node\",\"type\":\"record\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"t.Node\"]},{"
       "\"name\":\"v\",\"type\":[\"int\",\"string\",{\"name\":\"t.F\",\"type\":\"fixed\",\"size\":5}]},{\"name\":\"b\","
       "\"type\":\"bytes\"},{\"name\":\"f\",\"type\":\"t.F\"}]}",
       0xae3a014c3833374f},
      {"{\"fields\": [{\"type\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}}, \"name\": \"l\", \"default\": [], "
       "\"order\": \"ignore\"}, {\"name\": \"m\", \"aliases\": [\"n\"], \"type\": [\"null\", {\"values\": \"int\", \"type\": "
       "\"map\"}]}, {\"name\": \"e\", \"type\": [{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"B\", \"A\"], "
       "\"default\": \"A\"}, \"null\"]}, {\"name\": \"f\", \"type\": \"E\"}, {\"name\": \"g\", \"type\": {\"type\": \"record\", "
       "\"name\": \"other.In\", \"namespace\": \"ignored\", \"fields\": [{\"name\": \"x\", \"type\": {\"type\": \"enum\", "
       "\"name\": \"E\", \"symbols\": [\"Z\"]}}]}}, {\"name\": \"h\", \"type\": \"other.E\"}, {\"name\": \"\\u0069\", \"type\": "
       "{\"type\": \"enum\", \"namespace\": \"c\", \"name\": \"D\", \"symbols\": [\"Q\"]}}], "
       "\"doc\": \"words\", \"namespace\": \"a.b\", \"name\": \"Out\", \"type\": \"record\", \"aliases\": [\"Old\"]}",
       "{\"name\":\"a.b.Out\",\"type\":\"record\",\"fields\":[{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":"
       "\"string\"}},{\"name\":\"m\",\"type\":[\"null\",{\"type\":\"map\",\"values\":\"int\"}]},{\"name\":\"e\",\"type\":[{"
       "\"name\":\"a.b.E\",\"type\":\"enum\",\"symbols\":[\"B\",\"A\"]},\"null\"]},{\"name\":\"f\",\"type\":\"a.b.E\"},{"
       "\"name\":\"g\",\"type\":{\"name\":\"other.In\",\"type\":\"record\",\"fields\":[{\"name\":\"x\",\"type\":{\"name\":"
       "\"other.E\",\"type\":\"enum\",\"symbols\":[\"Z\"]}}]}},{\"name\":\"h\",\"type\":\"other.E\"},{\"name\":\"i\",\"type\":{"
       "\"name\":\"c.D\",\"type\":\"enum\",\"symbols\":[\"Q\"]}}]}",
       0},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct schema s;
    struct error err = {0};
    enum status st = schema_read(span_of(table[i].text), NULL, &s, &err);
    if (st != ST_OK) print_message("%s\n", err.text);
    assert_int_equal(st, ST_OK);
    assert_int_equal(s.canonical.len, strlen(table[i].canonical));
    assert_memory_equal(s.canonical.ptr, table[i].canonical, s.canonical.len);
    if (table[i].fingerprint) assert_int_equal(s.fingerprint, table[i].fingerprint);
    schema_release(&s);
  }
}

TEST(what_is_wrong_with_a_schema_is_said_with_its_line) {
  static const char *const table[][2] = {
      {"{\n\"type\": \"record\",,}", "line 2: "},
      {"{\"a\": 1,\n\n\"a\": 2}", "line 3: "},
      {"", "line 1: "},
      {"{\"name\": \"R\", \"type\": \"record\", \"fields\": [\n{\"name\": \"a\", \"type\": \"lnog\"}]}",
       "line 2: unknown type \"lnog\"; supported are null, boolean"},
      {"7", "line 1: a type is a word, an object or an array, not number"},
      {FIELD("null"), "not null"},
      {FIELD("true"), "not boolean"},
      {FIELD("{}"), "a type without \"type\""},
      {FIELD("{\"type\": [\"null\", \"int\"]}"), "\"type\" of a type must be a word"},
      {FIELD("{\"type\": \"fixed\", \"name\": \"F\", \"size\": -1}"),
       "fixed F needs \"size\", 1 to 1048576 bytes"},
      {FIELD("{\"type\": \"fixed\", \"name\": \"F\", \"size\": 1048577}"),
       "fixed F needs \"size\""},
      {FIELD("{\"type\": \"fixed\", \"name\": \"F\"}"), "fixed F needs \"size\""},
      {FIELD("{\"type\": \"fixed\", \"size\": 1}"), "fixed without \"name\""},
      {FIELD("{\"type\": \"error\", \"name\": \"F\", \"fields\": []}"), "unknown type \"error\""},
      {FIELD("{\"type\": \"array\"}"), "array without \"items\""},
      {FIELD("{\"type\": \"map\", \"items\": \"int\"}"), "map without \"values\""},
      {FIELD("{\"type\": \"map\", \"values\": \"what\"}"), "unknown type \"what\""},
      {FIELD("[]"), "a union of no types"},
      {FIELD("[\"int\", \"string\", \"int\"]"), "the union has int twice"},
      {FIELD("[\"null\", \"null\"]"), "the union has null twice"},
      {FIELD("[\"int\", \"int\"]"), "the union has int twice"},
      {FIELD("[\"null\", [\"null\", \"int\"]]"), "a union directly in a union"},
      {FIELD("[\"null\", \"wrong\"]"), "unknown type \"wrong\""},
      {FIELD("\"R\""), "record \"R\" contains itself without end"},
      {FIELD("[\"R\"]"), "record \"R\" contains itself without end"},
      {FIELD(
           "{\"type\": \"record\", \"name\": \"I\", \"fields\": [{\"name\": \"x\", \"type\": \"R\"}]}"),
       "record \"R\" contains itself without end"},
      {RECORD(
           "{\"name\": \"a\", \"type\": {\"type\": \"array\", \"items\": \"R\"}, \"default\": [{}]}"),
       "default of \"a\": expected object, found object {}"},
      {RECORD("{\"name\": \"a\", \"type\": \"int\", \"aliases\": \"b\"}"),
       "\"aliases\" must be an array of names"},
      {RECORD("{\"name\": \"a\", \"type\": \"int\", \"aliases\": [\"b.c\"]}"),
       "\"aliases\" must be an array of names"},
      {"{\"type\": \"record\", \"name\": \"R\", \"aliases\": [1], \"fields\": []}",
       "\"aliases\" must be an array of names"},
      {FIELD("{\"type\": \"bytes\", \"logicalType\": \"decimal\"}"),
       "a decimal needs \"precision\", 1 to 1000 digits"},
      {FIELD("{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 0}"),
       "a decimal needs \"precision\""},
      {FIELD("{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 1001}"),
       "a decimal needs \"precision\""},
      {FIELD("{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 4, \"scale\": 5}"),
       "\"scale\" of a decimal is 0 to its precision"},
      {FIELD("{\"type\": \"fixed\", \"name\": \"F\", \"size\": 1, \"logicalType\": \"decimal\", "
             "\"precision\": 3}"),
       "1 bytes keep 2 digits, not 3"},
      {FIELD("{\"type\": \"enum\", \"name\": \"R\", \"symbols\": [\"A\"]}"),
       "\"R\" is defined twice"},
      {FIELD("{\"type\": \"enum\", \"name\": \"int\", \"symbols\": [\"A\"]}"),
       "\"int\" is a type of Avro"},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\",\n\"B\", \"A\"]}"),
       "\"A\" twice in enum E"},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": []}"), "enum E needs \"symbols\""},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\"}"), "enum E needs \"symbols\""},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": {}}"), "enum E needs \"symbols\""},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [1]}"),
       "a symbol must be a string"},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"a-b\"]}"),
       "\"a-b\" is not a symbol"},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"], \"default\": \"B\"}"),
       "default of enum E is none"},
      {FIELD("{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"], \"default\": 1}"),
       "default of enum E is none"},
      {"{\"type\": \"record\", \"fields\": []}", "record without \"name\""},
      {"{\"type\": \"record\", \"name\": 1, \"fields\": []}", "\"name\" must be a string"},
      {"{\"type\": \"record\", \"name\": \"\", \"fields\": []}", "\"\" is not a name"},
      {"{\"type\": \"record\", \"name\": \"a..b\", \"fields\": []}", "\"a..b\" is not a name"},
      {"{\"type\": \"record\", \"name\": \".b\", \"fields\": []}", "\".b\" is not a name"},
      {"{\"type\": \"record\", \"name\": \"b.\", \"fields\": []}", "\"b.\" is not a name"},
      {"{\"type\": \"record\", \"name\": \"1b\", \"fields\": []}", "\"1b\" is not a name"},
      {"{\"type\": \"record\", \"name\": \"b\\u0000\", \"fields\": []}",
       "\"b\\u0000\" is not a name"},
      {"{\"type\": \"record\", \"name\": \"R\", \"namespace\": \"x-y\", \"fields\": []}",
       "\"x-y\" is not a namespace"},
      {"{\"type\": \"record\", \"name\": \"R\", \"namespace\": 1, \"fields\": []}",
       "\"namespace\" must be a string"},
      {"{\"type\": \"record\", \"name\": \"R\"}", "record R needs \"fields\", an array"},
      {"{\"type\": \"record\", \"name\": \"R\", \"fields\": {}}",
       "record R needs \"fields\", an array"},
      {"{\"type\": \"record\", \"name\": \"n.R\", \"fields\": [{\"name\": \"a\", \"type\": {\"type\": \"enum\", "
       "\"namespace\": \"\", \"name\": \"E\", \"symbols\": [\"A\"]}}]}",
       "\"E\" has no namespace, inside one that has"},
      {RECORD("1"), "a field must be an object"},
      {RECORD("{\"type\": \"int\"}"), "a field without \"name\""},
      {RECORD("{\"name\": \"a\"}"), "field \"a\" without \"type\""},
      {RECORD("{\"name\": \"a.b\", \"type\": \"int\"}"), "\"a.b\" is not a name"},
      {RECORD("{\"name\": \"a\", \"type\": \"int\"}, {\"name\": \"\\u0061\", \"type\": \"int\"}"),
       "\"a\" twice in record R"},
      {RECORD("{\"name\": \"a\", \"type\": \"int\", \"json\": true}"),
       "\"json\" is for strings; \"a\" has none"},
      {RECORD("{\"name\": \"a\", \"type\": \"string\", \"json\": 1}"),
       "\"json\" must be true or false"},
      {RECORD("{\"name\": \"a\", \"type\": \"string\", \"key\": 1}"),
       "\"key\" must be true or false"},
      {RECORD(
           "{\"name\": \"a\", \"type\": \"int\", \"key\": true}, {\"name\": \"b\", \"type\": \"int\", \"key\": true}"),
       "\"b\": another field is the key already"},
      {RECORD(
           "{\"name\": \"a\", \"type\": {\"type\": \"array\", \"items\": \"int\"}, \"key\": true}"),
       "\"a\" makes no key: a key is a string or a number"},
      {RECORD("{\"name\": \"a\", \"type\": \"boolean\", \"key\": true}"), "\"a\" makes no key"},
      {RECORD("{\"name\": \"a\", \"type\": \"string\", \"json\": true, \"key\": true}"),
       "\"a\" makes no key"},
      {RECORD(
           "{\"name\": \"o\", \"type\": {\"type\": \"record\", \"name\": \"n.I\", \"fields\": [{\"name\": \"a\", "
           "\"type\": \"int\", \"key\": true}]}}"),
       "\"a\": only a field of the outermost record can be the key"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct schema s;
    struct error err = {0};
    enum status st = schema_read(span_of(table[i][0]), NULL, &s, &err);
    if (st != ST_INVALID || !strstr(err.text, table[i][1]))
      print_message("%s\n%s\n", table[i][0], err.text);
    assert_int_equal(st, ST_INVALID);
    assert_memory_equal(err.text, "line ", 5);
    assert_non_null(strstr(err.text, table[i][1]));
    assert_null(s.arena.chunks);
  }
}

#define R1(fields) "{\"type\": \"record\", \"name\": \"A\", \"fields\": [" fields "]}"
#define R2(fields) "{\"type\": \"record\", \"name\": \"B\", \"fields\": [" fields "]}"
#define LOGICAL(type, logical) "{\"type\": \"" type "\", \"logicalType\": \"" logical "\"}"
#define MONEY(p, s)                                                                                \
  "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": " p ", \"scale\": " s "}"
#define INT_FIELD(name) "{\"name\": \"" name "\", \"type\": \"int\"}"

TEST(a_branch_is_refused_only_where_it_can_never_be_reached) {
  /* the union, and the branch that is refused, or 0 */
  static const struct {
    const char *text;
    unsigned refused;
  } table[] = {
      {"[\"int\", \"string\"]", 0},
      {"[\"null\"]", 0},
      {"[\"int\", \"long\", \"double\", \"string\", \"boolean\", \"null\"]", 0},
      {"[\"long\", \"int\"]", 2},
      {"[\"null\", \"double\", \"long\"]", 3},
      {"[\"float\", \"int\"]", 2},
      {"[\"float\", \"double\"]", 0},
      {"[\"double\", \"float\"]", 2},
      {"[\"string\", \"bytes\"]", 2},
      {"[\"bytes\", \"string\"]", 0},
      {"[\"string\", {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"]}]", 2},
      {"[{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"]}, \"string\"]", 0},
      {"[{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}, {\"type\": \"enum\", \"name\": \"G\", "
       "\"symbols\": [\"B\"]}]",
       2},
      {"[{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}, {\"type\": \"enum\", \"name\": \"G\", "
       "\"symbols\": [\"C\"]}]",
       0},
      {"[\"bytes\", {\"type\": \"fixed\", \"name\": \"F\", \"size\": 3}]", 2},
      {"[{\"type\": \"fixed\", \"name\": \"F\", \"size\": 3}, \"bytes\"]", 0},
      {"[{\"type\": \"fixed\", \"name\": \"F\", \"size\": 3}, {\"type\": \"fixed\", \"name\": \"G\", \"size\": 3}]",
       2},
      {"[\"string\", " MONEY("9", "2") "]", 0},
      {"[\"double\", " MONEY("9", "2") "]", 0},
      {"[\"double\", \"string\", " MONEY("9", "2") "]", 3},
      {"[\"long\", \"string\", " MONEY("9", "2") "]", 0},
      {"[" MONEY("9", "2") ", \"double\"]", 0},
      {"[" LOGICAL("int", "date") ", " LOGICAL("long", "timestamp-millis") "]", 0},
      {"[" LOGICAL("long", "time-micros") ", " LOGICAL("int", "time-millis") "]", 2},
      {"[" LOGICAL("int", "time-millis") ", " LOGICAL("long", "time-micros") "]", 0},
      {"[\"int\", \"string\", " LOGICAL("long", "timestamp-millis") "]", 0},
      {"[\"double\", \"string\", " LOGICAL("long", "timestamp-millis") "]", 3},
      {"[" LOGICAL("string", "uuid") ", \"bytes\"]", 0},
      {"[{\"type\": \"array\", \"items\": \"string\"}, {\"type\": \"map\", \"values\": \"int\"}]",
       0},
      {"[{\"type\": \"map\", \"values\": \"int\"}, " R1(INT_FIELD("x")) "]", 0},
      {"[" R1(INT_FIELD("x")) ", " R2(INT_FIELD("y")) "]", 0},
      {"[" R1(INT_FIELD("x")) ", " R2(INT_FIELD("x")) "]", 2},
      {"[" R1(INT_FIELD("x")) ", " R2(INT_FIELD("x") ", " INT_FIELD("y")) "]",
       0}, /* y may be refused in A */
      {"[" R1(INT_FIELD("x") ", " INT_FIELD("y")) ", " R2(INT_FIELD("x")) "]", 0},
      {"[" R1("{\"name\": \"x\", \"type\": \"int\", \"default\": 1}") ", " R2(INT_FIELD("x")) "]",
       2},
      {"[" R1(INT_FIELD("x")) ", " R2("{\"name\": \"x\", \"type\": \"int\", \"default\": 1}") "]",
       0},
      {"[" R1("{\"name\": \"x\", \"type\": [\"null\", \"long\"]}") ", " R2(INT_FIELD("x")) "]", 2},
      {"[" R1(
           "{\"name\": \"extra\", \"type\": {\"type\": \"map\", \"values\": \"string\"}}") ", {\"type\": \"map\", "
                                                                                           "\"values\": \"int\"}]",
       2},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct schema s;
    struct error err = {0};
    char want[40];
    enum status st = schema_read(span_of(table[i].text), NULL, &s, &err);
    snprintf(want, sizeof want, "branch %u of the union", table[i].refused);
    bool right = table[i].refused ? st == ST_INVALID && strstr(err.text, want) : st == ST_OK;
    if (!right) fail_msg("%s: %s", table[i].text, err.text);
    if (st == ST_OK) schema_release(&s);
  }
}

TEST(a_logical_type_that_means_nothing_is_noted_with_its_line) {
  static const char *const table[][2] = {
      {RECORD("\n{\"name\": \"a\", \"type\": \"long\", \"logicalType\": \"timestamp-micros\"}"),
       "line 2: \"logicalType\" of \"a\" stands beside the type and means nothing there; write "
       "\"type\": {\"type\": ..., \"logicalType\": ...}"},
      {FIELD("{\"type\": \"string\",\n\"logicalType\": \"date\"}"),
       "line 2: \"logicalType\": \"date\" is not for string: it means nothing here"},
      {FIELD("{\"type\": \"long\", \"logicalType\": \"timestamp-nanos\"}"),
       "line 1: unknown \"logicalType\": it means nothing here"},
      {FIELD("{\"type\": \"long\", \"logicalType\": 7}"),
       "line 1: unknown \"logicalType\": it means nothing here"},
      {FIELD("{\"type\": \"fixed\", \"name\": \"F\", \"size\": 12, \"logicalType\": \"duration\"}"),
       "line 1: unknown \"logicalType\": it means nothing here"},
      {FIELD(LOGICAL("long", "timestamp-micros")), NULL},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct schema s;
    assert_int_equal(schema_read(span_of(table[i][0]), NULL, &s, NULL), ST_OK);
    if (table[i][1])
      assert_string_equal(s.notes->text, table[i][1]);
    else
      assert_null(s.notes);
    assert_true(!s.notes || !s.notes->next);
    schema_release(&s);
  }
}

/* The widest types that hold each other do not make their comparison endless. */
TEST(branches_that_hold_themselves_are_compared_in_bounded_time) {
  struct buffer text = {0};
  struct schema s;
  buffer_add_z(&text, "[");
  for (int r = 0; r < 2; r++) {
    buffer_printf(&text, "%s{\"type\": \"record\", \"name\": \"R%d\", \"fields\": [", r ? ", " : "",
                  r);
    for (int i = 0; i < 100; i++)
      buffer_printf(&text, "%s{\"name\": \"f%d\", \"type\": [\"null\", \"R%d\"]}", i ? ", " : "", i,
                    r);
    buffer_add_z(&text, "]}");
  }
  buffer_add_z(&text, "]");
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, NULL), ST_OK);
  schema_release(&s);
  buffer_release(&text);
}

TEST(a_default_of_another_type_is_refused) {
  static const char *const table[][3] = {
      {"\"int\"", "\"1\"", "expected int, found string \"1\""},
      {"\"int\"", "2147483648", "2147483648 is beyond the range of int"},
      {"\"long\"", "1.0", "expected long, found number 1.0"},
      {"\"string\"", "null", "expected string, found null"},
      {"\"double\"", "true", "expected double, found boolean true"},
      {"[\"null\", \"int\"]", "1", "expected null, found number 1"},
      {"[\"int\", \"null\"]", "null", "expected int, found null"},
      {"{\"type\": \"array\", \"items\": \"int\"}", "[1, \"2\"]",
       "expected int, found string \"2\""},
      {"{\"type\": \"map\", \"values\": \"int\"}", "[]", "expected object, found array []"},
      {"{\"type\": \"map\", \"values\": [\"null\", \"int\"]}", "{\"a\": 1}",
       "expected null, found number 1"},
      {"{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\"]}", "\"B\"",
       "expected one of A, found string \"B\""},
      {"{\"type\": \"record\", \"name\": \"I\", \"fields\": [{\"name\": \"x\", \"type\": \"int\"}]}",
       "{}", "x: required by its type and missing"},
      {"{\"type\": \"record\", \"name\": \"I\", \"fields\": []}", "{\"y\": 1}", "no such field: y"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct schema s;
    struct error err = {0};
    struct buffer text = {0}, want = {0};
    buffer_printf(&text, RECORD("{\"name\": \"a\", \"type\": %s,\n \"default\": %s}"), table[i][0],
                  table[i][1]);
    buffer_printf(&want, "line 2: default of \"a\": %s", table[i][2]);
    assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_INVALID);
    assert_string_equal(err.text, buffer_z(&want));
    buffer_release(&text);
    buffer_release(&want);
  }
}

TEST(a_default_of_json_text_must_be_one) {
  struct schema s;
  struct error err = {0};
  struct span bad =
      SPAN(RECORD("{\"name\": \"a\", \"type\": \"string\", \"json\": true, \"default\": \"{\"}"));
  assert_int_equal(schema_read(bad, NULL, &s, &err), ST_INVALID);
  assert_string_equal(
      err.text, "line 1: default of \"a\": expected JSON text in a string, found string \"{\"");
}

TEST(defaults_are_bounded) {
  struct schema s;
  struct error err = {0};
  struct buffer text = {0};
  buffer_add_z(
      &text,
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"a\", \"type\": \"string\", \"default\": \"");
  for (int i = 0; i < 70000; i++) buffer_add_char(&text, 'x');
  buffer_add_z(&text, "\"}]}");
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "larger than 65536 bytes"));
  buffer_release(&text);
}

/* n records, each holding the one before it. */
static void chain(struct buffer *text, int n) {
  buffer_add_z(text, "{\"type\": \"record\", \"name\": \"Top\", \"fields\": [");
  for (int i = 0; i < n; i++) {
    buffer_printf(
        text,
        "%s{\"name\": \"f%d\", \"type\": {\"type\": \"record\", \"name\": \"R%d\", \"fields\": [",
        i ? ", " : "", i, i);
    if (i)
      buffer_printf(text,
                    "{\"name\": \"x\", \"type\": \"R%d\"}, {\"name\": \"y\", \"type\": \"R%d\"}",
                    i - 1, i - 1);
    buffer_add_z(text, "]}}");
  }
  buffer_add_z(text, "]}");
}

TEST(nesting_by_reference_is_bounded_too) {
  struct schema s;
  struct error err = {0};
  struct buffer text = {0};
  chain(&text, 20);
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_OK);
  schema_release(&s);
  buffer_clear(&text);
  chain(&text, 70);
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "nested deeper than 64 levels"));
  buffer_release(&text);
}

TEST(a_schema_is_read_whole_or_refused) {
  struct schema s;
  struct error err = {0};
  struct buffer text = {0};
  buffer_add_z(&text, "\"int\"");
  while (text.len <= SCHEMA_MAX_BYTES) buffer_add_char(&text, ' ');
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_TOO_LARGE);
  text.len = SCHEMA_MAX_BYTES;
  assert_int_equal(schema_read(buffer_span(&text), NULL, &s, &err), ST_OK);
  schema_release(&s);
  buffer_release(&text);
}
