/* busbridge tail: prints records as they come, to the end of the topics, the limit or Ctrl-C.
 * The command's one thread; a crash leaves nothing. */
#include "bridge/service/topics/tail.h"
#include "admin/input/options.h"

#include <inttypes.h>
#include <unistd.h>

#define TURN_MS 100
#define WRITE_AT (64 * 1024) /* output is collected up to here when nobody watches it arrive */

struct tailing {
  struct admin *admin;
  struct tail *tail;
  bool follow, array;
  uint64_t limit;
  int64_t timeout_ms; /* without a record */
  uint64_t shown;
  bool damaged;
  int code;
};

/* One record; false when it is over. */
static bool show_record(struct tailing *t, struct error *err) {
  struct buffer *out = &t->admin->out;
  size_t before = out->len;
  if (t->array) buffer_add_z(out, t->shown ? ",\n  " : "\n  ");
  enum status st = tail_next(t->tail, TURN_MS, out, &t->damaged, err);
  if (st == ST_OK) {
    if (!t->array) buffer_add_char(out, '\n');
    t->shown++;
    return !(t->limit && t->shown >= t->limit);
  }
  out->len = before;
  if (st == ST_END) return t->follow;
  if (st == ST_AGAIN) return true;
  t->code = fail(t->admin, err);
  return false;
}

static bool too_quiet(struct tailing *t, int64_t since_ms) {
  if (clock_mono_ms(t->admin->clock) - since_ms < t->timeout_ms) return false;
  if (t->follow) return true;
  complain(t->admin, "The end of the topics was not reached: Kafka said nothing for %" PRId64 " ms",
           t->timeout_ms);
  t->code = CODE_BUSY;
  return true;
}

/* Everything that came is written before we wait for more, so that a watcher sees it at once. */
static void read_all(struct tailing *t) {
  struct error err = {0};
  int64_t last_ms = clock_mono_ms(t->admin->clock);
  interrupts_counted();
  bool direct = isatty(STDOUT_FILENO) || t->follow;
  while (!interrupts()) {
    uint64_t before = t->shown;
    bool more = show_record(t, &err);
    if (t->shown > before) last_ms = clock_mono_ms(t->admin->clock);
    if (direct || t->admin->out.len > WRITE_AT) {
      int written = admin_flush(t->admin);
      if (written != CODE_OK) t->code = written;
      if (written != CODE_OK) return;
    }
    if (!more || (t->shown == before && too_quiet(t, last_ms))) return;
  }
  t->code = CODE_INTERRUPTED;
}

static int tail(struct tailing *t, const struct tail_request *request) {
  struct error err = {0};
  enum status st = tail_open(t->admin->settings, t->admin->log, request, &t->tail, &err);
  if (st != ST_OK) return fail(t->admin, &err);
  if (t->array) buffer_add_char(&t->admin->out, '[');
  read_all(t);
  if (t->array) buffer_add_z(&t->admin->out, t->shown ? "\n]\n" : "]\n");
  tail_close(t->tail);
  if (t->code == CODE_OK && t->damaged) {
    complain(
        t->admin,
        "Some values could not be decoded: see their error; encoding.schemas names the folder of "
        "the schemas");
    return CODE_FAILURE;
  }
  return t->code;
}

static int run_tail(struct admin *a, const struct command *self, int argc, char **argv) {
  struct tailing t = {.admin = a, .timeout_ms = 30000};
  const char *format = "jsonl";
  bool beginning = false, only_new = false;
  const struct option_row rows[] = {
      {"limit", 'n', OPTION_NUMBER, &t.limit, "N", "stop after so many records; 0 means all (0)"},
      {"from-beginning", 0, OPTION_FLAG, &beginning, NULL,
       "all records there are (this is the default)"},
      {"new", 0, OPTION_FLAG, &only_new, NULL, "only what comes from now on; goes on until Ctrl-C"},
      {"follow", 'f', OPTION_FLAG, &t.follow, NULL, "go on at the end, until Ctrl-C"},
      {"output", 'o', OPTION_CHOICE, &format, "jsonl|json|value",
       "an object a line, one array, or the values alone (jsonl)"},
      {"format", 0, OPTION_CHOICE, &format, "jsonl|json|value", "the older spelling of --output"},
      {"timeout", 0, OPTION_DURATION, &t.timeout_ms, "TIME",
       "give up when nothing came for so long (30s; with --follow never)"},
  };
  struct error err = {0};
  int words, code;
  t.timeout_ms = -1;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 64, &words, &code))
    return code;
  if (beginning && only_new) {
    complain(a, "--from-beginning and --new cannot be combined");
    return CODE_USAGE;
  }
  if (!admin_settings(a, &err)) return fail(a, &err);
  t.follow = t.follow || only_new;
  t.array = strcmp(format, "json") == 0;
  if (t.timeout_ms < 0) t.timeout_ms = t.follow ? INT64_MAX : 30000;
  struct tail_request request = {.topics = (const char *const *)argv,
                                 .count = (size_t)words,
                                 .only_new = only_new,
                                 .value_only = strcmp(format, "value") == 0,
                                 .timeout_ms =
                                     t.timeout_ms < 30000 ? (int)t.timeout_ms + 1 : 30000};
  return tail(&t, &request);
}

const struct command command_tail = {
    .name = "tail",
    .words = "<topic>...",
    .arguments = "[TOPIC...] [-n N] [--new] [--follow] [-o jsonl|json|value]",
    .summary = "read the topics and print the records decoded to JSON",
    .examples = "  busbridge tail                        everything in all topics of the routing\n"
                "  busbridge tail episode.events -n 5    the first five of one\n"
                "  busbridge tail --new -o value         payloads as they arrive\n",
    .description =
        "Reads committed records without a consumer group, so nobody else is disturbed. A line is "
        "{topic, partition, offset,\n"
        "timestamp, key, headers, value}; a value that cannot be decoded stands as value_base64 "
        "with its error, and the exit code is 1.",
    .run = run_tail,
    .usage_code = CODE_USAGE,
};
