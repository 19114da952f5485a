/* rules.h - what a store must hold, S1 on. Here is the one place of the words: the table of
 * README.md beside it repeats them, names for each the test that catches whoever breaks it,
 * and is held to them by tests/tools/check_docs.
 *
 * BUG_ON_RULE(S1, ...) as in bridge/relay/rules.h. What others do to the entries never breaks a
 * rule: it is a status.
 */
#ifndef BRIDGE_OUTBOX_RULES_H
#define BRIDGE_OUTBOX_RULES_H

/* clang-format off */
#define RULE_S1 \
  "What is in hand is not handed out, and nothing is handed out twice in one scan."
#define RULE_S2 \
  "An entry is removed before it is forgotten, and one that is not in hand is looked at once more before it is " \
  "handed out."
#define RULE_S3 \
  "Nothing is removed that was not looked at: another event that comes into its place is kept."
#define RULE_S4 \
  "Where the stamp differs, id and content decide: the same event is settled, another id is a new event, " \
  "another content with the same id is a duplicate that is told."
#define RULE_S5 \
  "A change never brings back what is gone, and changes nothing that was changed since it was read."
#define RULE_S6 \
  "A crash or a loss of power at any call of a move leaves the entry before it or after it, once."
#define RULE_S7 \
  "What a crash leaves half done tells by itself what it is to become; the next holder of the lock decides by " \
  "that alone."
#define RULE_S8 \
  "No success after a failed sync or commit: what it was to make durable stays to be made so."
#define RULE_S9 \
  "What a producer wrote is never replaced: who comes under a taken storage key gets another, or is refused."
#define RULE_S10 \
  "A scan is in order, and what arrives live follows in the order it was told."
#define RULE_S11 \
  "What was given back before a settled rescan began is in that scan, in its place, before what is newer."
#define RULE_S12 \
  "Memory is bounded by the window, however much there is; what is not ours cannot fill it for ever."
#define RULE_S13 \
  "Names are data: nothing outside of the outbox is read by one, and what has not the form of an entry is left " \
  "alone."
#define RULE_S14 \
  "What may still be growing is left alone until it has not changed for outbox.settle."
#define RULE_S15 \
  "One entry that cannot be changed holds up no other, and what became of it is durable before it is out of hand " \
  "for good."
#define RULE_S16 \
  "An outbox that is not ours any more is not touched; a part of it that goes or is exchanged is noticed at the " \
  "next move."
#define RULE_S17 \
  "What waits = the first listing + what arrived + what came back - what was settled - what vanished, at any " \
  "moment."
#define RULE_S18 \
  "Looking changes nothing and locks nothing."
/* clang-format on */

#endif
