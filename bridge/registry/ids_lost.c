/* An id that is not right any more: another schema's, or none's. Which records carry it is told: of
 * this process by their offsets, of an earlier one by the time in which it published.
 * The asking thread, ids.lock held; a crash leaves nothing. */
#include "bridge/registry/ids_parts.h"

#include <inttypes.h>

/* What health shows; the log has all of it. */
enum { SHOWN_MOST = 380 };

/* "order.events partition 2 offsets 40 to 44, partition 7 ...", within most bytes of out. */
static void add_offsets(const struct slot *slot, size_t most, struct buffer *out) {
  const char *topic = NULL;
  size_t some = 0, left = 0;
  int64_t beyond = 0;
  for (size_t i = 0; i < slot->target_count; i++) {
    const struct target *t = &slot->targets[i];
    beyond += atomic_load(&t->id->beyond);
    for (int p = 0; p < SCHEMA_PARTITIONS; p++) {
      char text[400];
      int64_t first = atomic_load(&t->id->first[p]);
      if (first < 0) continue;
      bool named = topic && !strcmp(topic, t->topic);
      int len = snprintf(text, sizeof text, "%s %s%spartition %d offsets %" PRId64 " to %" PRId64,
                         some ? "," : "", named ? "" : t->topic, named ? "" : " ", p, first,
                         atomic_load(&t->id->last[p]));
      if (left || out->len + (size_t)len > most) {
        left++;
        continue;
      }
      buffer_add_z(out, text);
      some++;
      topic = t->topic;
    }
  }
  if (left)
    buffer_printf(out, "%s %zu partitions%s", some ? " and" : "", left, some ? " more" : "");
  if (beyond)
    buffer_printf(out, "%s %" PRId64 " in partitions beyond %d", some || left ? " and" : "", beyond,
                  SCHEMA_PARTITIONS - 1);
}

static int64_t published(const struct slot *slot) {
  int64_t count = 0;
  for (size_t i = 0; i < slot->target_count; i++)
    count += atomic_load(&slot->targets[i].id->published);
  return count;
}

/* had: it was the schema's id once. */
static void add_records(const struct slot *slot, bool had, int64_t now_us, size_t most,
                        struct buffer *out) {
  char since[TIME_TEXT], now[TIME_TEXT];
  int64_t count = published(slot);
  time_format(slot->looked_us, since);
  time_format(now_us, now);
  if (!had)
    buffer_add_z(out, ". This process published nothing under it");
  else if (slot->looked && !count)
    buffer_printf(out, ". None was published under it since %s", since);
  else if (slot->looked)
    buffer_printf(out, ". %" PRId64 " records were published under it since %s:", count, since);
  else if (slot->looked_us == TIME_NONE)
    buffer_printf(out,
                  ". Nobody knows when it was right last; what was published until %s may carry it",
                  now);
  else
    buffer_printf(out, ". What was published from %s, when it was right, to %s carries it", since,
                  now);
  if (had && !slot->looked && count)
    buffer_printf(out, "; %" PRId64 " records by this process:", count);
  if (had && count) add_offsets(slot, most, out);
}

static void add_cause(const struct finding *f, struct buffer *out) {
  if (f->gone == SCHEMA_NO_ID) {
    buffer_printf(out, "%.200s", f->why.text);
    return;
  }
  buffer_printf(out, "the registry knows no schema with the id %" PRId64 " any more", f->gone);
  if (f->state == ID_KNOWN) buffer_printf(out, ", and has it as %" PRId64 " now", f->id);
}

static void tell(struct ids *ids, const struct slot *slot, const struct finding *f,
                 const char *whole) {
  const struct log_field fields[] = {F_TEXT("name", slot->event),
                                     F_TEXT("subject", slot->subject),
                                     F_TEXT("error", whole),
                                     {.key = NULL, .type = LOG_END}};
  struct log *log = ids->config.log;
  if (f->state == ID_WRONG)
    log_write(log, LOG_ERROR, "registry", "id_wrong", fields,
              "The id of a schema is another schema's now: events of this type wait until the "
              "registry gives the right one");
  else if (f->state == ID_KNOWN)
    log_write(log, LOG_ERROR, "registry", "id_renumbered", fields,
              "A schema has another id now: its events go on with it, and records that carry the "
              "old one cannot be read by it");
  else
    log_write(
        log, LOG_ERROR, "registry", "id_gone", fields,
        "The id of a schema stands for none any more, and the schema is not registered: its events "
        "wait until it is");
}

bool ids_lost(struct ids *ids, struct slot *slot, const struct finding *f) {
  struct buffer whole = {0}, shown = {0};
  int64_t had = slot->id != SCHEMA_NO_ID ? slot->id : slot->remembered;
  bool gone = had != SCHEMA_NO_ID && f->gone == had && f->state != ID_NOWHERE;
  bool wrong = f->state == ID_WRONG && slot->state != ID_WRONG;
  if (!gone && !wrong) return false;
  int64_t now_us = clock_wall_us(ids->config.registry.clock);
  add_cause(f, &whole);
  add_cause(f, &shown);
  add_records(slot, had != SCHEMA_NO_ID, now_us, SIZE_MAX, &whole);
  add_records(slot, had != SCHEMA_NO_ID, now_us, SHOWN_MOST - 60, &shown);
  snprintf(slot->why, sizeof slot->why, "%s", buffer_z(&shown));
  tell(ids, slot, f, buffer_z(&whole));
  buffer_release(&whole);
  buffer_release(&shown);
  return true;
}
