/* store_ops.h - what a kind of outbox implements: each row of this table is the operation of
 * that name in store.h and the headers that it lists, and each is required.
 * Private to bridge/outbox. */
#ifndef BRIDGE_OUTBOX_STORE_OPS_H
#define BRIDGE_OUTBOX_STORE_OPS_H

#include "bridge/outbox/keys_due.h"
#include "bridge/outbox/survey.h"

struct manifest; /* manifest.h: the journal of batches */
struct manifest_name;

struct store { /* store.c, vitals.c */
  const struct store_ops *ops;
  void *impl;
  bool create, locked, begun, due;
  char *url, *shown;
};

struct store_ops {
  const char *scheme; /* of outbox.url: "memory" */
  struct store_traits traits;
  /* May be NULL, and then a pid is all that is known of who owns it. */
  bool (*owner)(const void *, struct store_owner *);
  /* May be NULL, and then nothing is known. */
  void (*vitals)(const void *, struct store_vitals *);
  /* May be NULL: nobody knows who waits. */
  void (*stand_by)(void *);
  size_t (*standbys)(const void *, struct store_owner[STORE_STANDBYS]);
  enum status (*prepare)(const char *address, struct store_preparation *, struct error *);
  enum status (*open)(const char *address, const struct store_options *, void **, struct error *);
  void (*close)(void *);
  const char *(*id)(const void *);
  enum status (*lock)(void *, int64_t, struct error *);
  int64_t (*holder)(const void *);
  enum status (*check)(void *, struct error *);
  enum status (*renew_id)(void *, struct error *);
  const char *(*note_name)(enum note);
  enum status (*note_read)(const void *, enum note, struct buffer *, struct error *);
  enum status (*note_write)(void *, enum note, struct span, struct error *);
  enum status (*note_remove)(void *, enum note, struct error *);
  const char *(*shelf_words)(enum shelf, struct span token);
  const char *(*dead_words)(const struct entry_ref *);
  void (*whereabouts)(const void *, enum shelf, const char *token, bool raw, struct buffer *);
  bool (*hinders_one)(const void *, const struct error *);
  const char *(*remedy)(int sys);
  uint64_t (*left)(const void *, int64_t now_us);
  void (*space)(const void *, struct store_space *);
  enum status (*writable)(const void *, struct error *);
  void (*examine)(void *, enum examination, struct examined *);
  uint64_t (*estimate)(const void *, unsigned);
  enum status (*audit)(void *, struct span, struct error *);
  enum status (*draft_begin)(void *, void **, struct error *);
  enum status (*draft_add)(void *, void *draft, struct span, struct error *);
  enum status (*draft_commit)(void *, void *draft, uint64_t *, struct error *);
  void (*draft_close)(void *, void *draft);
  enum status (*selections)(void *, uint64_t[SELECTIONS_MOST], size_t *, struct error *);
  enum status (*selection_size)(void *, uint64_t, uint64_t *, struct error *);
  enum status (*selection_read)(void *, uint64_t, uint64_t, size_t, struct buffer *,
                                struct error *);
  enum status (*selection_add)(void *, uint64_t, struct span, struct error *);
  enum status (*selection_remove)(void *, uint64_t, struct error *);
  enum status (*keys_due_open)(void *, size_t, struct error *);
  enum status (*keys_due_add)(void *, const struct key *, const bool *, size_t, uint64_t *,
                              struct error *);
  bool (*keys_due_has)(void *, struct span);
  uint64_t (*keys_due_count)(void *);
  enum status (*keys_due_read)(void *, struct key *, size_t, size_t *, struct error *);
  enum status (*keys_due_drop)(void *, struct error *);
  enum status (*begin)(void *, const struct store_config *, struct error *);
  enum status (*next)(void *, struct arena *, struct arena *, struct entry *, struct error *);
  enum status (*follow)(void *, struct error *);
  void (*wait)(void *, int64_t);
  void (*wake)(void *);
  uint64_t (*rescan)(void *);
  uint64_t (*rescan_settled)(void *);
  bool (*scanned)(void *, uint64_t);
  enum status (*settle)(void *, struct settling *, size_t, const struct manifest_name *,
                        enum closing *, struct error *);
  enum status (*sync)(void *, struct error *);
  void (*linger)(void *, const struct entry_ref *, bool on);
  void (*release)(void *, const struct entry_ref *);
  enum status (*aside)(void *, const struct entry_ref *, struct span, enum aside,
                       const struct failure *, const struct error *, struct error *);
  enum status (*aside_sync)(void *, struct error *);
  void (*aside_tend)(void *);
  enum status (*asides)(void *, size_t, store_aside_fn, void *, struct error *);
  enum status (*counts)(void *, bool oldest, struct store_counts *, struct error *);
  enum status (*list)(void *, unsigned, const struct store_range *, size_t, store_visit_fn, void *,
                      uint64_t *, struct error *);
  enum status (*find)(void *, unsigned, struct span, store_visit_fn, void *, uint64_t *,
                      struct error *);
  enum status (*look)(void *, enum shelf, const char *, store_visit_fn, void *, struct error *);
  enum status (*replay)(void *, enum shelf, const char *, struct error *);
  void (*replay_all)(void *, struct letter *, size_t, store_judge_fn, void *);
  void (*purge)(void *, struct letter *, size_t);
  enum status (*bytes)(void *, const char *, bool raw, uint64_t, size_t, struct buffer *,
                       uint64_t *, struct error *);
  enum status (*amend)(void *, const char *, int64_t when_us, struct span, struct error *);
  enum status (*bury)(void *, const struct burial *, struct buffer *label, struct error *);
  enum status (*emit)(void *, struct span storage_key, struct span text, struct buffer *label,
                      struct error *);
  enum status (*survey)(void *, size_t, store_survey_fn, void *, uint64_t *, struct error *);
  bool (*lies)(void *, const struct entry_ref *, struct span);
  enum status (*batch_write)(void *, struct manifest *, const char *nonce, struct error *);
  enum status (*batch_list)(void *, struct manifest_name **, size_t *, struct error *);
  enum status (*batch_read)(void *, const struct manifest_name *, struct manifest *,
                            struct error *);
  enum status (*batch_names)(void *, const struct span *, size_t, bool *, struct error *);
  enum status (*batch_settle)(void *, const struct manifest_name *, struct error *);
  enum status (*batch_remove)(void *, const struct manifest_name *, struct error *);
};
extern const struct store_ops store_file_ops, store_memory_ops, store_sqlite_ops, store_polled_ops,
    store_postgresql_ops, store_postgres_ops; /* of the two names that libpq knows */

#endif
