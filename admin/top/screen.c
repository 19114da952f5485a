/* Opens the terminal, draws lines, reads keys, and gives the terminal back, from a signal handler
 * too.
 * A crash leaves the terminal as curses had it: `reset` repairs it. */
#include "admin/top/screen.h"

#include <curses.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

static SCREEN *terminal;
static bool colored;
static struct termios before;
static volatile bool drawing;
static char restore[64]; /* what the terminal wants to be told at the end */

static void add_sequence(const char *name) {
  const char *text = tigetstr(name);
  size_t len = strlen(restore);
  if (text && text != (char *)-1 && len + strlen(text) < sizeof restore)
    memcpy(restore + len, text, strlen(text) + 1);
}

static void prepare_screen(void) {
  cbreak(); /* Ctrl-C stays a signal */
  noecho();
  curs_set(0);
  keypad(stdscr, TRUE);
  set_escdelay(25);
  restore[0] = '\0';
  add_sequence("sgr0");
  add_sequence("rmkx");
  add_sequence("cnorm");
  add_sequence("rmcup");
}

static void prepare_colors(bool color) {
  colored = color && has_colors() && start_color() == OK && use_default_colors() == OK;
  if (!colored) return;
  init_pair(TINT_GOOD, COLOR_GREEN, -1);
  init_pair(TINT_WARNING, COLOR_YELLOW, -1);
  init_pair(TINT_BAD, COLOR_RED, -1);
}

bool screen_open(bool color) {
  if (tcgetattr(STDIN_FILENO, &before) != 0) return false;
  drawing = true;
  terminal = newterm(NULL, stdout, stdin);
  if (!terminal) {
    drawing = false;
    return false;
  }
  prepare_screen();
  prepare_colors(color);
  return true;
}

void screen_close(void) {
  if (!terminal) return;
  endwin();
  delscreen(terminal);
  terminal = NULL;
  drawing = false;
}

void screen_abandon(void) {
  if (!drawing) return;
  if (write(STDOUT_FILENO, restore, strlen(restore)) < 0) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

void screen_size(int *rows, int *columns) {
  getmaxyx(stdscr, *rows, *columns);
}

void screen_clear(void) {
  erase();
}

/* How many bytes of text fill at most that many cells: a character may be two of them wide. */
static int fitting(const char *text, int columns) {
  const char *at = text;
  mbstate_t state = {0};
  wchar_t c;
  for (int cells = 0; *at;) {
    size_t n = mbrtowc(&c, at, strlen(at), &state);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0) break;
    int width = wcwidth(c);
    cells += width > 0 ? width : 0;
    if (cells > columns) break;
    at += n;
  }
  return (int)(at - text);
}

void screen_put(int row, const char *text, enum tint tint) {
  int rows, columns;
  screen_size(&rows, &columns);
  if (row < 0 || row >= rows) return;
  attr_t attributes = tint == TINT_NONE ? A_NORMAL : A_BOLD;
  if (colored && tint > TINT_BOLD)
    attributes = COLOR_PAIR(tint) | (tint == TINT_BAD ? A_BOLD : A_NORMAL);
  attrset(attributes);
  mvaddnstr(row, 0, text, fitting(text, columns));
  attrset(A_NORMAL);
}

void screen_show(void) {
  refresh();
}

enum screen_key screen_wait(int timeout_ms) {
  timeout(timeout_ms);
  switch (getch()) {
  case ERR: return SCREEN_NOTHING;
  case 'q':
  case 'Q': return SCREEN_QUIT;
  case '?':
  case 'h': return SCREEN_HELP;
  case KEY_UP:
  case 'k': return SCREEN_UP;
  case KEY_DOWN:
  case 'j': return SCREEN_DOWN;
  case KEY_RESIZE: return SCREEN_RESIZED;
  default: return SCREEN_OTHER;
  }
}
