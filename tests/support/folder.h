/* folder.h - a folder for a test, gone after it with all that lies in it. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <stddef.h>

/* A new one below $TMPDIR, else /tmp; its path, without links, goes into path, which has size
 * bytes. Where there is none the test fails. */
void folder_make(char *path, size_t size, const char *name);
/* 0, or -1: something stays. One that is not there is no fault. */
int folder_remove(const char *path);
/* Comes back when the clock of its file system, which ticks, has gone on: what is written from now
 * on has a later time than all that was written before. A probe lies beside the folder meanwhile.
 */
void folder_tick(const char *path);

#endif
