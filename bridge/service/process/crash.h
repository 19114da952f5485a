/* crash.h - what the worker does when a thread of it crashes: marks the entry that thread has in
 * hand (relay/crash_marks.h), says so in one line on stderr, and ends as it would have ended.
 *
 * For SIGSEGV, SIGBUS, SIGFPE and SIGABRT that the thread raised itself, by a fault or by abort;
 * the same signals sent from elsewhere (kill, a supervisor's watchdog) mark nothing. The handler
 * runs on the alternate stack that crash_marks_enter gives a thread.
 */
#ifndef BRIDGE_SERVICE_PROCESS_CRASH_H
#define BRIDGE_SERVICE_PROCESS_CRASH_H

#include "bridge/relay/crash_marks.h"

/* Once, before threads are made, by whoever owns the process (handlers are the process's). */
MUST_CHECK enum status crash_install(struct error *err);

#endif
