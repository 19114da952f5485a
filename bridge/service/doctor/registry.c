/* The schema registry: does it answer, has it each schema that is looked up there; and topics whose
 * last record is framed otherwise than the next one will be.
 * One thread; a crash leaves nothing. */
#include "bridge/kafka/reader.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/plan/framings.h"
#include "bridge/service/plan/subjects.h"

enum { TOLD_MOST = 20, ANSWER_MS = 5000, BACK = 16 };

/* ---- what is registered ---- */

struct asking {
  struct doctor *d;
  struct registry *registry;
  const char *last;
  size_t asked, missing;
  struct error away;
};

static enum status ask_one(void *ctx, const struct subject_use *use, struct error *err) {
  struct asking *a = ctx;
  struct buffer text = {0};
  struct registry_schema found;
  if (!framing_needs_id(use->framing)) return ST_OK;
  enum status st = subject_text(&a->d->plan, a->d->catalog, a->d->routing, use, &text, err);
  enum registry_said said = REGISTRY_NOWHERE;
  if (st == ST_OK)
    said = registry_look_up(a->registry, use->subject, buffer_span(&text),
                            framing_schema_type(use->framing), true, &found, &a->away);
  buffer_release(&text);
  if (st != ST_OK) return st;
  if (said == REGISTRY_NOWHERE) return ST_UNAVAILABLE;
  a->asked++;
  if (said == REGISTRY_GIVEN || ++a->missing > TOLD_MOST) return ST_OK;
  doctor_found(a->d, "registry", use->schema->whole ? REPORT_OK : REPORT_WARNING,
               "%s is not registered under %s%s", use->schema->event_name, use->subject,
               use->schema->whole ? ": names without a schema would wait" : "; its events wait");
  if (!use->schema->whole)
    doctor_next(a->d, "busbridge schema register %s", use->schema->event_name);
  return ST_OK;
}

static void check_schemas(struct doctor *d, struct asking *a) {
  struct error err = {0};
  enum status st = subjects_each(&d->plan, d->catalog, d->routing, ask_one, a, &err);
  if (st != ST_OK) {
    doctor_found(d, "registry", REPORT_FAILED, "%s",
                 st == ST_UNAVAILABLE ? a->away.text : err.text);
    doctor_next(d, "See registry.url, registry.ca_file and who the worker is there "
                   "(registry.username, registry.token_file, registry.oauth_url)");
    return;
  }
  doctor_found(d, "registry", REPORT_OK, "%s answers; %zu of %zu schemas are registered there",
               registry_shown(a->registry), a->asked - a->missing, a->asked);
}

void doctor_check_registry(struct doctor *d) {
  struct asking a = {.d = d};
  struct error err = {0};
  if (!*d->plan.registry.urls || !d->routing || !d->catalog) return;
  if (registry_open(&d->plan.registry, &a.registry, &err) != ST_OK) {
    doctor_found(d, "registry", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix the registry.* settings");
    return;
  }
  check_schemas(d, &a);
  registry_close(a.registry);
}

/* ---- what the last records are ---- */

static struct span header(const struct message *m, const char *name) {
  for (size_t i = 0; i < m->header_count; i++)
    if (strcmp(m->headers[i].name, name) == 0) return m->headers[i].value;
  return (struct span){0};
}

static enum framing seen_of(const struct message *m) {
  return framing_seen(header(m, "content-type"), header(m, HEADER_SCHEMA_ID), m->value);
}

struct last { /* of a topic, as far as it was read */
  bool known;
  enum framing seen, now;
  char event[EVENT_NAME_MAX + 1];
  int64_t at_ms;
};

static void note(struct doctor *d, struct last *lasts, const struct message *m) {
  enum framing now;
  struct span event = header(m, "ce_type");
  if (!event.len || !m->value.ptr || !plan_framing(&d->plan, d->routing, event, &now, NULL)) return;
  for (unsigned i = 0; i < routing_topics(d->routing); i++) {
    if (strcmp(routing_topic_name(d->routing, i), m->topic) != 0) continue;
    if (lasts[i].known && m->timestamp_ms < lasts[i].at_ms) return;
    lasts[i] =
        (struct last){.known = true, .seen = seen_of(m), .now = now, .at_ms = m->timestamp_ms};
    snprintf(lasts[i].event, sizeof lasts[i].event, "%.*s", SPAN_ARGS(event));
  }
}

static void read_lasts(struct doctor *d, const char **topics, size_t count, struct last *lasts) {
  struct reader *reader = NULL;
  struct message m;
  uint64_t offsets;
  enum status st =
      reader_open(&d->plan.kafka, NULL, topics, count, false, ANSWER_MS, &reader, NULL);
  if (st == ST_OK) st = reader_seek_back(reader, INT64_MAX, BACK, ANSWER_MS, &offsets, NULL);
  while (st == ST_OK && (st = reader_next(reader, ANSWER_MS, &m, NULL)) == ST_OK)
    note(d, lasts, &m);
  reader_close(reader);
}

static void tell_last(struct doctor *d, const char *topic, const struct last *last) {
  if (!last->known || last->seen == last->now) return;
  doctor_found(d, "framing", REPORT_WARNING,
               "the last record of %s (%s) is framed as %s, the next will be as %s", topic,
               last->event, framing_word(last->seen), framing_word(last->now));
  doctor_next(d,
              "Consumers of the topic must read both; or set encoding.framing = %s, or the "
              "framing of its route",
              framing_word(last->seen));
}

/* Where something was ever said of framings: else each record is as it always was. */
static bool framings_may_differ(const struct doctor *d) {
  struct buffer ids = {0};
  struct topic_use use;
  bool may = *d->plan.registry.urls ||
             (d->store && store_note_read(d->store, NOTE_IDS, &ids, NULL) == ST_OK);
  buffer_release(&ids);
  for (size_t i = 0; !may && routing_pattern(d->routing, i, &use); i++) {
    enum framing framing;
    may = plan_framing(&d->plan, d->routing, use.pattern, &framing, NULL) &&
          framing != FRAMING_SINGLE_OBJECT;
  }
  return may;
}

void doctor_check_framing(struct doctor *d) {
  if (!d->routing || !framings_may_differ(d)) return;
  unsigned all = routing_topics(d->routing);
  const char **topics = calloc(all + 1, sizeof *topics);
  struct last *lasts = calloc(all + 1, sizeof *lasts);
  size_t count = 0;
  for (unsigned i = 0; topics && lasts && i < all; i++) {
    enum topic_state state = TOPIC_UNCLEAR;
    const char *name = routing_topic_name(d->routing, i);
    if (cluster_topic(d->cluster, name, ANSWER_MS, &state, NULL, NULL) == ST_OK &&
        state == TOPIC_THERE)
      topics[count++] = name;
  }
  if (count) read_lasts(d, topics, count, lasts);
  for (unsigned i = 0; lasts && i < all; i++)
    tell_last(d, routing_topic_name(d->routing, i), &lasts[i]);
  free(topics);
  free(lasts);
}
