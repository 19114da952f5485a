/* rules.h - what must hold between outbox and Kafka, L1 on. Here is the one place of the words: the
 * table of PROTOCOL.md 7 repeats them, names for each the test that catches whoever breaks it, and
 * is held to them by tests/tools/check_docs.
 *
 * BUG_ON_RULE(L1, ...) ends the process where our own logic would break one, with number and words.
 * What others do to files and broker never breaks a rule: it is a status. A process sees only so
 * much; where it can see nothing of a rule (L2's disk, L13's order) it looks at what stands for it.
 */
#ifndef BRIDGE_RELAY_RULES_H
#define BRIDGE_RELAY_RULES_H

/* clang-format off */
#define RULE_L1 \
  "A batch's number is that of the last committed one plus 1."
#define RULE_L2 \
  "A manifest is durable, whole and under its name, before its position is sent."
#define RULE_L3 \
  "No two manifests ever share a name, and writing one replaces nothing."
#define RULE_L4 \
  "The events of a batch and its position are committed together; a transaction that lacks one of its events is " \
  "never committed."
#define RULE_L5 \
  "Once commit was called, nothing is answered by an abort: the position decides."
#define RULE_L6 \
  "No transaction begins while an EndTxn or a TxnOffsetCommit of the one before may still be under way."
#define RULE_L7 \
  "A manifest belongs to a position by number and digest, never by its number alone."
#define RULE_L8 \
  "Nothing of a batch is removed and no key is set before its position is known to be committed."
#define RULE_L9 \
  "The manifest of the committed position is always there."
#define RULE_L10 \
  "A manifest is closed only when the removals of its entries, and what was set aside, are durable."
#define RULE_L11 \
  "After a failed sync of the outbox no manifest is closed in this run."
#define RULE_L12 \
  "A start settles the whole chain back from the position, oldest first, before anything is taken."
#define RULE_L13 \
  "The position is read after init_transactions, and only manifests listed before it are deleted."
#define RULE_L14 \
  "One worker owns an outbox: the producer's id is the outbox's, and the lock is looked at before each manifest, " \
  "settling and death."
#define RULE_L15 \
  "A position that is not ours changes nothing: the worker ends and says so."
#define RULE_L16 \
  "Without a position the topics decide, never the manifests alone."
#define RULE_L17 \
  "While an event waits for its next try no later one of its key passes, and what was held comes before what is " \
  "newer."
#define RULE_L18 \
  "An attempt is counted for a refused event alone: not for its mates, its topic or the world."
#define RULE_L19 \
  "A run of either guarantee settles first what manifests tell."
/* clang-format on */

#endif
