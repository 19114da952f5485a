/* Draws the bar or writes the line: how much is done, the rate as a moving average, the time left.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/base/progress.h"

#include "bridge/base/text/words.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define FIRST_AFTER_MS 200
#define REDRAW_MS 100
#define LINE_MS 10000
#define BAR_CELLS 24
#define WIDTH_FOR_BAR 78

void progress_init(struct progress *p, int fd, bool bar, const char *what,
                   const struct clock *clock) {
  *p = (struct progress){
      .fd = fd, .bar = bar, .what = what, .clock = clock, .began_ms = clock_mono_ms(clock)};
}

static void add_bar(uint64_t done, uint64_t total, struct buffer *out) {
  int full = total == 0 ? 0 : (int)((double)done / (double)total * BAR_CELLS);
  buffer_add_z(out, " [");
  for (int i = 0; i < BAR_CELLS; i++) buffer_add_char(out, i < full ? '=' : i == full ? '>' : ' ');
  buffer_add_z(out, "]");
}

void progress_line(const struct progress *p, uint64_t done, uint64_t total, int width,
                   struct buffer *out) {
  char number[NUMBER_TEXT], left[DURATION_TEXT];
  if (done > total) total = done > 0 && total > 0 ? done : 0;
  buffer_add_z(out, p->what);
  if (width >= WIDTH_FOR_BAR && total > 0) add_bar(done, total, out);
  buffer_printf(out, " %s", number_text(done, number));
  if (total > 0) buffer_printf(out, " of %s", number_text(total, number));
  if (p->rate >= 1) buffer_printf(out, ", %s/s", number_text((uint64_t)(p->rate + 0.5), number));
  if (p->rate >= 1 && total > done)
    buffer_printf(out, ", %s left",
                  duration_text((int64_t)((double)(total - done) / p->rate * 1000) + 999, left));
}

/* A moving average over about five drawings: steady enough to read, quick enough to show a stall.
 */
static void take_rate(struct progress *p, int64_t now, uint64_t done) {
  int64_t since = p->drawn_ms ? p->drawn_ms : p->began_ms;
  if (now <= since || done < p->drawn_done) return;
  double rate = (double)(done - p->drawn_done) * 1000.0 / (double)(now - since);
  p->rate = p->drawn_ms == 0 ? rate : p->rate * 0.8 + rate * 0.2;
}

static void draw(struct progress *p, uint64_t done, uint64_t total) {
  struct buffer line = {0};
  struct winsize size = {0};
  int width = p->bar && ioctl(p->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  if (p->bar) buffer_add_z(&line, "\r");
  progress_line(p, done, total, p->bar ? width : 0, &line);
  buffer_add_z(&line, p->bar ? "\x1b[K" : "\n");
  p->open = p->bar;
  /* A line that cannot be shown is no reason to stop the work. */
  if (!line.failed && write(p->fd, line.ptr, line.len) < 0) p->open = false;
  buffer_release(&line);
}

void progress_show(struct progress *p, uint64_t done, uint64_t total) {
  int64_t now = clock_mono_ms(p->clock), since = p->drawn_ms ? p->drawn_ms : p->began_ms;
  int64_t pause = !p->bar ? LINE_MS : p->drawn_ms ? REDRAW_MS : FIRST_AFTER_MS;
  if (now - since < pause) return;
  take_rate(p, now, done);
  p->drawn_ms = now;
  p->drawn_done = done;
  draw(p, done, total);
}

void progress_end(struct progress *p) {
  if (p->open && write(p->fd, "\r\x1b[K", 4) < 0) return;
  p->open = false;
}
