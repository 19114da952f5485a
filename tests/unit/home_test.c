/* Where a process keeps what is its own, when the outbox is no folder: by the url, without what
 * opens a door, in state.dir or in the runtime directory that there is. */
#include "bridge/base/disk/durable.h"
#include "bridge/service/process/home.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[200];
static struct settings *settings;
static struct error err;

static int setup(void **state) {
  (void)state;
  folder_make(dir, sizeof dir, "home");
  err = (struct error){0};
  return 0;
}

static int teardown(void **state) {
  (void)state;
  settings_free(settings);
  settings = NULL;
  return folder_remove(dir);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

/* state: of state.dir, or NULL; runtime: "NAME=PATH" of the environment, or NULL. */
static void load(const char *url, const char *state, const char *runtime) {
  char outbox[400], place[400];
  const char *overrides[2] = {outbox, place}, *environment[2] = {runtime, NULL};
  snprintf(outbox, sizeof outbox, "outbox.url=%s", url);
  snprintf(place, sizeof place, "state.dir=%s", state ? state : "");
  struct settings_sources sources = {
      .environment = environment, .overrides = overrides, .override_count = 2};
  settings_free(settings);
  settings = NULL;
  if (settings_load(&sources, &settings, NULL, &err) != ST_OK) fail_msg("%s", err.text);
}

static const char *socket_path(void) {
  static char text[600];
  struct buffer path = {0};
  if (home_socket_path(settings, &path, &err) != ST_OK) fail_msg("%s", err.text);
  snprintf(text, sizeof text, "%s", buffer_z(&path));
  buffer_release(&path);
  return text;
}

static const char *socket_of(const char *url) {
  static char kept[8][600];
  static unsigned at;
  load(url, dir, NULL);
  char *text = kept[at++ % 8];
  snprintf(text, sizeof kept[0], "%s", socket_path());
  return text;
}

static struct home *made(void) {
  struct home *h = NULL;
  if (home_open(settings, true, &h, &err) != ST_OK) fail_msg("%s", err.text);
  return h;
}

CASE(an_outbox_that_is_a_folder_holds_it) {
  char url[300], want[400];
  struct home *h;
  snprintf(url, sizeof url, "file:%s", dir);
  load(url, "/nowhere", NULL);
  snprintf(want, sizeof want, "%s/.busbridge/control.sock", dir);
  assert_string_equal(socket_path(), want);
  h = made();
  assert_int_equal(home_folder(h), -1); /* the outbox makes it, not we */
  home_close(h);
  snprintf(want, sizeof want, "%s/.busbridge", dir);
  assert_int_equal(mkdir(want, 0770), 0);
  h = made();
  assert_true(home_folder(h) >= 0);
  home_close(h);
}

CASE(any_other_has_a_folder_of_its_own_for_its_user_and_group) {
  struct buffer text = {0};
  struct stat st;
  mode_t mask = umask(0);
  load("memory:a", dir, NULL);
  struct home *h = made();
  umask(mask);
  assert_int_equal(fstat(home_folder(h), &st), 0);
  assert_int_equal(st.st_mode & 07777, 0770);
  assert_true(home_tmp(h) >= 0);
  assert_string_equal(home_socket(h), socket_path());
  assert_int_equal(home_replace(h, "metrics", SPAN("figures"), &err), ST_OK);
  home_close(h);
  assert_int_equal(home_open(settings, false, &h, &err), ST_OK);
  assert_int_equal(home_read(h, "metrics", 100, &text, &err), ST_OK);
  assert_string_equal(buffer_z(&text), "figures");
  home_close(h);
  load("memory:b", dir, NULL);
  assert_int_equal(home_open(settings, false, &h, &err), ST_OK);
  assert_int_equal(home_folder(h), -1);
  assert_int_equal(home_read(h, "metrics", 100, &text, &err), ST_NOT_FOUND);
  home_close(h);
  buffer_release(&text);
}

CASE(its_name_tells_outboxes_apart_and_holds_no_secret) {
  const char *one = socket_of("postgresql://u:secret@h:5432/orders?application_name=a@b");
  assert_string_equal(one, socket_of("postgresql://u:other@h:5432/orders?application_name=a@b"));
  assert_string_not_equal(one,
                          socket_of("postgresql://u:secret@h:5432/orders?application_name=c@b"));
  assert_string_not_equal(one,
                          socket_of("postgresql://u:secret@g:5432/orders?application_name=a@b"));
  assert_string_not_equal(one,
                          socket_of("postgresql://v:secret@h:5432/orders?application_name=a@b"));
  assert_string_equal(socket_of("postgresql://h/db?password=x"),
                      socket_of("postgresql://h/db?password=y"));
  one = socket_of("postgresql://u:secret@h/orders?sslmode=require");
  assert_non_null(strstr(one, "/orders-"));
  assert_null(strstr(one, "secret"));
  one = socket_of("postgresql://u:se/cret@h/");
  assert_null(strstr(one, "cret"));
}

/* Whoever asks may stand elsewhere. */
CASE(a_path_is_the_same_by_whatever_way_it_is_named) {
  char file[300], other[300];
  snprintf(file, sizeof file, "sqlite:%s/orders.db", dir);
  snprintf(other, sizeof other, "sqlite:%s/./orders.db", dir);
  FILE *f = fopen(file + strlen("sqlite:"), "w");
  assert_non_null(f);
  fclose(f);
  const char *one = socket_of(file);
  assert_string_equal(one, socket_of(other));
  assert_non_null(strstr(one, "/orders.db-"));
}

CASE(the_runtime_directory_is_the_managers_or_the_logins) {
  char runtime[300], want[400];
  snprintf(runtime, sizeof runtime, "RUNTIME_DIRECTORY=%s:/elsewhere", dir);
  load("memory:a", NULL, runtime);
  struct home *h = made();
  snprintf(want, sizeof want, "%s/a-", dir);
  assert_memory_equal(home_socket(h), want, strlen(want));
  home_close(h);
  snprintf(runtime, sizeof runtime, "XDG_RUNTIME_DIR=%s", dir);
  load("memory:a", NULL, runtime);
  h = made();
  snprintf(want, sizeof want, "%s/busbridge/a-", dir);
  assert_memory_equal(home_socket(h), want, strlen(want));
  home_close(h);
  load("memory:a", NULL, NULL);
  assert_memory_equal(socket_path(), "/run/busbridge/a-", 17);
}

CASE(where_none_can_be_made_it_is_said_what_to_do) {
  struct home *h = NULL;
  load("memory:a", "/proc/nowhere", NULL);
  assert_int_not_equal(home_open(settings, true, &h, &err), ST_OK);
  assert_null(h);
  assert_non_null(strstr(err.text, "/proc/nowhere"));
  assert_non_null(strstr(err.text, "set state.dir"));
}
