/* Asks on the terminal, before a purge and before a large replay, for the number of dead letters.
 * The command's one thread; a crash leaves nothing. */
#include "admin/bulk/bulk_parts.h"
#include "bridge/base/text/words.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* So many dead letters are replayed only when asked for twice; a purge always */
#define ASK_FROM 101

/* The terminal, also where standard input is not it (ids come from there). NULL: there is nobody to
 * ask. */
static FILE *terminal(void) {
  return isatty(STDERR_FILENO) ? fopen("/dev/tty", "re") : NULL;
}

static void show_letters(struct bulk_going *g, bool resumed) {
  struct buffer text = {0};
  if (!resumed) bulk_forecast(g, &text);
  fwrite(text.ptr, 1, text.failed ? 0 : text.len, stderr);
  buffer_release(&text);
}

/* True: the number was typed. Ctrl-C and everything else mean no. */
static bool typed(struct bulk_going *g, FILE *tty) {
  char line[64], number[NUMBER_TEXT];
  uint64_t n = 0;
  fprintf(stderr, "Type %" PRIu64 " to %s them, anything else to leave all as it is: ", g->total,
          bulk_verb(g->bulk, false));
  /* In slices: a Ctrl-C that comes just before a read that blocks would not end it. */
  struct pollfd waiting = {.fd = fileno(tty), .events = POLLIN};
  while (!interrupts() && thread_poll(&waiting, 1, 100) <= 0) {
  }
  bool answered = !interrupts() && fgets(line, sizeof line, tty) != NULL;
  if (!answered) fputc('\n', stderr);
  struct span text = span_trim(span_of(answered ? line : ""));
  return number_parse(text, UINT64_MAX, &n) ? n == g->total
                                            : span_is(text, number_text(g->total, number));
}

static int no(struct bulk_going *g, bool resumed, int code) {
  if (!resumed) bulk_give_up(g);
  return interrupts() ? CODE_INTERRUPTED : code;
}

int bulk_confirm(struct bulk_going *g, bool resumed) {
  struct bulk *b = g->bulk;
  char number[COUNTED_TEXT];
  if (b->yes || g->total < (b->purge ? 1 : ASK_FROM)) return CODE_OK;
  FILE *tty = terminal();
  if (!tty) {
    complain(b->admin,
             b->purge
                 ? "This would remove %s for good: say --yes (and see first which, by --dry-run)"
                 : "These are %s: more than 100 need --yes (see first which, by --dry-run)",
             counted_text(g->total, "dead letter", "dead letters", number));
    return no(g, resumed, CODE_USAGE);
  }
  show_letters(g, resumed);
  bool yes = typed(g, tty);
  fclose(tty);
  if (yes) return CODE_OK;
  note(b->admin, "nothing was changed");
  return no(g, resumed, CODE_FAILURE);
}
