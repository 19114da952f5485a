/* postgres.h - a real PostgreSQL for a test program: that of BUSBRIDGE_POSTGRES (a FILE of
 * tests/integration/postgres.py start), else one of its own, which ends with the program, however
 * that ends. */
#ifndef TESTS_SUPPORT_POSTGRES_H
#define TESTS_SUPPORT_POSTGRES_H

#include "bridge/base/text/words.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct postgres {
  pid_t pid; /* who serves it; 0: somebody else */
  int end;   /* open as long as it is wanted */
  int port;  /* on 127.0.0.1, superuser postgres */
  char facts[1000];
};
static struct postgres postgres;

/* behind "name": of what postgres.py tells */
static inline const char *postgres_fact(const char *name) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\": ", name);
  const char *at = strstr(postgres.facts, quoted);
  if (!at) return NULL;
  at += strlen(quoted);
  return at + (*at == '"');
}

static inline void postgres_read(int fd) {
  size_t have = 0;
  ssize_t got = 1;
  while (got > 0 && have < sizeof postgres.facts - 1 && !memchr(postgres.facts, '\n', have)) {
    got = read(fd, postgres.facts + have, sizeof postgres.facts - 1 - have);
    if (got > 0) have += (size_t)got;
  }
  close(fd);
}

static inline void postgres_serve(void) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) abort();
  postgres.pid = fork();
  if (postgres.pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl("/usr/bin/python3", "python3", SOURCE_ROOT "/tests/integration/postgres.py", "serve",
          (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  postgres.end = in[1];
  postgres_read(out[0]);
}

static inline void postgres_end(void) {
  if (postgres.pid <= 0) return;
  close(postgres.end);
  waitpid(postgres.pid, NULL, 0);
  postgres.pid = 0;
}

/* 0, or what the program is to return: 77 where there is no server, which it says. */
static inline int postgres_begin(void) {
  const char *known = getenv("BUSBRIDGE_POSTGRES");
  int fd = known ? open(known, O_RDONLY | O_CLOEXEC) : -1;
  if (fd >= 0)
    postgres_read(fd);
  else
    postgres_serve();
  const char *port = postgres_fact("port");
  uint64_t number = 0;
  if (port && number_parse((struct span){port, strcspn(port, ",")}, 65535, &number)) {
    postgres.port = (int)number;
    return 0;
  }
  int status = 0;
  printf("%s", *postgres.facts ? postgres.facts : "SKIPPED: postgres.py says nothing\n");
  close(postgres.end);
  waitpid(postgres.pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/* Tables of an outbox in a schema of that name, with the roles application and relay. */
static inline void postgres_make(const char *schema) {
  char command[2000], psql[300];
  const char *at = postgres_fact("psql"), *sql = SOURCE_ROOT "/schemas/sql/postgres";
  snprintf(psql, sizeof psql, "%.*s", (int)strcspn(at, "\""), at);
  snprintf(command, sizeof command,
           "'%s' -X -q -1 -v ON_ERROR_STOP=1 -v schema='%s' -v application=application "
           "-v relay=relay -f %s/001_outbox.sql -f %s/roles.sql "
           "postgresql://postgres@127.0.0.1:%d/postgres >/dev/null",
           psql, schema, sql, sql, postgres.port);
  if (system(command) != 0) abort();
}

/* What stands behind "postgresql:" of a url; more: "?name=value", or empty. */
static inline void postgres_address(char *out, size_t size, const char *user, const char *database,
                                    const char *more) {
  snprintf(out, size, "//%s@127.0.0.1:%d/%s%s", user, postgres.port, database, more);
}

#endif
