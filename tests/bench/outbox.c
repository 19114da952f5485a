/* outbox.c - the parts of the benchmark that must not be slow themselves.
 *
 *   bench-outbox lay DIR N       N entries of about 600 bytes over the event names, durable
 *   bench-outbox lay-dead DIR N  the same, but none of them fits its schema
 *   bench-outbox lay-raw DIR N   the same, cut in the middle: no JSON
 *   bench-outbox raw DIR         open, fstat, read, close, unlink of each file of DIR by name,
 *                                one thread
 *   bench-outbox paced DIR N HZ  N entries, HZ a second, each renamed into DIR; times each from its
 *                                rename until it is gone
 *
 * Results are one line of JSON. Timings exclude listing and sorting, which makes raw faster and so
 * the relay's ratio smaller.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void must(int good, const char *what) {
  if (good) return;
  perror(what);
  exit(1);
}

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x) { /* splitmix64: names in no order, the same in every run */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

enum { ID_TEXT = 40, NAME_TEXT = 64, ENTRY_TEXT = 2048 };

static void id_of(uint64_t n, char out[ID_TEXT]) {
  uint64_t a = mix(n), b = mix(n ^ 0x5bd1e995u);
  snprintf(out, ID_TEXT, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(a >> 32),
           (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, (unsigned)(b >> 48) & 0xfff,
           (unsigned long long)(b & 0xffffffffffffu));
}

/* Payloads by the published schemas; "%s" is the episode's number, the free text brings an entry to
 * about 600 bytes. */
static const struct {
  const char *name, *payload;
} KINDS[] = {
    {"episode_written", "{\"id\": \"ep-%s\", \"note\": \"%s\"}"},
    {"episode.published",
     "{\"episode_id\": \"ep-%s\", \"publication_id\": \"p-1\", \"format_type\": \"epub\", \"published_at\": "
     "\"2025-09-22T03:04:05+00:00\", \"include_metadata\": true, \"note\": \"%s\"}"},
    {"episode.created", "{\"episode_id\": \"ep-%s\", \"title\": \"%s\", \"episode_number\": 7}"},
    {"quality.checked",
     "{\"content_id\": \"ep-%s\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": "
     "[{\"type\": \"grammar\", \"description\": \"%s\"}], \"detailed_scores\": {\"grammar\": 82.5}}"},
    {"plot.updated",
     "{\"plot_id\": \"plot-%s\", \"episode_number\": null, \"word_count\": 4100, \"updated_at\": "
     "\"2025-09-22T03:04:05+00:00\", \"consistency_checked\": true, \"consistency_issues\": [{\"type\": \"time\", "
     "\"description\": \"%s\", \"severity\": \"minor\"}]}"},
    {"usecase.failed",
     "{\"usecase_name\": \"write-%s\", \"error\": \"%s\", \"request_data\": {\"episode\": 3}}"},
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

static size_t entry_text(uint64_t n, const char *id, char *out) {
  char key[16], payload[1024], filler[301];
  memset(filler, 'x', sizeof filler - 1);
  filler[sizeof filler - 1] = 0;
  snprintf(key, sizeof key, "%03d", (int)(n / KIND_COUNT % 500));
  const char *form = KINDS[n % KIND_COUNT].payload;
  int bare = snprintf(payload, sizeof payload, form, key, "");
  int fill = 310 - bare;
  filler[fill < 0 ? 0 : fill] = 0;
  snprintf(payload, sizeof payload, form, key, filler);
  int length = snprintf(
      out, ENTRY_TEXT,
      "{\"id\": \"%s\", \"name\": \"%s\", \"payload\": %s, \"created_at\": "
      "\"2025-09-22T03:04:05.%06d+00:00\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": "
      "null, \"failed_at\": null, \"status\": \"pending\", \"storage_key\": \"%s\"}",
      id, KINDS[n % KIND_COUNT].name, payload, (int)(n % 1000000), id);
  must(length > 0 && length < ENTRY_TEXT, "entry");
  return (size_t)length;
}

static void write_file(int folder, const char *name, const char *text, size_t length) {
  int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
  must(fd >= 0, name);
  must(write(fd, text, length) == (ssize_t)length, name);
  close(fd);
}

enum kind { GOOD, DEAD, RAW };

/* A payload that is no object of the schema's, or no JSON at all. */
static size_t spoil(enum kind kind, char *text, size_t length) {
  static const char payload[] = "\"payload\": {\"", other[] = "\"payload\": {\"x";
  char *at = strstr(text, payload);
  must(at != NULL, "payload");
  if (kind == RAW) return length / 2;
  if (kind == DEAD) memcpy(at, other, sizeof other - 1);
  return length;
}

static int lay(int folder, uint64_t count, enum kind kind) {
  uint64_t bytes = 0;
  for (uint64_t n = 0; n < count; n++) {
    char id[ID_TEXT], name[NAME_TEXT], text[ENTRY_TEXT];
    id_of(n, id);
    snprintf(name, sizeof name, "%s.json", id);
    size_t length = spoil(kind, text, entry_text(n, id, text));
    write_file(folder, name, text, length);
    bytes += length;
  }
  must(syncfs(folder) == 0, "syncfs");
  printf("{\"entries\": %llu, \"bytes\": %llu}\n", (unsigned long long)count,
         (unsigned long long)bytes);
  return 0;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list(int folder, char ***names) {
  DIR *dir = fdopendir(dup(folder));
  must(dir != NULL, "fdopendir");
  size_t count = 0, room = 0;
  for (struct dirent *d; (d = readdir(dir));) {
    if (d->d_name[0] == '.') continue;
    if (count == room) *names = realloc(*names, (room = room ? room * 2 : 1024) * sizeof **names);
    must(*names && ((*names)[count++] = strdup(d->d_name)), "list");
  }
  closedir(dir);
  qsort(*names, count, sizeof **names, by_name);
  return count;
}

static double cpu_s(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int raw(int folder) {
  char **names = NULL, text[65536];
  size_t count = list(folder, &names);
  double began = now_s(), cpu = cpu_s();
  for (size_t i = 0; i < count; i++) {
    int fd = openat(folder, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    must(fd >= 0 && fstat(fd, &st) == 0 && read(fd, text, sizeof text) == st.st_size, names[i]);
    close(fd);
    must(unlinkat(folder, names[i], 0) == 0, names[i]);
  }
  double took = now_s() - began;
  printf("{\"files\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", count, took,
         cpu_s() - cpu);
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
  return 0;
}

struct pace {
  uint64_t count, sent, gone;
  double *at, *took; /* by number: when it was renamed; how long it lay */
};

/* Names are entry-<number>.json here, so that a notice of its removal tells which it was. */
static void note_gone(struct pace *p, const char *name, double now) {
  unsigned long long n;
  if (sscanf(name, "entry-%llu.json", &n) != 1 || n >= p->count || p->took[n] >= 0) return;
  p->took[n] = now - p->at[n];
  p->gone++;
}

static void send_one(struct pace *p, int folder) {
  char id[ID_TEXT], name[NAME_TEXT], text[ENTRY_TEXT];
  uint64_t n = p->sent;
  id_of(n ^ ((uint64_t)getpid() << 32), id);
  size_t length = entry_text(n, id, text);
  write_file(folder, ".paced.tmp", text, length);
  snprintf(name, sizeof name, "entry-%llu.json", (unsigned long long)n);
  p->at[n] = now_s();
  must(renameat(folder, ".paced.tmp", folder, name) == 0, name);
  p->sent++;
}

static void read_notices(struct pace *p, int watch) {
  char buffer[65536] __attribute__((aligned(8)));
  ssize_t got = read(watch, buffer, sizeof buffer);
  double now = now_s();
  for (char *at = buffer; got > 0 && at < buffer + got;) {
    const struct inotify_event *e = (const void *)at;
    note_gone(p, e->name, now);
    at += sizeof *e + e->len;
  }
}

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int paced(int folder, const char *path, uint64_t count, double hz) {
  struct pace p = {
      .count = count, .at = calloc(count, sizeof(double)), .took = calloc(count, sizeof(double))};
  must(p.at && p.took && count > 0 && hz > 0, "paced");
  for (uint64_t n = 0; n < count; n++) p.took[n] = -1;
  int watch = inotify_init1(IN_CLOEXEC);
  must(watch >= 0 && inotify_add_watch(watch, path, IN_DELETE | IN_MOVED_FROM) >= 0, "inotify");
  double began = now_s();
  while (p.gone < count && now_s() - began < (double)count / hz + 60) {
    double due = p.sent < count ? began + (double)p.sent / hz - now_s() : 1;
    if (due <= 0) {
      send_one(&p, folder);
      continue;
    }
    struct pollfd pf = {.fd = watch, .events = POLLIN};
    struct timespec wait = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};
    if (ppoll(&pf, 1, &wait, NULL) > 0) read_notices(&p, watch);
  }
  qsort(p.took, count, sizeof(double), by_number);
  printf("{\"sent\": %llu, \"gone\": %llu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
         (unsigned long long)p.sent, (unsigned long long)p.gone, p.took[count / 2] * 1e3,
         p.took[count * 99 / 100] * 1e3, p.took[count - 1] * 1e3);
  int status = p.gone == count ? 0 : 1;
  close(watch);
  free(p.at);
  free(p.took);
  return status;
}

int main(int argc, char **argv) {
  int folder = argc > 2 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (argc > 2) must(folder >= 0, argv[2]);
  static const char *const lays[] = {[GOOD] = "lay", [DEAD] = "lay-dead", [RAW] = "lay-raw"};
  for (enum kind kind = GOOD; argc == 4 && kind <= RAW; kind++)
    if (!strcmp(argv[1], lays[kind])) return lay(folder, strtoull(argv[3], NULL, 10), kind);
  if (argc == 3 && !strcmp(argv[1], "raw")) return raw(folder);
  if (argc == 5 && !strcmp(argv[1], "paced")) {
    return paced(folder, argv[2], strtoull(argv[3], NULL, 10), strtod(argv[4], NULL));
  }
  fprintf(stderr, "usage: bench-outbox lay|lay-dead|lay-raw DIR N | raw DIR | paced DIR N HZ\n");
  return 2;
}
