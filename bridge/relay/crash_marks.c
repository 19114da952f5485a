/* The mapped file .busbridge/hands: reader and publisher note what they work on, and the handler of
 * a crash marks it, touching only memory. The mark is what a crash leaves to the next start; a
 * crash while the file is made anew leaves the old one.
 * Two threads, each its slot. */
#include "bridge/relay/crash_marks.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/table.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define MARKS_FILE "hands"
#define STACK_BYTES (64 * 1024) /* the kernel's own frame is up to 11 KiB (AMX) */

/* In the machine's own byte order: a file of another machine is not recognised and begins anew. */
struct marks_file {
  char magic[12];
  uint32_t version;
  struct crash_mark slots[CRASH_SLOTS]; /* marked by the handler */
  struct crash_mark
      suspects[CRASH_SUSPECTS]; /* the oldest first; times = 0: free, and so are all behind it */
};
static const char magic[12] = "busbridge-h"; /* NUL at the end */
enum { VERSION = 1 };

struct taken {
  struct crash_mark mark;
  struct crash_mark *record;             /* its place in the file */
  const struct crash_marks *crash_marks; /* for the times it was marked before */
  void *stack;
};

struct crash_marks {
  struct marks_file *file; /* mapped */
  struct taken taken[CRASH_SLOTS];
  struct mutex lock;
  struct crash_mark suspects[CRASH_SUSPECTS]; /* lock: as in the file */
  _Atomic unsigned count;                     /* changed under the lock */
};

/* What this thread has in mark. A signal handler is given nothing of ours, so it has to be a
 * global, one a thread. */
static _Thread_local struct taken *volatile in_hand;

/* ---- the table ---- */

/* As it is kept: of a longer one the beginning, and a digest of the whole. */
static struct span kept(struct span token, char longer[CRASH_TOKEN]) {
  enum { DIGEST = 1 + 2 * 16, BEGINNING = CRASH_TOKEN - 1 - DIGEST };
  if (token.len < CRASH_TOKEN) return token;
  struct digest d = digest_fixed(token);
  memcpy(longer, token.ptr, BEGINNING);
  snprintf(longer + BEGINNING, DIGEST + 1, "~%016llx%016llx", (unsigned long long)d.hi,
           (unsigned long long)d.lo);
  return span_of(longer);
}

static void mark_set(struct crash_mark *mark, struct span token) {
  char longer[CRASH_TOKEN];
  token = kept(token, longer);
  if (token.len) memcpy(mark->token, token.ptr, token.len);
  mark->token[token.len] = '\0';
}

/* token: as it is kept */
static bool mark_is(const struct crash_mark *mark, struct span token) {
  return strlen(mark->token) == token.len &&
         (!token.len || memcmp(mark->token, token.ptr, token.len) == 0);
}

static struct crash_mark *find_suspect(struct crash_mark *suspects, unsigned count,
                                       struct span token) {
  char longer[CRASH_TOKEN];
  token = kept(token, longer);
  for (unsigned i = 0; i < count; i++)
    if (mark_is(&suspects[i], token)) return &suspects[i];
  return NULL;
}

static void remove_at(struct crash_mark *suspects, unsigned *count, struct crash_mark *at) {
  struct crash_mark *last = &suspects[*count - 1];
  memmove(at, at + 1, (size_t)(last - at) * sizeof *at);
  memset(last, 0, sizeof *last);
  (*count)--;
}

static void add_mark(struct crash_mark *suspects, unsigned *count,
                     const struct crash_mark *marked) {
  struct crash_mark *known = find_suspect(suspects, *count, span_of(marked->token));
  if (known) {
    if (known->times < UINT32_MAX) known->times++;
    return;
  }
  if (*count == CRASH_SUSPECTS) remove_at(suspects, count, suspects);
  suspects[*count] = *marked;
  suspects[(*count)++].times = 1;
}

/* ---- opening ---- */

static bool usable(const struct crash_mark *mark) {
  return mark->times && mark->folder <= 1 && memchr(mark->token, '\0', CRASH_TOKEN);
}

/* As this release writes it. */
static struct crash_mark today(const struct crash_mark *old) {
  struct crash_mark mark = {.times = old->times};
  char token[CRASH_TOKEN + sizeof "pending/"];
  snprintf(token, sizeof token, "%s%s", old->folder ? "pending/" : "", old->token);
  mark_set(&mark, span_of(token));
  return mark;
}

/* Outside bytes: what is not a record is passed over. The marks of the slots go into the table;
 * true when there were any, or the table was not as we write it. */
static bool collect(struct marks_file *file, unsigned *count) {
  struct marks_file old = *file;
  memset(file, 0, sizeof *file);
  memcpy(file->magic, magic, sizeof magic);
  file->version = VERSION;
  for (unsigned i = 0; i < CRASH_SUSPECTS; i++)
    if (usable(&old.suspects[i])) file->suspects[(*count)++] = today(&old.suspects[i]);
  for (unsigned i = 0; i < CRASH_SLOTS; i++)
    if (usable(&old.slots[i])) {
      const struct crash_mark marked = today(&old.slots[i]);
      add_mark(file->suspects, count, &marked);
    }
  return memcmp(&old, file, sizeof old) != 0;
}

/* false: there is none, or none that can be used; file is all zeros. */
static enum status load_marks(int folder, struct marks_file *file, bool *found, struct error *err) {
  struct buffer text = {0};
  enum status st = file_read(folder, MARKS_FILE, sizeof *file, &text, err);
  *found = st == ST_OK && text.len == sizeof *file;
  if (*found) memcpy(file, text.ptr, sizeof *file);
  *found = *found && memcmp(file->magic, magic, sizeof magic) == 0 && file->version == VERSION;
  if (!*found) memset(file, 0, sizeof *file);
  buffer_release(&text);
  return st == ST_NO_MEMORY || st == ST_NO_SPACE ? st : ST_OK;
}

static enum status map(struct crash_marks *h, int folder, struct error *err) {
  struct stat st;
  int fd = openat(folder, MARKS_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s", MARKS_FILE);
  void *at = MAP_FAILED;
  int e = EINVAL;
  if (fstat(fd, &st) < 0)
    e = errno;
  else if (S_ISREG(st.st_mode) && (size_t)st.st_size == sizeof *h->file) {
    at = mmap(NULL, sizeof *h->file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    e = errno;
  }
  close(fd);
  if (at == MAP_FAILED) return error_sys(err, e, "mapping %s", MARKS_FILE);
  h->file = at;
  return ST_OK;
}

/* Written whole and moved over the old one only when there is something new to keep, so that a full
 * disk does not stop a start. A crash in between leaves the old file with its marks. */
static enum status prepare_marks(struct crash_marks *h, int folder, int tmp, struct error *err) {
  struct marks_file file;
  unsigned count = 0;
  bool found;
  enum status st = load_marks(folder, &file, &found, err);
  if (st != ST_OK) return st;
  bool changed = collect(&file, &count);
  if (!found || changed)
    st = durable_replace(tmp, folder, MARKS_FILE, (struct span){(const char *)&file, sizeof file},
                         err);
  if (st != ST_OK) return st;
  memcpy(h->suspects, file.suspects, sizeof h->suspects);
  h->count = count;
  return map(h, folder, err);
}

enum status crash_marks_open(int folder, int tmp, struct crash_marks **out, struct error *err) {
  *out = NULL;
  struct crash_marks *h = calloc(1, sizeof *h);
  if (!h) return error_set(err, ST_NO_MEMORY, "out of memory");
  mutex_init(&h->lock);
  enum status st = prepare_marks(h, folder, tmp, err);
  if (st != ST_OK) {
    crash_marks_close(h);
    return st;
  }
  for (int i = 0; i < CRASH_SLOTS; i++) {
    h->taken[i].record = &h->file->slots[i];
    h->taken[i].crash_marks = h;
  }
  *out = h;
  return ST_OK;
}

void crash_marks_close(struct crash_marks *h) {
  if (!h) return;
  if (h->file) munmap(h->file, sizeof *h->file);
  for (int i = 0; i < CRASH_SLOTS; i++) free(h->taken[i].stack);
  mutex_destroy(&h->lock);
  free(h);
}

/* ---- the threads of the slots ---- */

enum status crash_marks_enter(struct crash_marks *h, enum crash_slot slot, struct error *err) {
  stack_t old;
  if (!h) return ST_OK;
  /* Sanitizers bring one to each thread, and want it back at its end. */
  if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE)) return ST_OK;
  struct taken *t = &h->taken[slot];
  if (!t->stack) t->stack = malloc(STACK_BYTES);
  if (!t->stack)
    return error_set(err, ST_NO_MEMORY, "out of memory for the stack of the crash handler");
  stack_t ours = {.ss_sp = t->stack, .ss_size = STACK_BYTES};
  if (sigaltstack(&ours, NULL) < 0)
    return error_sys(err, errno, "setting the stack of the crash handler");
  return ST_OK;
}

void crash_marks_leave(struct crash_marks *h, enum crash_slot slot) {
  stack_t now;
  if (!h) return;
  crash_marks_drop(h, slot);
  if (sigaltstack(NULL, &now) < 0 || (now.ss_flags & SS_DISABLE) ||
      now.ss_sp != h->taken[slot].stack)
    return;
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
}

/* The handler runs in this thread, between any two instructions: nothing is in hand while the text
 * changes. */
void crash_marks_take(struct crash_marks *h, enum crash_slot slot, struct span token) {
  if (!h) return;
  struct taken *t = &h->taken[slot];
  in_hand = NULL;
  atomic_signal_fence(memory_order_seq_cst);
  mark_set(&t->mark, token);
  atomic_signal_fence(memory_order_seq_cst);
  in_hand = t;
}

void crash_marks_drop(struct crash_marks *h, enum crash_slot slot) {
  if (h && in_hand == &h->taken[slot]) in_hand = NULL;
}

/* Only memory is touched. If the page of the file cannot be written the kernel ends the process
 * here, since the handler runs with SIGBUS blocked: then it is not marked, and gets one try more.
 */
const struct crash_mark *crash_marks_add(void) {
  struct taken *t = in_hand;
  if (!t) return NULL;
  memcpy(t->record->token, t->mark.token, CRASH_TOKEN);
  atomic_signal_fence(memory_order_seq_cst);
  t->record->times = 1;
  t->mark.times = 1;
  for (unsigned i = 0; i < CRASH_SUSPECTS;
       i++) /* without the lock: at worst the words about it are wrong */
    if (mark_is(&t->crash_marks->suspects[i], span_of(t->mark.token)))
      t->mark.times += t->crash_marks->suspects[i].times;
  return &t->mark;
}

/* ---- suspects ---- */

unsigned crash_marks_suspected(struct crash_marks *h, struct span token) {
  if (!h || !h->count) return 0;
  mutex_lock(&h->lock);
  const struct crash_mark *known = find_suspect(h->suspects, h->count, token);
  unsigned times = known ? known->times : 0;
  mutex_unlock(&h->lock);
  return times;
}

void crash_marks_clear(struct crash_marks *h, struct span token) {
  if (!h || !h->count) return;
  mutex_lock(&h->lock);
  unsigned count = h->count;
  struct crash_mark *known = find_suspect(h->suspects, count, token);
  if (known) {
    remove_at(h->suspects, &count, known);
    h->count = count;
    memcpy(h->file->suspects, h->suspects, sizeof h->suspects);
  }
  mutex_unlock(&h->lock);
}
