/**
 * The one state of the page: the query string in its address.
 *
 * Its parameters are the API's own, so the same query string gives the same rows here and there.
 * A query is held as text; every function takes one and returns a new one.
 */

import type { Catalog, Chip } from "./catalog";

export type Query = string;
export type ChipState = "off" | "must" | "not";

/** Parameters of a single request, never part of the state. */
const TRANSPORT = ["cursor", "fields", "total", "snapshot", "batch", "watermark", "named", "transport", "offset"];
/** Parameters that order or page rows but do not choose them. */
export const SORTING = ["sortBy", "sortOrder", "limit"];

const DEFAULT_SORT = "seq";

function write(params: URLSearchParams): Query {
  // Commas and @ are legal in a query string; left readable because people share these links.
  return params.toString().replaceAll("%2C", ",").replaceAll("%40", "@").replaceAll("%3A", ":");
}

/** A query from an address or a link, without parameters of single requests and empty ones. */
export function parse(search: string): Query {
  const given = new URLSearchParams(search);
  const params = new URLSearchParams();
  for (const [name, value] of given) if (!TRANSPORT.includes(name) && value !== "") params.append(name, value);
  return write(params);
}

export function get(query: Query, name: string): string {
  return new URLSearchParams(query).get(name) ?? "";
}

/** The query with some parameters set; null or "" removes one. */
export function set(query: Query, values: Record<string, string | null>): Query {
  const params = new URLSearchParams(query);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") params.delete(name);
    else params.set(name, value);
  }
  return write(params);
}

export function list(query: Query, name: string): string[] {
  return new URLSearchParams(query)
    .getAll(name)
    .flatMap((text) => text.split(","))
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

export function setList(query: Query, name: string, values: readonly string[]): Query {
  return set(query, { [name]: [...new Set(values)].join(",") });
}

/** The query with a value added to, or taken from, a list parameter. */
export function toggle(query: Query, name: string, value: string): Query {
  const values = list(query, name);
  const same = (text: string): boolean => text.toLowerCase() === value.toLowerCase();
  return setList(query, name, values.some(same) ? values.filter((text) => !same(text)) : [...values, value]);
}

export function entries(query: Query): [string, string][] {
  return [...new URLSearchParams(query)];
}

export function chipState(query: Query, catalog: Catalog, chip: Chip): ChipState {
  const named = (name: string): boolean => list(query, name).some((text) => catalog.chip(text) === chip);
  if (named("chips")) return "must";
  return named("notChips") ? "not" : "off";
}

export function setChip(query: Query, catalog: Catalog, chip: Chip, state: ChipState): Query {
  for (const [name, wanted] of [
    ["chips", "must"],
    ["notChips", "not"],
  ] as const) {
    const others = list(query, name).filter((text) => catalog.chip(text) !== chip);
    query = setList(query, name, state === wanted ? [...others, chip.id] : others);
  }
  return query;
}

export interface Sort {
  by: string;
  order: "asc" | "desc";
}

export function sort(query: Query): Sort {
  return { by: get(query, "sortBy") || DEFAULT_SORT, order: get(query, "sortOrder") === "asc" ? "asc" : "desc" };
}

/** Newest first is the only order in which arriving rows can be put where they belong. */
export function newestFirst(query: Query): boolean {
  const { by, order } = sort(query);
  return by === DEFAULT_SORT && order === "desc";
}

export function setSort(query: Query, by: string, order: "asc" | "desc"): Query {
  const plain = by === DEFAULT_SORT && order === "desc";
  return set(query, { sortBy: plain ? null : by, sortOrder: plain || order === "desc" ? null : order });
}

/** Whether a switch such as `includeCancelled` is on, in the words the API takes. */
export function on(query: Query, name: string): boolean {
  return ["1", "true", "yes", "on"].includes(get(query, name).toLowerCase());
}

/** A day as digits, of `2026-09-18`, `20260918`, or a time on it. */
function digits(text: string): string {
  return text.replaceAll("-", "").slice(0, 8);
}

/** The last day its rows can be of, as digits; "" without an end. */
export function lastDay(query: Query): string {
  const dates = list(query, "date").map(digits).sort();
  return [dates.at(-1) ?? "", digits(get(query, "to"))].filter(Boolean).sort()[0] ?? "";
}

/** Whether its last day is before the session of that date. */
export function endsBefore(query: Query, session: string): boolean {
  const last = lastDay(query);
  return last !== "" && session !== "" && last < digits(session);
}

/** Whether its rows may be of more than one day. */
export function manyDays(query: Query): boolean {
  const dates = list(query, "date");
  if (dates.length) return dates.length > 1;
  const [from, to] = [digits(get(query, "from")), digits(get(query, "to"))];
  return Number(get(query, "sessions")) > 1 || ((from !== "" || to !== "") && from !== to);
}

const KEPT = "phenix.query";

/** Keep a query while the browser signs in, which leads back to the page without one. */
export function keep(query: Query): void {
  sessionStorage.setItem(KEPT, query);
}

/** The query that was kept, once. */
export function kept(): Query {
  const found = sessionStorage.getItem(KEPT) ?? "";
  sessionStorage.removeItem(KEPT);
  return found;
}

/** Only the parameters that choose rows: what the stream takes, and what "clear" removes. */
export function filters(query: Query): Query {
  return set(query, Object.fromEntries(SORTING.map((name) => [name, null])));
}

/** `250k` → `250000`: the short forms people type, as the plain number the API takes; others unchanged. */
export function plainNumber(text: string): string {
  const match = /^\s*([+-]?)\$?([\d,]*\.?\d+|\d[\d,]*)\s*([kmb%]?)\s*$/i.exec(text);
  if (!match) return text.trim();
  const digits = (match[2] ?? "").replaceAll(",", "");
  const power = { k: 3, m: 6, b: 9 }[(match[3] ?? "").toLowerCase()] ?? 0;
  const [whole = "", fraction = ""] = digits.split(".");
  const shifted = whole + fraction.slice(0, power).padEnd(power, "0");
  const rest = fraction.slice(power);
  return `${match[1] === "-" ? "-" : ""}${shifted.replace(/^0+(?=\d)/, "") || "0"}${rest ? `.${rest}` : ""}`;
}
