/** What is counted over the rows of the tape: premium, how it leans, and the rows of each chip. */

import type { Row } from "./api";

export interface ChipCount {
  on: number;
  unknown: number;
}

export interface Totals {
  premium: number;
  calls: number;
  puts: number;
  bullish: number;
  bearish: number;
}

const NOTHING: Totals = { premium: 0, calls: 0, puts: 0, bullish: 0, bearish: 0 };

export class Sums {
  /** How many rows are counted. */
  rows = 0;
  totals: Totals = { ...NOTHING };
  readonly chips = new Map<string, ChipCount>();

  clear(): void {
    this.rows = 0;
    this.totals = { ...NOTHING };
    this.chips.clear();
  }

  /** Count a row in, or out again. */
  count(row: Row, by: 1 | -1): void {
    this.rows += by;
    for (const [ids, key] of [
      [row.chips, "on"],
      [row.chipsUnknown, "unknown"],
    ] as const) {
      for (const id of ids ?? []) {
        let count = this.chips.get(id);
        if (!count) this.chips.set(id, (count = { on: 0, unknown: 0 }));
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
}
