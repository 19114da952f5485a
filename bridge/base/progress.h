/* progress.h - how far a long piece of work is: a bar that is redrawn on a terminal, a line every
 * 10 s elsewhere.
 *
 * The caller decides which (isatty, TERM=dumb and the like are not asked here), and calls
 * progress_show as often as it likes: it draws at most 10 times a second. Nothing is drawn in the
 * first 200 ms, so that quick work leaves no trace. One thread.
 */
#ifndef BRIDGE_BASE_PROGRESS_H
#define BRIDGE_BASE_PROGRESS_H

#include "bridge/base/clock.h"

struct progress {
  int fd;
  bool bar;         /* a terminal: redraw one line */
  const char *what; /* "flush" */
  const struct clock *clock;
  int64_t began_ms, drawn_ms; /* drawn_ms 0: never */
  uint64_t drawn_done;        /* what was done at the last drawing */
  double rate;                /* events a second, smoothed */
  bool open;                  /* the bar stands on the terminal */
};

void progress_init(struct progress *p, int fd, bool bar, const char *what,
                   const struct clock *clock);
/* total 0: not known. */
void progress_show(struct progress *p, uint64_t done, uint64_t total);
/* Takes the bar away, so that the next line begins at the left. */
void progress_end(struct progress *p);
/* The text of a line, without its ends; width 0: without a bar. For progress_show and tests. */
void progress_line(const struct progress *p, uint64_t done, uint64_t total, int width,
                   struct buffer *out);

#endif
