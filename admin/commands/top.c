/* busbridge top: asks again and again, keeps the last samples and draws them; or prints once.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/top/screen.h"
#include "admin/top/top_view.h"
#include "bridge/base/stop.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SAMPLES 64
#define RATE_MS 10000
#define LATENCY_MS 60000
#define ANSWER_MS 3000 /* keys and Ctrl-C wait for it */
#define BETWEEN_MS 1000
#define SHARE 5 /* a question that took a second is asked again after five */

struct top {
  struct admin *admin;
  int64_t interval_ms;
  struct client *client; /* NULL: to be opened */
  struct sample ring[SAMPLES];
  size_t taken; /* samples in all */
  struct buffer health, text;
  struct json_doc doc; /* of health */
  bool known, worker;  /* doc is there; a worker gave it */
  struct error problem;
  struct view view;
  size_t scrolled;
  bool help;
};

/* ---- one look ---- */

static struct sample *latest(struct top *t) {
  return t->taken ? &t->ring[(t->taken - 1) % SAMPLES] : NULL;
}

/* The oldest that is not older than that before the latest, or the one before it. */
static struct sample *since(struct top *t, int64_t ms) {
  struct sample *now = latest(t), *found = now;
  for (size_t back = 1; back < t->taken && back < SAMPLES; back++) {
    struct sample *s = &t->ring[(t->taken - 1 - back) % SAMPLES];
    if (back > 1 && now->taken_ms - s->taken_ms > ms) break;
    found = s;
  }
  return found;
}

/* Without a worker the outbox is opened anew each time: one may have been started, and figures are
 * read at opening. */
static enum status ask_health(struct top *t, struct buffer *health, struct error *err) {
  enum status st = t->client ? ST_OK : client_open(t->admin, SERVICE_INSPECT, &t->client, err);
  if (st == ST_OK) client_patience(t->client, ANSWER_MS);
  if (st == ST_OK) st = client_health(t->client, false, health, err);
  if (st == ST_OK) st = client_prometheus(t->client, &t->text, err);
  bool remote = st == ST_OK && client_remote(t->client);
  if (!remote) {
    client_close(t->client);
    t->client = NULL;
  }
  if (st != ST_OK) return st;
  if (t->worker != remote)
    t->taken = 0; /* figures saved a while ago and live ones are not to be compared */
  t->worker = remote;
  return ST_OK;
}

static void take_key(struct top *t, struct span text) {
  struct sample *s = &t->ring[t->taken++ % SAMPLES];
  sample_read(text, s);
  s->taken_ms = clock_mono_ms(t->admin->clock);
}

static void keep_health(struct top *t, struct buffer *fresh) {
  buffer_release(&t->health);
  t->health = *fresh;
  *fresh = (struct buffer){0};
  json_doc_release(&t->doc);
  t->doc = (struct json_doc){0};
  t->known = answer_scan(&t->doc, buffer_span(&t->health), &t->problem) == ST_OK;
}

/* A worker that is gone is told by the next look, which finds none: only when nothing answers is
 * there a problem. */
static void look_at_worker(struct top *t) {
  struct buffer fresh = {0};
  struct error err = {0};
  bool had = t->client != NULL;
  buffer_clear(&t->text);
  enum status st = ask_health(t, &fresh, &err);
  if (st != ST_OK && had) {
    buffer_clear(&fresh);
    buffer_clear(&t->text);
    err = (struct error){0};
    st = ask_health(t, &fresh, &err);
  }
  t->problem = st == ST_OK ? (struct error){0} : err; /* one that was got over is none */
  if (st == ST_OK) {
    take_key(t, buffer_span(&t->text));
    keep_health(t, &fresh);
  }
  buffer_release(&fresh);
}

static struct top_facts facts(struct top *t) {
  return (struct top_facts){.health = t->known ? &t->doc : NULL,
                            .problem = t->problem.status != ST_OK ? t->problem.text : NULL,
                            .worker = t->worker,
                            .now = latest(t),
                            .before = since(t, RATE_MS),
                            .long_before = since(t, LATENCY_MS)};
}

/* ---- the screen ---- */

static void draw(struct top *t) {
  char time[TIME_TEXT];
  char title[200];
  int rows, columns;
  struct top_facts f = facts(t);
  screen_size(&rows, &columns);
  if (t->help)
    view_help(&t->view);
  else
    view_fill(&t->view, &f, columns);
  size_t room = rows > 1 ? (size_t)rows - 1 : 0,
         most = t->view.count > room ? t->view.count - room : 0;
  if (t->scrolled > most) t->scrolled = most;
  screen_clear();
  for (size_t i = 0; i < room && t->scrolled + i < t->view.count; i++) {
    struct view_line *l = &t->view.lines[t->scrolled + i];
    screen_put((int)i, buffer_z(&l->text), l->tint);
  }
  time_format(clock_wall_us(t->admin->clock), time);
  snprintf(title, sizeof title, "%.8s UTC  q quit  ? help%s", time + 11,
           most ? "  up/down: more" : "");
  screen_put(rows - 1, title, TINT_BOLD);
  screen_show();
}

/* False: it is over. */
static bool obey(struct top *t, enum screen_key key) {
  switch (key) {
  case SCREEN_QUIT: return false;
  case SCREEN_HELP: t->help = !t->help; break;
  case SCREEN_UP: t->scrolled -= t->scrolled > 0; break;
  case SCREEN_DOWN: t->scrolled++; break;
  case SCREEN_NOTHING:
  case SCREEN_RESIZED:
  case SCREEN_OTHER: break;
  }
  return true;
}

static void run_screen(struct top *t) {
  const struct clock *clock = t->admin->clock;
  bool more = true;
  while (more && !interrupts()) {
    int64_t began = clock_mono_ms(clock);
    look_at_worker(t);
    int64_t now = clock_mono_ms(clock), took = now - began;
    int64_t due = now + (took * SHARE > t->interval_ms ? took * SHARE : t->interval_ms);
    while (more && !interrupts() && now < due) {
      draw(t);
      more = obey(t, screen_wait((int)(due - now)));
      now = clock_mono_ms(clock);
    }
  }
}

/* Nothing may be written beside the drawing. */
static int on_screen(struct top *t) {
  struct admin *a = t->admin;
  struct log *log = a->log;
  bool interactive = a->interactive;
  interrupts_counted();
  interrupts_end_by(screen_abandon);
  a->log = NULL;
  a->interactive = false;
  run_screen(t);
  screen_close();
  client_close(t->client); /* before its log is there again: it may have borrowed none */
  t->client = NULL;
  a->log = log;
  a->interactive = interactive;
  return interrupts() ? CODE_INTERRUPTED : CODE_OK;
}

/* ---- one plain answer ---- */

/* Two looks, a moment apart: rates need them. */
static int once(struct top *t, bool as_json) {
  struct winsize size = {0};
  int columns = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col
                    ? size.ws_col
                    : 80;
  look_at_worker(t);
  if (t->problem.status == ST_OK && t->worker) {
    sleep_ms(t->interval_ms < BETWEEN_MS ? t->interval_ms : BETWEEN_MS, NULL);
    look_at_worker(t);
  }
  if (t->problem.status == ST_NOT_FOUND) t->problem.status = ST_IO;
  if (t->problem.status != ST_OK) return fail(t->admin, &t->problem);
  struct top_facts f = facts(t);
  if (as_json) {
    top_json(&f, &t->admin->out);
    return CODE_OK;
  }
  view_fill(&t->view, &f, columns);
  for (size_t i = 0; i < t->view.count; i++) {
    buffer_add(&t->admin->out, buffer_span(&t->view.lines[i].text));
    buffer_add_char(&t->admin->out, '\n');
  }
  return CODE_OK;
}

/* ---- the command ---- */

static bool can_draw(const struct admin *a) {
  const char *term = getenv("TERM");
  (void)a;
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
         strcmp(term, "dumb") != 0;
}

static int top(struct admin *a, int64_t interval_ms, bool plain, bool as_json) {
  struct error err = {0};
  if (!admin_settings(a, &err)) return fail(a, &err);
  struct top *t = calloc(1, sizeof *t);
  if (!t) return fail(a, &(struct error){.status = ST_NO_MEMORY, .text = "Out of memory"});
  t->admin = a;
  t->interval_ms = interval_ms;
  bool drawn = !plain && !as_json && can_draw(a) && screen_open(a->color_out);
  int code = drawn ? on_screen(t) : once(t, as_json);
  client_close(t->client);
  json_doc_release(&t->doc);
  buffer_release(&t->health);
  buffer_release(&t->text);
  view_release(&t->view);
  free(t);
  return code;
}

static int run_top(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  int64_t interval_ms = 2000;
  bool plain = false;
  const struct option_row rows[] = {
      {"interval", 0, OPTION_DURATION, &interval_ms, "TIME",
       "between two updates, 200ms to 1h (2s)"},
      {"once", 0, OPTION_FLAG, &plain, NULL, "print it once, as plain text"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "json: once, as an object (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  if (interval_ms < 200 || interval_ms > 3600000) {
    complain(a, "--interval is between 200ms and 1h");
    return CODE_USAGE;
  }
  return top(a, interval_ms, plain, strcmp(format, "json") == 0);
}

const struct command command_top = {
    .name = "top",
    .arguments = "[--interval TIME] [--once]",
    .summary = "a live screen: rates, what waits, latencies, dead letters, breakers",
    .examples = "  busbridge top\n"
                "  busbridge top --interval 500ms\n"
                "  busbridge top --once                  as plain text, for a pipe or a ticket\n"
                "  busbridge top -o json\n",
    .description =
        "Keys: q quits, the arrows move what does not fit, ? shows help. It only reads. When the "
        "worker ends it says so, shows\n"
        "what the outbox itself tells, and goes on when one is there again. Without a terminal it "
        "prints once.",
    .run = run_top,
    .usage_code = CODE_USAGE,
};
