/* The built-in aliases, and what a namespace, an event name and a topic name may look like.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/names.h"

#include "bridge/base/text/words.h"
#include "bridge/event/event.h"

#define SHOWN 60

/* bridge/event/CONTRACT.md 4: class names of the typed bus, what its own bridge made of them, and
 * undotted names; and every name that is emitted today as itself, so that it is found without being
 * judged anew. */
const struct alias names_builtin[] = {
    {"EpisodeCreated", "episode.created"},
    {"EpisodeCreatedEvent", "episode.created"},
    {"episode.episodecreated", "episode.created"},
    {"episode_created", "episode.created"},
    {"episode_written", "episode.written"},
    {"EpisodeContentUpdated", "episode.updated"},
    {"EpisodeContentUpdatedEvent", "episode.updated"},
    {"episode.episodecontentupdated", "episode.updated"},
    {"QualityChecked", "quality.checked"},
    {"QualityCheckedEvent", "quality.checked"},
    {"quality.qualitychecked", "quality.checked"},
    {"quality_checked", "quality.checked"},
    {"PlotUpdated", "plot.updated"},
    {"PlotUpdatedEvent", "plot.updated"},
    {"plot.plotupdated", "plot.updated"},
    {"plot_updated", "plot.updated"},
    {"PlotGenerated", "plot.generated"},
    {"PlotGeneratedEvent", "plot.generated"},
    {"plot.plotgenerated", "plot.generated"},
    {"plot_generated", "plot.generated"},
    {"PlotGenerationStarted", "plot.generation_started"},
    {"PlotGenerationStartedEvent", "plot.generation_started"},
    {"plot.plotgenerationstarted", "plot.generation_started"},
    {"PlotGenerationCompleted", "plot.generation_completed"},
    {"PlotGenerationCompletedEvent", "plot.generation_completed"},
    {"plot.plotgenerationcompleted", "plot.generation_completed"},
    {"PlotGenerationFailed", "plot.generation_failed"},
    {"PlotGenerationFailedEvent", "plot.generation_failed"},
    {"plot.plotgenerationfailed", "plot.generation_failed"},
    {"PlotQualityCheckCompleted", "plot.quality_check_completed"},
    {"PlotQualityCheckCompletedEvent", "plot.quality_check_completed"},
    {"quality.plotqualitycheckcompleted", "plot.quality_check_completed"},
    {"PlotSaved", "plot.saved"},
    {"PlotSavedEvent", "plot.saved"},
    {"plot.plotsaved", "plot.saved"},
    {"MasterPlotUpdated", "plot.master_updated"},
    {"MasterPlotUpdatedEvent", "plot.master_updated"},
    {"plot.masterplotupdated", "plot.master_updated"},
    {"episode.created", "episode.created"},
    {"episode.updated", "episode.updated"},
    {"episode.written", "episode.written"},
    {"episode.published", "episode.published"},
    {"quality.checked", "quality.checked"},
    {"quality.checked_via_usecase", "quality.checked_via_usecase"},
    {"quality.check_failed", "quality.check_failed"},
    {"quality.improved", "quality.improved"},
    {"quality.failed", "quality.failed"},
    {"plot.updated", "plot.updated"},
    {"plot.generated", "plot.generated"},
    {"plot.validated", "plot.validated"},
    {"usecase.executed", "usecase.executed"},
    {"usecase.failed", "usecase.failed"},
    {NULL, NULL},
};

static bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool names_namespace_valid(struct span ns) {
  for (size_t i = 0; i < ns.len; i++)
    if (!name_char(ns.ptr[i])) return false;
  return ns.len > 0;
}

bool names_canonical(struct span name, struct span *ns) {
  const char *dot = name.len ? memchr(name.ptr, '.', name.len) : NULL;
  if (!dot || name.len > EVENT_NAME_MAX) return false;
  *ns = (struct span){name.ptr, (size_t)(dot - name.ptr)};
  if (!names_namespace_valid(*ns) || ns->len + 1 == name.len) return false;
  for (const char *p = dot + 1; p < name.ptr + name.len; p++)
    if (!name_char(*p) && *p != '.') return false;
  return true;
}

bool names_topic_valid(struct span topic) {
  if (span_is(topic, ".") || span_is(topic, "..")) return false;
  for (size_t i = 0; i < topic.len; i++) {
    char c = topic.ptr[i];
    if (!name_char(c) && !(c >= 'A' && c <= 'Z') && c != '.') return false;
  }
  return topic.len >= 1 && topic.len <= 249;
}

void names_shown(struct span name, struct buffer *out) {
  struct span shown = text_cut(name, SHOWN);
  buffer_add_char(out, '"');
  text_quoted(out, shown, shown.len);
  buffer_add_z(out, shown.len < name.len ? "...\"" : "\"");
}
