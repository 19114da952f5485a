/* notes.h - small texts that belong to an outbox, each replaced whole: part of the contract of a
 * store (store.h).
 *
 * Any thread reads, only the owner writes. Durable when writing and removing return ST_OK; else the
 * old one or the new one is there.
 */
#ifndef BRIDGE_OUTBOX_NOTES_H
#define BRIDGE_OUTBOX_NOTES_H

#include "bridge/base/span.h"
#include "bridge/base/status.h"

enum note {
  NOTE_CLUSTER,  /* id of the Kafka cluster that it belongs to */
  NOTE_LEDGER,   /* see store_ledger */
  NOTE_HOLDS,    /* dead letters that hold their keys: bridge/relay/held_keys/holds.h */
  NOTE_ORDER,    /* topics and key rules of the last start: bridge/service/changes/order_rules.h */
  NOTE_SCHEMAS,  /* the schemas of the last start: bridge/service/changes/last_schemas.h */
  NOTE_PAUSE,    /* see store_pause */
  NOTE_IDS,      /* ids of a schema registry: bridge/registry/ids.h */
  NOTE_WENT_BACK /* what the database had lost when it went back: see store_loss */
};
#define NOTES 8
#define NOTE_MOST (64 * 1024 * 1024) /* bytes; a larger one is not read */

const char *note_word(enum note note); /* by which a kind keeps it. Static */

struct store;
/* What people know it by, behind store_name and "/". */
const char *store_note_name(const struct store *s, enum note note);
/* Appends it to out. ST_NOT_FOUND: there is none. On any other failure err names it. */
MUST_CHECK enum status store_note_read(const struct store *s, enum note note, struct buffer *out,
                                       struct error *err);
MUST_CHECK enum status store_note_write(struct store *s, enum note note, struct span text,
                                        struct error *err);
/* ST_NOT_FOUND: there was none. */
MUST_CHECK enum status store_note_remove(struct store *s, enum note note, struct error *err);

/* ---- the pause: while there is one nothing is published (paused.c) */
struct store_pause {
  bool on;
  int64_t since_us;          /* TIME_NONE: not known */
  char by[100], reason[400]; /* UTF-8; "": not told */
};
/* What cannot be read or understood is a pause too, and its reason says so. */
void store_pause_read(const struct store *s, struct store_pause *out);
MUST_CHECK enum status store_pause_write(struct store *s, const struct store_pause *pause,
                                         struct error *err);
/* ST_NOT_FOUND: there was none. */
MUST_CHECK enum status store_pause_remove(struct store *s, struct error *err);

/* ---- the ledger that its position was last committed in (remembered.c). An outbox of 0.1.0 has
 * none. */
struct store_ledger {
  char topic[250], group[100];
};
/* ST_NOT_FOUND: it remembers none. ST_INVALID: damaged; err says what to do. */
MUST_CHECK enum status store_ledger_read(const struct store *s, struct store_ledger *out,
                                         struct error *err);
MUST_CHECK enum status store_ledger_write(struct store *s, const struct store_ledger *ledger,
                                          struct error *err);

/* ---- what a database had lost when it went back last, and what became of it (loss.c) */
struct store_loss {
  int64_t at_us;
  uint64_t batches;   /* lists of batches that it lost */
  uint64_t published; /* of its entries so many were published already, and were settled */
  uint64_t lost;      /* events that Kafka has and it lost */
  struct span ids;    /* of these, one blank between; of many not all */
};
/* ids lie in text. ST_NOT_FOUND: it never did. ST_INVALID: damaged. */
MUST_CHECK enum status store_loss_read(const struct store *s, struct store_loss *out,
                                       struct buffer *text, struct error *err);
MUST_CHECK enum status store_loss_write(struct store *s, const struct store_loss *loss,
                                        struct error *err);

#endif
