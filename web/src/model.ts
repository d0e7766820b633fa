/** What the page knows: the query, its rows, and how current they are. Views read it and call its actions. */

import * as api from "./api";
import type { Catalog } from "./catalog";
import { Live, type Degraded, type LiveState } from "./live";
import * as query from "./query";

export type Panel = "filters" | "alerts" | "row" | "help" | null;

export interface ChipCount {
  on: number;
  unknown: number;
}

/** Sums over the loaded rows. */
export interface Totals {
  premium: number;
  calls: number;
  puts: number;
  bullish: number;
  bearish: number;
}

/** Rows kept in memory; live rows push the oldest out beyond this. */
const MOST_ROWS = 50_000;
/** Rows held while paused; beyond this the page reads again when it resumes. */
const MOST_HELD = 5_000;
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
  rows: api.Row[] = [];
  readonly counts = new Map<string, ChipCount>();
  totals: Totals = { premium: 0, calls: 0, puts: 0, bullish: 0, bearish: 0 };
  meta: api.Meta | null = null;
  loaded = false;
  refreshing = false;
  loadingMore = false;
  cursor: string | null = null;
  truncated = false;
  problem: Error | null = null;
  retryAt: number | null = null;
  live: LiveState = "connecting";
  degraded: Degraded = { degraded: false, reasons: [] };
  watermark = 0;
  paused = false;
  held: api.Row[] = [];
  heldTooMany = false;
  /** Rows that arrived while the sort gives them no place at the top. */
  elsewhere = 0;
  /** Rows put on top since the page was loaded: views keep their place by it. */
  prepended = 0;
  selected: string | null = null;
  panel: Panel = null;
  /** Counts how often the tape was replaced; views start again at the top. */
  generation = 0;
  readonly fresh = new Set<string>();
  readonly retracted = new Set<string>();

  /**
   * Place of each row as a number that stays true while rows are put on top: the first row's is `#top`,
   * each following one's is one less.
   */
  readonly #places = new Map<string, number>();
  #top = 0;
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
    this.#live = new Live({
      rows: (rows) => this.#arrive(rows),
      retracted: (rows) => this.#retract(rows),
      degraded: (state) => {
        this.degraded = state;
        this.emit();
      },
      stale: (reason) => void this.#stale(reason),
      state: (state, retryAt) => {
        this.live = state;
        this.retryAt = retryAt;
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
    const address = next ? `?${next}` : location.pathname;
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    this.#enter(next);
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
    this.emit();
    let page: api.Page;
    try {
      if (!this.catalog) this.catalog = await api.catalog();
      page = await api.page(this.query, {}, abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) this.#fail(error as Error, () => this.refresh());
      return;
    }
    if (abort.signal.aborted) return;
    this.#failures = 0;
    this.#replace(page);
    this.#live.open(query.filters(this.query), Math.min(page.meta.asOfSeq, page.meta.watermark));
  }

  #replace(page: api.Page): void {
    this.#reset();
    this.#arrived = [];
    this.held = [];
    this.heldTooMany = false;
    this.elsewhere = 0;
    this.truncated = false;
    this.fresh.clear();
    this.retracted.clear();
    this.#append(page);
    this.#answered = this.query;
    this.meta = page.meta;
    this.watermark = page.meta.watermark;
    this.degraded = { degraded: page.meta.degraded, reasons: page.meta.degradedReason ?? [] };
    this.problem = null;
    this.retryAt = null;
    this.loaded = true;
    this.refreshing = false;
    this.generation += 1;
    if (this.selected !== null && !this.#places.has(this.selected)) this.select(null);
    this.emit();
  }

  #reset(): void {
    this.rows = [];
    this.#places.clear();
    this.counts.clear();
    this.totals = { premium: 0, calls: 0, puts: 0, bullish: 0, bearish: 0 };
  }

  #clear(): void {
    this.#reset();
    this.#answered = null;
    this.cursor = null;
    this.held = [];
    this.elsewhere = 0;
    this.select(null);
  }

  #append(page: api.Page): void {
    const added = page.data.filter((row) => !this.#places.has(row.id));
    added.forEach((row, at) => {
      this.#places.set(row.id, this.#top - this.rows.length - at);
      this.#count(row, 1);
    });
    this.rows = this.rows.concat(added);
    this.cursor = page.page.hasMore ? page.page.nextCursor : null;
  }

  #fail(error: Error, again: () => Promise<void>): void {
    this.refreshing = false;
    this.loadingMore = false;
    this.problem = error;
    const passing = error instanceof api.Unreachable || (error instanceof api.Problem && error.status >= 429);
    // rows of another query are never shown as this one's
    if (!passing || this.#answered !== this.query) this.#clear();
    if (passing) {
      this.#failures += 1;
      const delay = Math.min(5_000, 500 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
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
      if (error instanceof api.Problem) {
        this.cursor = null;
        this.truncated = true;
      }
    } finally {
      this.loadingMore = false;
      this.emit();
    }
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
      const at = this.#at(row.id);
      if (at === undefined) added.push(row);
      else this.#update(at, row);
    }
    if (!added.length) return;
    if (this.paused) this.#hold(added);
    else if (query.newestFirst(this.query)) this.#prepend(added);
    else this.elsewhere += added.length;
  }

  #hold(rows: api.Row[]): void {
    const held = new Map(this.held.map((row) => [row.id, row]));
    for (const row of rows) held.set(row.id, row);
    this.held = [...held.values()];
    if (this.held.length > MOST_HELD) {
      this.held = this.held.slice(-MOST_HELD);
      this.heldTooMany = true;
    }
  }

  #prepend(rows: api.Row[]): void {
    rows.sort((a, b) => b.seq - a.seq);
    this.#top += rows.length;
    rows.forEach((row, at) => {
      this.#places.set(row.id, this.#top - at);
      this.#count(row, 1);
    });
    this.rows = rows.concat(this.rows);
    this.prepended += rows.length;
    if (this.rows.length > MOST_ROWS) {
      for (const row of this.rows.slice(MOST_ROWS)) {
        this.#places.delete(row.id);
        this.#count(row, -1);
      }
      this.rows = this.rows.slice(0, MOST_ROWS);
      this.cursor = null;
      this.truncated = true;
    }
    if (rows.length <= MOST_FLASHES) {
      const ids = rows.map((row) => row.id);
      for (const id of ids) this.fresh.add(id);
      setTimeout(() => ids.forEach((id) => this.fresh.delete(id)), FLASH);
    }
  }

  #update(at: number, row: api.Row): void {
    const old = this.rows[at];
    if (!old) return;
    this.#count(old, -1);
    this.#count(row, 1);
    this.rows[at] = row;
  }

  #retract(rows: api.Row[]): void {
    for (const row of rows) {
      this.retracted.add(row.id);
      const at = this.#at(row.id);
      if (at !== undefined) this.#update(at, { ...this.rows[at], ...row });
    }
    this.emit();
  }

  #at(id: string): number | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#top - place;
  }

  #count(row: api.Row, by: 1 | -1): void {
    for (const [ids, key] of [
      [row.chips, "on"],
      [row.chipsUnknown, "unknown"],
    ] as const) {
      for (const id of ids ?? []) {
        let count = this.counts.get(id);
        if (!count) this.counts.set(id, (count = { on: 0, unknown: 0 }));
        count[key] += by;
      }
    }
    const value = typeof row.value === "number" ? row.value * by : 0;
    this.totals.premium += value;
    if (row.right === "CALL") this.totals.calls += value;
    else this.totals.puts += value;
    if (row.sentiment === "bullish") this.totals.bullish += value;
    else if (row.sentiment === "bearish") this.totals.bearish += value;
  }

  /** New rows the reader has not been shown. */
  get waiting(): number {
    return this.held.length + this.elsewhere;
  }

  pause(paused: boolean): void {
    this.paused = paused;
    if (!paused) this.showWaiting();
    this.emit();
  }

  /** Show the rows that wait: those held go on top, others need the server's sort. */
  showWaiting(): void {
    if (this.heldTooMany || this.elsewhere) {
      void this.refresh();
      return;
    }
    const held = this.held;
    this.held = [];
    if (query.newestFirst(this.query)) this.#prepend(held);
    this.emit();
  }

  row(id: string | null): api.Row | undefined {
    const at = id === null ? undefined : this.#at(id);
    return at === undefined ? undefined : this.rows[at];
  }

  /** Position of the selected row, or -1. */
  get selectedAt(): number {
    return this.selected === null ? -1 : (this.#at(this.selected) ?? -1);
  }

  select(id: string | null): void {
    this.selected = id;
    if (id === null && this.panel === "row") this.panel = null;
    this.emit();
  }

  open(panel: Panel): void {
    this.panel = panel;
    this.emit();
  }
}
