/* rule.h - a rule of the contract: a test that is run for each kind of outbox there is.
 *
 * What is here holds the headers of bridge/outbox and nothing else: entries are emitted through
 * store_emit, found by their ids, and named by the tokens that the store gives. So a kind may
 *   - not watch (traits): box_notice asks it for a scan where something arrived later;
 *   - count, keep sent ones and order what arrived at one time in its way (traits);
 *   - give tokens that are numbers, and keep them or not when an entry changes its shelf;
 *   - refuse an id that waits already (ST_EXISTS) by whatever it tells it;
 *   - never know an entry that is not whole yet, and never be hindered by one entry alone.
 * One whose entries are rows (seq, id, text, shelf, attempts, ...) needs nothing more than that:
 * the kind in memory is one. tests/README.md says which columns that takes.
 */
#ifndef TESTS_CONTRACT_RULE_H
#define TESTS_CONTRACT_RULE_H

#include "tests/support/box.h"

static inline int rule_open(void **state) {
  *state = box_new(*state);
  return 0;
}

#define RULE(name) TEST_WITH(name, rule_open, box_free)

static inline int rules_of_each_kind(void) {
  int failed = 0;
  for (size_t i = 0; i < BOX_KINDS; i++) failed += tests_run_as(box_kinds[i].scheme);
  return failed;
}

#endif
