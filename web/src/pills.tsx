/** The active filters as pills: one for each thing that can be taken away alone. */

import type { Catalog } from "./catalog";
import { fieldLabel } from "./columns";
import * as format from "./format";
import type { Model } from "./model";
import * as query from "./query";

export interface Pill {
  key: string;
  text: string;
  negated: boolean;
  /** The query without it. */
  without: query.Query;
  /** Parameter it comes from. */
  param: string;
}

function bound(value: string, type: string): string {
  const number = Number(value);
  if (value === "" || Number.isNaN(number)) return value;
  if (type === "money") return format.brief(number);
  return type === "percent" ? `${number}%` : format.whole(number);
}

const LISTS = ["chips", "notChips"];

export function pills(state: query.Query, catalog: Catalog): Pill[] {
  const found: Pill[] = [];
  for (const [param, value] of query.entries(query.filters(state))) {
    const known = catalog.fieldOfParam(param);
    if (param === "where") {
      found.push({ key: param, text: value, negated: false, without: query.set(state, { where: null }), param });
    } else if (LISTS.includes(param) || known?.bound === "exact") {
      const label = known && known.field.type !== "symbol" && known.field.type !== "enum" ? `${fieldLabel(known.field.json, known.field.name)} ` : "";
      for (const item of value.split(",").filter((text) => text.trim() !== "")) {
        const excluded = item.startsWith("-") && known?.field.type === "symbol";
        // a ticker may be called as a chip is: C is Citigroup and an alias of Calls
        const chip = LISTS.includes(param) ? catalog.chip(item) : undefined;
        found.push({
          key: `${param}=${item}`,
          text: label + (chip?.label ?? (excluded ? item.slice(1) : item)),
          negated: param === "notChips" || excluded,
          without: query.setList(state, param, query.list(state, param).filter((text) => text !== item.trim())),
          param,
        });
      }
    } else if (known) {
      const sign = known.bound === "min" ? "≥" : "≤";
      found.push({
        key: param,
        text: `${fieldLabel(known.field.json, known.field.name)} ${sign} ${bound(value, known.field.type)}`,
        negated: false,
        without: query.set(state, { [param]: null }),
        param,
      });
    } else {
      found.push({ key: param, text: `${param} = ${value}`, negated: false, without: query.set(state, { [param]: null }), param });
    }
  }
  return found;
}

export function Pills({ model }: { model: Model }) {
  if (!model.catalog) return null;
  const list = pills(model.query, model.catalog);
  const { by, order } = query.sort(model.query);
  const sorted = !query.newestFirst(model.query);
  if (!list.length && !sorted) return null;
  const field = model.catalog.field(by);
  return (
    <div class="pills" aria-label="Active filters" role="group">
      {list.map((pill) => (
        <span class={pill.negated ? "pill not" : "pill"} key={pill.key}>
          <span class={pill.param === "where" ? "text code" : "text"} title={pill.text}>
            {pill.negated && <em>not </em>}
            {pill.text}
          </span>
          <button type="button" aria-label={`Remove ${pill.negated ? "not " : ""}${pill.text}`} onClick={() => model.go(pill.without)}>
            ×
          </button>
        </span>
      ))}
      {sorted && (
        <span class="pill sorting">
          <span class="text">
            Sorted by {field ? fieldLabel(field.json, field.name) : by} {order === "asc" ? "↑" : "↓"}
          </span>
          <button type="button" aria-label="Back to newest first" onClick={() => model.go(query.setSort(model.query, "seq", "desc"))}>
            ×
          </button>
        </span>
      )}
      {list.length > 1 && (
        <button
          type="button"
          class="link"
          onClick={() => model.go(query.set("", Object.fromEntries(query.SORTING.map((name) => [name, query.get(model.query, name)]))))}
        >
          Clear all
        </button>
      )}
      {model.meta?.where && list.length > 0 && (
        <button
          type="button"
          class="link push"
          title={model.meta.where}
          onClick={() => void navigator.clipboard?.writeText(model.meta?.where ?? "")}
        >
          Copy as rule text
        </button>
      )}
    </div>
  );
}
