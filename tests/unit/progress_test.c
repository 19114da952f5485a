#include "bridge/base/progress.h"
#include "tests/support/test.h"

#include <unistd.h>

static int64_t now_ns;
static int64_t read_mono(void *ctx) {
  (void)ctx;
  return now_ns;
}
static const struct clock fake = {.mono_ns = read_mono};

struct pipe_ends {
  int in, out;
};
static struct pipe_ends open_pipe(void) {
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  return (struct pipe_ends){fds[0], fds[1]};
}
/* What was written so far; the writing end is closed. */
static void take(struct pipe_ends *p, char *text, size_t size) {
  close(p->out);
  size_t used = 0;
  ssize_t n;
  while ((n = read(p->in, text + used, size - 1 - used)) > 0) used += (size_t)n;
  text[used] = '\0';
  close(p->in);
}

TEST(test_quick_work_leaves_no_trace) {
  struct pipe_ends p = open_pipe();
  struct progress bar;
  char text[1000];
  now_ns = 0;
  progress_init(&bar, p.out, true, "flush", &fake);
  now_ns = 199 * 1000000;
  progress_show(&bar, 5, 10);
  progress_end(&bar);
  take(&p, text, sizeof text);
  assert_string_equal(text, "");
}

TEST(test_a_bar_is_redrawn_and_taken_away) {
  struct pipe_ends p = open_pipe();
  struct progress bar;
  char text[1000];
  now_ns = 0;
  progress_init(&bar, p.out, true, "flush", &fake);
  now_ns = 1000 * INT64_C(1000000);
  progress_show(&bar, 1000, 4000);
  now_ns = 1050 * INT64_C(1000000);
  progress_show(&bar, 1100, 4000); /* too soon */
  progress_end(&bar);
  progress_end(&bar);
  take(&p, text, sizeof text);
  assert_string_equal(
      text, "\rflush [======>                 ] 1,000 of 4,000, 1,000/s, 3s left\x1b[K\r\x1b[K");
}

TEST(test_elsewhere_a_line_every_ten_seconds) {
  struct pipe_ends p = open_pipe();
  struct progress bar;
  char text[1000];
  now_ns = 0;
  progress_init(&bar, p.out, false, "flush", &fake);
  for (int64_t second = 1; second <= 25; second++) {
    now_ns = second * 1000000000;
    progress_show(&bar, (uint64_t)second * 10, 1000);
  }
  progress_end(&bar);
  take(&p, text, sizeof text);
  assert_string_equal(
      text, "flush 100 of 1,000, 10/s, 1m 30s left\nflush 200 of 1,000, 10/s, 1m 20s left\n");
}

TEST(test_unknown_totals_and_late_arrivals) {
  struct progress bar = {.what = "flush", .clock = &fake};
  struct buffer out = {0};
  progress_line(&bar, 7, 0, 80, &out);
  assert_string_equal(buffer_z(&out), "flush 7");
  buffer_clear(&out);
  progress_line(&bar, 12, 10, 80, &out); /* more came while it ran */
  assert_string_equal(buffer_z(&out), "flush [========================] 12 of 12");
  buffer_clear(&out);
  progress_line(&bar, 1, 10, 40, &out); /* too narrow for a bar */
  assert_string_equal(buffer_z(&out), "flush 1 of 10");
  buffer_release(&out);
}
