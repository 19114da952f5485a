/* Starts and stops the parts in order; between that the main thread's loop: signals, reload,
 * watchdog, figures saved.
 * A crash leaves what its parts leave. */
#include "worker/daemon.h"

#include "bridge/kafka/client.h"
#include "bridge/service/process/crash.h"
#include "bridge/service/service.h"
#include "worker/control/control.h"
#include "worker/notify.h"
#include "worker/once.h"
#include "worker/signals.h"
#include "worker/standby.h"

#include <signal.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 5000, SAVE_EVERY_MS = 10000, LOOP_MS = 500, STATUS_EVERY_MS = 2000 };
enum { STOP_MARGIN_MS = 15000 }; /* beyond the drain: requests being answered, the figures saved */

struct life {
  const struct daemon *daemon;
  struct settings *settings;
  struct log *log;
  struct service *service; /* NULL while it is a standby */
  struct standby standby;
  struct service *away; /* who is asked while the server of the outbox does not answer */
  struct control *control;
  struct notify notify;
  int64_t tell_ms; /* when the service manager is told again how we are */
  bool stop;
};

static int exit_of(enum status st) {
  if (st == ST_BUSY) return EXIT_BUSY;
  return st == ST_INVALID || st == ST_UNSUPPORTED ? EXIT_USAGE : EXIT_FAILURE;
}

/* ---- settings ---- */

static enum log_level level_of(const struct settings *s) {
  const char *word = setting_text(s, SETTING_LOG_LEVEL);
  return !strcmp(word, "debug")     ? LOG_DEBUG
         : !strcmp(word, "warning") ? LOG_WARNING
         : !strcmp(word, "error")   ? LOG_ERROR
                                    : LOG_INFO;
}

static enum log_format format_of(const struct settings *s) {
  const char *word = setting_text(s, SETTING_LOG_FORMAT);
  return !strcmp(word, "json") ? LOG_JSON : !strcmp(word, "logfmt") ? LOG_LOGFMT : LOG_AUTO;
}

static void say_lines(struct log *log, enum log_level level, const char *event,
                      struct buffer *lines) {
  struct span rest = buffer_span(lines);
  while (rest.len) {
    const char *end = memchr(rest.ptr, '\n', rest.len);
    size_t n = end ? (size_t)(end - rest.ptr) : rest.len;
    if (n) log_write(log, level, "worker", event, NO_FIELDS, "%.*s", (int)n, rest.ptr);
    rest.ptr += n + (end != NULL);
    rest.len -= n + (end != NULL);
  }
}

/* Who asks the one before is waited for. */
static void retire(struct life *l, struct service *answered) {
  while (l->control && !control_left(l->control)) {
    notify_ping(&l->notify, clock_mono_ms(&clock_system), !l->service || service_alive(l->service));
    sleep_ms(10, NULL);
  }
  service_close(answered, 0);
}

/* Whoever was asked until now is closed. */
static void answer_by(struct life *l, struct service *answers, struct service *answered) {
  control_serve(l->control, answers);
  retire(l, answered);
}

static enum status open_away(struct life *l, const struct settings *settings, struct service **out,
                             struct error *err) {
  static const struct service_options options = {
      .mode = SERVICE_INSPECT, .standby = true, .away = true, .clock = &clock_system};
  return service_open(settings, l->log, &options, out, err);
}

static void fixed_of_standby(const struct settings *old, const struct settings *fresh,
                             struct buffer *out) {
  static const enum setting fixed[] = {SETTING_HTTP_LISTEN, SETTING_LOG_FORMAT, SETTING_STANDBY};
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
    struct buffer was = {0}, is = {0};
    setting_show(old, fixed[i], &was);
    setting_show(fresh, fixed[i], &is);
    if (strcmp(buffer_z(&was), buffer_z(&is)) != 0)
      buffer_printf(out, "%s\n", setting_row(fixed[i])->key);
    buffer_release(&was);
    buffer_release(&is);
  }
}

/* A standby has begun nothing: all of it is opened anew. */
static enum status reload_standby(struct life *l, struct settings *fresh, struct buffer *fixed,
                                  struct error *err) {
  struct service *answered = NULL;
  enum status st = configure_standby(fresh, l->daemon->once, err);
  if (st == ST_OK) st = standby_renew(&l->standby, fresh, &answered, err);
  if (st != ST_OK) return st;
  fixed_of_standby(l->settings, fresh, fixed);
  answer_by(l, l->standby.answers, answered);
  return ST_OK;
}

/* One that has not found its outbox yet has begun nothing, too. */
static enum status reload_away(struct life *l, struct settings *fresh, struct buffer *fixed,
                               struct error *err) {
  struct service *was = l->away;
  enum status st = configure_standby(fresh, l->daemon->once, err);
  if (st == ST_OK) st = open_away(l, fresh, &l->away, err);
  if (st != ST_OK) return st;
  fixed_of_standby(l->settings, fresh, fixed);
  answer_by(l, l->away, was);
  return ST_OK;
}

static enum status take_over_settings(struct life *l, struct settings *fresh, struct buffer *fixed,
                                      struct error *err) {
  enum status st = control_check(fresh, err);
  if (st == ST_OK && l->away) return reload_away(l, fresh, fixed, err);
  if (st == ST_OK && !l->service) return reload_standby(l, fresh, fixed, err);
  if (st != ST_OK) return st;
  settings_fixed_changes(l->settings, fresh, fixed);
  service_reload(l->service, fresh);
  return ST_OK;
}

/* A bad file keeps the old settings. */
static void load_again(struct life *l) {
  struct settings *fresh = NULL;
  struct buffer warnings = {0}, fixed = {0};
  struct error err = {0};
  enum status st = configure_load(&l->daemon->configure, &fresh, &warnings, &err);
  if (st == ST_OK) st = take_over_settings(l, fresh, &fixed, &err);
  if (st != ST_OK) {
    settings_free(fresh);
    log_write(l->log, LOG_ERROR, "worker", "reload_refused", FIELDS(F_TEXT("error", err.text)),
              "The settings were not reloaded; the old ones stay");
  } else {
    say_lines(l->log, LOG_WARNING, "reload_needs_restart", &fixed);
    control_reload(l->control, fresh);
    log_set_level(l->log, level_of(fresh));
    settings_free(l->settings);
    l->settings = fresh;
    log_write(l->log, LOG_INFO, "worker", "reloaded", NO_FIELDS, "The settings were reloaded");
  }
  buffer_release(&warnings);
  buffer_release(&fixed);
}

static void reload(struct life *l) {
  notify_send(&l->notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
              (long long)(clock_mono_ns(&clock_system) / 1000));
  load_again(l);
  notify_send(&l->notify, "READY=1");
}

/* ---- the loop ---- */

/* For the service manager: its watchdog's ping while the relay turns, and health's first line. */
static void attend(struct life *l) {
  int64_t now_ms = clock_mono_ms(&clock_system);
  if (!notify_listens(&l->notify)) return;
  notify_ping(&l->notify, now_ms, service_alive(l->service));
  if (now_ms < l->tell_ms) return;
  struct buffer line = {0};
  service_summary(l->service, &line);
  notify_status(&l->notify, buffer_z(&line));
  buffer_release(&line);
  /* While nothing is relayed the backlog is counted by listing it: at most a twentieth of the time
   * goes into that. */
  int64_t after_ms = clock_mono_ms(&clock_system), rest_ms = 20 * (after_ms - now_ms);
  l->tell_ms = after_ms + (rest_ms > STATUS_EVERY_MS ? rest_ms : STATUS_EVERY_MS);
}

static void take_signal(struct life *l, int sig) {
  if (sig == SIGHUP) reload(l);
  if (sig != SIGTERM && sig != SIGINT) return;
  l->stop = true;
  signals_last();
  control_drain(l->control);
  log_write(l->log, LOG_INFO, "worker", "stopping", FIELDS(F_INT("signal", sig)), "%s",
            l->service ? "Finishing what was handed to Kafka; a second signal leaves at once"
            : l->away  ? "It ends; it had not found its outbox yet"
                       : "The standby ends; it had taken nothing over");
}

static bool told_to_stop(void *ctx) {
  struct life *l = ctx;
  control_tick(l->control);
  int sig = l->stop ? 0 : signals_wait(0);
  if (sig) take_signal(l, sig);
  attend(l);
  return l->stop;
}

/* The exit status of a relay that cannot go on; 0 while it can. */
static int failed(struct life *l) {
  struct error err = {0};
  enum status st = service_failure(l->service, &err);
  return st == ST_OK ? 0 : exit_of(st);
}

static int turn(struct life *l) {
  int64_t saved = clock_mono_ms(&clock_system);
  int code = 0;
  while (!l->stop && (code = failed(l)) == 0) {
    attend(l);
    int sig = signals_wait(notify_sleep_ms(&l->notify, LOOP_MS));
    if (sig) take_signal(l, sig);
    control_tick(l->control);
    if (clock_mono_ms(&clock_system) - saved < SAVE_EVERY_MS) continue;
    saved = clock_mono_ms(&clock_system);
    struct error err = {0};
    if (service_save(l->service, &err) != ST_OK)
      log_write(l->log, LOG_WARNING, "worker", "metrics_not_saved",
                FIELDS(F_TEXT("error", err.text)),
                "The figures could not be saved; tried again in 10 s");
  }
  return code;
}

/* ---- start and stop ---- */

/* Ready: who starts after us, or is to be replaced, waits for no more than this. */
static void tell_standby(struct life *l) {
  if (*l->standby.waits && l->tell_ms == 0) notify_send(&l->notify, "READY=1\nSTATUS=standby");
  l->tell_ms = 1;
  char status[SERVICE_WAITS_TEXT + 40];
  snprintf(status, sizeof status, "standby: %s", l->standby.waits);
  notify_status(&l->notify, status);
  notify_ping(&l->notify, clock_mono_ms(&clock_system), true);
}

static enum status answer_standby(struct life *l, struct error *err) {
  struct service *was = l->away;
  if (!l->control)
    return control_start(l->standby.answers, l->settings, NULL, l->log, &l->control, err);
  l->away = NULL;
  if (was) answer_by(l, l->standby.answers, was);
  return ST_OK;
}

/* Until the outbox is ours, or a signal, after which there is no service. */
static enum status stand_by(struct life *l, struct error *err) {
  struct standby *w = &l->standby;
  enum status st = standby_open(w, l->settings, l->log, err);
  while (st == ST_OK && !l->stop &&
         (st = standby_try(w, l->settings, &l->service, err)) == ST_BUSY) {
    st = answer_standby(l, err);
    if (st != ST_OK) break;
    tell_standby(l);
    int sig = signals_wait(notify_sleep_ms(&l->notify, STANDBY_POLL_MS));
    if (sig) take_signal(l, sig);
    control_tick(l->control);
  }
  l->tell_ms = 0;
  return st == ST_NOT_FOUND && *w->waits ? ST_BUSY : st; /* moved away meanwhile: as of a worker */
}

static enum status try_service(struct life *l, struct error *err) {
  struct service_options options = {.mode = SERVICE_RELAY,
                                    .background = !l->daemon->once,
                                    .lock_wait_ms = LOCK_WAIT_MS,
                                    .clock = &clock_system};
  if (!setting_bool(l->settings, SETTING_STANDBY))
    return service_open(l->settings, l->log, &options, &l->service, err);
  standby_close(&l->standby);
  return stand_by(l, err);
}

/* ---- an outbox whose server does not answer ---- */

/* As with Kafka: whoever starts after us, or looks after us, is told that we are there. */
static enum status tell_away(struct life *l, unsigned tries, const struct error *why,
                             struct error *err) {
  enum status st = l->away ? ST_OK : open_away(l, l->settings, &l->away, err);
  if (st != ST_OK) return st;
  service_waits(l->away, why);
  if (!l->control) st = control_start(l->away, l->settings, NULL, l->log, &l->control, err);
  if (tries == 1) notify_send(&l->notify, "READY=1");
  notify_status(&l->notify, why->text);
  log_write(l->log, LOG_WARNING, "worker", "outbox_away",
            FIELDS(F_TEXT("error", why->text), F_INT("attempt", tries)),
            "The outbox does not answer; it is asked again and again. Nothing is lost meanwhile");
  return st;
}

/* False: a signal ends it. */
static bool rest(struct life *l, int64_t rest_ms, const struct error *why) {
  int64_t until_ms = clock_mono_ms(&clock_system) + rest_ms, left;
  while (!l->stop && (left = until_ms - clock_mono_ms(&clock_system)) > 0) {
    service_waits(l->away, why); /* it turns */
    notify_ping(&l->notify, clock_mono_ms(&clock_system), true);
    int sig = signals_wait(notify_sleep_ms(&l->notify, left < LOOP_MS ? (int)left : LOOP_MS));
    if (sig) take_signal(l, sig);
    control_tick(l->control);
  }
  return !l->stop;
}

/* A command or a job that is to end says so at once; a worker waits as it waits for Kafka. */
static enum status open_service(struct life *l, struct error *err) {
  static const struct backoff pause = {500, 15000, 1000};
  enum status st = try_service(l, err);
  for (unsigned tries = 1; st != ST_OK && !l->daemon->once && service_is_away(err); tries++) {
    struct error why = *err;
    *err = (struct error){0};
    st = tell_away(l, tries, &why, err);
    if (st != ST_OK || !rest(l, backoff_delay_ms(&pause, tries, &clock_system), &why)) break;
    st = try_service(l, err);
  }
  return st;
}

/* Whoever asked the standby asks the relay now, at the same address. */
static enum status open_control(struct life *l, struct error *err) {
  struct buffer path = {0};
  struct service *answered = l->away ? l->away : l->standby.answers;
  enum status st;
  service_socket_path(l->service, &path);
  if (!l->control) {
    st = control_start(l->service, l->settings, buffer_z(&path), l->log, &l->control, err);
  } else {
    control_serve(l->control, l->service);
    st = control_listen(l->control, buffer_z(&path), err);
    l->standby.answers = l->away = NULL;
    retire(l, answered);
  }
  buffer_release(&path);
  return st;
}

static enum status start(struct life *l, struct error *err) {
  enum status st = control_check(l->settings, err);
  if (st == ST_OK) st = configure_standby(l->settings, l->daemon->once, err);
  if (st == ST_OK) st = open_service(l, err);
  return st == ST_OK && l->service ? open_control(l, err) : st;
}

static void stop(struct life *l) {
  int64_t drain_ms = setting_number(l->settings, SETTING_SHUTDOWN_DRAIN_TIMEOUT);
  control_drain(l->control);
  notify_send(&l->notify,
              "STOPPING=1\nSTATUS=Finishing what was handed to Kafka\nEXTEND_TIMEOUT_USEC=%lld",
              (long long)(drain_ms + STOP_MARGIN_MS) * 1000);
  /* Probes and operators are answered until all is settled. */
  service_drain(l->service, drain_ms);
  control_stop(l->control);
  standby_close(&l->standby);
  service_close(l->away, 0);
  service_close(l->service, 0);
}

static void say_started(const struct life *l) {
  struct buffer outbox = {0};
  setting_show(l->settings, SETTING_OUTBOX_URL, &outbox);
  log_write(l->log, LOG_INFO, "worker", "started",
            FIELDS(F_TEXT("version", BUSBRIDGE_VERSION),
                   F_TEXT("librdkafka", kafka_library_version()),
                   F_TEXT("outbox", buffer_z(&outbox)),
                   F_TEXT("guarantee", setting_text(l->settings, SETTING_DELIVERY_GUARANTEE))),
            "Relaying %s", buffer_z(&outbox));
  buffer_release(&outbox);
}

static int relay(struct life *l) {
  say_started(l);
  /* Not only when Kafka has answered: who starts after us needs the outbox drained some day, not
   * the broker now. */
  notify_send(&l->notify, "READY=1");
  int code =
      l->daemon->once ? once_run(l->service, l->log, &(struct stop){told_to_stop, l}) : turn(l);
  return failed(l) ? failed(l) : code;
}

static int live(struct life *l) {
  struct error err = {0};
  enum status st = start(l, &err);
  if (st != ST_OK) {
    log_write(l->log, LOG_ERROR, "worker", "start_failed", NO_FIELDS, "%s", err.text);
    stop(l);
    return exit_of(st);
  }
  int code = l->service ? relay(l) : EXIT_SUCCESS; /* a standby that was told to stop */
  stop(l);
  log_write(l->log, LOG_INFO, "worker", "stopped", FIELDS(F_INT("exit", code)), "Stopped");
  return code;
}

/* A manager that cannot be told is no reason not to relay. */
static void open_notify(struct life *l) {
  struct error err = {0};
  if (notify_init(&l->notify, getenv("NOTIFY_SOCKET"), getenv("WATCHDOG_USEC"),
                  getenv("WATCHDOG_PID"), &err) != ST_OK)
    log_write(l->log, LOG_WARNING, "worker", "notify", FIELDS(F_TEXT("error", err.text)),
              "The service manager is told nothing");
}

int daemon_run(const struct daemon *d) {
  struct life l = {.daemon = d, .notify.fd = -1};
  struct buffer warnings = {0};
  struct error err = {0};
  signals_early();
  enum status st = crash_install(&err);
  if (st == ST_OK) st = configure_load(&d->configure, &l.settings, &warnings, &err);
  if (st == ST_OK) signals_block();
  if (st == ST_OK)
    st =
        log_open(STDERR_FILENO, format_of(l.settings), level_of(l.settings), &clock_system, &l.log);
  int code = EXIT_USAGE;
  if (st != ST_OK) {
    fprintf(stderr, "busbridge-worker: %s\n", err.text);
  } else {
    say_lines(l.log, LOG_WARNING, "settings", &warnings);
    open_notify(&l);
    code = live(&l);
  }
  buffer_release(&warnings);
  notify_release(&l.notify);
  log_close(l.log);
  settings_free(l.settings);
  return code;
}
