/* Picks the position in Kafka that counts for this outbox, judges it against the manifests, and
 * says what to do.
 * Any thread; it only judges, so a crash leaves nothing. */
#include "bridge/relay/ledger/standing.h"

#include <inttypes.h>

/* ---- which position counts ---- */

static bool is_ours(const char *digest) {
  return manifest_digest_valid(span_of(digest));
}

static bool is_here(const struct manifest_name *list, size_t count, int64_t number,
                    const char *digest) {
  for (size_t i = 0; i < count; i++)
    if (list[i].number == (uint64_t)number && !strcmp(list[i].digest, digest)) return true;
  return false;
}

static void take_manifests(struct standing *s, const struct manifest_name *list, size_t count) {
  s->highest = s->manifests = 0;
  for (size_t i = 0; i < count; i++) {
    s->manifests += list[i].number > 0;
    if (list[i].number > s->highest) s->highest = list[i].number;
  }
}

/* Where the remembered topic has none (it was deleted, its offset expired or was reset), one that
 * is older than what lies here says nothing: it was left behind by an earlier change. */
static bool counts(const struct standing *s, const struct group_position *other,
                   const struct manifest_name *list, size_t count) {
  if (!is_ours(other->digest)) return false;
  if (s->number >= 0 && is_ours(s->digest)) return other->number > s->number;
  return is_here(list, count, other->number, other->digest) ||
         (uint64_t)other->number >= s->highest;
}

static void take(struct standing *s, const struct group_position *found) {
  _Static_assert(sizeof s->topic == sizeof found->topic && sizeof s->digest == sizeof found->digest,
                 "copied whole");
  memcpy(s->topic, found->topic, sizeof s->topic);
  memcpy(s->digest, found->digest, sizeof s->digest);
  s->number = found->number;
}

static void choose(struct standing *s, const struct group_position *all, size_t positions,
                   const struct manifest_name *list, size_t count) {
  for (size_t i = 0; i < positions; i++)
    if (strcmp(all[i].topic, s->topic) != 0 && counts(s, &all[i], list, count)) take(s, &all[i]);
}

/* The remembered topic while it is not the one of the settings. */
static enum status may_not(const struct standing *s, const char *topic,
                           const struct kafka_config *config, struct error *err) {
  struct buffer command = {0};
  struct error why = *err;
  cluster_command(config, "kafka-acls.sh", &command);
  enum status st = error_set(
      err, ST_INVALID,
      "the position of this outbox lies under the topic %s, and is to move to %s, but the old one "
      "may not be read (%s). Nothing was changed. Allow it until it has moved: %s --add "
      "--allow-principal User:NAME --operation Read --operation Describe --topic '%s'; or set "
      "ledger.topic = %s",
      s->topic, topic, why.text, buffer_z(&command), s->topic, s->topic);
  buffer_release(&command);
  return st;
}

enum status standing_find(const struct kafka_config *config, struct log *log,
                          const struct store *store, const char *topic, const char *group,
                          int timeout_ms, const struct manifest_name *list, size_t count,
                          struct standing *out, struct error *err) {
  struct store_ledger known;
  struct group_position *all = NULL;
  size_t positions = 0;
  *out = (struct standing){.number = -1, .goes_back = store_traits(store)->goes_back};
  enum status st = store_ledger_read(store, &known, err);
  if (st != ST_OK && st != ST_NOT_FOUND) return st;
  out->remembered =
      st == ST_OK && !strcmp(known.group, group); /* that of an id it had before is not its own */
  snprintf(out->topic, sizeof out->topic, "%s", out->remembered ? known.topic : topic);
  snprintf(out->group, sizeof out->group, "%s", group);
  struct position position = {.topic = out->topic, .group = out->group, .number = -1};
  st = cluster_position(config, log, timeout_ms, &position, err);
  if (st == ST_DENIED && strcmp(out->topic, topic) != 0) return may_not(out, topic, config, err);
  if (st == ST_OK) st = cluster_positions(config, log, timeout_ms, group, &all, &positions, err);
  if (st == ST_OK) {
    out->number = position.number;
    memcpy(out->digest, position.digest, sizeof out->digest);
    take_manifests(out, list, count);
    choose(out, all, positions, list, count);
    standing_judge(out, list, count);
  }
  free(all);
  return st;
}

/* ---- what it means ---- */

void standing_judge(struct standing *s, const struct manifest_name *list, size_t count) {
  take_manifests(s, list, count);
  if (s->number < 0)
    s->kind = s->manifests ? STANDING_LOST : STANDING_NEW;
  else if (!is_ours(s->digest))
    s->kind = STANDING_RESET;
  else if (s->highest > (uint64_t)s->number + 1)
    s->kind = STANDING_BACK;
  else if (is_here(list, count, s->number, s->digest))
    s->kind = STANDING_HERE;
  else
    s->kind = s->goes_back ? STANDING_WENT_BACK : STANDING_COPY;
}

/* The position's manifest is not here. */
static void cause_missing(const struct standing *s, struct buffer *out) {
  buffer_printf(out, "the ledger in Kafka stands at batch %" PRId64 " (topic %s), ", s->number,
                s->topic);
  buffer_add_z(out, s->kind == STANDING_COPY
                        ? "whose manifest is not in this outbox: it was restored from an older "
                          "backup, or is a copy of another"
                        : "which the database of this outbox does not have: it went back (a "
                          "standby was promoted, a backup restored), or it is a copy of another");
}

void standing_cause(const struct standing *s, struct buffer *out) {
  switch (s->kind) {
  case STANDING_NEW:
    buffer_printf(
        out,
        "nothing was relayed yet: Kafka holds no position in group %s, and there is no manifest",
        s->group);
    return;
  case STANDING_HERE:
    buffer_printf(out, "group %s stands at batch %" PRId64 " of %s, whose manifest is here",
                  s->group, s->number, s->topic);
    return;
  case STANDING_LOST:
    buffer_printf(
        out,
        "Kafka holds no position for this outbox any more (topic %s), but %zu of its manifests "
        "lie here: it expired or was deleted, or the topic was",
        s->topic, s->manifests);
    return;
  case STANDING_RESET:
    buffer_printf(
        out,
        "the position of this outbox was overwritten by somebody else (a reset of offsets?): "
        "group %s stands at %" PRId64 " of %s, without the digest of a batch",
        s->group, s->number, s->topic);
    return;
  case STANDING_BACK:
    buffer_printf(out,
                  "the ledger in Kafka stands at batch %" PRId64
                  " (topic %s), but this outbox holds batch %" PRIu64
                  ": the position went back (a cluster restored from an old copy?)",
                  s->number, s->topic, s->highest);
    return;
  case STANDING_COPY:
  case STANDING_WENT_BACK: cause_missing(s, out); return;
  }
}

void standing_next(const struct standing *s, const struct store *store, struct buffer *out) {
  switch (s->kind) {
  case STANDING_NEW:
  case STANDING_HERE: return;
  case STANDING_LOST:
  case STANDING_WENT_BACK:
    buffer_printf(out, "%s busbridge-worker: the topics decide what was published",
                  store_holder(store) ? "Restart" : "Start");
    return;
  case STANDING_RESET:
  case STANDING_BACK:
  case STANDING_COPY: standing_advise(store, out); return;
  }
}

void standing_advise(const struct store *store, struct buffer *out) {
  buffer_printf(out,
                "Settle what was published and go on under a new id: busbridge doctor --new-id -X "
                "'outbox.url=%s' (a copy whose original goes on: --new-id --beside)",
                store_url(store));
}

enum status standing_refuse(const struct standing *s, const struct store *store,
                            struct error *err) {
  struct buffer cause = {0}, next = {0};
  standing_cause(s, &cause);
  standing_next(s, store, &next);
  enum status st =
      error_set(err, ST_INVALID, "%s. Nothing was changed. %s", buffer_z(&cause), buffer_z(&next));
  buffer_release(&cause);
  buffer_release(&next);
  return st;
}
