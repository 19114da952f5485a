/* errors.c - the outbox refuses. On the disk each call is asked about (bridge/base/disk/durable.h,
 * and openat for reading); in memory each operation of that kind which would reach a disk: the
 * linker puts those below in front of it. */
#include "tests/simulate/errors.h"

#include "bridge/outbox/memory/memory.h"
#include "tests/simulate/life.h"

#include <errno.h>

#define OP(what) (1u << DURABLE_##what)
#define ALL_OPS ((1u << (DURABLE_TRUNCATE + 1)) - 1)
#define MAKES (OP(OPEN) | OP(WRITE) | OP(MKDIR) | OP(LINK))
#define NAMES (OP(OPEN) | OP(RENAME) | OP(UNLINK) | OP(LINK) | OP(MKDIR))

enum { GROUPS = 64 };

/* error 0: it only takes its time; percent 0: drawn; after: now and then the call is made, and
 * fails all the same; one: of one entry alone, which only the disk can refuse by itself. */
static const struct trouble {
  const char *words;
  int error;
  unsigned what, percent;
  bool after, one;
  enum reached reached;
} troubles[] = {
    {"is full", ENOSPC, MAKES, 100, false, false, REACHED_FULL},
    {"is nearly full", ENOSPC, MAKES, 0, false, false, REACHED_FULL},
    {"has no quota left", EDQUOT, MAKES, 100, false, false, REACHED_FULL},
    {"is bad", EIO, ALL_OPS | ERRORS_READ, 0, true, false, REACHED_BAD},
    {"is gone bad", EIO, ALL_OPS | ERRORS_READ, 100, false, false, REACHED_BAD},
    {"cannot be synced", EIO, OP(FSYNC), 0, true, false, REACHED_UNSYNCED},
    {"is read-only", EROFS, ALL_OPS, 100, false, false, REACHED_READ_ONLY},
    {"is somebody else's", EACCES, NAMES, 100, false, false, REACHED_DENIED},
    {"is somebody else's now and then", EACCES, NAMES | ERRORS_READ, 0, false, false,
     REACHED_DENIED},
    {"is slow", 0, ALL_OPS, 0, false, false, REACHED_SLOW},
    {"cannot be read", EIO, ERRORS_READ, 0, false, false, REACHED_UNREADABLE},
    {"finds no descriptor free", EMFILE, OP(OPEN) | ERRORS_READ, 0, false, false,
     REACHED_UNREADABLE},
    {"keeps one entry as it is", EPERM, OP(RENAME) | OP(UNLINK) | OP(LINK), 100, false, true,
     REACHED_ONE},
};
enum { TROUBLES = sizeof troubles / sizeof *troubles, OF_ONE = 1 };

static struct {
  const struct trouble *t; /* NULL: none */
  unsigned percent;
  int64_t until_ns;
  const char *from; /* it begins when this is named */
  char one[80];
} now;
static bool met[GROUPS];

void errors_end(void) {
  now.t = NULL;
}

void errors_forget(void) {
  errors_end();
  memset(met, 0, sizeof met);
}

void errors_draw(bool on_disk, const char *one) {
  static const char *const from[] = {"gone-", "batch-", "settled-", ".tmp", ".json"};
  now.t = &troubles[sim_below((size_t)TROUBLES - (one ? 0 : OF_ONE))];
  if (one && sim_chance(25)) now.t = &troubles[TROUBLES - 1];
  now.percent = now.t->percent ? now.t->percent : 2 + (unsigned)sim_below(60);
  now.until_ns = sim_now_ns() + (int64_t)sim_below(sim_chance(20) ? 30 * SECOND_NS : 4 * SECOND_NS);
  now.from = on_disk && sim_chance(50) ? from[sim_below(sizeof from / sizeof *from)] : NULL;
  snprintf(now.one, sizeof now.one, "%s", one && now.t->one ? one : "");
  sim_say("the disk %s%s%s%s%s", now.t->words, *now.one ? ": " : "", now.one,
          now.from ? ", from the next change on of " : "", now.from ? now.from : "");
}

void errors_slow(void) {
  static const struct trouble slow = {"is very slow", 0,     ALL_OPS | ERRORS_READ, 0,
                                      false,          false, REACHED_SLOW};
  now.t = &slow;
  now.percent = 30;
  now.until_ns = sim_now_ns() + 30 * SECOND_NS;
  now.from = NULL;
  now.one[0] = '\0';
  sim_say("the disk %s", slow.words);
}

/* One that cannot be read holds up no other, of its key neither, which nobody knows. */
static void pass_over(const char *name) {
  for (size_t i = 0; i < life.event_count; i++)
    if (strstr(name, name_of(&life.events[i]))) life.events[i].passed_over = true;
}

int errors_at(unsigned what, const char *name, bool after) {
  int group = sim_group();
  const struct trouble *t = now.t;
  if (!t || !group || group == PRODUCER || !(t->what & what) || sim_now_ns() >= now.until_ns)
    return 0;
  if (now.from && !strstr(name, now.from)) return 0;
  now.from = NULL;
  if (t->one && strcmp(name, now.one) != 0) return 0;
  if (after && (!t->after || !sim_chance(20))) return 0;
  if (!sim_chance(now.percent)) return 0;
  reach(t->reached);
  if (!t->error) sim_sleep_ns((int64_t)sim_below(SECOND_NS / 2)); /* others of its process go on */
  if (!t->error) return 0;
  if (group < GROUPS) met[group] = true;
  if (what == ERRORS_READ) pass_over(name);
  return t->error;
}

bool errors_met(int group) {
  return group < GROUPS && met[group];
}

/* ---- the kind in memory ---- */

static enum status refused(unsigned what, const char *name, struct error *err) {
  int e = errors_at(what, name, false);
  return e ? error_sys(err, e, "%s", name) : ST_OK;
}

/* otherwise: what its out parameters are then. */
#define IN_FRONT_OF(call, parameters, arguments, what, otherwise)                                  \
  enum status __real_##call parameters;                                                            \
  enum status __wrap_##call parameters;                                                            \
  enum status __wrap_##call parameters {                                                           \
    enum status st = refused(what, #call, err);                                                    \
    if (st == ST_OK) return __real_##call arguments;                                               \
    otherwise;                                                                                     \
    return st;                                                                                     \
  }
#define IN_FRONT(call, parameters, arguments, what)                                                \
  IN_FRONT_OF(call, parameters, arguments, what, (void)0)

IN_FRONT(memory_sync, (void *impl, struct error *err), (impl, err), OP(FSYNC))
IN_FRONT(memory_aside_sync, (void *impl, struct error *err), (impl, err), OP(FSYNC))
IN_FRONT(memory_check, (void *impl, struct error *err), (impl, err), ERRORS_READ)
IN_FRONT(memory_note_read,
         (const void *impl, enum note note, struct buffer *out, struct error *err),
         (impl, note, out, err), ERRORS_READ)
IN_FRONT(memory_note_write, (void *impl, enum note note, struct span text, struct error *err),
         (impl, note, text, err), OP(WRITE))
IN_FRONT(memory_batch_write, (void *impl, struct manifest *m, const char *nonce, struct error *err),
         (impl, m, nonce, err), OP(OPEN) | OP(FSYNC))
IN_FRONT_OF(memory_batch_list,
            (void *impl, struct manifest_name **list, size_t *count, struct error *err),
            (impl, list, count, err), ERRORS_READ, (*list = NULL, *count = 0))
IN_FRONT_OF(memory_batch_read,
            (void *impl, const struct manifest_name *name, struct manifest *out, struct error *err),
            (impl, name, out, err), ERRORS_READ, *out = (struct manifest){0})
IN_FRONT(memory_batch_settle, (void *impl, const struct manifest_name *name, struct error *err),
         (impl, name, err), OP(RENAME))
IN_FRONT(memory_batch_remove, (void *impl, const struct manifest_name *name, struct error *err),
         (impl, name, err), OP(UNLINK))

enum status __real_memory_settle(void *impl, struct settling *rows, size_t count,
                                 const struct manifest_name *closes, enum closing *closing,
                                 struct error *err);
enum status __wrap_memory_settle(void *impl, struct settling *rows, size_t count,
                                 const struct manifest_name *closes, enum closing *closing,
                                 struct error *err);
/* Each row by itself, then the batch's record. */
enum status __wrap_memory_settle(void *impl, struct settling *rows, size_t count,
                                 const struct manifest_name *closes, enum closing *closing,
                                 struct error *err) {
  bool stays = false;
  for (size_t i = 0; i < count; i++) {
    unsigned what = rows[i].fate == FATE_DONE ? OP(RENAME) : OP(WRITE) | OP(RENAME);
    rows[i].status = refused(what, "a row", &rows[i].error);
    enum status st = ST_OK;
    if (rows[i].status == ST_OK) st = __real_memory_settle(impl, &rows[i], 1, NULL, closing, err);
    if (st == ST_BUSY) return __real_memory_settle(impl, rows + i, count - i, NULL, closing, err);
    stays |= rows[i].status != ST_OK;
  }
  if (stays) return error_set(err, ST_AGAIN, "some stay in hand");
  if (!closes) return ST_OK;
  enum status st = refused(OP(FSYNC), "the removals", err);
  if (st != ST_OK) *closing = CLOSING_UNSYNCED;
  if (st != ST_OK) return st;
  st = refused(OP(RENAME), "a batch's record", err);
  if (st != ST_OK) *closing = CLOSING_DURABLE;
  return st == ST_OK ? __real_memory_settle(impl, rows, 0, closes, closing, err) : st;
}

/* On the disk it finds by itself what cannot be read. */
enum status __real_store_next(struct store *s, struct arena *keep, struct arena *scratch,
                              struct entry *out, struct error *err);
enum status __wrap_store_next(struct store *s, struct arena *keep, struct arena *scratch,
                              struct entry *out, struct error *err);
enum status __wrap_store_next(struct store *s, struct arena *keep, struct arena *scratch,
                              struct entry *out, struct error *err) {
  enum status st = life.on_disk ? ST_OK : refused(ERRORS_READ, "store_next", err);
  return st == ST_OK ? __real_store_next(s, keep, scratch, out, err) : st;
}
