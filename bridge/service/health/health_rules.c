/* The rules of health, one function each; the worst line counts, and comes first.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/health/health_rules.h"

#include "bridge/base/text/words.h"

#include <inttypes.h>

#define NEXT_NO_WORKER                                                                             \
  "systemctl start busbridge, or busbridge-worker -c FILE; once by hand: busbridge flush. Where "  \
  "a timer runs busbridge-worker --once: health.worker = optional"
/* Tries: of fewer, one bad file would be a rate, and the slowest of them P95 */
#define JUDGED_FROM 20

const char *health_word(enum health_state s) {
  static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
  return words[s];
}

static enum health_state no_worker(const char *word, bool background) {
  if (!strcmp(word, "required")) return HEALTH_CRITICAL;
  bool optional = !strcmp(word, "optional") || (!strcmp(word, "auto") && !background);
  return optional ? HEALTH_OK : HEALTH_WARNING;
}

void limits_read(const struct settings *settings, struct limits *out) {
  *out = (struct limits){
      .command_failures = {(double)setting_number(settings,
                                                  SETTING_HEALTH_COMMAND_FAILURES_WARNING),
                           (double)setting_number(settings,
                                                  SETTING_HEALTH_COMMAND_FAILURES_CRITICAL)},
      .event_failures = {(double)setting_number(settings, SETTING_HEALTH_EVENT_FAILURES_WARNING),
                         (double)setting_number(settings, SETTING_HEALTH_EVENT_FAILURES_CRITICAL)},
      .command_p95_ms = {setting_number(settings, SETTING_HEALTH_COMMAND_P95_WARNING),
                         setting_number(settings, SETTING_HEALTH_COMMAND_P95_CRITICAL)},
      .event_p95_ms = {setting_number(settings, SETTING_HEALTH_EVENT_P95_WARNING),
                       setting_number(settings, SETTING_HEALTH_EVENT_P95_CRITICAL)},
      .oldest_ms = {setting_number(settings, SETTING_HEALTH_OLDEST_WARNING),
                    setting_number(settings, SETTING_HEALTH_OLDEST_CRITICAL)},
      .dead = {(uint64_t)setting_number(settings, SETTING_HEALTH_DEAD_WARNING),
               (uint64_t)setting_number(settings, SETTING_HEALTH_DEAD_CRITICAL)},
      .disk_bytes = setting_number(settings, SETTING_HEALTH_DISK_WARNING),
      .heartbeat_ms = setting_number(settings, SETTING_HEALTH_HEARTBEAT),
      .background = setting_bool(settings, SETTING_FLUSH_BACKGROUND),
      .keys_required = setting_bool(settings, SETTING_REDIS_REQUIRED),
      .no_worker = no_worker(setting_text(settings, SETTING_HEALTH_WORKER),
                             setting_bool(settings, SETTING_FLUSH_BACKGROUND)),
  };
}

int64_t facts_oldest_ms(const struct facts *facts) {
  if (facts->counts.oldest_us == TIME_NONE || facts->counts.pending == 0) return -1;
  int64_t age = (facts->now_us - facts->counts.oldest_us) / 1000;
  return age > 0 ? age : 0;
}

PRINTF_LIKE(4, 5)
static void say_state(struct judgement *j, enum health_state state, const char *next,
                      const char *fmt, ...) {
  if (j->count == JUDGE_LINES) return;
  struct reason_line *line = &j->lines[j->count++];
  line->state = state;
  snprintf(line->next, sizeof line->next, "%s", next);
  va_list args;
  va_start(args, fmt);
  vsnprintf(line->text, sizeof line->text, fmt, args);
  va_end(args);
}

static enum health_state level(double value, double warning, double critical) {
  return value >= critical ? HEALTH_CRITICAL : value >= warning ? HEALTH_WARNING : HEALTH_OK;
}

static void rule_readable(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  if (f->unreadable)
    say_state(j, HEALTH_UNKNOWN, "", "The outbox cannot be counted: %s", f->unreadable);
}

/* A breaker is a warning while it may still be a restart of the broker, critical once it has been
 * open for as long as an entry may be pending. The outbox's own means that nothing can be settled:
 * critical at once. */
static void rule_breakers(const struct facts *f, const struct limits *l, struct judgement *j) {
  char age[DURATION_TEXT];
  for (size_t i = 0; f->status && i < f->status->breaker_count; i++) {
    const struct breaker_view *b = &f->status->breakers[i];
    if (strcmp(b->target, "redis") == 0) continue; /* rule_redis tells */
    int64_t open_ms = (f->now_us - b->since_us) / 1000;
    if (b->type) {
      bool worst = b->wrong || open_ms >= l->oldest_ms[1];
      say_state(j, worst ? HEALTH_CRITICAL : HEALTH_WARNING, b->remedy,
                "Events of %s wait for %s: %s",
                strcmp(b->target, "registry") == 0 ? "types without an id" : b->target,
                duration_text(open_ms, age), b->reason);
      continue;
    }
    bool critical = open_ms >= l->oldest_ms[1] || strcmp(b->target, "outbox") == 0;
    say_state(j, critical ? HEALTH_CRITICAL : HEALTH_WARNING, b->remedy,
              "Nothing goes to %s for %s: %s", b->target, duration_text(open_ms, age), b->reason);
  }
}

static void silence(int64_t us, const char *who, const char *next, double warning, double critical,
                    const struct facts *f, struct judgement *j) {
  char age[DURATION_TEXT];
  if (us == TIME_NONE) return;
  int64_t still_ms = (f->now_us - us) / 1000;
  enum health_state state = level((double)still_ms, warning, critical);
  if (state != HEALTH_OK)
    say_state(j, state, next, "The relay's %s has not turned for %s", who,
              duration_text(still_ms, age));
}

static bool kafka_is_away(const struct relay_status *status) {
  for (size_t i = 0; i < status->breaker_count; i++)
    if (strcmp(status->breakers[i].target, "kafka") == 0) return true;
  return false;
}

/* A publisher that waits for Kafka's answer is not its own fault: its breaker tells. The other two
 * may wait for the disk, and a folder of millions is long to read. */
static void rule_heartbeat(const struct facts *f, const struct limits *l, struct judgement *j) {
  static const char disk[] =
      "See whether the disk answers; else restart busbridge-worker, nothing is lost by it";
  double limit = (double)l->heartbeat_ms;
  if (!f->status) return;
  if (!kafka_is_away(f->status))
    silence(f->status->heartbeat_us, "publisher", "Restart busbridge-worker; nothing is lost by it",
            limit, limit, f, j);
  silence(f->status->reader_us, "reader", disk, limit, 5 * limit, f, j);
  silence(f->status->finisher_us, "finisher", disk, limit, 5 * limit, f, j);
}

static void rule_paused(const struct facts *f, const struct limits *l, struct judgement *j) {
  const struct store_pause *p = &f->pause;
  char since[TIME_TEXT], age[DURATION_TEXT];
  (void)l;
  if (!p->on) return;
  if (p->since_us == TIME_NONE) {
    say_state(j, HEALTH_WARNING, "busbridge resume", "Publishing is paused: %s", p->reason);
    return;
  }
  say_state(j, HEALTH_WARNING, "busbridge resume",
            "Publishing is paused since %.19s UTC (%s) by %s%s%s", time_format(p->since_us, since),
            duration_text((f->now_us - p->since_us) / 1000, age), *p->by ? p->by : "somebody",
            *p->reason ? ": " : "", p->reason);
}

static const char *next_for_oldest(const struct facts *f, const struct limits *l) {
  if (f->pause.on) return "busbridge resume";
  if (!f->relay && !f->owned && !f->standby) return "busbridge-worker; or once: busbridge flush";
  if (f->relay && !l->background) return "busbridge flush";
  return "busbridge list --type pending";
}

static void rule_oldest(const struct facts *f, const struct limits *l, struct judgement *j) {
  char age[DURATION_TEXT], limit[DURATION_TEXT];
  int64_t oldest = facts_oldest_ms(f);
  enum health_state state = level((double)oldest, (double)l->oldest_ms[0], (double)l->oldest_ms[1]);
  if (oldest < 0 || state == HEALTH_OK) return;
  say_state(j, state, next_for_oldest(f, l), "The oldest pending entry waits for %s (limit %s)",
            duration_text(oldest, age),
            duration_text(l->oldest_ms[state == HEALTH_CRITICAL], limit));
}

/* The holder may be a worker that begins or ends, or a command: nobody can tell. One on another
 * host answers there. */
static void rule_owner(const struct facts *f, const struct limits *l, struct judgement *j) {
  char who[STORE_OWNER_TEXT], where[STORE_OWNER_TEXT];
  if (f->relay || !f->owned || f->standby) return;
  store_owner_words(&f->owner, who);
  store_owner_where(&f->owner, where);
  if (f->unanswered)
    say_state(
        j, HEALTH_WARNING,
        "See its log; if it hangs, end it by SIGKILL and start busbridge-worker: nothing is lost",
        "Process %" PRId64 " holds the outbox and does not answer on the control socket%s%s",
        f->owner.pid, *where ? "; it holds it" : "", where);
  else if (!f->owner.here)
    say_state(j, HEALTH_OK, "busbridge health on that host; here the outbox itself is looked at",
              "The outbox is held on another host: %s", who);
  else
    say_state(j, l->no_worker == HEALTH_OK ? HEALTH_OK : HEALTH_UNKNOWN,
              "busbridge health, in a moment: it begins, ends, or is a command at work",
              "Process %" PRId64
              " holds the outbox, but no worker answers on the control socket%s%s",
              f->owner.pid, *where ? "; it holds it" : "", where);
}

static void rule_standby(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  if (f->away)
    say_state(j, HEALTH_CRITICAL,
              "See why the database does not answer; it is asked again and again",
              "This worker waits for the database of its outbox: %s", f->waits);
  else if (f->standby)
    say_state(j, HEALTH_OK, "", "This worker is a standby: %s", f->waits);
  if (*f->standbys) say_state(j, HEALTH_OK, "", "%s for the outbox", f->standbys);
}

static bool is_nobody(const struct facts *f) {
  return !f->relay && !f->owned && !f->standby;
}

static void rule_worker(const struct facts *f, const struct limits *l, struct judgement *j) {
  bool nobody = is_nobody(f);
  if (nobody && f->refused[0])
    say_state(j, l->no_worker == HEALTH_OK ? HEALTH_UNKNOWN : l->no_worker,
              "busbridge config check, and fix what it names",
              "No worker runs, and none starts with these settings: %s", f->refused);
  else if (nobody)
    say_state(j, l->no_worker, l->no_worker == HEALTH_OK ? "" : NEXT_NO_WORKER,
              "No worker runs: nobody drains this outbox");
  if (f->relay && !l->background && f->counts.pending > 0)
    say_state(j, HEALTH_OK, "busbridge flush",
              "The background flush is off: entries wait for an explicit flush");
}

static void rule_dead(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[COUNTED_TEXT];
  enum health_state state = level((double)f->counts.dead, (double)l->dead[0], (double)l->dead[1]);
  if (state == HEALTH_OK) return;
  say_state(j, state, "busbridge list --type dlq", "%s (limit %" PRIu64 ")",
            counted_text(f->counts.dead, "dead letter", "dead letters", number),
            l->dead[state == HEALTH_CRITICAL]);
}

static void rate_rule(const char *what, const struct figures *figures, const double limits[2],
                      const char *next, struct judgement *j) {
  double percent = figures_rate(figures) * 100;
  enum health_state state = level(percent, limits[0], limits[1]);
  if (figures->failed == 0 || figures->total < JUDGED_FROM || state == HEALTH_OK) return;
  if (figures->failed == 1) state = HEALTH_WARNING; /* one alone is no reason to wake somebody */
  say_state(j, state, next, "%.1f %% of %s, %" PRIu64 " of %" PRIu64 " (limit %g %%)", percent,
            what, figures->failed, figures->total, limits[state == HEALTH_CRITICAL]);
}

static void rule_failures(const struct facts *f, const struct limits *l, struct judgement *j) {
  rate_rule("events were set aside or refused", &f->events, l->event_failures,
            "busbridge list --type dlq; a new period begins by: busbridge metrics --reset", j);
  rate_rule("commands failed", &f->commands, l->command_failures,
            "See the worker's log; a new period begins by: busbridge metrics --reset", j);
}

static void p95_rule(const char *what, const struct figures *figures, const int64_t limits[2],
                     struct judgement *j) {
  enum health_state state = level(figures->p95_ms, (double)limits[0], (double)limits[1]);
  if (figures->total < JUDGED_FROM || state == HEALTH_OK) return;
  say_state(j, state, "busbridge metrics; a new period begins by: busbridge metrics --reset",
            "P95 of %s is %.0f ms (limit %" PRId64 " ms)", what, figures->p95_ms,
            limits[state == HEALTH_CRITICAL]);
}

static void rule_p95(const struct facts *f, const struct limits *l, struct judgement *j) {
  p95_rule("publishing", &f->events, l->event_p95_ms, j);
  p95_rule("commands", &f->commands, l->command_p95_ms, j);
}

static void rule_disk(const struct facts *f, const struct limits *l, struct judgement *j) {
  if (f->disk_free < 0 || f->disk_free >= l->disk_bytes) return;
  say_state(j, HEALTH_WARNING, "Free space there, or lower health.disk_warning",
            "%.0f MB are free where the outbox lies (limit %.0f MB)", (double)f->disk_free / 1e6,
            (double)l->disk_bytes / 1e6);
}

static void rule_redis(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[COUNTED_TEXT];
  if (f->keys.off || !f->keys_known) return;
  struct keys_words words;
  keys_words(f->keys.error, l->keys_required, &words);
  if (!f->keys.up) say_state(j, HEALTH_WARNING, words.next, "%s", words.cause);
  if (!f->keys.up && f->keys.due > 0)
    say_state(j, HEALTH_OK, "", "%s until it is back (.busbridge/keys-due)",
              counted_text(f->keys.due, "idempotency key waits", "idempotency keys wait", number));
  if (f->keys.given_up > 0)
    say_state(
        j, HEALTH_WARNING,
        "Bring Redis back; those ids would be published again if they came again",
        "%s given up while Redis was away",
        counted_text(f->keys.given_up, "idempotency key was", "idempotency keys were", number));
}

static void rule_holds(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  uint64_t n = f->status ? f->status->holds : 0;
  if (n)
    say_state(j, HEALTH_WARNING, "busbridge list --type dlq; then fix and replay, or purge",
              "%" PRIu64 " dead %s (dlq.hold_key): later events of the same key wait", n,
              n == 1 ? "letter holds its key" : "letters hold their keys");
}

static void rule_schemas(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  if (f->schemas_refused[0])
    say_state(j, HEALTH_WARNING,
              "Fix them (busbridge schema check --all), then reload the worker (SIGHUP)",
              "The schemas were not taken over, the old ones serve: %s", f->schemas_refused);
}

static void rule_aside(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  uint64_t n = f->counts.aside;
  if (n)
    say_state(j, HEALTH_WARNING, f->aside_next, "%" PRIu64 " %s set aside, all others go on: %s%s",
              n, n == 1 ? "entry is" : "entries are", f->aside, n == 1 ? "" : ", ...");
}

static void rule_went_back(const struct facts *f, const struct limits *l, struct judgement *j) {
  char when[TIME_TEXT];
  (void)l;
  if (!f->went_back || !f->loss.lost) return;
  say_state(j, HEALTH_WARNING,
            "See what these events say (busbridge tail --id ID), and mend the business data",
            "the database went back by %" PRIu64 " batches at %s: %" PRIu64
            " of its entries were published already and are settled; Kafka has %" PRIu64
            " events that it lost: %s",
            f->loss.batches, time_format(f->loss.at_us, when), f->loss.published, f->loss.lost,
            f->lost_ids);
}

static void rule_left(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[COUNTED_TEXT];
  (void)l;
  if (f->left)
    say_state(
        j, HEALTH_WARNING,
        "busbridge verify names them; the next start of the worker settles them or puts them back",
        "%s in .busbridge/tmp for more than a minute, on the way out of the outbox or back",
        counted_text(f->left, "entry lies", "entries lie", number));
}

static void rule_stuck(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  const struct relay_status *s = f->status;
  if (s && s->stuck)
    say_state(j, HEALTH_WARNING, s->stuck_remedy,
              "%" PRIu64 " %s cannot be changed, nothing waits for %s: .busbridge/%s: %s%s",
              s->stuck, s->stuck == 1 ? "manifest" : "manifests", s->stuck == 1 ? "it" : "them",
              s->stuck_file, s->stuck_why, s->stuck == 1 ? "" : ", ...");
}

static void rule_typed(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[COUNTED_TEXT];
  (void)l;
  if (f->typed_unread)
    say_state(j, HEALTH_OK, "Set outbox.typed to have them published, however old they are",
              "%s in %s/pending, the older typed bus's own outbox, which is not read",
              counted_text(f->typed_unread, "file waits", "files wait", number), f->typed);
  if (f->counts.foreign_typed)
    say_state(
        j, HEALTH_OK, "",
        "%s left alone in the typed outbox: another status than pending, or in processing/ for "
        "less than outbox.typed_timeout",
        counted_text(f->counts.foreign_typed, "file is", "files are", number));
}

static void rule_unmoved(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[COUNTED_TEXT];
  (void)l;
  if (f->counts.unmoved)
    say_state(
        j, HEALTH_WARNING,
        "Free space there, or give the worker's user the right to write there; it tries again "
        "by itself",
        "%s on the way to dlq/ since a crash, and cannot be moved there now: %s",
        counted_text(f->counts.unmoved, "entry is", "entries are", number),
        strerror(f->counts.unmoved_sys));
}

static void rule_files(const struct facts *f, const struct limits *l, struct judgement *j) {
  (void)l;
  const struct store_counts *c = &f->counts;
  char number[COUNTED_TEXT];
  if (c->unreadable)
    say_state(j, HEALTH_WARNING,
              f->unread[0] ? "busbridge list --type pending; give the worker's user the right to "
                             "read them"
                           : "Give the worker's user the right to read them",
              "%s cannot be read%s%s%s", counted_text(c->unreadable, "file", "files", number),
              f->unread[0] ? ": " : "", f->unread,
              c->unreadable > 1 && f->unread[0] ? ", ..." : "");
  if (c->odd)
    say_state(j, HEALTH_OK, "Take them out of the outbox folder",
              "%s left alone: links, folders, devices or files with two names",
              counted_text(c->odd, "name is", "names are", number));
  if (c->growing)
    say_state(j, HEALTH_OK, "", "%s not whole yet",
              counted_text(c->growing, "file is", "files are", number));
  if (!c->exact && !f->unreadable && !f->pause.on)
    say_state(j, HEALTH_OK, "", "The first scan is still under way: counts will grow");
}

static enum health_state worse(enum health_state a, enum health_state b) {
  static const int rank[] = {
      [HEALTH_OK] = 0, [HEALTH_WARNING] = 1, [HEALTH_UNKNOWN] = 2, [HEALTH_CRITICAL] = 3};
  _Static_assert(sizeof rank / sizeof *rank == HEALTH_UNKNOWN + 1, "a rank for each state");
  return rank[a] >= rank[b] ? a : b;
}

/* Worst first; rules of equal weight stay in their order. */
static void sort_lines(struct judgement *j) {
  for (size_t i = 1; i < j->count; i++) {
    struct reason_line line = j->lines[i];
    size_t at = i;
    while (at > 0 && worse(j->lines[at - 1].state, line.state) != j->lines[at - 1].state) at--;
    memmove(&j->lines[at + 1], &j->lines[at], (i - at) * sizeof line);
    j->lines[at] = line;
  }
}

/* Whatever else is worse: that nobody is there stands in the first line. */
static void summarise(const struct facts *f, const struct limits *l, struct judgement *j) {
  char number[NUMBER_TEXT], age[DURATION_TEXT];
  int64_t oldest = facts_oldest_ms(f);
  int n =
      snprintf(j->summary, sizeof j->summary, "%s pending", number_text(f->counts.pending, number));
  if (oldest >= 0)
    n += snprintf(j->summary + n, sizeof j->summary - (size_t)n, ", oldest %s",
                  duration_text(oldest, age));
  if (f->counts.dead)
    n += snprintf(j->summary + n, sizeof j->summary - (size_t)n, ", %s dead",
                  number_text(f->counts.dead, number));
  bool first = j->count && strstr(j->lines[0].text, "No worker runs");
  if (is_nobody(f) && l->no_worker != HEALTH_OK && !first)
    snprintf(j->summary + n, sizeof j->summary - (size_t)n, ", no worker");
}

void judge(const struct facts *facts, const struct limits *limits, struct judgement *out) {
  static void (*const rules[])(const struct facts *, const struct limits *, struct judgement *) = {
      rule_readable, rule_paused, rule_breakers, rule_heartbeat, rule_oldest,    rule_owner,
      rule_standby,  rule_worker, rule_dead,     rule_failures,  rule_p95,       rule_disk,
      rule_redis,    rule_files,  rule_typed,    rule_aside,     rule_went_back, rule_schemas,
      rule_left,     rule_stuck,  rule_holds,    rule_unmoved,
  };
  out->state = HEALTH_OK;
  out->count = 0;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) rules[i](facts, limits, out);
  for (size_t i = 0; i < out->count; i++) out->state = worse(out->state, out->lines[i].state);
  sort_lines(out);
  summarise(facts, limits, out);
}
