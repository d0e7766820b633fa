/** One row in full: every field of the catalog, its chips, and what cannot be decided. */

import { RightGlyph, fieldLabel } from "./columns";
import * as format from "./format";
import type { Model } from "./model";
import { Panel } from "./panel";
import * as query from "./query";

export function RowDrawer({ model }: { model: Model }) {
  const row = model.row(model.selected);
  const { catalog } = model;
  if (!row || !catalog) return null;
  const symbol = String(row.symbol);
  const on = row.chips ?? [];
  const unknown = row.chipsUnknown ?? [];
  const gone = model.tape.gone(row);
  return (
    <Panel
      model={model}
      label="Row"
      heading={
        <>
          {symbol} {format.strike(row.strike)} <RightGlyph right={row.right} /> {format.expiry(row.expiration)}
        </>
      }
      close={() => model.select(null)}
    >
      <p class={`headline ${row.sentiment ?? ""}`}>
        <b title={format.exact(row.value)}>{format.premium(row.value)}</b>
        <span>
          {format.count(row.size)} × {format.price(row.price)}
        </span>
        {row.side ? <span class={`side ${String(row.side).toLowerCase()}`}>{String(row.side)}</span> : null}
        <span>{String(row.sentiment ?? "")}</span>
      </p>
      {gone && <p class="banner">This print was cancelled later; its values are as they were.</p>}
      <div class="toggles">
        <button type="button" class="toggle" onClick={() => model.go(query.setList(model.query, "symbol", [symbol]))}>
          Only {symbol}
        </button>
        <button
          type="button"
          class="toggle"
          onClick={() => model.go(query.setList(model.query, "symbol", [...query.list(model.query, "symbol").filter((old) => old !== symbol), `-${symbol}`]))}
        >
          Not {symbol}
        </button>
        <button type="button" class="toggle" onClick={() => void navigator.clipboard?.writeText(JSON.stringify(row, null, 2))}>
          Copy JSON
        </button>
      </div>
      <h3>Chips</h3>
      <ul class="why">
        {catalog.chips
          .filter((chip) => on.includes(chip.id) || unknown.includes(chip.id))
          .sort((a, b) => Number(unknown.includes(a.id)) - Number(unknown.includes(b.id)))
          .map((chip) => (
            <li key={chip.id} class={unknown.includes(chip.id) ? "undecided" : ""}>
              <span class={unknown.includes(chip.id) ? "tag undecided" : "tag"}>
                {chip.label}
                {unknown.includes(chip.id) && "?"}
              </span>
              <span class="code">{chip.rule}</span>
            </li>
          ))}
        {!on.length && !unknown.length && <li class="faint">No chip is on.</li>}
      </ul>
      <h3>Fields</h3>
      <dl>
        {catalog.fields
          .filter((field) => field.json && field.json in row && !["chips", "chipsUnknown"].includes(field.json))
          .map((field) => {
            const value = row[field.json];
            const missing = value === null || value === undefined;
            const name = field.json === "conditionCode" && row.conditionName ? ` · ${row.conditionName}` : "";
            return (
              <div key={field.json} title={field.doc}>
                <dt>{fieldLabel(field.json, field.name)}</dt>
                <dd class={missing ? "none" : ""}>
                  {format.full(value, field.type)}
                  {name}
                </dd>
              </div>
            );
          })}
        <div>
          <dt>Id</dt>
          <dd class="code">{row.id}</dd>
        </div>
      </dl>
    </Panel>
  );
}
