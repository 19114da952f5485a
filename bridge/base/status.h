/* status.h - the one result type of the library, and the text that goes with it.
 *
 * Every function that can fail returns enum status and fills an optional struct error once, where
 * the fact is known. Nobody logs an error it also returns. Outcomes that are not failures (a
 * verdict, a duplicate) have enums of their own. Broken invariants abort by BUG_ON: the world
 * (disk, network, configuration, user) is always a status.
 */
#ifndef BRIDGE_BASE_STATUS_H
#define BRIDGE_BASE_STATUS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum status {
  ST_OK = 0,
  ST_AGAIN,       /* nothing now; ask again after waiting */
  ST_END,         /* nothing more, for good */
  ST_NOT_FOUND,   /* what was named is not there */
  ST_EXISTS,      /* it is there already */
  ST_INVALID,     /* the input is wrong, and stays wrong */
  ST_TOO_LARGE,   /* over a limit */
  ST_BUSY,        /* someone else holds it */
  ST_DENIED,      /* no right to */
  ST_UNAVAILABLE, /* the other side does not answer; it may later */
  ST_NO_SPACE,    /* disk, quota, inodes or descriptors are used up */
  ST_IO,          /* any other failure of disk or system */
  ST_NO_MEMORY,
  ST_UNSUPPORTED, /* this build or release cannot do it */
  ST_CANCELLED    /* stopped by request */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* What went wrong: where, why, and what to do next. Plain value; `struct error err = {0};` is
 * empty. */
struct error {
  enum status status;
  int sys;   /* errno where one is behind it, else 0 */
  int cause; /* of the module that filled it, for what to do (bridge/kafka/faults/remedy.h); 0: none
                is known */
  char text[600]; /* one line, always terminated; long text is cut at a UTF-8 boundary */
};

/* Fill err (may be NULL) and return st, so that callers write `return error_set(err, ST_INVALID,
 * "...")`. */
enum status error_set(struct error *err, enum status st, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same from an errno: chooses the status (ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE -> ST_NO_SPACE,
 * EACCES, EPERM, EROFS -> ST_DENIED, ENOENT, ENOTDIR -> ST_NOT_FOUND, EEXIST, ENOTEMPTY ->
 * ST_EXISTS, ENOMEM -> ST_NO_MEMORY, else ST_IO) and appends ": <strerror>". */
enum status error_sys(struct error *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put words in front of a text that is there: "reading x: <text>". Returns err->status. */
enum status error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *status_name(enum status st);

#define BUG_ON(cond)                                                                               \
  do {                                                                                             \
    if (__builtin_expect(!!(cond), 0)) bug_abort(__FILE__, __LINE__, #cond);                       \
  } while (0)
/* Of a numbered rule, whose words are RULE_<number>: it is told by both. */
#define BUG_ON_RULE(rule, cond)                                                                    \
  do {                                                                                             \
    if (__builtin_expect(!!(cond), 0))                                                             \
      bug_abort(__FILE__, __LINE__, #rule ", " RULE_##rule " (" #cond ")");                        \
  } while (0)
_Noreturn void bug_abort(const char *file, int line, const char *what);

#endif
