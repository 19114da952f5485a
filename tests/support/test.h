/* test.h - a test registers itself where it is written; no list names it a second time.
 *
 *   TEST(a_span_is_trimmed) { assert_...; }
 *   #define CASE(name) TEST_WITH(name, box_open, box_free)      one fixture for most of a file
 *   CASE(an_entry_is_read) { struct box *b = *state; ... }
 *
 * Each is a function of cmocka (void **state). They run by file and line. A program needs no main:
 * it gets one that runs them all. One that must look around before (is there a Redis?) brings its
 * own, which calls tests_run.
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct test {
  const char *name, *file;
  int line;
  CMUnitTestFunction run;
  CMFixtureFunction setup, teardown;
  struct test *next;
};
void test_register(struct test *t); /* stays where it is; before main */

/* What they return: 0, or how many failed. One without tests fails. */
int tests_run(void);
/* The same, with a name for cmocka's report, which setup finds in *state: for fixtures of several
 * kinds. */
int tests_run_as(const char *kind);

#define TEST_WITH(function, before, after)                                                         \
  static void function(void **state);                                                              \
  __attribute__((constructor)) static void function##_registers(void) {                            \
    static struct test t = {#function, __FILE__, __LINE__, function, before, after, NULL};         \
    test_register(&t);                                                                             \
  }                                                                                                \
  static void function(void **state __attribute__((unused)))
#define TEST(function) TEST_WITH(function, NULL, NULL)

#endif
