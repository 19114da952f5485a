/* The ids that are remembered: a line each, URL CLUSTER SUBJECT FORM ID TIME, texts as word_escape
 * writes them. TIME, when the id was right last in microseconds, is the last word and may be
 * absent. The asking threads; a crash leaves the old text or the new one: what it lacks is asked
 * for, and what it says of the time is too early. */
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/registry/ids_parts.h"

#include <inttypes.h>

#define HEAD "busbridge-ids 1\n"

const char *ids_form_text(struct digest d, char out[FORM_TEXT]) {
  snprintf(out, FORM_TEXT, "%016" PRIx64 "%016" PRIx64, d.hi, d.lo);
  return out;
}

/* NULL: there is none. */
static struct slot *find(const struct ids *ids, const char *form, struct span subject) {
  struct buffer name = {0};
  buffer_printf(&name, "%s %.*s", form, SPAN_ARGS(subject));
  struct slot *slot = name.failed ? NULL : table_get(&ids->by_name, buffer_span(&name));
  buffer_release(&name);
  return slot;
}

static void recall_line(struct ids *ids, struct span line, char *room) {
  struct span w[5], id, time;
  char form[FORM_TEXT];
  uint64_t n, looked = 0;
  for (unsigned i = 0; i < 4; i++) {
    if (!span_word(&line, &w[i]) || !word_unescape(&w[i], room)) return;
    room += w[i].len;
  }
  if (!span_word(&line, &id) || !number_parse(id, INT32_MAX, &n)) return;
  if (span_word(&line, &time) && !number_parse(time, INT64_MAX, &looked)) return;
  if (!span_is(w[0], registry_shown(ids->clients[0]))) return;
  snprintf(form, sizeof form, "%.*s", SPAN_ARGS(w[3]));
  struct slot *slot = find(ids, form, w[2]);
  if (slot) slot->remembered = (int64_t)n;
  if (slot) slot->looked_us = looked ? (int64_t)looked : TIME_NONE;
  if (w[1].len < sizeof ids->cluster)
    snprintf(ids->cluster, sizeof ids->cluster, "%.*s", SPAN_ARGS(w[1]));
}

void ids_recall(struct ids *ids) {
  struct buffer text = {0};
  if (!ids->config.load || ids->config.load(ids->config.ctx, &text, NULL) != ST_OK) {
    buffer_release(&text);
    return;
  }
  struct span rest = buffer_span(&text);
  char *room = malloc(rest.len + 1);
  bool good = room && span_starts(rest, HEAD);
  for (const char *end; good && rest.len && (end = memchr(rest.ptr, '\n', rest.len));) {
    struct span line = {rest.ptr, (size_t)(end - rest.ptr)};
    rest = (struct span){end + 1, rest.len - line.len - 1};
    recall_line(ids, line, room);
  }
  free(room);
  buffer_release(&text);
}

static void write_slot(const struct ids *ids, const struct slot *slot, struct buffer *out) {
  char form[FORM_TEXT];
  const struct span words[] = {span_of(registry_shown(ids->clients[0])), span_of(ids->cluster),
                               span_of(slot->subject), span_of(ids_form_text(slot->form, form))};
  if (slot->remembered == SCHEMA_NO_ID) return;
  for (unsigned i = 0; i < 4; i++) {
    word_escape(out, words[i]);
    buffer_add_char(out, ' ');
  }
  buffer_printf(out, "%" PRId64, slot->remembered);
  if (slot->looked_us > 0) buffer_printf(out, " %" PRId64, slot->looked_us);
  buffer_add_char(out, '\n');
}

void ids_remember(struct ids *ids) {
  struct buffer text = {0};
  struct error err = {0};
  if (!ids->config.save) return;
  mutex_lock(&ids->lock);
  buffer_add_z(&text, HEAD);
  for (size_t i = 0; i < ids->count; i++) write_slot(ids, ids->slots[i], &text);
  ids->dirty = false;
  mutex_unlock(&ids->lock);
  enum status st = buffer_status(&text, &err);
  if (st == ST_OK) st = ids->config.save(ids->config.ctx, buffer_span(&text), &err);
  buffer_release(&text);
  if (st != ST_OK)
    log_write(ids->config.log, LOG_WARNING, "registry", "ids_not_kept",
              FIELDS(F_TEXT("error", err.text)),
              "The ids could not be remembered: a start while the registry is away would wait");
}
