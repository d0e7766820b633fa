/** The rows of the tape in their order, each found by its id, with what is counted over them. */

import type { Row } from "./api";
import { Sums } from "./sums";

export class Rows {
  list: Row[] = [];
  readonly sums = new Sums();
  /** Ids of prints taken back while the tape showed them, or before they reached it. */
  readonly retracted = new Set<string>();
  /** Rows of each session. */
  readonly days = new Map<string, number>();

  /**
   * Place of each row as a number that stays true while rows are put on top: the first row's is `#top`,
   * each following one's is one less.
   */
  readonly #places = new Map<string, number>();
  #top = 0;
  #cancelledCount = false;

  /** Begin anew; cancelled prints count only where the filter asks for them. */
  clear(cancelledCount = false): void {
    this.list = [];
    this.sums.clear();
    this.days.clear();
    this.retracted.clear();
    this.#places.clear();
    this.#cancelledCount = cancelledCount;
  }

  /** Whether a print was taken back. */
  gone(row: Row): boolean {
    return row.cancelled === true || this.retracted.has(row.id);
  }

  /** Position of a row. */
  at(id: string): number | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#top - place;
  }

  /** Put rows below the last; those that are there already stay where they are. */
  append(rows: readonly Row[]): void {
    const added = rows.filter((row) => !this.#places.has(row.id));
    added.forEach((row, at) => {
      this.#places.set(row.id, this.#top - this.list.length - at);
      this.#count(row, 1);
    });
    this.list = this.list.concat(added);
  }

  /** Put rows on top and let the oldest beyond `most` go; whether any had to. */
  prepend(rows: readonly Row[], most: number): boolean {
    this.#top += rows.length;
    rows.forEach((row, at) => {
      this.#places.set(row.id, this.#top - at);
      this.#count(row, 1);
    });
    this.list = rows.concat(this.list);
    if (this.list.length <= most) return false;
    for (const row of this.list.slice(most)) {
      this.#places.delete(row.id);
      this.#count(row, -1);
    }
    this.list = this.list.slice(0, most);
    return true;
  }

  /** Put a row in the place of the one that has its id; whether there is one. */
  update(row: Row): boolean {
    const at = this.at(row.id);
    const old = at === undefined ? undefined : this.list[at];
    if (at === undefined || !old) return false;
    this.#count(old, -1);
    this.#count(row, 1);
    this.list[at] = row;
    return true;
  }

  /** Take a print back: it stays in sight, and counts no more. */
  retract(row: Row): void {
    const at = this.at(row.id);
    const old = at === undefined ? undefined : this.list[at];
    if (old) this.#count(old, -1);
    this.retracted.add(row.id);
    if (at === undefined || !old) return;
    const taken = { ...old, ...row };
    this.#count(taken, 1);
    this.list[at] = taken;
  }

  #count(row: Row, by: 1 | -1): void {
    const day = String(row.sessionDate);
    const left = (this.days.get(day) ?? 0) + by;
    if (left) this.days.set(day, left);
    else this.days.delete(day);
    if (this.#cancelledCount || !this.gone(row)) this.sums.count(row, by);
  }
}
