/* failing_memory.h - for tests that make each allocation of a module fail, one at a time. Include it once, behind
 *
 *   #if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)   the sanitizers have an allocator of their own
 *
 * and ask memory_fails() in main: false where something else (valgrind) puts its allocator in place of this one. */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H

#include <dlfcn.h>

#include <stdbool.h>
#include <stdlib.h>

/* Counts down the allocations made by code of this program (not by libc or avro-c); the one that reaches 0 fails. */
static long countdown = -1;
static long made;
static long live; /* blocks of everyone that are not freed yet */

extern const char __executable_start, etext;

static bool fails(const void *caller) {
  if ((const char *)caller < &__executable_start || (const char *)caller >= &etext) return false;
  made++;
  return countdown > 0 && --countdown == 0;
}

static void *next(const char *name) {
  void *f = dlsym(RTLD_NEXT, name);
  if (!f) abort();
  return f;
}

void *malloc(size_t len) {
  static void *(*real)(size_t);
  if (!real) *(void **)&real = next("malloc");
  void *block = fails(__builtin_return_address(0)) ? NULL : real(len);
  live += block != NULL;
  return block;
}

void *calloc(size_t count, size_t len) {
  static void *(*real)(size_t, size_t);
  if (!real) *(void **)&real = next("calloc");
  void *block = fails(__builtin_return_address(0)) ? NULL : real(count, len);
  live += block != NULL;
  return block;
}

void *realloc(void *old, size_t len) {
  static void *(*real)(void *, size_t);
  if (!real) *(void **)&real = next("realloc");
  void *block = fails(__builtin_return_address(0)) ? NULL : real(old, len);
  live += !old && block;
  return block;
}

void free(void *block) {
  static void (*real)(void *);
  if (!real) *(void **)&real = next("free");
  live -= block != NULL;
  real(block);
}

static bool memory_fails(void) {
  void *volatile probe = malloc(1);
  free(probe);
  return made > 0;
}

#endif
