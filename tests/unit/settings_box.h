/* settings_box.h - loads of settings, each from what a test gives it. */
#ifndef TESTS_UNIT_SETTINGS_BOX_H
#define TESTS_UNIT_SETTINGS_BOX_H

#include "bridge/settings/settings_private.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

/* One load: what went in, and what came out. */
struct run {
  char folder[64], path[128];
  struct settings *s;
  struct buffer warnings;
  struct error err;
  enum status st;
};

static inline int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  folder_make(r->folder, sizeof r->folder, "settings");
  snprintf(r->path, sizeof r->path, "%s/busbridge.conf", r->folder);
  *state = r;
  return 0;
}

static inline void forget(struct run *r) {
  settings_free(r->s);
  buffer_release(&r->warnings);
  r->s = NULL;
  r->err = (struct error){0};
}

static inline int teardown(void **state) {
  struct run *r = *state;
  forget(r);
  int rc = folder_remove(r->folder);
  free(r);
  return rc;
}

static inline void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

/* file, environment (NULL ended or NULL), one -X (or NULL) */
static inline enum status load(struct run *r, const char *file, const char *const *environment,
                               const char *x) {
  forget(r);
  if (file) put(r->path, file);
  struct settings_sources from = {file ? r->path : NULL, environment, &x, x ? 1 : 0, NULL};
  r->st = settings_load(&from, &r->s, &r->warnings, &r->err);
  return r->st;
}

static inline void assert_ok(struct run *r) {
  if (r->st != ST_OK) print_error("%s\n", r->err.text);
  assert_int_equal(r->st, ST_OK);
}

static inline void assert_refused(struct run *r, const char *text) {
  char expected[800];
  assert_int_equal(r->st, ST_INVALID);
  if (text[0] == ':') { /* stands for the file's path */
    snprintf(expected, sizeof expected, "%s%s", r->path, text);
    text = expected;
  }
  assert_string_equal(r->err.text, text);
  assert_null(r->s);
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
