/* Hands out entries: picks the next name, reads and judges its file, takes it in hand; begins
 * scans. The reader's thread; a crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"
#include "bridge/outbox/file/settling/aside.h"

#include <fcntl.h>
#include <unistd.h>

#define FRESH_NS 100000000 /* what was read so lately need not be looked at again */

/* ---- the figures ---- */

static void count_scanned(struct fs_shared *s, enum place place, int known, int unreadable, int odd,
                          int foreign) {
  mutex_lock(&s->lock);
  struct fs_figures *f = &s->figures;
  if (known < 0 && f->known) {
    f->known--;
    f->vanished++;
  }
  if (known > 0) {
    fs_arrives(f);
    f->known++;
  }
  f->unreadable += (uint64_t)unreadable;
  f->odd += (uint64_t)odd;
  f->foreign += (uint64_t)foreign;
  if (place_side(place) == SIDE_TYPED) f->foreign_typed += (uint64_t)foreign;
  mutex_unlock(&s->lock);
}

/* It was told twice. */
static void uncount(struct fs_shared *s) {
  mutex_lock(&s->lock);
  if (s->figures.known) s->figures.known--;
  mutex_unlock(&s->lock);
}

/* ---- what becomes of a candidate: ST_AGAIN passes it over ---- */

/* It was counted as waiting, unless it was only told just now. */
static enum status pass_over(struct fs_reader *s, struct fs_candidate *c, int unreadable, int odd,
                             int foreign) {
  if (fs_growing_forget(s, c->place, c->name)) c->fresh = false;
  count_scanned(s->shared, c->place, c->fresh || c->held ? 0 : -1, unreadable, odd, foreign);
  return ST_AGAIN;
}

static enum status pass_odd(struct fs_reader *s, struct fs_candidate *c) {
  struct stat st;
  if (fstatat(fs_folder(s->site, c->place), c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return pass_over(s, c, 0, 0, 0);
  fs_odd(s, c->place, c->name, &st);
  return pass_over(s, c, 0, 1, 0);
}

static enum status pass_unreadable(struct fs_reader *s, struct fs_candidate *c) {
  struct stat st;
  if (fstatat(fs_folder(s->site, c->place), c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return pass_over(s, c, 0, 0, 0);
  struct stamp stamp = fs_stamp_of(&st);
  if (!fs_say_once(&s->refused, &stamp)) /* counted already */
    return c->source == FS_LISTED ? ST_AGAIN : pass_over(s, c, 0, 0, 0);
  log_write(s->site->log, LOG_WARNING, "outbox", "entry_unreadable",
            FIELDS(F_TEXT("place", place_path(c->place)), F_TEXT("file", c->name),
                   F_TEXT("error", strerror(s->loaded.sys))),
            "Left alone and tried again by each scan; give uid %ld the right to read it",
            (long)geteuid());
  return pass_over(s, c, 1, 0, 0);
}

static enum status pass_growing(struct fs_reader *s, struct fs_candidate *c, bool known) {
  if (c->fresh && !known) count_scanned(s->shared, c->place, 1, 0, 0, 0);
  c->fresh = false;
  if (known && c->source == FS_GROWN) return ST_AGAIN;
  mutex_lock(&s->shared->lock);
  fs_names_keep(&s->shared->parked, c->place, c->name, s->loaded.stamp.mtime_ns);
  mutex_unlock(&s->shared->lock);
  return ST_AGAIN;
}

/* A move that a crash left half done. */
static enum status finish_move(struct fs_reader *s, struct fs_candidate *c, const char *to_name) {
  return fs_finish_move(s, c, to_name) ? pass_over(s, c, 0, 0, 0) : pass_growing(s, c, false);
}

#define LEFT_SAID 20

/* Others' in the typed side: that bus, or a setting, has it. */
static void say_left(struct fs_reader *s, const struct fs_candidate *c) {
  const struct event *e = &s->loaded.event;
  if (place_side(c->place) != SIDE_TYPED || e->left || s->left_said > LEFT_SAID) return;
  bool more = s->left_said++ == LEFT_SAID;
  log_write(s->site->log, LOG_WARNING, "outbox", "entry_left",
            FIELDS(F_TEXT("place", place_path(c->place)), F_TEXT("file", c->name)),
            more ? "More have another status than pending; no further ones are named"
                 : "Left alone: its status is not pending. Set it to that to have it published, or "
                   "remove it");
}

/* Complete JSON objects that are not waiting to be sent. ST_OK: it is an entry. */
static enum status judge_object(struct fs_reader *s, struct fs_candidate *c) {
  struct fs_loaded *d = &s->loaded;
  char to[NAME_SIZE + 4];
  if (fs_ours(c->place, &d->event) && !fs_newer_form(&d->doc)) return ST_OK;
  if (fs_dead_form(d) && !fs_newer_form(&d->doc)) return finish_move(s, c, c->name);
  if (fs_newer_form(&d->doc)) { /* its replay was left half done */
    snprintf(to, sizeof to, "dlq_%s", c->name);
    return finish_move(s, c, to);
  }
  say_left(s, c);
  fs_foreign_add(s->shared, &d->stamp);
  return pass_over(s, c, 0, 0, 1);
}

static enum status refuse_entry(struct fs_reader *s, struct fs_candidate *c) {
  bool known = false;
  if (!fs_growing_settled(s, c, &s->loaded.stamp, &known)) return pass_growing(s, c, known);
  if (known) c->fresh = false; /* counted when it was first seen */
  return ST_OK;
}

/* Reads and judges. ST_OK: to be handed out from s->loaded. */
static enum status examine(struct fs_reader *s, struct fs_candidate *c, struct error *err) {
  struct fs_loaded *d = &s->loaded;
  enum status st = ST_OK;
  switch (fs_load(s->site, d, c->place, c->name, err)) {
  case FS_READ:
    if (fs_not_yet(s->site, c->place, &d->stamp)) return pass_over(s, c, 0, 0, 1);
    if (!fs_may_parse(s->site, c->place, c->name)) {
      d->reason = REASON_CRASHES_WORKER;
      error_set(&d->error, ST_INVALID, "the worker crashed twice while working on it");
      break;
    }
    st = fs_loaded_parse(d, err);
    if (st == ST_OK && fs_loaded_is_object(d)) st = judge_object(s, c);
    break;
  case FS_GONE: return pass_over(s, c, 0, 0, 0);
  case FS_ODD: return pass_odd(s, c);
  case FS_UNREADABLE: return pass_unreadable(s, c);
  case FS_FAILED: return err->status;
  case FS_UNSTABLE:
    d->reason = REASON_NOT_JSON;
    error_set(&d->error, ST_INVALID, "the file changes while it is read");
    break;
  case FS_TOO_LARGE: fs_loaded_too_large(d); break;
  }
  if (st != ST_OK) return st;
  if (d->reason != REASON_NONE) return refuse_entry(s, c);
  if (fs_growing_forget(s, c->place, c->name)) c->fresh = false;
  return ST_OK;
}

/* ---- handing out ---- */

static enum status no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "no memory to hand out an entry");
}

static enum status copy_out(const struct fs_cached *from, struct arena *scratch,
                            struct entry *out) {
  size_t nodes = from->count * sizeof *from->nodes;
  struct json_doc *doc = &out->doc;
  *doc = (struct json_doc){.count = from->count, .cap = from->count, .arena = scratch};
  doc->text = out->text = arena_span(scratch, from->text);
  if (from->text.len && !out->text.ptr) return ST_NO_MEMORY;
  if (nodes && !(doc->nodes = arena_alloc(scratch, nodes))) return ST_NO_MEMORY;
  if (nodes) memcpy(doc->nodes, from->nodes, nodes);
  if (!from->count) {
    out->event = from->event;
    return ST_OK;
  }
  return fs_event_moved(&from->event, from->text, out->text, scratch, &out->event) ? ST_OK
                                                                                   : ST_NO_MEMORY;
}

/* Into hand it goes as the contract knows it. */
static enum status give_ref(const struct fs_candidate *c, const struct fs_cached *from,
                            struct arena *keep, struct entry *out) {
  struct fs_ref ref = {
      .name = span_of(c->name), .stamp = from->stamp, .place = c->place, .young = from->young};
  BUG_ON_RULE(S13, !ref.name.len || memchr(ref.name.ptr, '/', ref.name.len));
  if (out->doc.count) ref.content = event_content(&out->doc, &out->event);
  ref.id = arena_span(keep, out->event.id);
  if (out->event.id.len && !ref.id.ptr) return ST_NO_MEMORY;
  return fs_ref_give(&ref, keep, &out->ref) ? ST_OK : ST_NO_MEMORY;
}

static enum status fill_entry(struct fs_reader *s, const struct fs_candidate *c, struct arena *keep,
                              struct arena *scratch, struct entry *out) {
  struct fs_loaded *d = &s->loaded;
  struct fs_cached from_loaded = {.stamp = d->stamp,
                                  .young = d->young,
                                  .text = {d->text, d->reason == REASON_TOO_LARGE ? 0 : d->len},
                                  .nodes = d->doc.nodes,
                                  .count = d->doc.fault == JSON_OK ? d->doc.count : 0,
                                  .event = d->event};
  const struct fs_cached *from = c->cached ? c->cached : &from_loaded;
  *out = (struct entry){.generation = s->begun_reader};
  enum status st = copy_out(from, scratch, out);
  if (st == ST_OK) st = give_ref(c, from, keep, out);
  if (st != ST_OK || c->cached || d->reason == REASON_NONE) return st;
  out->reason = d->reason;
  out->error = arena_copy(scratch, span_of(d->error.text));
  return out->error ? ST_OK : ST_NO_MEMORY;
}

/* Since its group was read it may have been handed out otherwise and settled, or rewritten: but not
 * by us when nothing else was taken into hand meanwhile, and what its producer did just now may
 * come as late to any reader. */
static bool still_there(struct fs_reader *s, const struct fs_candidate *c) {
  const struct fs_group *g = &s->group;
  enum settled how;
  if (g->taken == atomic_load(&s->shared->taken) &&
      clock_mono_ns(s->site->clock) - g->read_ns < FRESH_NS)
    return true;
  return fs_unchanged(s->site, c->place, c->name, &c->cached->stamp, &how);
}

/* Another file came to its name since it was listed: its place is where it was told, or in a later
 * window. */
static bool comes_later(struct fs_reader *s, const struct fs_candidate *c) {
  const struct fs_names *n = &s->shared->names;
  if (c->source != FS_LISTED || c->cached || s->loaded.stamp.mtime_ns <= c->mtime_ns) return false;
  if (n->cut) return n->count && s->loaded.stamp.mtime_ns > n->at[n->count - 1].mtime_ns;
  fs_watch_drain(s, true);
  return fs_queue_has(s, c->place, c->name);
}

/* ST_OK: it is in hand. ST_AGAIN: passed over. Else the candidate is kept for the next call. */
static enum status consider(struct fs_reader *s, struct fs_candidate *c, struct arena *keep,
                            struct arena *scratch, struct entry *out, struct error *err) {
  if (c->source == FS_LISTED && fs_queue_has(s, c->place, c->name))
    return c->twice ? ST_AGAIN : pass_over(s, c, 0, 0, 0);
  if (c->cached && !still_there(s, c)) c->cached = NULL;
  if (!c->cached && fs_hand_has(s->shared, c->place, c->name, c->source == FS_TOLD)) {
    fs_growing_forget(s, c->place, c->name);
    if (c->queued) uncount(s->shared);
    return ST_AGAIN;
  }
  enum status st = c->cached ? ST_OK : examine(s, c, err);
  if (st != ST_OK) return st;
  if (comes_later(s, c))
    return s->shared->names.cut || c->twice ? ST_AGAIN : pass_over(s, c, 0, 0, 0);
  const struct stamp *stamp = c->cached ? &c->cached->stamp : &s->loaded.stamp;
  st = fill_entry(s, c, keep, scratch, out);
  if (st == ST_OK && fs_aside_holds(s->shared, c->place, c->name, stamp, out, scratch))
    return pass_over(s, c, 0, 0, 0);
  if (st == ST_OK) st = fs_hand_take(s->shared, c->place, c->name, out->ref.arrived_ns, c->fresh);
  if (st == ST_OK && c->source == FS_LISTED) s->group.taken++;
  if (st == ST_EXISTS) return ST_AGAIN; /* or a replay has it at this moment */
  return st == ST_OK ? ST_OK : no_memory(err);
}

/* ---- where candidates come from ---- */

static bool pop_again(struct fs_shared *s, struct fs_candidate *c) {
  struct fs_again *a = fs_again_pop(s);
  if (!a) return false;
  *c = (struct fs_candidate){.source = FS_TOLD, .fresh = a->fresh, .place = a->place};
  fs_name_copy(c->name, a->name);
  free(a);
  return true;
}

static void scan_ended(struct fs_reader *s) {
  s->scan_open = false;
  fs_group_clear(s);
  mutex_lock(&s->shared->lock);
  fs_names_clear(&s->shared->names);
  s->names_next = s->shared->window_at = 0;
  BUG_ON(s->shared->scanned > s->shared->begun);
  s->shared->scanned = s->shared->begun;
  mutex_unlock(&s->shared->lock);
}

/* ST_OK: c is set. ST_AGAIN: there is nothing. ST_BUSY: a listing is due. */
static enum status pick(struct fs_reader *s, struct fs_candidate *c) {
  if (s->need_listing) return ST_BUSY;
  if (pop_again(s->shared, c) || fs_growing_due(s, c)) return ST_OK;
  if (fs_window_left(s)) {
    if (++s->since_drain >= 1024 && !s->shared->names.cut) fs_watch_drain(s, true);
    if (fs_group_pop(s, c)) return ST_OK;
  }
  if (fs_window_left(s)) return ST_AGAIN; /* no memory for the group */
  if (s->shared->names.cut) {
    fs_cursor_set(&s->cursor, &s->shared->names, s->names_next);
    s->need_listing = true;
    return ST_BUSY;
  }
  if (s->scan_open && s->queue_taken >= s->queue_mark) scan_ended(s);
  if (fs_queue_pop(s, c)) return ST_OK;
  fs_watch_drain(s, true);
  if (fs_queue_pop(s, c)) return ST_OK;
  if (s->overflow || s->folders_changed) {
    fs_rescan(s->shared);
    return ST_BUSY;
  }
  return ST_AGAIN;
}

/* ---- the scan ---- */

enum wanted { NO_SCAN, SCAN_NOW, SCAN_WAITS };

/* Lock held. SCAN_WAITS: it was asked for with nothing in hand, and something is. */
static enum wanted next_scan(const struct fs_shared *s) {
  BUG_ON(s->wanted < s->begun);
  BUG_ON_RULE(S11, s->lingering > s->in_hand.count);
  if (s->wanted == s->begun) return NO_SCAN;
  bool waits = s->wanted_settled && s->in_hand.count > s->lingering &&
               clock_mono_ns(s->site->clock) < s->settled_by_ns;
  return waits ? SCAN_WAITS : SCAN_NOW;
}

static enum wanted scan_wanted(struct fs_reader *s) {
  mutex_lock(&s->shared->lock);
  enum wanted wanted = next_scan(s->shared);
  if (wanted == SCAN_NOW) {
    s->begun_reader = s->shared->begun = s->shared->wanted;
    s->shared->wanted_settled = false;
  }
  mutex_unlock(&s->shared->lock);
  return wanted;
}

static void begin_scan(struct fs_reader *s) {
  fs_again_clear(s->shared); /* all of them are listed again */
  s->candidate.set = false;
  s->cursor = (struct fs_cursor){.mtime_ns = INT64_MIN};
  s->need_listing = s->scan_open = true;
  s->said_one_group = false;
  fs_moves_again(s);
}

/* Errors leave need_listing set: the next call begins the listing anew. */
static enum status list_on(struct fs_reader *s, struct error *err) {
  enum status st = fs_check_folders(s, err);
  if (st == ST_OK) st = fs_count_dead(s, err);
  if (st == ST_OK) st = fs_list_window(s, err);
  if (st != ST_OK) return st;
  s->need_listing = false;
  fs_clear_left(s->site);
  fs_sweep_sent(s);
  return ST_OK;
}

enum status fs_next(struct fs_reader *s, struct arena *keep, struct arena *scratch,
                    struct entry *out, struct error *err) {
  struct error local = {0};
  if (!err) err = &local;
  BUG_ON_RULE(S18, s->site->inspect);
  for (unsigned looked = 0;; looked++) {
    enum status st = ST_OK;
    enum wanted wanted = scan_wanted(s);
    if (wanted == SCAN_WAITS) return ST_AGAIN;
    if (wanted == SCAN_NOW) begin_scan(s);
    if (looked % 256 == 255 && atomic_load(&s->shared->woken))
      return ST_AGAIN; /* store_wait comes back at once */
    if (!s->candidate.set) st = pick(s, &s->candidate);
    if (st == ST_BUSY) {
      if (s->need_listing && (st = list_on(s, err)) != ST_OK) return st;
      continue;
    }
    if (st != ST_OK) return st;
    s->candidate.set = true;
    st = consider(s, &s->candidate, keep, scratch, out, err);
    if (st == ST_OK || st == ST_AGAIN) s->candidate.set = false;
    if (st != ST_AGAIN) return st;
  }
}

/* What was listed and told stays where it is, for fs_next. */
enum status fs_follow(struct fs_reader *s, struct error *err) {
  struct error local = {0};
  if (!err) err = &local;
  if (scan_wanted(s) == SCAN_NOW) begin_scan(s);
  enum status st = s->need_listing ? list_on(s, err) : ST_OK;
  if (st != ST_OK) return st;
  if (!s->shared->names.cut) fs_watch_drain(s, true);
  /* Of names that were only told nobody knows the age: those in front of all others are listed. */
  bool ageless = s->shared->queue_next < s->shared->queue.count && !fs_window_left(s);
  if (s->overflow || s->folders_changed || ageless) fs_rescan(s->shared);
  return ST_OK;
}

void fs_wait_op(struct fs_reader *s, int64_t timeout_ms) {
  mutex_lock(&s->shared->lock);
  enum wanted wanted = next_scan(s->shared);
  bool left = wanted == SCAN_NOW || s->shared->again;
  mutex_unlock(&s->shared->lock);
  left = left || s->candidate.set || fs_window_left(s) ||
         s->shared->queue_next < s->shared->queue.count;
  fs_wait(s, timeout_ms, wanted == SCAN_WAITS ? FS_BLOCKED : left ? FS_LEFT : FS_NONE);
}
