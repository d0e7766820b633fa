/** The chips of a row as tags: as many as there is room for, then how many more, then what cannot be decided. */

import type { Row } from "./api";
import type { Catalog, Chip } from "./catalog";

/** Space around a tag's text, its border where it has one, and that to the next tag. */
const PADDING = 14;
const GAP = 4;

let canvas: CanvasRenderingContext2D | null | undefined;
const widths = new Map<string, number>();

/** How wide a text is in the page's font, in whole pixels. */
export function widthOf(text: string, font = "11px"): number {
  const key = `${font} ${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    canvas ??= document.createElement("canvas").getContext("2d");
    if (canvas) canvas.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
    widths.set(key, (width = Math.ceil(canvas?.measureText(text).width ?? 7 * text.length)));
  }
  return width;
}

function tag(text: string): number {
  return widthOf(text) + PADDING + GAP;
}

/** How many of the labels fit, counted from the first, with a tag for the number of those that do not. */
function fitting(labels: readonly string[], room: number): number {
  const all = labels.reduce((sum, label) => sum + tag(label), 0);
  if (all - GAP <= room) return labels.length;
  let used = 0;
  for (const [at, label] of labels.entries()) {
    used += tag(label);
    if (used + tag(`+${labels.length - at - 1}`) - GAP > room) return at;
  }
  return labels.length;
}

/** Chips a column already says (those that only read `right` or `side`) are not repeated. */
function saidByColumns(chip: Chip): boolean {
  return chip.fields.length > 0 && chip.fields.every((name) => name === "right" || name === "side");
}

function labelsOf(ids: readonly string[] | undefined, catalog: Catalog): string[] {
  return (ids ?? []).flatMap((id) => {
    const chip = catalog.chip(id);
    return chip && !saidByColumns(chip) ? [chip.label] : [];
  });
}

export function Tags({ row, catalog, room }: { row: Row; catalog: Catalog; room: number }) {
  const on = labelsOf(row.chips, catalog);
  const unknown = labelsOf(row.chipsUnknown, catalog);
  const short = `${unknown.length}?`;
  const long = unknown.length === 1 && tag(`${unknown[0]}?`) <= room / 2 ? `${unknown[0]}?` : short;
  const left = room - (unknown.length ? tag(long) : 0);
  const shown = fitting(on, left);
  const rest = on.slice(shown).join(", ");
  return (
    <span class="tags">
      {on.slice(0, shown).map((label) => (
        <span class="tag" key={label}>
          {label}
        </span>
      ))}
      {rest && (
        <span class="tag more" title={rest}>
          +{on.length - shown}
          <span class="sr"> more: {rest}</span>
        </span>
      )}
      {unknown.length > 0 && (
        <span class="tag undecided" title={`Cannot be decided: ${unknown.join(", ")}`}>
          {long}
        </span>
      )}
    </span>
  );
}
