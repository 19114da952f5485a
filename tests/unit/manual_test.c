/* The lists in the manual are what the tables say. `unit-manual update` writes them anew. */
#include "bridge/base/log_events.h"
#include "bridge/metrics/metrics.h"
#include "bridge/settings/settings.h"
#include "tests/support/test.h"

#define BEGIN ".\\\" BEGIN generated "
#define END ".\\\" END generated "

static const struct list {
  const char *page, *begin, *end;
  void (*write)(struct buffer *out);
} lists[] = {
    {SOURCE_ROOT "/worker/busbridge.conf.5", ".\\\" BEGIN generated", ".\\\" END generated",
     settings_mdoc},
    {SOURCE_ROOT "/worker/busbridge-worker.8", BEGIN "metrics", END "metrics", metrics_mdoc},
    {SOURCE_ROOT "/worker/busbridge-worker.8", BEGIN "events", END "events", log_events_mdoc},
};
#define LISTS (sizeof lists / sizeof *lists)

static void read_page(const struct list *l, struct buffer *page) {
  char chunk[4096];
  size_t n;
  FILE *f = fopen(l->page, "rb");
  assert_non_null(f);
  while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) buffer_append(page, chunk, n);
  fclose(f);
}

/* The bytes between the two marker lines. */
static struct span between(const struct list *l, struct buffer *page) {
  const char *begin = strstr(buffer_z(page), l->begin);
  assert_non_null(begin);
  begin = strchr(begin, '\n') + 1;
  const char *end = strstr(begin, l->end);
  assert_non_null(end);
  return (struct span){begin, (size_t)(end - begin)};
}

TEST(test_the_manual_lists_what_the_tables_have) {
  for (size_t i = 0; i < LISTS; i++) {
    struct buffer page = {0}, made = {0};
    read_page(&lists[i], &page);
    lists[i].write(&made);
    struct span found = between(&lists[i], &page);
    if (!span_eq(found, buffer_span(&made)))
      fail_msg("%s is stale; run unit-manual with the word update", lists[i].page);
    buffer_release(&page);
    buffer_release(&made);
  }
}

static int update(const struct list *l) {
  struct buffer page = {0}, made = {0}, out = {0};
  read_page(l, &page);
  l->write(&made);
  struct span old = between(l, &page);
  buffer_append(&out, page.ptr, (size_t)(old.ptr - page.ptr));
  buffer_add(&out, buffer_span(&made));
  buffer_add_z(&out, old.ptr + old.len);
  FILE *f = fopen(l->page, "wb");
  int failed = !f || fwrite(out.ptr, 1, out.len, f) != out.len;
  failed |= f && fclose(f) != 0;
  buffer_release(&page);
  buffer_release(&made);
  buffer_release(&out);
  return failed;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "update") == 0) {
    int failed = 0;
    for (size_t i = 0; i < LISTS; i++) failed |= update(&lists[i]);
    return failed;
  }
  return tests_run();
}
