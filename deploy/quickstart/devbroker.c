/* devbroker.c - a Kafka broker in one process for trying busbridge out: librdkafka's mock cluster
 * with topics made beforehand.
 *
 * It forgets everything when it ends and cannot do transactions, so it shows how things work and
 * proves nothing about exactly once. Stands alone: nothing of busbridge is linked.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Usage: busbridge-devbroker [--topics A,B,...] [--partitions N] [--port-file FILE]\n"
    "\n"
    "A small Kafka broker for development. It forgets everything when it ends, keeps only the\n"
    "last records of a topic, and cannot do exactly once: never use it for events that matter.\n"
    "\n"
    "Examples:\n"
    "  busbridge-devbroker                               the usual topics, 3 partitions each\n"
    "  busbridge-devbroker --topics a.events,b.events --partitions 1\n"
    "  busbridge-devbroker --port-file /tmp/broker &     scripts read the address from that file:\n"
    "  busbridge-worker -X kafka.bootstrap.servers=$(cat /tmp/broker)\n"
    "\n"
    "Options:\n"
    "  --topics A,B,...   topics to make (default: episode.events,quality.events,plot.events,\n"
    "                     usecase.events); any other is made when it is first asked for\n"
    "  --partitions N     partitions of each topic, 1 to 1000 (default: 3)\n"
    "  --port-file FILE   write the address, HOST:PORT, to FILE once it can be used\n"
    "  --help             this text\n"
    "\n"
    "The address is printed too; its port is chosen by the system. Ends with SIGINT (Ctrl-C) or\n"
    "SIGTERM.\n";

struct options {
  const char *topics, *port_file;
  int partitions;
};

/* 0, or the status to exit with (-1: help was asked for). */
static int read_options(int argc, char **argv, struct options *o) {
  static const struct option known[] = {{"topics", required_argument, NULL, 't'},
                                        {"partitions", required_argument, NULL, 'p'},
                                        {"port-file", required_argument, NULL, 'f'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
    char *end = NULL;
    switch (c) {
    case 't': o->topics = optarg; break;
    case 'f': o->port_file = optarg; break;
    case 'h': return -1;
    case 'p': {
      long n = strtol(optarg, &end, 10);
      if (*optarg == 0 || *end != 0 || n < 1 || n > 1000) {
        fprintf(stderr, "busbridge-devbroker: --partitions %s: a number from 1 to 1000 is needed\n",
                optarg);
        return EXIT_USAGE;
      }
      o->partitions = (int)n;
      break;
    }
    default: fputs("Try 'busbridge-devbroker --help'.\n", stderr); return EXIT_USAGE;
    }
  }
  if (optind == argc) return 0;
  fprintf(stderr, "busbridge-devbroker: unexpected word: %s\nTry 'busbridge-devbroker --help'.\n",
          argv[optind]);
  return EXIT_USAGE;
}

/* Whole or not there for whoever waits for the file. */
static bool write_address(const char *file, const char *address) {
  char temporary[4096];
  if ((size_t)snprintf(temporary, sizeof temporary, "%s.%ld.tmp", file, (long)getpid()) >=
      sizeof temporary) {
    fprintf(stderr, "busbridge-devbroker: --port-file: the name is too long\n");
    return false;
  }
  FILE *f = fopen(temporary, "w");
  bool written = f && fprintf(f, "%s\n", address) > 0;
  if (f && fclose(f) != 0) written = false;
  if (written && rename(temporary, file) == 0) return true;
  fprintf(stderr, "busbridge-devbroker: %s: %s\n", file, strerror(errno));
  if (f) unlink(temporary);
  return false;
}

static bool make_topics(rd_kafka_mock_cluster_t *cluster, const struct options *o) {
  char *names = strdup(o->topics), *rest = NULL;
  bool made = names != NULL;
  for (char *name = names ? strtok_r(names, ", ", &rest) : NULL; made && name;
       name = strtok_r(NULL, ", ", &rest)) {
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(cluster, name, o->partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      fprintf(stderr, "busbridge-devbroker: topic %s: %s\n", name, rd_kafka_err2str(code));
      made = false;
    } else {
      printf("topic %s, %d partition%s\n", name, o->partitions, o->partitions == 1 ? "" : "s");
    }
  }
  free(names);
  return made;
}

/* The cluster lives inside a client handle that does nothing else. */
static rd_kafka_t *open_handle(void) {
  char words[512] = "";
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  /* Without it every answer waits for the client's delayed ACK, 40 ms. log_level: it would warn
   * that it has no broker.
   */
  if (rd_kafka_conf_set(conf, "socket.nagle.disable", "true", words, sizeof words) ==
          RD_KAFKA_CONF_OK &&
      rd_kafka_conf_set(conf, "log_level", "4", words, sizeof words) == RD_KAFKA_CONF_OK) {
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    if (rk) return rk;
  }
  rd_kafka_conf_destroy(conf);
  fprintf(stderr, "busbridge-devbroker: %s\n", words);
  return NULL;
}

static bool serve(rd_kafka_mock_cluster_t *cluster, const struct options *o, const sigset_t *ends) {
  const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
  if (!make_topics(cluster, o)) return false;
  if (o->port_file && !write_address(o->port_file, address)) return false;
  printf("Development broker on %s: it forgets everything when it ends. Ctrl-C ends it.\n",
         address);
  if (fflush(stdout) != 0) return false;
  int signal_number = 0;
  sigwait(ends, &signal_number);
  if (o->port_file) unlink(o->port_file);
  return true;
}

int main(int argc, char **argv) {
  struct options o = {.topics = "episode.events,quality.events,plot.events,usecase.events",
                      .partitions = 3};
  int status = read_options(argc, argv, &o);
  if (status == -1) return fputs(help, stdout) == EOF || fflush(stdout) != 0;
  if (status != 0) return status;
  /* Blocked before the first thread is started, so that only sigwait below receives them. */
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, NULL);
  signal(SIGPIPE, SIG_IGN); /* a client that goes away */
  rd_kafka_t *rk = open_handle();
  if (!rk) return 1;
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);
  if (!cluster) {
    fputs("busbridge-devbroker: the mock cluster could not be started\n", stderr);
    rd_kafka_destroy(rk);
    return 1;
  }
  bool well = serve(cluster, &o, &ends);
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(rk);
  return well ? 0 : 1;
}
