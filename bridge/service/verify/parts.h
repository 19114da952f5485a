/* parts.h - what the files of verify share: what has been read so far, and the findings. Private to
 * bridge/service.
 *
 * To add a check: a function that ends in verify_found (and verify_next), a line in verify.c's
 * order or in that of its file, a row in the table of busbridge(1), a lie in tests/unit/test.c that
 * makes it fail.
 */
#ifndef BRIDGE_SERVICE_VERIFY_PARTS_H
#define BRIDGE_SERVICE_VERIFY_PARTS_H

#include "bridge/base/table.h"
#include "bridge/outbox/manifest.h"
#include "bridge/service/parts.h"
#include "bridge/service/report.h"
#include "bridge/service/verify/verify.h"

#define VERIFY_SUSPECTS 1000 /* kept, to be looked at once more */
#define VERIFY_KEYS 500      /* ids asked of Redis at a time */

struct verify_batch { /* committed, its manifest is here */
  struct manifest manifest;
  bool settled;
  int64_t written_ms;
};
struct verify_id { /* of a batch */
  const struct manifest_entry *entry;
  const struct verify_batch *batch;
  uint64_t seen; /* records with it in its topic */
};

/* What looks wrong: all are counted, the first are kept. */
struct suspects {
  uint64_t count;
  struct arena arena;
  struct suspect {
    struct span id, place; /* place: a path, or topic/partition/offset */
  } at[VERIFY_SUSPECTS];
  size_t kept;
};

struct verify {
  const struct verify_request *request;
  struct service *s; /* INSPECT */
  int64_t holder;    /* of the outbox's lock: 0 nobody */
  struct keys *keys; /* with keys-due; NULL: not asked */
  bool keys_away;
  struct cluster *cluster; /* NULL: not asked */
  bool kafka_away;
  struct position position;
  struct verify_batch *batches; /* the chain back from the position, newest first */
  size_t batch_count;
  struct table batch_ids; /* id -> struct verify_id */
  struct arena arena;     /* theirs */
  /* of the last survey */
  struct digest_set pending, dead; /* ids */
  uint64_t pending_count, dead_count, left_out;
  struct suspects known; /* pending ids that Redis knows; place: where their twin lies */
  struct report found;
};

void verify_found(struct verify *v, const char *check, enum report_verdict verdict, const char *fmt,
                  ...) PRINTF_LIKE(4, 5);
void verify_next(struct verify *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A moment, before what looked wrong is looked at again. */
void verify_pause(const struct verify *v);
/* Anew: what waits in keys-due is read then. Sets keys_away. */
void verify_open_keys(struct verify *v);
/* seen[i]: Redis or keys-due knows ids[i]. False: it cannot be asked; keys_away is set. */
bool verify_keys_known(struct verify *v, const struct span *ids, size_t count, bool *seen,
                       struct span *place, struct arena *arena);
/* "4 ids: a, b, c, ..." needs: the first few, printable. */
void verify_samples(const struct suspects *s, bool ids, struct buffer *out);
void suspects_add(struct suspects *s, struct span id, struct span place);
void suspects_clear(struct suspects *s);

/* ledger.c: fills position, batches, batch_ids */
void verify_ledger(struct verify *v);
/* outbox.c: fills what the survey tells */
void verify_outbox(struct verify *v);
MUST_CHECK enum status verify_survey(struct verify *v,
                                     struct error *err); /* pending and dead, anew */
/* keys.c */
void verify_keys(struct verify *v);
/* topics.c */
void verify_topics(struct verify *v);
/* account.c */
void verify_account(struct verify *v);

#endif
