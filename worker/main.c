/* busbridge-worker: reads the command line; daemon.c does the rest.
 * The main thread; a crash leaves nothing. */
#include "bridge/base/log_events.h"
#include "bridge/settings/settings.h"
#include "worker/control/control_routes.h"
#include "worker/daemon.h"

#include <getopt.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern char **environ;

static const char help[] =
    "Examples:\n"
    "  busbridge-worker -X outbox.url=file:/var/lib/app/bus_outbox\n"
    "  busbridge-worker -c /etc/busbridge/busbridge.conf\n"
    "  busbridge-worker -c busbridge.conf --once        relay what is there, then exit\n"
    "\n"
    "Usage: busbridge-worker [-c FILE] [-X KEY=VALUE]... [--once | --standby]\n"
    "Carries the events of a local outbox to Kafka.\n"
    "\n"
    "  -c, --config FILE     settings, one \"key = value\" a line (else $BUSBRIDGE_CONFIG,\n"
    "                        else /etc/busbridge/busbridge.conf if it is there)\n"
    "  -X KEY=VALUE          one setting; stronger than the file and the environment\n"
    "      --once            relay what is there, wait for files still being written and for "
    "retries due within\n"
    "                        flush.interval, and exit: 0 nothing is pending, 1 something stayed;\n"
    "                        when nothing moved for 30 s: 75 Kafka cannot be used, 74 the outbox "
    "cannot be read\n"
    "                        or changed, 71 no descriptor is left, 69 Redis is away and "
    "redis.required is true\n"
    "      --standby         while another worker holds the outbox wait, without an end, and\n"
    "                        take it over when that one ends; the same as -X standby=true\n"
    "      --help-settings   every setting with its default\n"
    "      --help-events     every event the log may name\n"
    "      --help-api        every path of the control API with its parameters\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version\n"
    "\n"
    "Signals: SIGTERM finishes what was handed to Kafka and exits 0, a second one leaves at once; "
    "SIGHUP reloads.\n"
    "Exit status: 0 stopped as asked, 1 failure, 2 wrong usage or settings, 75 the outbox is held "
    "by another worker.\n"
    "See busbridge-worker(8), busbridge.conf(5) and busbridge(1).\n";

static int show_text(const char *text) {
  if (fputs(text, stdout) < 0 || fflush(stdout) != 0) return EXIT_FAILURE;
  return EXIT_SUCCESS;
}

static int show_settings(void) {
  struct winsize size;
  struct buffer text = {0};
  int width = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col
                  ? size.ws_col
                  : 100;
  settings_help(&text, width);
  int code = show_text(buffer_z(&text));
  buffer_release(&text);
  return code;
}

static int show_api(void) {
  struct buffer text = {0};
  routes_print(&text);
  int code = show_text(buffer_z(&text));
  buffer_release(&text);
  return code;
}

static int show_events(void) {
  struct buffer text = {0};
  log_events_print(&text);
  int code = show_text(buffer_z(&text));
  buffer_release(&text);
  return code;
}

static int usage(const char *what, const char *word) {
  fprintf(stderr, "busbridge-worker: %s%s; see busbridge-worker --help\n", what, word);
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  enum { OPT_ONCE = 256, OPT_STANDBY, OPT_HELP_SETTINGS, OPT_HELP_EVENTS, OPT_HELP_API };
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"once", no_argument, NULL, OPT_ONCE},
                                          {"standby", no_argument, NULL, OPT_STANDBY},
                                          {"help-settings", no_argument, NULL, OPT_HELP_SETTINGS},
                                          {"help-events", no_argument, NULL, OPT_HELP_EVENTS},
                                          {"help-api", no_argument, NULL, OPT_HELP_API},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
  log_hold_descriptors();
  const char **overrides = calloc((size_t)argc + 1, sizeof *overrides);
  struct daemon d = {
      .configure = {.environment = (const char *const *)environ, .overrides = overrides}};
  int code = -1;
  if (!overrides) return EXIT_FAILURE;
  for (int c; code < 0 && (c = getopt_long(argc, argv, "c:X:hV", options, NULL)) != -1;) {
    switch (c) {
    case 'c': d.configure.file = optarg; break;
    case 'X': overrides[d.configure.override_count++] = optarg; break;
    case OPT_ONCE: d.once = true; break;
    case OPT_STANDBY: overrides[d.configure.override_count++] = "standby=true"; break;
    case OPT_HELP_SETTINGS: code = show_settings(); break;
    case OPT_HELP_EVENTS: code = show_events(); break;
    case OPT_HELP_API: code = show_api(); break;
    case 'h': code = show_text(help); break;
    case 'V': code = show_text("busbridge-worker " BUSBRIDGE_VERSION "\n"); break;
    default: code = usage("that is not understood", ""); break;
    }
  }
  if (code < 0 && optind < argc) code = usage("it takes no argument: ", argv[optind]);
  if (code < 0) code = daemon_run(&d);
  free(overrides);
  return code;
}
