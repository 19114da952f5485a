/* screen.h - the terminal as a whole, drawn by ncurses: the only file that knows it. One at a time,
 * one thread.
 *
 * Whatever ends the program must pass screen_close or screen_abandon, else the terminal stays as it
 * is while drawing.
 */
#ifndef ADMIN_SCREEN_H
#define ADMIN_SCREEN_H

#include "bridge/base/span.h"

enum tint { TINT_NONE, TINT_BOLD, TINT_GOOD, TINT_WARNING, TINT_BAD };
enum screen_key {
  SCREEN_NOTHING, /* the time is up, or a signal came */
  SCREEN_QUIT,
  SCREEN_HELP,
  SCREEN_UP,
  SCREEN_DOWN,
  SCREEN_RESIZED,
  SCREEN_OTHER
};

/* False: this terminal cannot do it (unknown TERM). */
MUST_CHECK bool screen_open(bool color);
void screen_close(void); /* also when it was not opened */
/* The terminal as it was, for a signal handler that ends the program at once. Async-signal-safe. */
void screen_abandon(void);
void screen_size(int *rows, int *columns);
void screen_clear(void);
/* A line's text, cut at the right edge. It must be printable (text_printable). */
void screen_put(int row, const char *text, enum tint tint);
void screen_show(void);
enum screen_key screen_wait(int timeout_ms);

#endif
