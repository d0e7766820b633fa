/** Rows that arrived and are not shown yet: held back while the tape is paused, or without a place at its top. */

import type { Row } from "./api";

/** Rows held while paused; beyond this the page reads again when it resumes. */
const MOST_HELD = 5_000;

export class Waiting {
  #held = new Map<string, Row>();
  /** Whether more came than are held. */
  tooMany = false;
  /** Rows that arrived while the sort gives them no place at the top. */
  elsewhere = 0;

  get count(): number {
    return this.#held.size + this.elsewhere;
  }

  /** Whether only the server can say where they belong. */
  get unplaced(): boolean {
    return this.tooMany || this.elsewhere > 0;
  }

  hold(rows: readonly Row[]): void {
    for (const row of rows) this.#held.set(row.id, row);
    for (const id of this.#held.keys()) {
      if (this.#held.size <= MOST_HELD) break;
      this.#held.delete(id);
      this.tooMany = true;
    }
  }

  /** Those held, which wait no longer. */
  take(): Row[] {
    const rows = [...this.#held.values()];
    this.#held.clear();
    return rows;
  }

  clear(): void {
    this.#held.clear();
    this.tooMany = false;
    this.elsewhere = 0;
  }
}
