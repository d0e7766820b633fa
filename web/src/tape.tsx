/** The tape: a virtual table that never moves a row the reader is pointing at. */

import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import type { Row } from "./api";
import type { Catalog } from "./catalog";
import { COLUMNS, RightGlyph, grid, type Column, type View } from "./columns";
import * as format from "./format";
import type { Model } from "./model";
import * as query from "./query";
import { Empty, Failure, keepsRows } from "./states";
import { Tags, widthOf } from "./tags";

const WIDE_ROW = 27;
const PHONE_ROW = 62;
const AHEAD = 40;

/** Space left and right of a cell's content, and of a row on a phone. */
const CELL_PADDING = 14;
const PHONE_PADDING = 24;
/** Between what stands in a line on a phone, and its fonts. */
const PHONE_GAP = 8;
const PHONE_FONT = "12px";
/** Of the side, wide enough for its border as well. */
const PHONE_SIDE = "600 13px";

type Rows = Virtualizer<HTMLDivElement, HTMLDivElement>;

function useVirtual(count: number, height: number, scroller: () => HTMLDivElement | null): Rows {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const held = useRef<Rows | null>(null);
  const options = {
    count,
    getScrollElement: scroller,
    estimateSize: () => height,
    overscan: 12,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => redraw(0),
  };
  held.current ??= new Virtualizer(options);
  const virtual = held.current;
  virtual.setOptions(options);
  useLayoutEffect(() => virtual._didMount(), [virtual]);
  useLayoutEffect(() => virtual._willUpdate());
  useLayoutEffect(() => virtual.measure(), [virtual, height]);
  return virtual;
}

/** Width of an element, followed. */
function useWidth(element: () => HTMLElement | null): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const found = element();
    if (!found) return;
    setWidth(found.clientWidth);
    const observer = new ResizeObserver(() => setWidth(found.clientWidth));
    observer.observe(found);
    return () => observer.disconnect();
  }, []);
  return width;
}

interface RowProps {
  row: Row;
  at: number;
  top: number;
  phone: boolean;
  selected: boolean;
  fresh: boolean;
  gone: boolean;
  catalog: Catalog;
  view: View;
  open: (id: string) => void;
}

class RowView extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    const now = this.props;
    return (
      next.row !== now.row ||
      next.top !== now.top ||
      next.at !== now.at ||
      next.selected !== now.selected ||
      next.phone !== now.phone ||
      next.fresh !== now.fresh ||
      next.gone !== now.gone ||
      next.catalog !== now.catalog ||
      next.view !== now.view
    );
  }

  render({ row, at, top, phone, selected, fresh, gone, catalog, view, open }: RowProps) {
    const names = ["row", String(row.sentiment ?? "")];
    if (gone) names.push("gone");
    if (row.cancelRecord === true) names.push("record");
    if (selected) names.push("selected");
    if (fresh) names.push("fresh");
    return (
      <div
        class={names.join(" ")}
        role="row"
        aria-rowindex={at + 2}
        aria-selected={selected}
        id={`row-${row.id}`}
        data-id={row.id}
        style={{ transform: `translateY(${top}px)` }}
        onClick={() => open(row.id)}
      >
        {phone ? <PhoneRow {...{ row, catalog, gone, view }} /> : <WideRow {...{ row, catalog, gone, view }} />}
      </div>
    );
  }
}

type CellsProps = Pick<RowProps, "row" | "catalog" | "gone" | "view">;

/** The classes of a column's cells, in its head as in its rows. */
function place(column: Column): string {
  return `cell ${column.align}${column.keep ? ` keep-${column.keep}` : ""}`;
}

function WideRow({ row, catalog, gone, view }: CellsProps) {
  return (
    <>
      {COLUMNS.map((column, at) => (
        <span role="gridcell" class={`${place(column)} c${at}`} title={column.tip?.(row, catalog)} key={column.title}>
          {column.cell(row, catalog, view)}
          {gone && at === 0 && <span class="sr">, cancelled</span>}
        </span>
      ))}
    </>
  );
}

function PhoneRow({ row, catalog, gone, view }: CellsProps) {
  const time = `${view.days ? `${format.day(row.tradeTsEt)} ` : ""}${format.clock(row.tradeTsEt).slice(0, 8)}`;
  const side = row.side ? String(row.side) : "";
  const fill = `${format.count(row.size)} @ ${format.price(row.price)}`;
  const said = widthOf(time, PHONE_FONT) + widthOf(fill, PHONE_FONT) + 2 * PHONE_GAP;
  const room = view.room - said - (side ? widthOf(side, PHONE_SIDE) + PHONE_GAP : 0);
  return (
    <span role="gridcell" class="card">
      <span class="line">
        <span class="mark" role="img" aria-label={String(row.sentiment ?? "")}>
          {row.sentiment === "bullish" ? "▲" : row.sentiment === "bearish" ? "▼" : "·"}
        </span>
        <b>{String(row.symbol)}</b>
        <b>{format.strike(row.strike)}</b>
        <RightGlyph right={row.right} />
        <span>{format.expiry(row.expiration)}</span>
        <span class="faint">{format.count(row.dte)}d</span>
        <b class="push" title={format.exact(row.value)}>
          {format.premium(row.value)}
        </b>
      </span>
      <span class="line small">
        <span class="faint">{time}</span>
        {side && <span class={`side ${side.toLowerCase()}`}>{side}</span>}
        <span>{fill}</span>
        <Tags row={row} catalog={catalog} room={room} />
        {gone && <span class="sr">cancelled</span>}
      </span>
    </span>
  );
}

function Header({ model, column }: { model: Model; column: Column }) {
  const field = model.catalog?.field(column.field);
  const { by, order } = query.sort(model.query);
  const sorted = by === column.field && column.field !== "";
  const state = sorted ? (order === "asc" ? "ascending" : "descending") : "none";
  const sort = (): void => {
    const next = !sorted ? "desc" : order === "desc" ? "asc" : null;
    model.go(next ? query.setSort(model.query, column.field, next) : query.setSort(model.query, "seq", "desc"));
  };
  return (
    <span role="columnheader" class={place(column)} aria-sort={field?.sortable ? state : undefined}>
      {field?.sortable ? (
        <button type="button" class={sorted ? "sort on" : "sort"} onClick={sort} title={field.doc}>
          {column.title}
          {sorted && <span aria-hidden="true">{order === "asc" ? "↑" : "↓"}</span>}
        </button>
      ) : (
        <span title={field?.doc}>{column.title}</span>
      )}
    </span>
  );
}

export function Tape({ model, phone }: { model: Model; phone: boolean }) {
  const scroller = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const pointing = useRef(false);
  const place = useRef({ generation: model.generation, prepended: model.prepended, set: 0, seen: model.prepended });
  const [above, setAbove] = useState(0);
  const { rows, catalog } = model;
  const height = phone ? PHONE_ROW : WIDE_ROW;
  const virtual = useVirtual(rows.length, height, () => scroller.current);
  const width = useWidth(() => scroller.current);
  const days = model.manyDays;
  const { tracks, width: least, chips } = useMemo(() => grid(days), [days]);
  const room = phone ? width - PHONE_PADDING : Math.max(0, width - least) + chips - CELL_PADDING;
  const view = useMemo<View>(() => ({ days, room }), [days, room]);

  const moveTo = (top: number): void => {
    const element = scroller.current;
    if (!element) return;
    element.scrollTop = top;
    place.current.set = element.scrollTop;
  };

  useLayoutEffect(() => {
    const element = scroller.current;
    const at = place.current;
    if (!element) return;
    if (at.generation !== model.generation) {
      at.generation = model.generation;
      at.prepended = at.seen = model.prepended;
      follow.current = true;
      moveTo(0);
      setAbove(0);
      return;
    }
    const added = model.prepended - at.prepended;
    at.prepended = model.prepended;
    if (follow.current && !pointing.current && model.selected === null) at.seen = model.prepended;
    else if (added > 0) moveTo(element.scrollTop + added * height);
    setAbove(Math.min(model.prepended - at.seen, Math.ceil(element.scrollTop / height)));
  });

  const toTop = (): void => {
    follow.current = true;
    place.current.seen = model.prepended;
    moveTo(0);
    setAbove(0);
  };

  const scrolled = (): void => {
    const element = scroller.current;
    if (!element || element.scrollTop === place.current.set) return;
    place.current.set = -1;
    follow.current = element.scrollTop < 4;
    if (follow.current) place.current.seen = model.prepended;
    setAbove(Math.min(model.prepended - place.current.seen, Math.ceil(element.scrollTop / height)));
  };

  // the row chosen by keyboard stays in sight
  const selectedAt = model.selectedAt;
  useEffect(() => {
    const element = scroller.current;
    if (!element || selectedAt < 0) return;
    const top = selectedAt * height;
    const room = element.clientHeight - height * (phone ? 1 : 2);
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top > element.scrollTop + room) element.scrollTop = top - room;
  }, [model.selected]);

  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (rows.length && last >= rows.length - AHEAD) void model.more();
  }, [last, rows.length, model.cursor]);

  const waiting = model.waiting.count + above;
  const open = (id: string): void => {
    model.select(id);
    model.open("row");
  };

  return (
    <div class="tape">
      {waiting > 0 && (
        <button
          type="button"
          class="waiting"
          onClick={() => {
            if (model.paused) model.pause(false);
            else if (model.waiting.count) model.showWaiting();
            toTop();
          }}
        >
          ↑ {format.count(waiting)}
          {model.waiting.tooMany ? "+" : ""} new{model.waiting.elsewhere ? " · refresh" : ""}
        </button>
      )}
      <div
        class={`scroll${model.refreshing && model.loaded ? " stale" : ""}${!phone && width < least ? " narrow" : ""}`}
        ref={scroller}
        style={{ "--tracks": tracks, "--least": `${least}px` }}
        onScroll={scrolled}
        tabIndex={0}
        role="grid"
        aria-label="Option prints"
        aria-activedescendant={model.selected === null ? undefined : `row-${model.selected}`}
        aria-rowcount={model.cursor === null ? rows.length + 1 : -1}
        aria-colcount={phone ? 1 : COLUMNS.length}
        aria-busy={model.refreshing}
      >
        {!phone && (
          <div role="rowgroup" class="head">
            <div role="row" class="row" aria-rowindex={1}>
              {COLUMNS.map((column) => (
                <Header model={model} column={column} key={column.title} />
              ))}
            </div>
          </div>
        )}
        <div
          role="rowgroup"
          class={phone ? "body phone" : "body"}
          style={{ height: `${rows.length * height}px` }}
          onPointerEnter={(event) => {
            pointing.current = event.pointerType === "mouse";
          }}
          onPointerLeave={() => {
            pointing.current = false;
            if (follow.current && model.selected === null) toTop();
          }}
        >
          {catalog &&
            items.map((item) => {
              const row = rows[item.index];
              return (
                row && (
                  <RowView
                    key={row.id}
                    row={row}
                    at={item.index}
                    top={item.index * height}
                    phone={phone}
                    selected={row.id === model.selected}
                    fresh={model.fresh.has(row.id)}
                    gone={model.tape.gone(row)}
                    catalog={catalog}
                    view={view}
                    open={open}
                  />
                )
              );
            })}
        </div>
        <Foot model={model} />
      </div>
    </div>
  );
}

function Foot({ model }: { model: Model }) {
  if (!model.loaded && !model.problem) {
    return (
      <div class="skeleton" aria-label="Loading rows">
        {Array.from({ length: 24 }, (_, at) => (
          <i key={at} />
        ))}
      </div>
    );
  }
  if (model.problem && (model.rows.length === 0 || !keepsRows(model.problem))) return <Failure model={model} />;
  if (model.rows.length === 0) return model.refreshing ? null : <Empty model={model} />;
  if (model.loadingMore) return <div class="tail">Loading older rows…</div>;
  if (model.cursor !== null) return <div class="tail">&nbsp;</div>;
  return (
    <div class="tail">
      {model.truncated ? (
        <>
          Older rows are no longer held here.{" "}
          <button type="button" class="link" onClick={() => void model.refresh()}>
            Read again
          </button>
        </>
      ) : (
        `End of the list · ${format.count(model.rows.length)} ${model.rows.length === 1 ? "row" : "rows"}`
      )}
    </div>
  );
}
