/* outbox.url of a PostgreSQL, in libpq's words; what its error codes mean. */
#include "bridge/outbox/postgres/address.h"
#include "bridge/outbox/postgres/faults.h"
#include "tests/support/test.h"

#include <stdlib.h>

static struct pg_address address;
static struct error err;

static int clean(void **state) {
  (void)state;
  const char *const names[] = {"PGHOST",    "PGHOSTADDR", "PGPORT",          "PGSSLMODE",
                               "PGOPTIONS", "PGSERVICE",  "PGCHANNELBINDING"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  return 0;
}

static int release(void **state) {
  (void)state;
  pg_address_release(&address);
  return 0;
}

#define CASE(name) TEST_WITH(name, clean, release)

static void parse(const char *text) {
  pg_address_release(&address);
  enum status st = pg_address_parse(text, &address, &err);
  if (st != ST_OK) fail_msg("%s: %s", text, err.text);
}

static const char *word(size_t host, const char *name) {
  const struct pg_host *h = &address.hosts[host];
  const char *found = NULL;
  for (size_t i = 0; h->names[i]; i++) {
    if (strcmp(h->names[i], name) != 0) continue;
    assert_null(found); /* once */
    found = h->values[i];
  }
  return found ? found : "-";
}

CASE(a_server_that_is_not_here_must_prove_who_it_is) {
  parse("//relay:secret@db.example/shop");
  assert_int_equal(address.count, 1);
  assert_string_equal(word(0, "sslmode"), "verify-full");
  assert_string_equal(word(0, "channel_binding"), "prefer");
  assert_string_equal(word(0, "target_session_attrs"), "read-write");
  assert_string_equal(word(0, "host"), "db.example");
  assert_string_equal(word(0, "port"), "5432");
  assert_string_equal(word(0, "password"), "secret");
  assert_string_equal(word(0, "dbname"), "shop");
  assert_string_equal(word(0, "client_encoding"), "UTF8");
  assert_string_equal(address.schema, "busbridge");
  assert_string_equal(address.shown, "//relay@db.example:5432/shop");
}

CASE(one_that_is_here_need_not) {
  const char *const here[] = {"//127.0.0.1/d",
                              "//localhost/d",
                              "//[::1]/d",
                              "///d?host=/run/postgresql",
                              "//%2Frun%2Fpostgresql/d",
                              "//far.example/d?hostaddr=127.0.0.2"};
  for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
    parse(here[i]);
    assert_string_equal(word(0, "sslmode"), "prefer");
  }
  parse("//localhost/d?hostaddr=192.0.2.1"); /* the name says nothing, the address does */
  assert_string_equal(word(0, "sslmode"), "verify-full");
  setenv("PGHOST", "db.example", 1);
  parse("///d");
  assert_string_equal(word(0, "sslmode"), "verify-full");
  assert_string_equal(word(0, "host"), "db.example");
}

CASE(what_is_said_is_done) {
  parse("//db.example/shop?sslmode=disable&schema=out%20box&target_session_attrs=any&"
        "application_name=x");
  assert_string_equal(word(0, "sslmode"), "disable");
  assert_string_equal(word(0, "target_session_attrs"), "any");
  assert_string_equal(word(0, "application_name"), "x");
  assert_string_equal(address.schema, "out box");
  parse("//db.example/shop?schema=other");
  assert_string_equal(address.schema, "other");
  assert_string_equal(word(0, "sslmode"), "verify-full");
  setenv("PGSSLMODE", "disable", 1); /* nobody else weakens it */
  parse("//db.example/shop");
  assert_string_equal(word(0, "sslmode"), "verify-full");
}

CASE(each_of_several_servers_is_one_by_itself) {
  parse("//u@one.example:6000,127.0.0.1:6001,three.example/d?connect_timeout=3");
  assert_int_equal(address.count, 3);
  assert_string_equal(word(0, "host"), "one.example");
  assert_string_equal(word(0, "port"), "6000");
  assert_string_equal(word(1, "host"), "127.0.0.1");
  assert_string_equal(word(1, "port"), "6001");
  assert_string_equal(word(1, "sslmode"), "prefer");
  assert_string_equal(word(2, "host"), "three.example");
  assert_string_equal(word(2, "port"), "5432");
  assert_string_equal(word(2, "sslmode"), "verify-full");
  assert_string_equal(word(2, "user"), "u");
  assert_string_equal(address.shown, "//u@one.example:6000,127.0.0.1:6001,three.example:5432/d");
  parse("//one.example,two.example/d?port=7000");
  assert_string_equal(word(1, "port"), "7000");
}

CASE(what_is_wrong_is_told_without_the_password) {
  const char *const wrong[] = {"u:secret@h/d",
                               "//u:secret@h:port/d",
                               "//u:secret@h/d?no_such=1",
                               "//u:secret@h/d?schema=",
                               "//u:secret@[::1/d",
                               "//u:se%zzcret@h/d",
                               "//u:secret@h/d?sslmode",
                               "//u:secret@a,b,c/d?hostaddr=127.0.0.1,127.0.0.2",
                               "//u:secret@a,b,c/d?port=1,2",
                               "//u:secret@a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/d"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    err = (struct error){0};
    enum status st = pg_address_parse(wrong[i], &address, &err);
    if (st != ST_INVALID) fail_msg("%s: %s", wrong[i], status_name(st));
    assert_true(strncmp(err.text, "outbox.url: ", 12) == 0);
    if (strstr(err.text, "secret") || strstr(err.text, "cret@")) fail_msg("%s", err.text);
  }
}

CASE(what_a_function_of_the_applications_meets_is_its_trigger_s_refusal) {
  const char *in = "PL/pgSQL function public.audit() line 3 at SQL statement";
  assert_int_equal(pg_fault_in(SPAN("42501"), in), PG_REFUSED);
  assert_int_equal(pg_fault_in(SPAN("42P01"), in), PG_REFUSED);
  assert_int_equal(pg_fault_in(SPAN("22012"), in), PG_REFUSED);
  assert_int_equal(pg_fault_in(SPAN("45000"), in), PG_REFUSED);
  assert_int_equal(pg_fault_in(SPAN("57014"), in), PG_REPEAT);
  assert_int_equal(pg_fault_in(SPAN("53100"), in), PG_DISK_FULL);
  assert_int_equal(pg_fault_in(SPAN("42501"), NULL), PG_NO_RIGHT);
  assert_int_equal(pg_fault_in(SPAN("22P02"), "JSON data, line 1: {"), PG_BAD_DATA);
}

CASE(each_code_has_its_meaning) {
  const struct {
    const char *code;
    enum pg_fault fault;
    enum status status;
  } rows[] = {{"", PG_AWAY, ST_UNAVAILABLE},
              {"08006", PG_AWAY, ST_UNAVAILABLE},
              {"57P01", PG_ENDING, ST_UNAVAILABLE},
              {"57P03", PG_ENDING, ST_UNAVAILABLE},
              {"53300", PG_CROWDED, ST_UNAVAILABLE},
              {"40P01", PG_REPEAT, ST_UNAVAILABLE},
              {"40001", PG_REPEAT, ST_UNAVAILABLE},
              {"25006", PG_READ_ONLY, ST_UNAVAILABLE},
              {"53100", PG_DISK_FULL, ST_NO_SPACE},
              {"28P01", PG_LOGIN, ST_DENIED},
              {"3D000", PG_NO_DATABASE, ST_INVALID},
              {"42501", PG_NO_RIGHT, ST_DENIED},
              {"42P01", PG_NOT_MIGRATED, ST_INVALID},
              {"22P02", PG_BAD_DATA, ST_INVALID},
              {"23505", PG_TWICE, ST_IO},
              {"XX001", PG_DAMAGED, ST_IO},
              {"0A000", PG_RULED, ST_INVALID},
              {"22012", PG_KEPT, ST_INVALID},
              {"P0004", PG_REFUSED, ST_INVALID},
              {"58000", PG_OTHER, ST_IO}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    enum pg_fault fault = pg_fault_of(span_of(rows[i].code));
    if (fault != rows[i].fault) fail_msg("%s", rows[i].code);
    assert_int_equal(pg_fault_status(fault), rows[i].status);
    assert_true(pg_fault_parts(fault) ==
                (fault == PG_AWAY || fault == PG_ENDING || fault == PG_READ_ONLY));
  }
}
