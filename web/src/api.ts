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
  ) {
    super(detail);
  }
}

/** The server cannot be reached, or what answered was not it. */
export class Unreachable extends Error {}

async function get(path: string, signal?: AbortSignal, method = "GET"): Promise<unknown> {
  let answer: Response;
  try {
    answer = await fetch(path, { method, headers: { accept: "application/json" }, signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The server does not answer.");
  }
  let body: unknown;
  try {
    body = await answer.json();
  } catch {
    throw new Unreachable(`The server answered ${answer.status} without a readable body.`);
  }
  if (answer.ok) return body;
  const problem = body as { code?: string; title?: string; detail?: string; errors?: Diagnostic[] };
  throw new Problem(
    answer.status,
    problem.code ?? String(answer.status),
    problem.detail ?? problem.title ?? `The server answered ${answer.status}.`,
    problem.errors ?? [],
  );
}

export async function catalog(): Promise<Catalog> {
  return new Catalog((await get("api/flow/filters/catalog")) as ConstructorParameters<typeof Catalog>[0]);
}

export const PAGE_SIZE = 200;

/** The first page of a query, or the page after a cursor. */
export async function page(state: query.Query, more: Record<string, string> = {}, signal?: AbortSignal): Promise<Page> {
  const limit = query.get(state, "limit") || String(PAGE_SIZE);
  return (await get(`api/flow?${query.set(state, { limit, ...more })}`, signal)) as Page;
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
  flow: Partial<Row>;
  deliveries: Delivery[];
}

const ALERTS = "api/flow/alerts";

/** The first thousand alerts. */
export async function alerts(signal: AbortSignal): Promise<Alert[]> {
  return ((await get(`${ALERTS}?limit=1000`, signal)) as { data: Alert[] }).data;
}

/** What an alert raised, newest first. */
export async function alertEvents(id: string, signal: AbortSignal): Promise<{ events: AlertEvent[]; total: number }> {
  const found = (await get(`${ALERTS}/${id}/events?limit=100`, signal)) as { data: AlertEvent[]; page: { total: number } };
  return { events: found.data, total: found.page.total };
}

export async function testAlert(id: string): Promise<AlertEvent> {
  return ((await get(`${ALERTS}/${id}/test`, undefined, "POST")) as { data: AlertEvent }).data;
}

/** How many messages are sent again. */
export async function retryAlert(id: string): Promise<number> {
  return ((await get(`${ALERTS}/${id}/retry`, undefined, "POST")) as { data: { messages: number } }).data.messages;
}
