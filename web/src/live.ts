/**
 * The page's one event stream.
 *
 * Reconnecting is done here rather than by EventSource: each connection asks for exactly what follows
 * the last seq seen, waits longer after each failure, and is given up when it stays silent longer than
 * the server's heartbeat allows. A browser does not tell why a stream failed; after the second failure the
 * server is asked for the same as JSON first, and what it answers decides: whether to go on from the same
 * seq, to read the page again, or to stop because it will never give this stream.
 */

import * as api from "./api";
import type { Row } from "./api";
import type { Query } from "./query";

export type LiveState = "connecting" | "live" | "reconnecting" | "off";

export interface Degraded {
  degraded: boolean;
  reasons: string[];
}

export interface LiveHandlers {
  rows(rows: Row[]): void;
  retracted(rows: Row[]): void;
  degraded(state: Degraded): void;
  /** The gap cannot be filled from the stream, or the rules changed: read again. */
  stale(reason: "reset" | "rules"): void;
  /** `problem` is what the server said when asked why. */
  state(state: LiveState, retryAt: number | null, problem: Error | null): void;
  watermark(seq: number): void;
}

interface Frame {
  sequence?: number;
  watermark?: number;
  eventType?: string;
  flow?: Row;
  /** The cancel record of a retraction, where the filter asks for those as well. */
  record?: Row;
  events?: Frame[];
  rows?: Row[];
  degraded?: boolean;
  degradedReason?: string[];
  reason?: string | string[];
}

const SILENCE = 25_000; // the server promises a heartbeat every 10 s
const FIRST_DELAY = 500;
const LAST_DELAY = 5_000;
/** From this failure on the server is asked for the reason before the stream is opened again. */
const ASK = 2;
/** A connection made faster than this was never worth a word. */
const PATIENCE = 400;

export class Live {
  #source: EventSource | null = null;
  #query: Query = "";
  #seq = 0;
  #opened = false;
  /** Whether this query's stream ever was open: what never was is not opened again. */
  #been = false;
  #failures = 0;
  #problem: Error | null = null;
  #asking: AbortController | null = null;
  #retry = 0;
  #watchdog = 0;
  #patience = 0;

  constructor(readonly handlers: LiveHandlers) {}

  /** Follow a query from just after a seq. */
  open(query: Query, seq: number): void {
    this.close();
    this.#query = query;
    this.#seq = seq;
    this.#failures = 0;
    this.#problem = null;
    this.#been = false;
    this.#opened = true;
    this.#connect();
  }

  /** End for good: until another query is opened. */
  end(): void {
    this.#opened = false;
    this.close();
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
    this.#asking?.abort();
    this.#asking = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#watchdog);
    clearTimeout(this.#patience);
  }

  /** Let go of the connection until `resume`, which asks for everything since. */
  suspend(): void {
    if (this.#source) this.close();
  }

  /** Go on, without waiting any longer. */
  resume(): void {
    if (!this.#source && this.#opened) this.#again();
  }

  /** Where the stream goes on. */
  get #address(): string {
    return `api/flow/stream?${[this.#query, "batch=1", "snapshot=0", `watermark=${this.#seq}`].filter(Boolean).join("&")}`;
  }

  #again(): void {
    if (this.#failures < ASK) this.#connect();
    else void this.#ask();
  }

  #tell(retryAt: number | null): void {
    this.handlers.state(this.#been ? "reconnecting" : "connecting", retryAt, this.#problem);
  }

  #connect(): void {
    this.close();
    if (this.#failures) this.#tell(null);
    else this.#patience = window.setTimeout(() => this.#tell(null), PATIENCE);
    const source = new EventSource(this.#address);
    this.#source = source;
    this.#watch();
    source.onopen = () => {
      this.#failures = 0;
      this.#problem = null;
      this.#been = true;
      clearTimeout(this.#patience);
      this.#watch();
      this.handlers.state("live", null, null);
    };
    source.onerror = () => this.#fail();
    const on = (name: string, handle: (frame: Frame) => void): void => {
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#watch();
        const frame = JSON.parse((event as MessageEvent<string>).data) as Frame;
        handle(frame);
        const seq = Math.max(frame.watermark ?? 0, frame.sequence ?? 0, Number((event as MessageEvent).lastEventId) || 0);
        if (seq > this.#seq) {
          this.#seq = seq;
          this.handlers.watermark(seq);
        }
      });
    };
    on("flow.updated", (frame) => this.#rows(frame));
    on("flow.snapshot", (frame) => this.#rows(frame));
    on("flow.retracted", (frame) => this.#rows({ ...frame, eventType: "flow.retracted" }));
    on("progress", () => undefined);
    on("degraded", (frame) => {
      const given = frame.degradedReason ?? frame.reason ?? [];
      this.handlers.degraded({ degraded: frame.degraded ?? true, reasons: Array.isArray(given) ? given : [given] });
    });
    on("rules", () => this.handlers.stale("rules"));
    on("reset", () => this.handlers.stale("reset"));
  }

  #rows(frame: Frame): void {
    const events = frame.events ?? frame.rows?.map((flow): Frame => ({ flow })) ?? [frame];
    let kind = "";
    let run: Row[] = [];
    const hand = (): void => {
      if (!run.length) return;
      if (kind === "flow.retracted") this.handlers.retracted(run);
      else this.handlers.rows(run);
      run = [];
    };
    for (const event of events) {
      const type = event.eventType ?? frame.eventType ?? "flow.updated";
      if (type !== kind) hand();
      kind = type;
      if (event.flow) run.push(event.flow);
      if (event.record) this.handlers.rows([event.record]);
    }
    hand();
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = window.setTimeout(() => this.#fail(), SILENCE);
  }

  /** Ask for the stream's reason to fail; it is opened again where there is none. */
  async #ask(): Promise<void> {
    this.close();
    this.#tell(null);
    const asking = new AbortController();
    this.#asking = asking;
    try {
      await api.probe(this.#address, asking.signal);
    } catch (error) {
      if (!asking.signal.aborted) this.#refused(error as Error);
      return;
    }
    if (!asking.signal.aborted) this.#connect();
  }

  #refused(problem: Error): void {
    if (api.passes(problem)) this.#fail(problem);
    else if (problem instanceof api.Problem && problem.status === 410) this.handlers.stale("reset");
    else {
      this.end();
      this.handlers.state("off", null, problem);
    }
  }

  #fail(problem: Error | null = null): void {
    this.close();
    this.#failures += 1;
    this.#problem = problem;
    const least = problem instanceof api.Problem ? problem.wait : 0;
    const delay = Math.max(least, Math.min(LAST_DELAY, FIRST_DELAY * 2 ** this.#failures) * (0.5 + Math.random() / 2));
    this.#tell(Date.now() + delay);
    this.#retry = window.setTimeout(() => this.#again(), delay);
  }
}
