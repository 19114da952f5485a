/* Topics whose records carry the times of their events: what waits may be older than the topic
 * keeps anything, and would be removed as soon as it is there. Bounded: the oldest entries. One
 * thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/service/doctor/parts.h"

enum { ENTRIES_READ = 1000, ANSWER_MS = 5000 };

struct oldest {
  const struct doctor *d;
  int64_t *since_us; /* by topic; TIME_NONE: nothing waits for it */
};

static bool look_at(void *ctx, const struct entry_info *info) {
  struct oldest *o = ctx;
  unsigned topic;
  int64_t us = info->created_us != TIME_NONE ? info->created_us : info->arrived_us;
  if (!routing_topic_of(o->d->routing, info->name, &topic)) return true;
  if (o->since_us[topic] == TIME_NONE || us < o->since_us[topic]) o->since_us[topic] = us;
  return true;
}

static void judge_topic(struct doctor *d, const char *topic, int64_t age_ms) {
  int64_t kept_ms = 0;
  char age[DURATION_TEXT], kept[DURATION_TEXT];
  struct buffer command = {0};
  if (cluster_topic_number(d->cluster, topic, "retention.ms", ANSWER_MS, &kept_ms, NULL) != ST_OK ||
      kept_ms < 0 || age_ms <= kept_ms)
    return;
  doctor_found(
      d, "retention", REPORT_WARNING,
      "%s keeps records for %s, and what waits for it is up to %s old: its records carry the "
      "times of their events",
      topic, duration_text(kept_ms, kept), duration_text(age_ms, age));
  cluster_command(&d->plan.kafka, "kafka-configs.sh", &command);
  doctor_next(
      d,
      "Take timestamp = event out of its route until it is published, or: %s --alter --topic '%s' "
      "--add-config retention.ms=%lld",
      buffer_z(&command), topic, (long long)(2 * age_ms));
  buffer_release(&command);
}

static bool any_event_times(const struct routing *r) {
  for (unsigned i = 0; i < routing_topics(r); i++)
    if (routing_event_times(r, span_of(routing_topic_name(r, i)))) return true;
  return false;
}

void doctor_check_retention(struct doctor *d) {
  struct oldest o = {.d = d};
  uint64_t total = 0;
  if (!d->store || !d->routing || !any_event_times(d->routing)) return;
  unsigned topics = routing_topics(d->routing);
  int64_t now_ms = clock_wall_us(&clock_system) / 1000;
  if (!(o.since_us = calloc(topics, sizeof *o.since_us))) return;
  for (unsigned i = 0; i < topics; i++) o.since_us[i] = TIME_NONE;
  if (store_list(d->store, LIST_PENDING, ENTRIES_READ, look_at, &o, &total, NULL) == ST_OK)
    for (unsigned i = 0; i < topics; i++) {
      const char *name = routing_topic_name(d->routing, i);
      if (o.since_us[i] != TIME_NONE && routing_event_times(d->routing, span_of(name)))
        judge_topic(d, name, now_ms - o.since_us[i] / 1000);
    }
  free(o.since_us);
}
