/* The folder that schemas are read from: what is passed over, what is refused, and where it is said
 * to be wrong. */
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/types/schema.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>
#include <unistd.h>

struct place {
  char folder[64];
  struct error err;
};

static int setup(void **state) {
  struct place *p = calloc(1, sizeof *p);
  assert_non_null(p);
  folder_make(p->folder, sizeof p->folder, "encoding-schema");
  *state = p;
  return 0;
}

static int teardown(void **state) {
  struct place *p = *state;
  char command[256];
  snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", p->folder, p->folder);
  free(p);
  return system(command);
}

static void put(const struct place *p, const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", p->folder, name);
  for (char *slash = path + strlen(p->folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = '\0';
    (void)mkdir(path, 0700);
  }
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

#define NAMED(name) "{\"type\": \"record\", \"name\": \"" name "\", \"fields\": []}"
#define S "\"type\": \"string\""
#define ENVELOPE_OF(id, payload)                                                                   \
  "{\"type\": \"record\", \"name\": \"Envelope\", \"fields\": [{\"name\": \"id\", " id             \
  "}, {\"name\": \"name\", " S "}, "                                                               \
  "{\"name\": \"created_at\", " S "}, {\"name\": \"payload\", " payload "}]}"
#define GOOD_ENVELOPE ENVELOPE_OF(S, S ", \"json\": true")

static enum status try_open(struct place *p, struct catalog **c) {
  struct catalog_config config = {.folder = p->folder};
  p->err = (struct error){0};
  return catalog_open(&config, NULL, c, &p->err);
}

static void assert_fails(struct place *p, enum status st, const char *text) {
  struct catalog *c;
  assert_int_equal(try_open(p, &c), st);
  assert_null(c);
  if (!strstr(p->err.text, text)) print_message("%s\n", p->err.text);
  assert_non_null(strstr(p->err.text, text));
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(links_are_followed_and_other_files_passed_over) {
  struct place *p = *state;
  struct catalog *c;
  struct catalog_schema s;
  char path[512];
  put(p, "..2025/quality/checked.avsc", NAMED("Checked"));
  put(p, "..2025/envelope.avsc", GOOD_ENVELOPE);
  put(p, ".git/x.avsc", "not a schema");
  put(p, "README.md", "words");
  put(p, "a/x.avsc~", "words");
  put(p, "a/deeper/readme", "words");
  put(p, "a/b.c-d_0.avsc", NAMED("Dotted"));
  static const char *const links[][2] = {{"..2025", "..data"},
                                         {"..data/quality", "quality"},
                                         {"..data/envelope.avsc", "envelope.avsc"},
                                         {"nowhere", "lost"}};
  for (size_t i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/%s", p->folder, links[i][1]);
    assert_int_equal(symlink(links[i][0], path), 0);
  }
  assert_int_equal(try_open(p, &c), ST_OK);
  assert_true(catalog_schema_at(c, 0, &s));
  assert_string_equal(s.event_name, "a.b.c-d_0");
  assert_true(catalog_schema_at(c, 1, &s));
  assert_string_equal(s.event_name, "envelope");
  assert_true(catalog_schema_at(c, 2, &s));
  assert_string_equal(s.event_name, "quality.checked");
  assert_false(catalog_schema_at(c, 3, &s));
  catalog_close(c);
}

CASE(a_fault_names_file_and_line) {
  struct place *p = *state;
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "quality/checked.avsc", "{\n\"type\": \"record\",\n\"name\": \"C\",\n\"fields\": [7]}");
  char want[256];
  snprintf(want, sizeof want, "%s/quality/checked.avsc: line 4: a field must be an object",
           p->folder);
  assert_fails(p, ST_INVALID, want);
  put(p, "quality/checked.avsc", "{\n\n\"type\"");
  assert_fails(p, ST_INVALID, "/quality/checked.avsc: line 3: ");
  put(p, "quality/checked.avsc", "\"string\"");
  assert_fails(p, ST_INVALID,
               "/quality/checked.avsc: line 1: the schema of an event must be a record");
  put(p, "quality/checked.avsc", "[\"null\", " NAMED("R") "]");
  assert_fails(p, ST_INVALID, "must be a record");
}

CASE(a_path_must_be_namespace_and_event) {
  struct place *p = *state;
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "checked.avsc", NAMED("R"));
  assert_fails(p, ST_INVALID, "/checked.avsc: expected <namespace>/<event>.avsc");
}

CASE(names_no_event_can_have_are_refused) {
  struct place *p = *state;
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "a/Upper.avsc", NAMED("R"));
  assert_fails(p, ST_INVALID, "/a/Upper.avsc: expected <namespace>/<event>.avsc");
}

CASE(a_namespace_has_no_dot) {
  struct place *p = *state;
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "a.b/c.avsc", NAMED("R"));
  assert_fails(p, ST_INVALID, "/a.b/c.avsc: expected");
}

CASE(what_is_no_file_is_refused_and_never_waited_for) {
  struct place *p = *state;
  char path[256];
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "a/x", "");
  snprintf(path, sizeof path, "%s/a/fifo.avsc", p->folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_fails(p, ST_INVALID, "/a/fifo.avsc: is not a regular file");
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("nowhere", path), 0);
  assert_fails(p, ST_INVALID, "/a/fifo.avsc: cannot open it");
}

CASE(a_file_that_is_too_large_is_refused) {
  struct place *p = *state;
  struct buffer text = {0};
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  while (text.len < SCHEMA_MAX_BYTES + 100000) buffer_add_z(&text, "          ");
  put(p, "a/x.avsc", buffer_z(&text));
  buffer_release(&text);
  assert_fails(p, ST_INVALID, "/a/x.avsc: a schema of ");
}

CASE(folders_that_cannot_be_read_are_told) {
  struct place *p = *state;
  char path[256];
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "a/x.avsc", NAMED("R"));
  snprintf(path, sizeof path, "%s/a", p->folder);
  assert_int_equal(chmod(path, 0), 0);
  if (access(path, R_OK) != 0)
    assert_fails(p, ST_DENIED, "/a: cannot open it"); /* root reads all */
  assert_int_equal(chmod(path, 0700), 0);
  struct catalog_config config = {.folder = "/nonexistent/schemas"};
  struct catalog *c;
  assert_int_equal(catalog_open(&config, NULL, &c, &p->err), ST_NOT_FOUND);
  assert_non_null(strstr(p->err.text, "/nonexistent/schemas"));
}

CASE(two_files_may_not_define_one_record) {
  struct place *p = *state;
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  put(p, "a/x.avsc", NAMED("n.R"));
  put(p, "a/y.avsc",
      "{\"type\": \"record\", \"name\": \"n.R\", \"fields\": [{\"name\": \"a\", \"type\": \"int\"}]}");
  char said[512];
  snprintf(said, sizeof said, "%s/a/y.avsc: line 1: record n.R is that of %s/a/x.avsc too",
           p->folder, p->folder);
  assert_fails(p, ST_INVALID, said);
}

CASE(an_envelope_must_be_one) {
  struct place *p = *state;
  struct catalog *c;
  put(p, "envelope.avsc", NAMED("Envelope"));
  assert_fails(p, ST_INVALID, "the field \"id\" must be a string");
  put(p, "envelope.avsc", ENVELOPE_OF("\"type\": \"long\"", S ", \"json\": true"));
  assert_fails(p, ST_INVALID, "the field \"id\" must be a string");
  put(p, "envelope.avsc", ENVELOPE_OF("\"type\": [\"null\", \"string\"]", S ", \"json\": true"));
  assert_fails(p, ST_INVALID, "the field \"id\" must be a string");
  put(p, "envelope.avsc", ENVELOPE_OF(S, S));
  assert_fails(p, ST_INVALID, "the field \"payload\" must be a string with \"json\": true");
  put(p, "envelope.avsc", ENVELOPE_OF(S "}, {\"name\": \"more\", " S, S ", \"json\": true"));
  assert_fails(p, ST_INVALID, "it has the fields id, name, created_at, payload");
  put(p, "envelope.avsc", GOOD_ENVELOPE);
  assert_int_equal(try_open(p, &c), ST_OK);
  catalog_close(c);
  catalog_close(NULL);
}
