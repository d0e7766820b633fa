/** The REST calls of the page. */

import { Catalog } from "./catalog";
import * as query from "./query";

/** One row as the API writes it; every catalog field under its JSON key. */
export interface Row {
  id: string;
  seq: number;
  chips: string[];
  chipsUnknown: string[];
  [field: string]: unknown;
}

export interface Meta {
  where: string;
  ruleVersion: string;
  asOfSeq: number;
  watermark: number;
  sessionDate: string | number | null;
  degraded: boolean;
  degradedReason: string[];
  lagThresholdSeconds: number;
}

export interface Page {
  data: Row[];
  page: { limit: number; hasMore: boolean; nextCursor: string | null; total: number | null };
  meta: Meta;
}

export interface Diagnostic {
  code?: string;
  name?: string;
  severity?: string;
  message: string;
  source?: string;
  line?: number;
  column?: number;
  endLine?: number;
  endColumn?: number;
  help?: string | string[] | null;
  suggestion?: string | null;
}

/** An answer of the server that is not rows: what was wrong, and with what. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly errors: readonly Diagnostic[],
    /** How long the server wants to be left alone, in milliseconds. */
    readonly wait = 0,
  ) {
    super(detail);
  }

  /** Whether the same question may be answered a little later. */
  get passing(): boolean {
    return this.status === 429 || this.status >= 500;
  }

  /** Whether it is the question that is wrong, not who asks or when. */
  get refuses(): boolean {
    return !this.passing && this.status !== 401 && this.status !== 403;
  }
}

/** The server cannot be reached, or what answered was not it. */
export class Unreachable extends Error {}

/** Whether asking again may help. */
export function passes(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof Problem && error.passing);
}

async function ask(path: string, signal?: AbortSignal, method = "GET", body?: unknown): Promise<unknown> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, { method, headers, signal: signal ?? null, body: body === undefined ? null : JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The server does not answer.");
  }
  let given: unknown;
  try {
    given = await answer.json();
  } catch {
    throw new Unreachable(`The server answered ${answer.status} without a readable body.`);
  }
  if (answer.ok) return given;
  const problem = given as { code?: string; title?: string; detail?: string; errors?: Diagnostic[] };
  throw new Problem(
    answer.status,
    problem.code ?? String(answer.status),
    problem.detail ?? problem.title ?? `The server answered ${answer.status}.`,
    problem.errors ?? [],
    1000 * (Number(answer.headers.get("retry-after")) || 0),
  );
}

export async function catalog(): Promise<Catalog> {
  return new Catalog((await ask("api/flow/filters/catalog")) as ConstructorParameters<typeof Catalog>[0]);
}

export const PAGE_SIZE = 200;

/** The first page of a query, or the page after a cursor. */
export async function page(state: query.Query, more: Record<string, string> = {}, signal?: AbortSignal): Promise<Page> {
  const limit = query.get(state, "limit") || String(PAGE_SIZE);
  return (await ask(`api/flow?${query.set(state, { limit, ...more })}`, signal)) as Page;
}

/** The date of the session that pages without bounds are of; "" without any. */
export async function session(signal?: AbortSignal): Promise<string> {
  const found = (await ask("api/flow?limit=1&fields=id", signal)) as Page;
  return String(found.meta.sessionDate ?? "");
}

/** Ask for a stream without opening it: returns where it could be opened, and raises what stands in the way. */
export async function probe(stream: string, signal: AbortSignal): Promise<void> {
  await ask(`${stream}&transport=json`, signal);
}

/** What may stand at a place of a rule text, and the characters it takes the place of. */
export interface Completion {
  from: number;
  to: number;
  items: { label: string; kind: string; insert: string; detail: string }[];
}

/** Offsets count characters, not the units of JavaScript. */
export async function complete(text: string, offset: number, signal: AbortSignal): Promise<Completion> {
  return ((await ask("api/dsl/complete", signal, "POST", { text, offset })) as { data: Completion }).data;
}

export interface Alert {
  id: string;
  name: string;
  where: string;
}

export interface Delivery {
  type: string;
  digest: boolean;
  state: "waiting" | "delivered" | "dead";
  attempts: number;
  problem: string | null;
}

export interface AlertEvent {
  number: number;
  kind: "matched" | "retracted" | "test";
  createdAt: string;
  flow: Partial<Row>;
  deliveries: Delivery[];
}

const ALERTS = "api/flow/alerts";

/** The first thousand alerts. */
export async function alerts(signal: AbortSignal): Promise<Alert[]> {
  return ((await ask(`${ALERTS}?limit=1000`, signal)) as { data: Alert[] }).data;
}

/** What an alert raised, newest first. */
export async function alertEvents(id: string, signal: AbortSignal): Promise<{ events: AlertEvent[]; total: number }> {
  const found = (await ask(`${ALERTS}/${id}/events?limit=100`, signal)) as { data: AlertEvent[]; page: { total: number } };
  return { events: found.data, total: found.page.total };
}

export async function testAlert(id: string): Promise<AlertEvent> {
  return ((await ask(`${ALERTS}/${id}/test`, undefined, "POST")) as { data: AlertEvent }).data;
}

/** How many messages are sent again. */
export async function retryAlert(id: string): Promise<number> {
  return ((await ask(`${ALERTS}/${id}/retry`, undefined, "POST")) as { data: { messages: number } }).data.messages;
}
