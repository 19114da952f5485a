/* Schema resolution rule by rule, the places that are told, and schemas that are out to hurt.
 * Random pairs are judged beside Avro's own library in integration.avro. */
#include "bridge/encoding/comparing/compatibility.h"
#include "tests/support/test.h"

struct told {
  struct buffer text;
  struct schema_place reader, writer;
};

static void note_reason(void *ctx, const struct incompatible *i) {
  struct told *t = ctx;
  buffer_printf(&t->text, "%s%s %.*s: %s", t->text.len ? "; " : "", incompatibility_name(i->what),
                SPAN_ARGS(i->path), i->words);
  t->reader = i->reader;
  t->writer = i->writer;
}

static struct schema *schema_of(const char *text) {
  struct schema *s;
  struct error err = {0};
  if (compatibility_read(span_of(text), &s, &err) != ST_OK) fail_msg("%s: %s", text, err.text);
  return s;
}

static struct told check(const char *reader, const char *writer) {
  struct schema *r = schema_of(reader), *w = schema_of(writer);
  struct told t = {0};
  bool compatible;
  assert_int_equal(compatibility_check(r, w, note_reason, &t, &compatible, NULL), ST_OK);
  assert_int_equal(compatible, t.text.len == 0);
  compatibility_free(r);
  compatibility_free(w);
  return t;
}

static void assert_told(const char *reader, const char *writer, const char *words) {
  struct told t = check(reader, writer);
  assert_string_equal(buffer_z(&t.text), words);
  buffer_release(&t.text);
}

static void assert_read(const char *reader, const char *writer) {
  assert_told(reader, writer, "");
}

#define REC(name, more, fields)                                                                    \
  "{\"type\": \"record\", \"name\": \"" name "\", " more "\"fields\": [" fields "]}"
#define FIELD(name, type) "{\"name\": \"" name "\", \"type\": " type "}"
#define ENUM(name, more, symbols)                                                                  \
  "{\"type\": \"enum\", \"name\": \"" name "\", " more "\"symbols\": [" symbols "]}"
#define FIXED(name, size) "{\"type\": \"fixed\", \"name\": \"" name "\", \"size\": " size "}"
#define DECIMAL(p, s)                                                                              \
  "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": " p ", \"scale\": " s "}"

TEST(test_primitives_are_promoted_as_the_specification_has_it) {
  static const char *const names[] = {"null",  "boolean", "int",   "long",
                                      "float", "double",  "bytes", "string"};
  static const char *const wider[] = {"int long",     "int float",   "int double",
                                      "long float",   "long double", "float double",
                                      "bytes string", "string bytes"};
  for (size_t w = 0; w < 8; w++)
    for (size_t r = 0; r < 8; r++) {
      char writer[20], reader[20], pair[40];
      bool reads = r == w;
      snprintf(pair, sizeof pair, "%s %s", names[w], names[r]);
      for (size_t i = 0; i < 8; i++) reads |= strcmp(pair, wider[i]) == 0;
      snprintf(writer, sizeof writer, "\"%s\"", names[w]);
      snprintf(reader, sizeof reader, "\"%s\"", names[r]);
      struct told t = check(reader, writer);
      if (reads != !t.text.len) fail_msg("%s: %s", pair, buffer_z(&t.text));
      buffer_release(&t.text);
    }
}

TEST(test_names_match_without_their_namespace_or_by_an_alias) {
  assert_read(FIXED("a.F", "4"), FIXED("b.F", "4"));
  assert_read(REC("a.R", "", ""), REC("b.R", "", ""));
  assert_told(FIXED("a.F", "4"), FIXED("a.G", "4"),
              "NAME_MISMATCH payload: the reader's fixed is a.F, the writer's is a.G: its name "
              "among the reader's \"aliases\" makes them one");
  assert_read(REC("a.R", "\"aliases\": [\"Old\", \"b.Older\"], ", ""), REC("a.Old", "", ""));
  assert_read(REC("a.R", "\"aliases\": [\"Old\", \"b.Older\"], ", ""), REC("b.Older", "", ""));
  struct told t = check(REC("a.R", "\"aliases\": [\"Old\"], ", ""), REC("b.Old", "", ""));
  assert_true(t.text.len > 0); /* an alias is a full name */
  buffer_release(&t.text);
}

TEST(test_fields_go_by_name_alias_and_default) {
  assert_read(
      REC("R", "", FIELD("b", "\"long\"") ", " FIELD("a", "\"int\"")),
      REC("R", "", FIELD("a", "\"int\"") ", " FIELD("x", "\"int\"") ", " FIELD("b", "\"int\"")));
  assert_told(REC("R", "", FIELD("a", "\"int\"")), REC("R", "", FIELD("b", "\"int\"")),
              "READER_FIELD_MISSING_DEFAULT_VALUE payload.a: the writer's record has no a, and the "
              "reader's has no default");
  assert_read(REC("R", "", "{\"name\": \"a\", \"type\": \"int\", \"default\": 1}"),
              REC("R", "", ""));
  assert_read(REC("R", "", "{\"name\": \"a\", \"type\": \"int\", \"aliases\": [\"z\", \"b\"]}"),
              REC("R", "", FIELD("b", "\"int\"")));
  assert_told(REC("R", "", "{\"name\": \"a\", \"type\": \"int\", \"aliases\": [\"b\"]}"),
              REC("R", "", FIELD("b", "\"string\"")),
              "TYPE_MISMATCH payload.a: the reader has int, the writer has string");
}

TEST(test_enums_and_sizes) {
  assert_read(ENUM("E", "", "\"A\", \"B\""), ENUM("E", "", "\"B\""));
  assert_told(ENUM("E", "", "\"A\""), ENUM("E", "", "\"C\", \"A\", \"B\""),
              "MISSING_ENUM_SYMBOLS payload: the reader's enum has no default and has not the "
              "writer's C, B");
  assert_read(ENUM("E", "\"default\": \"A\", ", "\"A\""), ENUM("E", "", "\"A\", \"B\""));
  assert_told(ENUM("E", "", "\"A\""), ENUM("E", "\"default\": \"B\", ", "\"A\", \"B\""),
              "MISSING_ENUM_SYMBOLS payload: the reader's enum has no default and has not the "
              "writer's B"); /* the writer's default is none of the reader's */
  assert_told(FIXED("F", "4"), FIXED("F", "8"),
              "FIXED_SIZE_MISMATCH payload: the reader's fixed has 4 bytes, the writer's has 8");
}

TEST(test_unions_need_every_branch_of_the_writer) {
  assert_read("[\"null\", \"long\"]", "\"int\"");
  assert_read("[\"string\", \"null\"]", "[\"null\", \"bytes\"]");
  assert_read("\"long\"", "[\"int\", \"long\"]");
  assert_told("\"long\"", "[\"int\", \"null\"]",
              "TYPE_MISMATCH payload: the reader has long, the writer has null");
  assert_told("[\"int\", \"string\"]", "[\"null\", \"string\", \"double\"]",
              "MISSING_UNION_BRANCH payload: no branch of the reader's union takes the writer's "
              "null; MISSING_UNION_BRANCH payload: no branch of the reader's union takes the "
              "writer's double");
  /* the branch that was meant says why */
  assert_told("[\"null\", " REC("R", "", FIELD("a", "\"int\"")) "]",
              "[\"null\", " REC("R", "", FIELD("a", "\"string\"")) "]",
              "TYPE_MISMATCH payload.a: the reader has int, the writer has string");
  /* two of one name in other namespaces: whichever reads */
  assert_read(
      "[" REC("a.R", "", FIELD("x", "\"int\"")) ", " REC("b.R", "", FIELD("y", "\"int\"")) "]",
      REC("b.R", "", FIELD("y", "\"int\"")));
}

TEST(test_decimals_match_by_precision_and_scale) {
  assert_read(DECIMAL("9", "2"), DECIMAL("9", "2"));
  assert_read(DECIMAL("9", "2"), "\"bytes\"");
  assert_told(DECIMAL("9", "2"), DECIMAL("9", "3"),
              "DECIMAL_MISMATCH payload: the reader has decimal(9,2), the writer has decimal(9,3)");
  assert_told("[\"null\", " DECIMAL("9", "2") "]", "[\"null\", " DECIMAL("8", "2") "]",
              "DECIMAL_MISMATCH payload: the reader has decimal(9,2), the writer has decimal(8,2)");
  assert_read("{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}", "\"int\"");
  /* one that Avro ignores */
  assert_read("{\"type\": \"bytes\", \"logicalType\": \"decimal\"}", DECIMAL("8", "2"));
}

TEST(test_places_are_lines_of_both) {
  struct told t = check(
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [\n{\"name\": \"a\",\n\"type\": {\"type\": "
      "\"array\", \"items\":\n\"int\"}}]}",
      "{\"type\": \"record\", \"name\": \"R\", \"fields\": [\n\n\n{\"name\": \"a\", \"type\": {\"type\": "
      "\"array\",\n\n\"items\": \"string\"}}]}");
  assert_string_equal(buffer_z(&t.text),
                      "TYPE_MISMATCH payload.a[]: the reader has int, the writer has string");
  assert_int_equal(t.reader.line, 4);
  assert_int_equal(t.writer.line, 6);
  assert_null(t.reader.file);
  buffer_release(&t.text);
}

/* A node of a list: its next, and something that may not match. */
#define NODE(name, type, next)                                                                     \
  REC(name, "", FIELD("v", type) ", " FIELD("next", "[\"null\", \"" next "\"]"))

TEST(test_records_that_hold_themselves) {
  assert_read(NODE("N", "\"long\"", "N"), NODE("N", "\"int\"", "N"));
  assert_told(NODE("N", "\"int\"", "N"), NODE("N", "\"long\"", "N"),
              "TYPE_MISMATCH payload.v: the reader has int, the writer has long");
  /* of two that hold each other the outer one does not match by what stands behind the inner one:
   * an answer for the inner one must not rest on the guess about the outer one */
  const char *
      reader =
         REC("A", "",
             FIELD("b", "[" REC("B", "", FIELD("a", "[\"null\", \"A\"]")) ", \"null\"]") ", " FIELD(
                 "x", "\"int\"")),
     *writer =
         REC("A", "",
             FIELD("b", "[" REC("B", "", FIELD("a", "[\"null\", \"A\"]")) ", \"null\"]") ", " FIELD(
                 "x", "\"string\""));
  assert_told(reader, writer, "TYPE_MISMATCH payload.x: the reader has int, the writer has string");
}

TEST(test_a_loop_of_aliases_ends) {
  const char *loop = REC(
      "R", "\"aliases\": [\"S\"], ",
      "{\"name\": \"a\", \"aliases\": [\"b\"], \"type\": [\"null\", " REC(
          "S", "\"aliases\": [\"R\", \"S\"], ",
          "{\"name\": \"r\", \"type\": [\"null\", \"R\"]}") "]}, "
                                                            "{\"name\": \"b\", \"aliases\": [\"a\", \"b\"], \"type\": \"int\"}");
  assert_read(loop, loop);
  assert_read(loop, REC("S", "", FIELD("a", "\"null\"") ", " FIELD("b", "\"int\"")));
}

/* Cycles of other lengths: each pair is looked at once a round, however they wind. */
TEST(test_long_cycles_end) {
  struct buffer text[2] = {{0}, {0}};
  const int lengths[2] = {15, 13};
  for (int s = 0; s < 2; s++) {
    for (int i = 0; i < lengths[s]; i++)
      buffer_printf(
          &text[s],
          "{\"type\": \"record\", \"name\": \"n%d.N\", \"fields\": [{\"name\": \"next\", \"type\": [\"null\", ",
          i);
    buffer_add_z(&text[s], "\"n0.N\"");
    for (int i = 0; i < lengths[s]; i++) buffer_add_z(&text[s], "]}]}");
  }
  assert_read(buffer_z(&text[0]), buffer_z(&text[1]));
  buffer_release(&text[0]);
  buffer_release(&text[1]);
}

TEST(test_a_schema_of_one_megabyte_is_compared) {
  struct buffer text = {0};
  buffer_add_z(&text, "{\"type\": \"record\", \"name\": \"R\", \"fields\": [");
  for (int i = 0; text.len < 1024 * 1024 - 200; i++)
    buffer_printf(&text,
                  "%s\n{\"name\": \"f%d\", \"type\": [\"null\", \"string\"], \"default\": null}",
                  i ? "," : "", i);
  buffer_add_z(&text, "]}");
  assert_read(buffer_z(&text), buffer_z(&text));
  buffer_release(&text);
}

TEST(test_foreign_schemas_may_have_what_no_json_reaches) {
  struct schema *s;
  struct error err = {0};
  assert_read("[\"string\", \"bytes\"]", "\"bytes\"");
  assert_int_equal(compatibility_read(SPAN("{\"type\":\n\"strng\"}"), &s, &err), ST_INVALID);
  assert_memory_equal(err.text, "line 2: ", 8);
  assert_null(s);
  compatibility_free(s);
}
