/* The note of what a database had lost when it went back: "<microseconds> <batches> <published>
 * <lost>" in one line, and the ids of the lost in the next.
 * Any thread reads, the owner writes; a crash leaves the old note or the new one. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/store.h"

static bool take_number(struct span *rest, uint64_t *out) {
  struct span word;
  return span_word(rest, &word) && number_parse(word, INT64_MAX, out);
}

enum status store_loss_read(const struct store *s, struct store_loss *out, struct buffer *text,
                            struct error *err) {
  uint64_t at_us;
  *out = (struct store_loss){0};
  enum status st = store_note_read(s, NOTE_WENT_BACK, text, err);
  if (st != ST_OK) return st;
  struct span rest = buffer_span(text), head = span_until(&rest, '\n');
  if (!take_number(&head, &at_us) || !take_number(&head, &out->batches) ||
      !take_number(&head, &out->published) || !take_number(&head, &out->lost))
    return error_set(err, ST_INVALID, "%s/%s does not tell what was lost: remove it", store_name(s),
                     store_note_name(s, NOTE_WENT_BACK));
  out->at_us = (int64_t)at_us;
  out->ids = span_trim(rest);
  return ST_OK;
}

enum status store_loss_write(struct store *s, const struct store_loss *loss, struct error *err) {
  struct buffer text = {0};
  buffer_printf(&text, "%lld %llu %llu %llu\n", (long long)loss->at_us,
                (unsigned long long)loss->batches, (unsigned long long)loss->published,
                (unsigned long long)loss->lost);
  buffer_add(&text, loss->ids);
  buffer_add_char(&text, '\n');
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = store_note_write(s, NOTE_WENT_BACK, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}
