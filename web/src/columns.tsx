/** The columns of the tape: what each shows and which catalog field sorts it. */

import type { ComponentChildren } from "preact";
import type { Row } from "./api";
import type { Catalog } from "./catalog";
import * as format from "./format";
import { Tags } from "./tags";

/** What every row is shown with. */
export interface View {
  /** Whether the day stands before the time: the rows may be of several. */
  days: boolean;
  /** Space for the tags of a row, in pixels; on a phone that for their whole line. */
  room: number;
}

export interface Column {
  title: string;
  /** JSON key of the field it shows and sorts by; empty where it has none. */
  field: string;
  /** A grid track. */
  width: string;
  /** The same where the day is shown. */
  wider?: string;
  /** The side of the tape at which it stays when there is no room for all. */
  keep?: "start" | "end";
  align: "start" | "center" | "end";
  cell: (row: Row, catalog: Catalog, view: View) => ComponentChildren;
  /** The exact or longer form, shown on hover. */
  tip?: (row: Row, catalog: Catalog) => string | undefined;
}

/** What a print was, by the flags of its condition; the first that is set names it. */
const TYPES: readonly [field: string, label: string][] = [
  ["cancelRecord", "Cancel"],
  ["compression", "Compr"],
  ["multiLeg", "Multi"],
  ["stockTied", "Stock"],
  ["iso", "Sweep"],
  ["cross", "Cross"],
  ["auction", "Auction"],
  ["floor", "Floor"],
  ["late", "Late"],
];

const MARKS: Record<string, string> = { bullish: "▲", bearish: "▼", neutral: "·" };

export function typeOf(row: Row): string {
  return TYPES.find(([field]) => row[field] === true)?.[1] ?? "";
}

export function RightGlyph({ right }: { right: unknown }) {
  const call = right === "CALL";
  return (
    <span class={call ? "glyph call" : "glyph put"} role="img" aria-label={call ? "call" : "put"}>
      {call ? "C" : "P"}
    </span>
  );
}

function dim(text: string): ComponentChildren {
  return text === "–" ? <span class="none">–</span> : text;
}

/** Share of a premium on a logarithmic scale from $1K to $10M, in percent. */
function magnitude(value: unknown): number {
  if (typeof value !== "number" || value <= 1e3) return 0;
  return Math.min(100, (Math.log10(value) - 3) * 25);
}

export const COLUMNS: readonly Column[] = [
  {
    title: "Time (ET)",
    field: "tradeTsUtc",
    width: "96px",
    wider: "122px",
    align: "start",
    cell: (row, _catalog, { days }) => {
      const time = format.clock(row.tradeTsEt);
      return (
        <>
          {days && `${format.day(row.tradeTsEt)} `}
          {time.slice(0, 8)}
          {!days && <span class="faint">{time.slice(8)}</span>}
        </>
      );
    },
    tip: (row) => `${format.isoDate(row.sessionDate)} ${format.clock(row.tradeTsEt)} ET`,
  },
  {
    title: "Ticker",
    field: "symbol",
    width: "76px",
    keep: "start",
    align: "start",
    cell: (row) => (
      <>
        <span class="mark" role="img" aria-label={String(row.sentiment ?? "sentiment unknown")}>
          {MARKS[String(row.sentiment)] ?? "·"}
        </span>
        <b>{String(row.symbol)}</b>
      </>
    ),
    tip: (row) => `${row.symbol} · root ${row.root} · ${row.sentiment ?? "sentiment unknown"}`,
  },
  {
    title: "Expiry",
    field: "expiration",
    width: "82px",
    align: "start",
    cell: (row) => format.expiry(row.expiration),
    tip: (row) => format.isoDate(row.expiration),
  },
  { title: "DTE", field: "dte", width: "48px", align: "end", cell: (row) => dim(format.count(row.dte)) },
  { title: "Strike", field: "strike", width: "70px", align: "end", cell: (row) => <b>{format.strike(row.strike)}</b> },
  { title: "C/P", field: "right", width: "42px", align: "center", cell: (row) => <RightGlyph right={row.right} /> },
  {
    title: "Spot",
    field: "spot",
    width: "76px",
    align: "end",
    cell: (row) => dim(typeof row.spot === "number" ? row.spot.toFixed(2) : "–"),
    tip: (row) => (row.spot === null ? "no underlying quote" : `${format.exact(row.spot)} · ${row.spotSource ?? ""}`),
  },
  { title: "%OTM", field: "otmPct", width: "68px", align: "end", cell: (row) => dim(format.percent(row.otmPct)) },
  {
    title: "Side",
    field: "side",
    width: "52px",
    align: "center",
    cell: (row) => (row.side ? <span class={`side ${String(row.side).toLowerCase()}`}>{String(row.side)}</span> : dim("–")),
  },
  {
    title: "Fill (bid×ask)",
    field: "price",
    width: "172px",
    align: "end",
    cell: (row) => (
      <>
        <b>{format.price(row.price)}</b>{" "}
        <span class="faint">
          {row.bid === null && row.ask === null ? "no quote" : `${format.price(row.bid)}×${format.price(row.ask)}`}
        </span>
      </>
    ),
  },
  { title: "Size", field: "size", width: "62px", align: "end", cell: (row) => format.count(row.size) },
  {
    title: "Premium",
    field: "value",
    keep: "end",
    width: "84px",
    align: "end",
    cell: (row) => (
      <>
        <span class="magnitude" style={{ width: `${magnitude(row.value)}%` }} />
        <b>{format.premium(row.value)}</b>
      </>
    ),
    tip: (row) => format.exact(row.value),
  },
  { title: "Vol", field: "dayVolume", width: "66px", align: "end", cell: (row) => dim(format.count(row.dayVolume)) },
  { title: "OI", field: "oi", width: "66px", align: "end", cell: (row) => dim(format.count(row.oi)) },
  { title: "Vol/OI", field: "volOiRatio", width: "58px", align: "end", cell: (row) => dim(format.ratio(row.volOiRatio)) },
  {
    title: "Type",
    field: "conditionCode",
    width: "62px",
    align: "start",
    cell: (row) => typeOf(row) || <span class="none">–</span>,
    tip: (row) => `${row.conditionName ?? "condition"} (${row.conditionCode}) · exchange ${row.exchange}`,
  },
  {
    title: "Chips",
    field: "",
    width: "minmax(172px, 1fr)",
    align: "start",
    cell: (row, catalog, { room }) => <Tags row={row} catalog={catalog} room={room} />,
    tip: (row, catalog) => (row.chips ?? []).map((id) => catalog.chip(id)?.label ?? id).join(", ") || undefined,
  },
  {
    title: "Score",
    field: "sigScore",
    width: "56px",
    align: "end",
    cell: (row) => dim(typeof row.sigScore === "number" ? row.sigScore.toFixed(2) : "–"),
    tip: (row) =>
      row.scoreQuality === "partial" ? `partial: ${[row.missingMetrics ?? []].flat().join(", ") || "inputs"} unknown` : undefined,
  },
];

/** The least a track takes, in pixels. */
function least(column: Column, days: boolean): number {
  return Number(/\d+/.exec((days && column.wider) || column.width)?.[0]);
}

/** The grid of a row, the least width it has, and what of that the chips may take. */
export function grid(days: boolean): { tracks: string; width: number; chips: number } {
  return {
    tracks: COLUMNS.map((column) => (days && column.wider) || column.width).join(" "),
    width: COLUMNS.reduce((sum, column) => sum + least(column, days), 0),
    chips: COLUMNS.filter((column) => column.title === "Chips").reduce((sum, column) => sum + least(column, days), 0),
  };
}

/** What the tape calls a field, else its own name in words. */
export function fieldLabel(json: string, name: string): string {
  const column = COLUMNS.find((column) => column.field === json);
  return column && !["Time (ET)", "Fill (bid×ask)", "Type"].includes(column.title) ? column.title : format.words(name);
}
