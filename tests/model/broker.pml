/* broker.pml - part of relay.pml: what the broker answers, and what it does by itself. A refused or lost answer is in
 * worker.pml, at the call that gets it. */

inline forget_transaction() { tx_events = 0; tx_n = 0; tx_digest = 0 }
/* The decision is durable; the position is to be seen, and the next transaction to begin, when Coordinator completed it. */
inline decide_commit() {
  check_commit();
  x = 0;
  do
  :: x < ENTRIES -> committed[x] = committed[x] + BIT(tx_events, x); x++
  :: else -> break
  od;
  tx_events = 0;
  tx = COMMITTING
}
inline decide_abort() { if :: tx == OPEN -> tx = ABORTING; forget_transaction() :: else fi }

/* init_transactions: an open transaction is aborted and older producers are fenced, then it waits until all is complete. */
inline init_producer(w) {
#ifndef NO_FENCING
  d_step { newest[0] = 0; newest[1] = 0; late_fenced = (late != NOTHING); decide_abort() };
#endif
  d_step {
    tx == EMPTY ->
#ifndef NO_FENCING
    newest[0] = 0; newest[1] = 0; late_fenced = (late != NOTHING);
#endif
    newest[w] = 1
  }
}
/* The committed position; while one is pending the broker does not answer. */
inline read_position() { d_step { tx_n == 0 -> seen_n = c_n; seen_digest = c_digest } }

proctype Coordinator() {
end:
  do
  :: d_step { tx == COMMITTING -> if :: tx_n -> c_n = tx_n; c_digest = tx_digest :: else fi; forget_transaction(); tx = EMPTY }
  :: d_step { tx == ABORTING -> tx = EMPTY }
  /* gives up on a slow one; on one whose owner is dead always, in the end */
  :: d_step { tx == OPEN && timeouts < TIMEOUTS -> timeouts++; newest[0] = 0; newest[1] = 0; decide_abort() }
  :: d_step { tx == OPEN && !(newest[0] && runs[0]) && !(newest[1] && runs[1]) -> newest[0] = 0; newest[1] = 0; decide_abort() }
  :: d_step {
       late != NOTHING ->
       if
       :: !late_fenced && tx == OPEN && late == LATE_COMMIT -> decide_commit()
       :: !late_fenced && tx == OPEN && late == LATE_ABORT -> decide_abort()
       :: !late_fenced && tx == OPEN && late == LATE_POSITION -> tx_n = late_n; tx_digest = late_digest
       :: else
       fi;
       late = NOTHING; late_fenced = 0; late_n = 0; late_digest = 0
     }
  :: d_step { tx == EMPTY && c_n && forgets < FORGETS -> forgets++; c_n = 0; c_digest = 0 }
  od
}
