/* Arena: pieces are whole and apart, chunks are used again after a reset, what is kept is bounded.
 */
#include "bridge/base/span.h"
#include "tests/support/test.h"

/* The tests ask for more memory than there is and want NULL, not a report. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
  return "allocator_may_return_null=1";
}

/* More than any machine has, and not so much that a length check refuses it first. */
#define IMPOSSIBLE (SIZE_MAX / 16)

TEST(arena_pieces_are_aligned_apart_and_whole) {
  struct arena a = {0};
  unsigned char *at[300];
  for (size_t i = 0; i < 300; i++) {
    size_t len = i % 50 == 7 ? 70000 + i : i * 13;
    at[i] = arena_alloc(&a, len);
    assert_non_null(at[i]);
    assert_int_equal((uintptr_t)at[i] % 8, 0);
    memset(at[i], (int)(i % 251), len);
  }
  for (size_t i = 0; i < 300; i++) {
    size_t len = i % 50 == 7 ? 70000 + i : i * 13;
    for (size_t k = 0; k < len; k++) assert_int_equal(at[i][k], i % 251);
  }
  arena_release(&a);
  assert_null(a.chunks);
  assert_int_equal(a.used, 0);
}

TEST(arena_copies_are_terminated_and_zeroed_is_zero) {
  struct arena a = {0};
  char *dirty = arena_alloc(&a, 64);
  memset(dirty, 'x', 64);
  arena_reset(&a);
  char *zero = arena_zalloc(&a, 64);
  for (int i = 0; i < 64; i++) assert_int_equal(zero[i], 0);
  assert_string_equal(arena_copy(&a, (struct span){"abcdef", 3}), "abc");
  assert_string_equal(arena_copy(&a, (struct span){NULL, 0}), "");
  assert_true(span_is(arena_span(&a, SPAN("xyz")), "xyz"));
  assert_null(arena_span(&a, (struct span){NULL, 0}).ptr);
  arena_release(&a);
}

TEST(arena_out_of_memory_is_null_and_changes_nothing) {
  struct arena a = {0};
  assert_null(arena_alloc(&a, SIZE_MAX));
  assert_null(arena_alloc(&a, IMPOSSIBLE));
  assert_null(arena_zalloc(&a, IMPOSSIBLE));
  assert_null(arena_copy(&a, (struct span){"", IMPOSSIBLE}));
  struct span s = arena_span(&a, (struct span){"", IMPOSSIBLE});
  assert_true(s.ptr == NULL && s.len == 0);
  assert_int_equal(a.used, 0);
  assert_non_null(arena_alloc(&a, 1));
  arena_release(&a);
}

/* Which of the blocks the first round used does the second one use again? */
TEST(arena_uses_every_chunk_again_after_a_reset) {
  enum { CHUNKS = 20, PIECE = 60 * 1024 };
  struct arena a = {0};
  char *first[CHUNKS];
  for (int i = 0; i < CHUNKS; i++) first[i] = arena_alloc(&a, PIECE);
  for (int round = 0; round < 3; round++) {
    arena_reset(&a);
    bool seen[CHUNKS] = {false};
    for (int i = 0; i < CHUNKS; i++) {
      char *again = arena_alloc(&a, PIECE);
      int which = 0;
      while (which < CHUNKS && first[which] != again) which++;
      assert_true(which < CHUNKS && !seen[which]);
      seen[which] = true;
    }
  }
  arena_release(&a);
}

TEST(arena_finds_a_large_chunk_behind_small_ones) {
  struct arena a = {0};
  char *large = arena_alloc(&a, 500000);
  for (int i = 0; i < 5; i++) assert_non_null(arena_alloc(&a, 60000));
  arena_reset(&a);
  char *small[3];
  for (int i = 0; i < 3; i++) small[i] = arena_alloc(&a, 60000); /* need not be those of before */
  char *again = arena_alloc(&a, 400000);
  bool used = again == large;
  for (int i = 0; i < 3; i++) used = used || (small[i] >= large && small[i] < large + 500000);
  assert_true(used);
  arena_release(&a);
}

TEST(arena_takes_no_chunk_that_is_too_small) {
  struct arena a = {0};
  char *small = arena_alloc(&a, 60000);
  arena_reset(&a);
  char *large = arena_alloc(&a, 400000);
  assert_ptr_not_equal(large, small);
  memset(large, 1, 400000);
  arena_release(&a);
}

TEST(arena_goes_on_filling_after_a_large_piece) {
  struct arena a = {0};
  char *before = arena_alloc(&a, 64);
  assert_non_null(arena_alloc(&a, 100000));
  char *after = arena_alloc(&a, 64);
  assert_ptr_equal(after, before + 64);
  arena_release(&a);
}

static size_t spare_chunks(const struct arena *a) {
  size_t n = 0;
  struct arena_chunk *c = a->spare;
  for (; c; n++) memcpy(&c, (const void *)c, sizeof c); /* the link is what a chunk begins with */
  return n;
}

TEST(arena_keeps_at_most_8_mib) {
  struct arena a = {0};
  for (int i = 0; i < 12; i++) memset(arena_alloc(&a, 1 << 20), 1, 1 << 20);
  arena_reset(&a);
  assert_int_equal(a.used, 0);
  assert_int_equal(spare_chunks(&a), 8);
  arena_reset(&a); /* spare ones that nobody took count as well */
  assert_int_equal(spare_chunks(&a), 8);
  assert_non_null(arena_alloc(&a, 9 << 20)); /* larger than all that may be kept */
  arena_reset(&a);
  assert_int_equal(spare_chunks(&a), 8);
  arena_release(&a);
}
