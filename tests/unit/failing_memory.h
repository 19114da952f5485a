/* failing_memory.h - for tests that make each allocation of a module fail, one at a time. Include
 * it once, and ask memory_fails() in main: false where something else has put its allocator in
 * place of this one. Builds with sanitizers, which do, leave such a program out (its name ends in
 * memory); valgrind does not when it is told
 * --soname-synonyms=somalloc=nouserintercepts. */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H

#include <dlfcn.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Counts down the allocations made by code of this program (not by libc or avro-c); the one that
 * reaches 0 fails. */
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

enum { MEMORY_SKIPPED = 77 };

static bool memory_fails(void) {
  void *volatile probe = malloc(1);
  free(probe);
  if (made == 0) printf("SKIPPED: another allocator is in the place of the one that fails\n");
  return made > 0;
}

#endif
