/* busbridge tail: the newest records, or those since some moment, to the end of the topics, the
 * limit or Ctrl-C.
 * The command's one thread; a crash leaves nothing. */
#include "bridge/service/topics/tail.h"
#include "admin/input/options.h"
#include "bridge/base/text/words.h"
#include "bridge/service/entries/selection.h"

#include <inttypes.h>
#include <unistd.h>

#define TURN_MS 100
#define LAST 10              /* records, unless told otherwise */
#define NEW_SECONDS 60       /* what came so lately is new still */
#define WRITE_AT (64 * 1024) /* output is collected up to here when nobody watches it arrive */

struct tailing {
  struct admin *admin;
  struct tail *tail;
  bool follow, array;
  uint64_t limit;
  int64_t timeout_ms; /* without a record */
  uint64_t shown;
  bool read; /* a record came, shown or not */
  bool damaged;
  int code;
};

/* One record; false when it is over. */
static bool show_record(struct tailing *t, struct error *err) {
  struct buffer *out = &t->admin->out;
  size_t before = out->len;
  if (t->array) buffer_add_z(out, t->shown ? ",\n  " : "\n  ");
  size_t from = out->len;
  enum status st = tail_next(t->tail, TURN_MS, out, &t->damaged, err);
  t->read = st == ST_OK;
  if (st == ST_OK && out->len > from) {
    if (!t->array) buffer_add_char(out, '\n');
    t->shown++;
    return !(t->limit && t->shown >= t->limit);
  }
  out->len = before;
  if (st == ST_OK) return true;
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
    bool more = show_record(t, &err);
    if (t->read) last_ms = clock_mono_ms(t->admin->clock);
    if (direct || t->admin->out.len > WRITE_AT) {
      int written = admin_flush(t->admin);
      if (written != CODE_OK) t->code = written;
      if (written != CODE_OK) return;
    }
    if (!more || (!t->read && too_quiet(t, last_ms))) return;
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

struct typed { /* where it begins, as typed; NULL, false: not given */
  const char *last, *since, *key, *id, *partition, *offset;
  bool beginning, only_new;
};

static bool complain_of(struct admin *a, const char *why) {
  complain(a, "%s; see: busbridge tail --help", why);
  return false;
}

static bool take_number(struct admin *a, const char *option, const char *text, uint64_t most,
                        uint64_t *out) {
  if (!text || number_parse(span_of(text), most, out)) return true;
  complain(a, "--%s %.60s: expected a number", option, text);
  return false;
}

/* Two of them would say two things. */
static bool fits_together(struct admin *a, const struct typed *w, int topics) {
  int begins =
      w->beginning + w->only_new + (w->since != NULL) + (w->last != NULL) + (w->offset != NULL);
  if (begins > 1)
    return complain_of(
        a, "--last, --since, --from-beginning, --new and --offset each say where it begins");
  if (w->offset && (!w->partition || topics != 1))
    return complain_of(a, "--offset goes with one topic and its --partition");
  return true;
}

static bool take_since(struct admin *a, const struct typed *w, struct tail_request *out) {
  struct selection selection;
  struct error err = {0};
  int64_t now_us = clock_wall_us(a->clock);
  selection_init(&selection);
  if (w->only_new) out->since_us = now_us - NEW_SECONDS * INT64_C(1000000);
  if (!w->since) return true;
  if (selection_set(&selection, "since", w->since, now_us, &err) != ST_OK) {
    complain(a, "--%s", err.text);
    return false;
  }
  out->since_us = selection.since_us;
  return true;
}

/* limit: of the newest, unless it is said where it begins. */
static bool take_typed(struct admin *a, const struct typed *w, uint64_t limit, int topics,
                       struct tail_request *out) {
  uint64_t last = limit ? limit : LAST, partition = 0, offset = 0;
  if (!fits_together(a, w, topics) || !take_number(a, "last", w->last, INT32_MAX, &last) ||
      !take_number(a, "partition", w->partition, INT32_MAX, &partition) ||
      !take_number(a, "offset", w->offset, INT64_MAX, &offset))
    return false;
  out->since_us = TIME_NONE;
  if (!take_since(a, w, out)) return false;
  bool said = w->beginning || w->only_new || w->since || w->offset;
  out->last = said ? 0 : last;
  out->partition = w->partition ? (int)partition : -1;
  out->offset = w->offset ? (int64_t)offset : -1;
  out->key = w->key;
  out->id = w->id;
  return true;
}

static int run_tail(struct admin *a, const struct command *self, int argc, char **argv) {
  struct tailing t = {.admin = a, .timeout_ms = -1};
  struct typed w = {0};
  const char *format = "jsonl";
  const struct option_row rows[] = {
      {"last", 0, OPTION_ONCE, &w.last, "N", "the newest so many of all topics asked for (10)"},
      {"since", 0, OPTION_ONCE, &w.since, "TIME",
       "what was written then or later; 2026-07-30T10:00 or 2h"},
      {"from-beginning", 0, OPTION_FLAG, &w.beginning, NULL, "all records there are"},
      {"new", 0, OPTION_FLAG, &w.only_new, NULL,
       "what came within the last minute, and what comes; goes on until Ctrl-C"},
      {"partition", 0, OPTION_ONCE, &w.partition, "N", "of each topic this partition alone"},
      {"offset", 0, OPTION_ONCE, &w.offset, "N", "from there on; with one topic and --partition"},
      {"key", 0, OPTION_ONCE, &w.key, "KEY", "records of this key alone"},
      {"id", 0, OPTION_ONCE, &w.id, "ID", "the events of this id, or whose ids begin so"},
      {"limit", 'n', OPTION_NUMBER, &t.limit, "N", "stop after so many records; 0 means all (0)"},
      {"follow", 'f', OPTION_FLAG, &t.follow, NULL, "go on at the end, until Ctrl-C"},
      {"output", 'o', OPTION_CHOICE, &format, "jsonl|json|value",
       "an object a line, one array, or the values alone (jsonl)"},
      {"format", 0, OPTION_CHOICE, &format, "jsonl|json|value", "the older spelling of --output"},
      {"timeout", 0, OPTION_DURATION, &t.timeout_ms, "TIME",
       "give up when nothing came for so long (30s; with --follow never)"},
  };
  struct error err = {0};
  struct tail_request request = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 64, &words, &code))
    return code;
  if (!take_typed(a, &w, t.limit, words, &request)) return CODE_USAGE;
  if (!admin_settings(a, &err)) return fail(a, &err);
  t.follow = t.follow || w.only_new;
  t.array = strcmp(format, "json") == 0;
  if (t.timeout_ms < 0) t.timeout_ms = t.follow ? INT64_MAX : 30000;
  request.topics = (const char *const *)argv;
  request.count = (size_t)words;
  request.value_only = strcmp(format, "value") == 0;
  request.timeout_ms = t.timeout_ms < 30000 ? (int)t.timeout_ms + 1 : 30000;
  return tail(&t, &request);
}

const struct command command_tail = {
    .name = "tail",
    .words = "<topic>...",
    .arguments = "[TOPIC...] [--last N|--since TIME|--new] [--key KEY] [--id ID] [--follow] [-o "
                 "jsonl|json|value]",
    .summary = "read the topics and print the records decoded to JSON",
    .examples = "  busbridge tail                              the newest ten of all topics of the "
                "routing\n"
                "  busbridge tail episode.events --last 5      the newest five of one\n"
                "  busbridge tail episode.events --id 3f2b8c1e did that event arrive?\n"
                "  busbridge tail --since 15m --key ep-1       what came of a key\n"
                "  busbridge tail --new -o value               payloads as they arrive\n",
    .description =
        "Reads committed records without a consumer group, so nobody else is disturbed. With --key "
        "or --id all that lies in\n"
        "the topics is looked through, unless it is said where to begin. A line is "
        "{topic, partition, offset,\n"
        "timestamp, key, headers, value}; a value that cannot be decoded stands as value_base64 "
        "with its error, and the exit code is 1.",
    .run = run_tail,
    .usage_code = CODE_USAGE,
};
