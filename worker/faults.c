/* Fault points for tests/crash and tests/chaos; compiled in by -DBUSBRIDGE_FAULTS=ON alone (preset
 * `faults`).
 *
 * Every durable call, every step towards Kafka (relay_set_hook), every statement that may change an
 * outbox in SQLite and every statement to PostgreSQL gets the next number, whatever thread makes
 * it. The environment says what happens there: BUSBRIDGE_COUNT_FILE=FILE        one line "N what
 * name" is appended for each BUSBRIDGE_CRASH_AT=N or N+       the process ends (137, as after kill
 * -9) before the N-th call, or after it BUSBRIDGE_STOP_AT=N or N+        it stops itself there
 * (SIGSTOP) until somebody sends SIGCONT BUSBRIDGE_HANG_AT=N or N+        that thread stays there
 * for ever, the others go on BUSBRIDGE_FAIL_AT=N:ERRNO        the N-th durable call fails with that
 * number or name without being made BUSBRIDGE_FAIL_AT=N:ERRNO:every  and so does each one after it
 *   BUSBRIDGE_POISON=NAME:reader|publisher:segv|abort|hang
 *                                    that thread crashes, or stays for ever, when it takes an entry
 *                                    in hand whose file name holds NAME
 *
 * For N an operation may stand, and the part of a name: "fsync/folder:3" is the third call fsync
 * whose name holds "folder", "point/before_commit:1" the first commit, "sql/busbridge_batch:2" the
 * second statement whose text has that. A statement of SQLite that fails was not made (but for a
 * COMMIT that fails after it, N+) and answers as SQLite does for that number (ENOSPC: full); one to
 * PostgreSQL finds its connection cut, before it is sent, or when the server has answered and
 * nobody has read it (N+). The end is _exit: nothing is flushed, no lock given back early.
 */
#include "bridge/base/disk/durable.h"
#include "bridge/relay/crash_marks.h"
#include "bridge/relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { POINT = DURABLE_TRUNCATE + 1, STATEMENT };
static const char *const words[] = {
    [DURABLE_OPEN] = "open",     [DURABLE_WRITE] = "write",   [DURABLE_FSYNC] = "fsync",
    [DURABLE_RENAME] = "rename", [DURABLE_UNLINK] = "unlink", [DURABLE_LINK] = "link",
    [DURABLE_MKDIR] = "mkdir",   [DURABLE_TIMES] = "times",   [DURABLE_TRUNCATE] = "truncate",
    [POINT] = "point",           [STATEMENT] = "sql"};

/* Where something shall happen: the number-th call of those that match. */
struct trigger {
  bool set, after, every;
  char what[16], name[64]; /* empty: any */
  unsigned number;
  int code;
  atomic_uint seen;
};
static struct trigger crash_at, stop_at, hang_at, fail_at;
static atomic_uint calls;
static int count_fd = -1;
static _Thread_local bool reached[4]; /* by the call under way: what its `after` half must know */
static _Thread_local bool
    under_way; /* a call that failed has no `after` half: the thread's next call makes up for it */

static int code_of(const char *word) {
  static const struct {
    const char *word;
    int code;
  } codes[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
               {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EEXIST", EEXIST}, {"ENOENT", ENOENT}};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (!strcmp(codes[i].word, word)) return codes[i].code;
  int code = (int)strtol(word, NULL, 10);
  return code > 0 ? code : EIO;
}

static void fail_setting(const char *variable) {
  fprintf(stderr, "faults: %s is not understood\n", variable);
  _exit(2);
}

/* [what[/name]:]N[+][:ERRNO[:every]] */
static void read_trigger(const char *variable, struct trigger *p) {
  const char *text = getenv(variable);
  if (!text || !*text) return;
  char copy[128], *rest = copy, *end;
  snprintf(copy, sizeof copy, "%s", text);
  if (*rest < '0' || *rest > '9') {
    char *what = strsep(&rest, ":"), *word = strsep(&what, "/");
    snprintf(p->what, sizeof p->what, "%s", word);
    snprintf(p->name, sizeof p->name, "%s", what ? what : "");
  }
  if (!rest) fail_setting(variable);
  p->number = (unsigned)strtoul(rest, &end, 10);
  p->after = *end == '+';
  end += p->after;
  if (!p->number || (*end && *end != ':')) fail_setting(variable);
  rest = *end ? end + 1 : NULL;
  char *code = rest ? strsep(&rest, ":") : NULL;
  p->code = code ? code_of(code) : EIO;
  p->every = rest && !strcmp(rest, "every");
  p->set = true;
}

static bool matches(const struct trigger *p, unsigned what, const char *name) {
  return (!*p->what || !strcmp(p->what, words[what])) && (!*p->name || strstr(name, p->name));
}

/* Counts this call for p: is it the one? */
static bool arrives(struct trigger *p, unsigned what, const char *name) {
  if (!p->set || !matches(p, what, name)) return false;
  unsigned n = atomic_fetch_add(&p->seen, 1) + 1;
  return n == p->number || (p->every && n > p->number);
}

static void tell_fault(unsigned what, const char *name) {
  char line[400];
  unsigned n = atomic_fetch_add(&calls, 1) + 1;
  if (count_fd < 0) return;
  int len = snprintf(line, sizeof line, "%u %s %.300s\n", n, words[what], name);
  if (write(count_fd, line, (size_t)len) != len) _exit(2);
}

static void hang(void) {
  for (;;) pause();
}

/* Here something may end, stop or hang. */
static void happen(bool after) {
  if (reached[3] && hang_at.after == after) hang();
  if (reached[1] && stop_at.after == after) raise(SIGSTOP);
  if (reached[0] && crash_at.after == after) _exit(137);
}

static int reach(unsigned what, const char *name, bool after) {
  if (!after) {
    if (under_way) happen(true);
    tell_fault(what, name);
    reached[0] = arrives(&crash_at, what, name);
    reached[1] = arrives(&stop_at, what, name);
    reached[2] = arrives(&fail_at, what, name);
    reached[3] = arrives(&hang_at, what, name);
  }
  under_way = !after;
  happen(after);
  return reached[2] && fail_at.after == after ? fail_at.code : 0;
}

static int on_durable(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  return reach(op, name, after);
}

static void on_point(void *ctx, const char *point) {
  (void)ctx;
  reach(POINT, point, false);
  reach(POINT, point, true);
}

/* ---- statements: the linker puts these in front of the libraries' own (--wrap) ---- */

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

static int code_of_sqlite(int code) {
  switch (code) {
  case ENOSPC:
  case EDQUOT: return SQLITE_FULL;
  case EROFS: return SQLITE_READONLY;
  case EACCES: return SQLITE_PERM;
  case EMFILE: return SQLITE_CANTOPEN;
  default: return SQLITE_IOERR;
  }
}

static void statement_name(const char *sql, char *out, size_t size) {
  snprintf(out, size, "%s", sql);
  for (char *at = out; (at = strpbrk(at, "\n\t"));) *at = ' ';
}

int __wrap_sqlite3_step(sqlite3_stmt *statement) {
  const char *sql = sqlite3_sql(statement);
  bool ends = sql && (!strncasecmp(sql, "COMMIT", 6) || !strncasecmp(sql, "ROLLBACK", 8));
  if (!sql || (sqlite3_stmt_readonly(statement) && !ends)) return __real_sqlite3_step(statement);
  char name[200];
  statement_name(sql, name, sizeof name);
  int code = reach(STATEMENT, name, false);
  if (code) return code_of_sqlite(code);
  int answer = __real_sqlite3_step(statement);
  code = reach(STATEMENT, name, true);
  return code && ends ? code_of_sqlite(code) : answer;
}

/* ---- and of PostgreSQL ---- */

int __real_PQsendQueryParams(PGconn *c, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int format);
int __wrap_PQsendQueryParams(PGconn *c, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int format);

/* Until the server has answered: what the statement does is done by then. */
static void await_answer(PGconn *c) {
  struct pollfd one = {.fd = PQsocket(c), .events = POLLIN};
  while (PQflush(c) > 0) poll(&(struct pollfd){.fd = one.fd, .events = POLLOUT}, 1, 10000);
  poll(&one, 1, 10000);
}

/* The connection is no more. What came by it is thrown away: a socket that is shut gives it all the
 * same. */
static void cut(PGconn *c) {
  char lost[4096];
  while (recv(PQsocket(c), lost, sizeof lost, MSG_DONTWAIT) > 0) continue;
  shutdown(PQsocket(c), SHUT_RDWR);
}

int __wrap_PQsendQueryParams(PGconn *c, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int format) {
  char name[200];
  statement_name(sql, name, sizeof name);
  if (reach(STATEMENT, name, false)) cut(c);
  int sent = __real_PQsendQueryParams(c, sql, count, types, values, lengths, formats, format);
  if (sent && (reached[0] || reached[1] || reached[2] || reached[3])) await_answer(c);
  if (reach(STATEMENT, name, true)) cut(c);
  return sent;
}

/* ---- an entry that crashes: the linker puts this in front of crash_marks_take (--wrap) ---- */

static char poison[64];
static enum crash_slot poison_slot;
static bool poison_aborts, poison_hangs;
static volatile char *volatile nowhere;

void __real_crash_marks_take(struct crash_marks *h, enum crash_slot slot, struct span token);
void __wrap_crash_marks_take(struct crash_marks *h, enum crash_slot slot, struct span token);

void __wrap_crash_marks_take(struct crash_marks *h, enum crash_slot slot, struct span token) {
  __real_crash_marks_take(h, slot, token);
  if (!*poison || slot != poison_slot || !memmem(token.ptr, token.len, poison, strlen(poison)))
    return;
  if (crash_marks_suspected(h, token) >= 2) return; /* looked at, but not worked on any more */
  if (poison_hangs) hang();
  if (poison_aborts) abort();
  *nowhere = 1;
}

static void read_poison(void) {
  const char *text = getenv("BUSBRIDGE_POISON");
  if (!text || !*text) return;
  char copy[128], *rest = copy;
  snprintf(copy, sizeof copy, "%s", text);
  snprintf(poison, sizeof poison, "%s", strsep(&rest, ":"));
  const char *slot = strsep(&rest, ":");
  if (!slot || !rest) fail_setting("BUSBRIDGE_POISON");
  poison_slot = strcmp(slot, "publisher") ? CRASH_READER : CRASH_PUBLISHER;
  poison_aborts = !strcmp(rest, "abort");
  poison_hangs = !strcmp(rest, "hang");
}

/* Before main, so that main knows nothing of it. */
__attribute__((constructor)) static void faults_install(void) {
  const char *count = getenv("BUSBRIDGE_COUNT_FILE");
  if (count) count_fd = open(count, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0660);
  read_trigger("BUSBRIDGE_CRASH_AT", &crash_at);
  read_trigger("BUSBRIDGE_STOP_AT", &stop_at);
  read_trigger("BUSBRIDGE_HANG_AT", &hang_at);
  read_trigger("BUSBRIDGE_FAIL_AT", &fail_at);
  read_poison();
  if (count_fd < 0 && !crash_at.set && !stop_at.set && !hang_at.set && !fail_at.set) return;
  durable_set_hook(on_durable, NULL);
  relay_set_hook(on_point, NULL);
}
