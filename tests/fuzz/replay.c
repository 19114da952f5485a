/* replay.c - the main of every fuzzer in an ordinary build: each file given, and each regular file
 * of each folder given, goes through LLVMFuzzerTestOneInput once, in memory of exactly its size so
 * that sanitizers see a step beyond it. Exits 1 when there was no file at all: a corpus that went
 * missing must not pass. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *path) {
  perror(path);
  exit(1);
}

static void replay_file(const char *path, size_t size) {
  FILE *file = fopen(path, "rb");
  uint8_t *data = malloc(size ? size : 1);
  if (!file || !data || fread(data, 1, size, file) != size) fail(path);
  fclose(file);
  /* malloc(0) may give nothing; one byte that is not told is the nearest */
  LLVMFuzzerTestOneInput(data, size);
  free(data);
}

static unsigned replay_path(const char *path);

static unsigned replay_folder(const char *path) {
  unsigned count = 0;
  DIR *folder = opendir(path);
  if (!folder) fail(path);
  for (struct dirent *d; (d = readdir(folder));) {
    char *inside;
    if (d->d_name[0] == '.') continue;
    if (asprintf(&inside, "%s/%s", path, d->d_name) < 0) fail(path);
    count += replay_path(inside);
    free(inside);
  }
  closedir(folder);
  return count;
}

static unsigned replay_path(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) fail(path);
  if (S_ISDIR(st.st_mode)) return replay_folder(path);
  if (!S_ISREG(st.st_mode)) return 0;
  replay_file(path, (size_t)st.st_size);
  return 1;
}

int main(int argc, char **argv) {
  unsigned count = 0;
  for (int i = 1; i < argc; i++) count += replay_path(argv[i]);
  printf("%u inputs replayed\n", count);
  return count == 0;
}
