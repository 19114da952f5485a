/* The tests that registered themselves, in order, as one group of cmocka. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test *all;
static size_t count;

static bool before(const struct test *a, const struct test *b) {
  int order = strcmp(a->file, b->file);
  return order ? order < 0 : a->line < b->line;
}

void test_register(struct test *t) {
  struct test **at = &all;
  while (*at && !before(t, *at)) at = &(*at)->next;
  t->next = *at;
  *at = t;
  count++;
}

static int run(const char *group, const char *kind) {
  struct CMUnitTest *list = calloc(count + 1, sizeof *list);
  if (!list || !count) {
    fprintf(stderr, "%s: no test to run\n", group);
    free(list);
    return 1;
  }
  size_t n = 0;
  for (struct test *t = all; t; t = t->next)
    list[n++] =
        (struct CMUnitTest){t->name, t->run, t->setup, t->teardown, (void *)(uintptr_t)kind};
  int failed = _cmocka_run_group_tests(group, list, n, NULL, NULL);
  free(list);
  return failed;
}

int tests_run(void) {
  return run(program_invocation_short_name, NULL);
}

int tests_run_as(const char *kind) {
  return run(kind, kind);
}
