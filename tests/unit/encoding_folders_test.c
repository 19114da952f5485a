/* Folders of schemas: several of them, the envelope, types in files of their own, ConfigMaps, and
 * very many. */
#include "tests/unit/catalog_box.h"

#define NAMED(name, fields)                                                                        \
  "{\"type\": \"record\", \"name\": \"" name "\", \"fields\": [" fields "]}"
#define FIELD(type) "{\"name\": \"a\", \"type\": " type "}"

static enum status try_folders(struct run *r, const char *folders, struct catalog **c) {
  struct catalog_config config = {.folder = folders};
  r->err = (struct error){0};
  return catalog_open(&config, NULL, c, &r->err);
}

/* "%s" in the text stands for the test's folder. */
static void assert_fails(struct run *r, const char *folders, const char *text) {
  struct catalog *c;
  struct buffer want = {0};
  for (; *text; text++)
    *text == '@' ? buffer_add_z(&want, r->folder) : buffer_add_char(&want, *text);
  assert_int_equal(try_folders(r, folders, &c), ST_INVALID);
  assert_string_equal(r->err.text, buffer_z(&want));
  buffer_release(&want);
}

static const char *two(const struct run *r, const char *between) {
  static char text[256];
  snprintf(text, sizeof text, "%s/one%s%s/two", r->folder, between, r->folder);
  return text;
}

static const char *names_of(const struct catalog *c) {
  static char text[400];
  struct catalog_schema s;
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; catalog_schema_at(c, i, &s); i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s ", s.event_name);
  return text;
}

static void put_below(struct run *r, const char *folder, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", r->folder, folder);
  (void)mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  put(r, path, text);
}

CASE(several_folders_are_one_catalog) {
  struct run *r = *state;
  struct catalog *c;
  put_below(r, "one", "a/x.avsc", NAMED("X", ""));
  put_below(r, "two", "a/y.avsc", NAMED("Y", ""));
  put_below(r, "two", "b/z.avsc", NAMED("Z", ""));
  static const char *const between[] = {" ", ",", ", ", "//, "};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(try_folders(r, two(r, between[i]), &c), ST_OK);
    assert_string_equal(names_of(c), "a.x a.y b.z envelope ");
    catalog_close(c);
  }
}

CASE(a_folder_may_have_a_blank_in_its_name) {
  struct run *r = *state;
  struct catalog *c;
  char folder[128];
  put_below(r, "my schemas, all", "a/x.avsc", NAMED("X", ""));
  snprintf(folder, sizeof folder, "%s/my schemas, all", r->folder);
  assert_int_equal(try_folders(r, folder, &c), ST_OK);
  assert_string_equal(names_of(c), "a.x envelope ");
  catalog_close(c);
}

CASE(the_same_in_two_folders_names_both_files) {
  struct run *r = *state;
  put_below(r, "one", "a/x.avsc", NAMED("X", ""));
  put_below(r, "two", "a/y.avsc", NAMED("X", FIELD("\"int\"")));
  assert_fails(r, two(r, " "), "@/two/a/y.avsc: line 1: record X is that of @/one/a/x.avsc too");
  put_below(r, "two", "a/x.avsc", NAMED("Y", ""));
  char path[128];
  snprintf(path, sizeof path, "%s/two/a/y.avsc", r->folder);
  assert_int_equal(unlink(path), 0);
  assert_fails(r, two(r, " "), "@/two/a/x.avsc: line 1: event a.x is that of @/one/a/x.avsc too");
}

CASE(a_folder_that_is_missing_is_named) {
  struct run *r = *state;
  struct catalog *c;
  char want[160];
  put_below(r, "one", "a/x.avsc", NAMED("X", ""));
  assert_int_equal(try_folders(r, two(r, " "), &c), ST_NOT_FOUND);
  snprintf(want, sizeof want, "folder of schemas %s/two (encoding.schemas)", r->folder);
  assert_non_null(strstr(r->err.text, want));
}

static uint64_t fingerprint_of(const struct catalog *c, const char *event) {
  struct catalog_schema s;
  for (size_t i = 0; catalog_schema_at(c, i, &s); i++)
    if (strcmp(s.event_name, event) == 0) return s.fingerprint;
  fail_msg("no schema of %s", event);
  return 0;
}

CASE(the_envelope_is_there_without_being_copied) {
  struct run *r = *state;
  struct catalog *c;
  uint64_t shipped = fingerprint_of(r->c, "envelope");
  put_below(r, "one", "a/x.avsc", NAMED("X", ""));
  put_below(r, "two", "a/y.avsc", NAMED("Y", ""));
  assert_int_equal(try_folders(r, two(r, " "), &c), ST_OK);
  assert_int_equal(fingerprint_of(c, "envelope"), shipped);
  catalog_close(c);
  /* a copy in each of them is one; another envelope is not */
  put_below(r, "one", "envelope.avsc", ENVELOPE_SCHEMA);
  put_below(r, "two", "envelope.avsc", ENVELOPE_SCHEMA);
  assert_int_equal(try_folders(r, two(r, " "), &c), ST_OK);
  assert_int_not_equal(fingerprint_of(c, "envelope"), shipped);
  catalog_close(c);
  put_below(r, "two", "envelope.avsc", NAMED("Envelope", ""));
  assert_fails(r, two(r, " "),
               "@/two/envelope.avsc: line 1: event envelope is that of @/one/envelope.avsc too");
}

/* ---- types in files of their own ---- */

#define MONEY_FILE                                                                                 \
  "{\"type\": \"record\", \"name\": \"Money\", \"namespace\": \"shop\", \"fields\": ["             \
  "{\"name\": \"of\", \"type\": \"Currency\"}, {\"name\": \"n\", \"type\": \"long\"}]}"
#define CURRENCY_FILE                                                                              \
  "{\"type\": \"enum\", \"name\": \"shop.Currency\", \"symbols\": [\"EUR\", \"JPY\"]}"
#define PLACED(type)                                                                                     \
  "{\"type\": \"record\", \"name\": \"shop.Placed\", \"fields\": [{\"name\": \"total\", \"type\": " type \
  "}, "                                                                                                  \
  "{\"name\": \"tax\", \"type\": [\"null\", \"Money\"], \"default\": null}]}"

CASE(a_type_of_a_file_of_its_own_stands_where_it_is_named_first) {
  struct run *r = *state;
  put(r, ".common/money.avsc", MONEY_FILE);
  put(r, ".common/currency.avsc", CURRENCY_FILE);
  put(r, "order/placed.avsc", PLACED("\"Money\""));
  put(r, "order/x.avsc", NAMED("X", FIELD("\"shop.Currency\"")));
  open_catalog(r, r->folder, FRAMING_RAW, false);
  struct catalog_schema s;
  assert_true(catalog_schema_at(r->c, 1, &s));
  assert_int_equal(
      s.canonical.len,
      strlen(
          "{\"name\":\"shop.Placed\",\"type\":\"record\",\"fields\":[{\"name\":\"total\",\"type\":{\"name\":\"shop.Money\","
          "\"type\":\"record\",\"fields\":[{\"name\":\"of\",\"type\":{\"name\":\"shop.Currency\",\"type\":\"enum\",\"symbols\":[\"EUR\","
          "\"JPY\"]}},{\"name\":\"n\",\"type\":\"long\"}]}},{\"name\":\"tax\",\"type\":[\"null\",\"shop.Money\"]}]}"));
  assert_round(r, "order.placed",
               "{\"total\": {\"of\": \"JPY\", \"n\": 7}, \"tax\": {\"of\": \"EUR\", \"n\": 1}}",
               "{\"total\": {\"of\": \"JPY\", \"n\": 7}, \"tax\": {\"of\": \"EUR\", \"n\": 1}}");
  assert_hex(r, "020e020002");
}

CASE(faults_of_types_in_files_of_their_own_name_both) {
  struct run *r = *state;
  put(r, "order/placed.avsc", PLACED("\n\"Money\""));
  assert_fails(
      r, r->folder,
      "@/order/placed.avsc: line 2: unknown type \"Money\"; supported are null, boolean, int, "
      "long, float, double, bytes, string, fixed, enum, array, map, record and unions of them");
  put(r, ".common/money.avsc",
      "{\n\"type\": \"record\",\n\"name\": \"shop.Money\", \"fields\": 7}");
  assert_fails(r, r->folder,
               "@/.common/money.avsc: line 1: record shop.Money needs \"fields\", an array");
  put(r, ".common/money.avsc", "\"long\"");
  assert_fails(r, r->folder,
               "@/.common/money.avsc: line 1: a record, enum or fixed with a name is expected");
  put(r, ".common/money.avsc", "{\n,");
  struct catalog *c;
  assert_int_equal(try_folders(r, r->folder, &c), ST_INVALID);
  assert_non_null(strstr(r->err.text, "/.common/money.avsc: line 2: "));
  put(r, ".common/money.avsc", CURRENCY_FILE);
  put(r, ".common/currency.avsc", CURRENCY_FILE);
  assert_fails(r, r->folder,
               "@/.common/money.avsc: line 1: shop.Currency is that of "
               "@/.common/currency.avsc too");
}

CASE(types_in_files_of_their_own_may_hold_each_other_and_end) {
  struct run *r = *state;
  char name[40], text[200];
  put(r, ".common/a.avsc", NAMED("A", "{\"name\": \"b\", \"type\": [\"null\", \"B\"]}"));
  put(r, ".common/b.avsc", NAMED("B", "{\"name\": \"a\", \"type\": \"A\"}"));
  put(r, "t/e.avsc", NAMED("E", FIELD("\"A\"")));
  open_catalog(r, r->folder, FRAMING_RAW, false);
  assert_round(r, "t.e", "{\"a\": {\"b\": {\"a\": {\"b\": null}}}}",
               "{\"a\": {\"b\": {\"a\": {\"b\": null}}}}");
  put(r, ".common/a.avsc", NAMED("A", "{\"name\": \"b\", \"type\": \"B\"}"));
  struct catalog *c;
  assert_int_equal(try_folders(r, r->folder, &c), ST_INVALID);
  assert_non_null(strstr(r->err.text, "contains itself without end"));
  put(r, ".common/c3000.avsc", NAMED("C3000", ""));
  for (int i = 0; i < 3000; i++) { /* a chain of files does not use up the stack */
    snprintf(name, sizeof name, ".common/c%d.avsc", i);
    snprintf(
        text, sizeof text,
        "{\"type\": \"record\", \"name\": \"C%d\", \"fields\": [{\"name\": \"n\", \"type\": \"C%d\"}]}",
        i, i + 1);
    put(r, name, text);
  }
  put(r, ".common/a.avsc", NAMED("A", "{\"name\": \"b\", \"type\": [\"null\", \"B\"]}"));
  assert_int_equal(try_folders(r, r->folder, &c), ST_INVALID);
  assert_non_null(strstr(r->err.text, "types are nested deeper than 64 levels"));
}

CASE(a_config_map_is_read_through_its_links) {
  struct run *r = *state;
  struct catalog *c;
  char path[256];
  put_below(r, "..2026", "readme", "");
  snprintf(path, sizeof path, "%s/..2026/order", r->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/..2026/.common", r->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  put(r, "..2026/order/placed.avsc", PLACED("\"Money\""));
  put(r, "..2026/.common/money.avsc", MONEY_FILE);
  put(r, "..2026/.common/currency.avsc", CURRENCY_FILE);
  static const char *const links[][2] = {
      {"..2026", "..data"}, {"..data/order", "order"}, {"..data/.common", ".common"}};
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", r->folder, links[i][1]);
    assert_int_equal(symlink(links[i][0], path), 0);
  }
  assert_int_equal(try_folders(r, r->folder, &c), ST_OK);
  assert_string_equal(names_of(c), "envelope order.placed ");
  catalog_close(c);
}

/* ---- history ---- */

CASE(values_of_frozen_schemas_are_decoded) {
  struct run *r = *state;
  put(r, "t/e.avsc", NAMED("E", FIELD("\"long\"")));
  open_catalog(r, r->folder, FRAMING_SINGLE_OBJECT, false);
  assert_int_equal(encode(r, "t.e", "{\"a\": 7}"), REASON_NONE);
  put(r, "t/e.avsc", NAMED("E", FIELD("\"string\"")));
  open_catalog(r, r->folder, FRAMING_SINGLE_OBJECT, false);
  buffer_clear(&r->text);
  assert_int_equal(
      catalog_decode(r->c, buffer_span(&r->bytes), SPAN(""), SPAN("t.e"), &r->text, &r->err),
      ST_NOT_FOUND);
  char path[160];
  snprintf(path, sizeof path, "%s/.history", r->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  put(r, ".history/t/e.2.avsc", NAMED("Other", ""));
  put(r, ".history/t/e.10.avsc", NAMED("E", FIELD("\"long\"")));
  put(r, ".history/envelope.1.avsc", ENVELOPE_SCHEMA);
  open_catalog(r, r->folder, FRAMING_SINGLE_OBJECT, false);
  assert_string_equal(decode_as(r, "", "t.e"), "{\"a\": 7}");
  struct catalog_schema s;
  assert_true(catalog_frozen(r->c, SPAN("t.e"), 0, &s));
  assert_int_equal(s.number, 2);
  assert_true(catalog_frozen(r->c, SPAN("t.e"), 1, &s));
  assert_int_equal(s.number, 10);
  assert_false(catalog_frozen(r->c, SPAN("t.e"), 2, &s));
  assert_int_equal(encode(r, "t.e", "{\"a\": \"x\"}"), REASON_NONE); /* by today's */
  put(r, ".history/t/e.11.avsc", "{");
  struct catalog *c;
  assert_int_equal(try_folders(r, r->folder, &c), ST_INVALID);
  assert_non_null(strstr(r->err.text, "/.history/t/e.11.avsc: line 1: "));
  static const char *const bad[] = {".history/t/e.avsc", ".history/t/e.0.avsc",
                                    ".history/t/e.1x.avsc", ".history/t/.avsc",
                                    ".history/t/e.99999999999.avsc"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put(r, ".history/t/e.11.avsc", NAMED("E", ""));
    put(r, bad[i], NAMED("E", ""));
    bool hidden = strstr(bad[i], "/.avsc") != NULL;
    assert_int_equal(try_folders(r, r->folder, &c), hidden ? ST_OK : ST_INVALID);
    if (hidden) catalog_close(c);
    snprintf(path, sizeof path, "%s/%s", r->folder, bad[i]);
    assert_int_equal(unlink(path), 0);
  }
}

CASE(a_whole_text_holds_the_types_of_other_files_once) {
  struct run *r = *state;
  struct buffer whole = {0};
  put(r, ".common/money.avsc", MONEY_FILE);
  put(r, ".common/currency.avsc", CURRENCY_FILE "\n");
  put(r, "order/placed.avsc", PLACED("\"Money\""));
  open_catalog(r, r->folder, FRAMING_RAW, false);
  uint64_t before = fingerprint_of(r->c, "order.placed");
  assert_int_equal(catalog_whole_text(r->c, span_of(PLACED("\"Money\"")), &whole, &r->err), ST_OK);
  char path[160];
  snprintf(path, sizeof path, "rm -r %s/.common", r->folder);
  assert_int_equal(system(path), 0);
  put(r, "order/placed.avsc", buffer_z(&whole));
  open_catalog(r, r->folder, FRAMING_RAW, false);
  assert_int_equal(fingerprint_of(r->c, "order.placed"), before);
  buffer_release(&whole);
}

static struct digest texts_of(struct run *r) {
  struct catalog *c;
  assert_int_equal(try_folders(r, r->folder, &c), ST_OK);
  struct digest d = catalog_texts(c);
  catalog_close(c);
  return d;
}

static bool same(struct digest a, struct digest b) {
  return a.lo == b.lo && a.hi == b.hi;
}

CASE(any_change_of_a_text_is_noticed) {
  struct run *r = *state;
  put(r, ".common/currency.avsc", CURRENCY_FILE);
  put(r, "t/e.avsc", NAMED("E", ""));
  struct digest first = texts_of(r);
  assert_true(same(first, texts_of(r)));
  put(r, "t/e.avsc", NAMED("E", "") " ");
  struct digest second = texts_of(r);
  assert_false(same(first, second));
  put(r, ".common/currency.avsc", CURRENCY_FILE " ");
  assert_false(same(second, texts_of(r)));
}

CASE(a_catalog_that_was_replaced_goes_on_counting) {
  struct run *r = *state;
  struct catalog_config config = {.folder = r->folder, .framing = FRAMING_RAW};
  struct catalog *fresh;
  struct span path;
  uint64_t count;
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", false);
  assert_round(r, "t.e", "{\"a\": 1, \"b\": 2}", "{\"a\": 1}");
  put(r, "t/e.avsc", NAMED("E", "{\"name\": \"c\", \"type\": \"long\", \"default\": 7}"));
  for (int i = 0; i < 2; i++) { /* the second one before any event saw the first */
    assert_int_equal(catalog_open(&config, NULL, &fresh, &r->err), ST_OK);
    catalog_replace(r->c, fresh);
  }
  assert_round(r, "t.e", "{\"b\": 2}", "{\"c\": 7}");
  assert_true(catalog_left_out(r->c, 1, 0, &path, &count));
  assert_int_equal(count, 2);
  assert_false(catalog_left_out(r->c, 1, 1, &path, &count));
  assert_int_equal(catalog_open(&config, NULL, &fresh, &r->err), ST_OK);
  catalog_replace(r->c, fresh); /* closed without having been used */
}

CASE(a_schema_that_went_and_came_back_shows_what_had_no_place) {
  struct run *r = *state;
  struct catalog_config config = {.folder = r->folder, .framing = FRAMING_RAW};
  struct catalog *fresh;
  struct span path;
  uint64_t count;
  char file[128];
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", false);
  assert_round(r, "t.e", "{\"a\": 1, \"b\": 2}", "{\"a\": 1}");
  snprintf(file, sizeof file, "%s/t/e.avsc", r->folder);
  assert_int_equal(unlink(file), 0);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(catalog_open(&config, NULL, &fresh, &r->err), ST_OK);
    catalog_replace(r->c, fresh);
    assert_int_equal(encode(r, "t.other", "{}"), REASON_NONE);
  }
  put(r, "t/e.avsc", NAMED("E", "{\"name\": \"a\", \"type\": \"long\"}"));
  assert_int_equal(catalog_open(&config, NULL, &fresh, &r->err), ST_OK);
  catalog_replace(r->c, fresh);
  assert_round(r, "t.e", "{\"a\": 1, \"b\": 2}", "{\"a\": 1}");
  assert_true(catalog_left_out(r->c, 1, 0, &path, &count));
  assert_int_equal(count, 2);
}

/* ---- very many, very large ---- */

CASE(ten_thousand_schemas_are_read) {
  struct run *r = *state;
  struct catalog *c;
  struct catalog_schema s;
  char name[64], text[128];
  for (int i = 0; i < 10000; i++) {
    snprintf(name, sizeof name, "a/e%d.avsc", i);
    snprintf(text, sizeof text, "{\"type\": \"record\", \"name\": \"R%d\", \"fields\": []}", i);
    put(r, name, text);
  }
  assert_int_equal(try_folders(r, r->folder, &c), ST_OK);
  assert_true(catalog_schema_at(c, 10000, &s));
  assert_false(catalog_schema_at(c, 10001, &s));
  catalog_close(c);
}

CASE(a_schema_of_a_mebibyte_is_read) {
  struct run *r = *state;
  struct buffer text = {0};
  int fields = 0;
  buffer_add_z(&text, "{\"type\": \"record\", \"name\": \"R\", \"fields\": [");
  while (text.len < 1024 * 1024 - 100)
    buffer_printf(&text, "%s{\"name\": \"f%d\", \"type\": [\"null\", \"long\"], \"default\": null}",
                  fields ? ", " : "", fields),
        fields++;
  buffer_add_z(&text, "]}");
  put(r, "t/e.avsc", buffer_z(&text));
  buffer_release(&text);
  open_catalog(r, r->folder, FRAMING_RAW, false);
  assert_int_equal(encode(r, "t.e", "{\"f10000\": 7}"), REASON_NONE);
  assert_int_equal(r->bytes.len, (size_t)fields + 1);
  assert_string_equal(decode_as(r, "", "t.e"), "{\"f10000\": 7}");
}
