/** What the page knows: the query, its rows, and how current they are. Views read it and call its actions. */

import * as api from "./api";
import type { Catalog } from "./catalog";
import { Live, type Degraded, type LiveState } from "./live";
import * as query from "./query";
import { Rows } from "./rows";
import type { Sums } from "./sums";
import { Waiting } from "./waiting";

export type Panel = "filters" | "alerts" | "row" | "help" | null;

/** Rows kept in memory; live rows push the oldest out beyond this. */
const MOST_ROWS = 50_000;
/** How long a hidden tab keeps its stream. */
const HIDDEN = 60_000;
/** How often the catalog is read again. */
const CATALOG_MS = 60_000;
const FLASH = 600;
/** More arrivals at once than this are not announced one by one. */
const MOST_FLASHES = 12;

export class Model {
  catalog: Catalog | null = null;
  query: query.Query = query.parse(location.search);
  readonly tape = new Rows();
  meta: api.Meta | null = null;
  loaded = false;
  refreshing = false;
  loadingMore = false;
  cursor: string | null = null;
  truncated = false;
  /** Why the last answer is missing. */
  problem: Error | null = null;
  /** Why the stream is missing, as far as the server says. */
  unfollowed: Error | null = null;
  retryAt: number | null = null;
  live: LiveState = "connecting";
  degraded: Degraded = { degraded: false, reasons: [] };
  watermark = 0;
  /** The session that is traded now, where the query names another's days. */
  session = "";
  paused = false;
  readonly waiting = new Waiting();
  /** Rows put on top since the page was loaded: views keep their place by it. */
  prepended = 0;
  selected: string | null = null;
  panel: Panel = null;
  /** Whether the panel was opened by a key, and takes the focus. */
  byKey = false;
  /** Counts how often the tape was replaced; views start again at the top. */
  generation = 0;
  readonly fresh = new Set<string>();

  readonly #listeners = new Set<() => void>();
  readonly #live: Live;
  #arrived: api.Row[] = [];
  #scheduled = false;
  #abort: AbortController | null = null;
  /** The query the rows shown answer. */
  #answered: query.Query | null = null;
  #failures = 0;
  #timer = 0;

  constructor() {
    const kept = query.kept();
    if (kept && !this.query) this.#address((this.query = kept), true);
    this.#live = new Live({
      rows: (rows) => this.#arrive(rows),
      retracted: (rows) => this.#retract(rows),
      degraded: (state) => {
        this.degraded = state;
        this.emit();
      },
      stale: (reason) => void this.#stale(reason),
      state: (state, retryAt, problem) => {
        this.live = state;
        this.retryAt = retryAt;
        this.unfollowed = problem;
        this.emit();
      },
      watermark: (seq) => {
        this.watermark = seq;
        this.emit();
      },
    });
    addEventListener("popstate", () => this.#enter(query.parse(location.search)));
    addEventListener("pagehide", () => this.#live.end());
    // a browser has few connections to a host: a tab nobody looks at gives its one back
    let hiding = 0;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = window.setTimeout(() => this.#live.suspend(), HIDDEN);
      else this.#live.resume();
    });
    addEventListener("pageshow", (event) => {
      if (event.persisted) void this.refresh();
    });
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tell the views, once a frame. */
  emit(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.#settle();
      for (const listener of this.#listeners) listener();
    };
    // no frames are drawn in a hidden tab, and arrivals must not pile up there
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  }

  async start(): Promise<void> {
    try {
      this.catalog = await api.catalog();
    } catch (error) {
      this.#fail(error as Error, () => this.start());
      return;
    }
    setInterval(() => {
      if (!document.hidden) void this.#reread();
    }, CATALOG_MS);
    await this.refresh();
  }

  /** Go to another query; typing replaces the history entry, decisions add one. */
  go(next: query.Query, replace = false): void {
    if (next === this.query) return;
    this.#address(next, replace);
    this.#enter(next);
  }

  #address(next: query.Query, replace: boolean): void {
    const address = next ? `?${next}` : location.pathname;
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }

  #enter(next: query.Query): void {
    this.query = next;
    void this.refresh();
  }

  /** Read the first page again, then follow what comes after it. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#live.end();
    const abort = new AbortController();
    this.#abort = abort;
    this.refreshing = true;
    this.unfollowed = null;
    this.emit();
    let page: api.Page;
    try {
      if (!this.catalog) this.catalog = await api.catalog();
      [page, this.session] = await Promise.all([api.page(this.query, {}, abort.signal), this.#current(abort.signal)]);
    } catch (error) {
      if (!abort.signal.aborted) this.#fail(error as Error, () => this.refresh());
      return;
    }
    if (abort.signal.aborted) return;
    this.#failures = 0;
    this.#replace(page);
    this.#live.open(query.filters(this.query), Math.min(page.meta.asOfSeq, page.meta.watermark));
  }

  /** The session that is traded now, where it may matter. */
  async #current(signal: AbortSignal): Promise<string> {
    return query.lastDay(this.query) === "" ? "" : api.session(signal).catch(() => "");
  }

  #replace(page: api.Page): void {
    this.#empty();
    this.tape.clear(this.#asksForCancelled(page.meta.where));
    this.truncated = false;
    this.fresh.clear();
    this.#append(page);
    this.#answered = this.query;
    this.meta = page.meta;
    this.watermark = page.meta.watermark;
    this.degraded = { degraded: page.meta.degraded, reasons: page.meta.degradedReason ?? [] };
    this.problem = null;
    this.unfollowed = null;
    this.retryAt = null;
    this.loaded = true;
    this.refreshing = false;
    this.generation += 1;
    if (this.selected !== null && this.tape.at(this.selected) === undefined) this.select(null);
    this.emit();
  }

  /** Whether cancelled prints are what the filter is about, as the server takes it. */
  #asksForCancelled(where: string): boolean {
    const names = ["cancelled", "cancelRecord"].map((json) => this.catalog?.field(json)?.name).filter(Boolean);
    return query.on(this.query, "includeCancelled") || (names.length > 0 && new RegExp(`\\b(${names.join("|")})\\b`).test(where));
  }

  /** Let go of the rows, and of those on their way: they answer another query than the next ones. */
  #empty(): void {
    this.tape.clear();
    this.#arrived = [];
    this.waiting.clear();
  }

  #clear(): void {
    this.#empty();
    this.#answered = null;
    this.cursor = null;
    this.select(null);
  }

  #append(page: api.Page): void {
    this.tape.append(page.data);
    this.cursor = page.page.hasMore ? page.page.nextCursor : null;
  }

  #fail(error: Error, again: () => Promise<void>): void {
    this.refreshing = false;
    this.loadingMore = false;
    this.problem = error;
    const passing = api.passes(error);
    const refused = error instanceof api.Problem ? error.refuses : !passing;
    // rows of another query are never shown as this one's
    if (refused || this.#answered !== this.query) this.#clear();
    if (passing) {
      this.#failures += 1;
      const least = error instanceof api.Problem ? error.wait : 0;
      const delay = Math.max(least, Math.min(5_000, 500 * 2 ** this.#failures) * (0.5 + Math.random() / 2));
      this.retryAt = Date.now() + delay;
      this.live = "reconnecting";
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void again(), delay);
    } else {
      this.loaded = true;
      this.retryAt = null;
      this.live = "off";
    }
    this.emit();
  }

  /** Read the page after the last row. */
  async more(): Promise<void> {
    const cursor = this.cursor;
    if (cursor === null || this.loadingMore || this.refreshing) return;
    const abort = this.#abort;
    this.loadingMore = true;
    this.emit();
    try {
      const page = await api.page(this.query, { cursor }, abort?.signal);
      if (this.#abort === abort) this.#append(page);
    } catch (error) {
      if (abort?.signal.aborted) return;
      // an expired cursor means the walk is over, not that the rows shown are wrong
      if (error instanceof api.Problem && error.refuses) {
        this.cursor = null;
        this.truncated = true;
      }
    } finally {
      this.loadingMore = false;
      this.emit();
    }
  }

  /** Do not wait for the next try. */
  retry(): void {
    if (!this.problem) this.#live.resume();
    else void (this.catalog ? this.refresh() : this.start());
  }

  #stale(reason: "reset" | "rules"): Promise<void> {
    return reason === "rules" ? this.#reread() : this.refresh();
  }

  /** Read the catalog again: after a change of rules, and every minute for the verdict on a version in shadow. */
  async #reread(): Promise<void> {
    try {
      this.catalog = await api.catalog();
      this.emit();
    } catch {
      // the tape is right either way; it is read again in a minute
    }
  }

  #arrive(rows: api.Row[]): void {
    this.#arrived.push(...rows);
    this.emit();
  }

  /** Put what arrived since the last frame where it belongs. */
  #settle(): void {
    if (!this.#arrived.length) return;
    const arrived = new Map<string, api.Row>();
    for (const row of this.#arrived) arrived.set(row.id, row);
    this.#arrived = [];
    const added: api.Row[] = [];
    for (const row of arrived.values()) {
      if (!this.tape.update(row)) added.push(row);
    }
    if (!added.length) return;
    if (!query.newestFirst(this.query)) this.waiting.elsewhere += added.length;
    else if (this.paused) this.waiting.hold(added);
    else this.#prepend(added);
  }

  #prepend(rows: api.Row[]): void {
    rows.sort((a, b) => b.seq - a.seq);
    this.prepended += rows.length;
    if (this.tape.prepend(rows, MOST_ROWS)) {
      this.cursor = null;
      this.truncated = true;
    }
    if (rows.length <= MOST_FLASHES) {
      const ids = rows.map((row) => row.id);
      for (const id of ids) this.fresh.add(id);
      setTimeout(() => ids.forEach((id) => this.fresh.delete(id)), FLASH);
    }
  }

  #retract(rows: api.Row[]): void {
    for (const row of rows) this.tape.retract(row);
    this.emit();
  }

  get rows(): api.Row[] {
    return this.tape.list;
  }

  /** Sums over the loaded rows. */
  get sums(): Sums {
    return this.tape.sums;
  }

  /** Whether the query ends before the session that is traded now: no new rows will match. */
  get past(): boolean {
    return query.endsBefore(this.query, this.session);
  }

  /** Whether the rows are, or may be, of several days. */
  get manyDays(): boolean {
    return this.tape.days.size > 1 || query.manyDays(this.query);
  }

  /** What stands in the way of rows or of their stream. */
  get trouble(): Error | null {
    return this.problem ?? this.unfollowed;
  }

  pause(paused: boolean): void {
    this.paused = paused;
    if (!paused) this.showWaiting();
    this.emit();
  }

  /** Show the rows that wait: those held go on top, others need the server's sort. */
  showWaiting(): void {
    if (this.waiting.unplaced) {
      void this.refresh();
      return;
    }
    const held = this.waiting.take();
    if (query.newestFirst(this.query)) this.#prepend(held);
    this.emit();
  }

  row(id: string | null): api.Row | undefined {
    const at = id === null ? undefined : this.tape.at(id);
    return at === undefined ? undefined : this.rows[at];
  }

  /** Position of the selected row, or -1. */
  get selectedAt(): number {
    return this.selected === null ? -1 : (this.tape.at(this.selected) ?? -1);
  }

  select(id: string | null): void {
    this.selected = id;
    if (id === null && this.panel === "row") this.panel = null;
    this.emit();
  }

  open(panel: Panel, byKey = false): void {
    this.panel = panel;
    this.byKey = byKey;
    this.emit();
  }
}
