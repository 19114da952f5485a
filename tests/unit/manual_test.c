/* The list of settings in busbridge.conf(5) is what the settings table says. `unit-manual update` writes it anew. */
#include "bridge/settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PAGE SOURCE_ROOT "/worker/busbridge.conf.5"
#define BEGIN ".\\\" BEGIN generated"
#define END ".\\\" END generated"

static void read_page(struct buffer *page) {
  char chunk[4096];
  size_t n;
  FILE *f = fopen(PAGE, "rb");
  assert_non_null(f);
  while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) buffer_append(page, chunk, n);
  fclose(f);
}

/* The bytes between the two marker lines. */
static struct span between(struct buffer *page) {
  const char *begin = strstr(buffer_z(page), BEGIN);
  assert_non_null(begin);
  begin = strchr(begin, '\n') + 1;
  const char *end = strstr(begin, END);
  assert_non_null(end);
  return (struct span){begin, (size_t)(end - begin)};
}

static void test_the_manual_lists_the_settings_of_the_table(void **state) {
  (void)state;
  struct buffer page = {0}, made = {0};
  read_page(&page);
  settings_mdoc(&made);
  struct span found = between(&page);
  if (!span_eq(found, buffer_span(&made))) fail_msg("%s is stale; run unit-manual with the word update", PAGE);
  buffer_release(&page);
  buffer_release(&made);
}

static int update(void) {
  struct buffer page = {0}, made = {0}, out = {0};
  read_page(&page);
  settings_mdoc(&made);
  struct span old = between(&page);
  buffer_append(&out, page.ptr, (size_t)(old.ptr - page.ptr));
  buffer_add(&out, buffer_span(&made));
  buffer_add_z(&out, old.ptr + old.len);
  FILE *f = fopen(PAGE, "wb");
  int failed = !f || fwrite(out.ptr, 1, out.len, f) != out.len;
  failed |= f && fclose(f) != 0;
  buffer_release(&page);
  buffer_release(&made);
  buffer_release(&out);
  return failed;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "update") == 0) return update();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_manual_lists_the_settings_of_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
