/** Every chip of the catalog with its three states and its count over the loaded rows. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Chip } from "./catalog";
import * as format from "./format";
import type { Model } from "./model";
import * as query from "./query";

const NEXT: Record<query.ChipState, query.ChipState> = { off: "must", must: "not", not: "off" };
const SAID: Record<query.ChipState, string> = { off: "off", must: "must have", not: "must not have" };

interface Shown {
  chip: Chip;
  anchor: HTMLElement;
}

export function ChipBar({ model }: { model: Model }) {
  const [shown, setShown] = useState<Shown | null>(null);
  const { catalog } = model;
  if (!catalog) return <div class="chipbar loading" />;
  const groups: [string, Chip[]][] = [];
  for (const chip of catalog.chips) {
    if (chip.rollout === "off") continue;
    const group = groups.find(([name]) => name === chip.group);
    if (group) group[1].push(chip);
    else groups.push([chip.group, [chip]]);
  }
  return (
    <div class="chipbar" role="group" aria-label="Chips">
      {groups.map(([name, chips]) => (
        <span class="group" role="group" aria-label={name} key={name}>
          {chips.map((chip) => {
            const state = query.chipState(model.query, catalog, chip);
            const count = model.sums.chips.get(chip.id);
            const on = count?.on ?? 0;
            const unknown = count?.unknown ?? 0;
            const undecided = model.sums.rows > 0 && unknown === model.sums.rows;
            const served = chip.rollout === "on";
            const set = (next: query.ChipState): void => {
              if (!served && next !== "off") return;
              setShown(null);
              model.go(query.setChip(model.query, catalog, chip, next));
            };
            return (
              <button
                type="button"
                key={chip.id}
                data-chip={chip.id}
                data-state={state}
                class={`chip ${state}${undecided ? " undecided" : ""}${on === 0 ? " zero" : ""}${served ? "" : " unserved"}`}
                aria-disabled={served ? undefined : "true"}
                aria-pressed={state === "off" ? "false" : state === "must" ? "true" : "mixed"}
                aria-label={`${chip.label}: ${served ? SAID[state] : "not served yet"}; on in ${on} of ${model.sums.rows} rows${unknown ? `, undecided in ${unknown}` : ""}`}
                aria-describedby={shown?.chip === chip ? "chip-tip" : undefined}
                onClick={(event) => set(event.shiftKey ? (state === "not" ? "off" : "not") : NEXT[state])}
                onContextMenu={(event) => {
                  event.preventDefault();
                  set(state === "not" ? "off" : "not");
                }}
                onPointerEnter={(event) => event.pointerType === "mouse" && setShown({ chip, anchor: event.currentTarget })}
                onPointerLeave={() => setShown(null)}
                onFocus={(event) => event.currentTarget.matches(":focus-visible") && setShown({ chip, anchor: event.currentTarget })}
                onBlur={() => setShown(null)}
              >
                <span class="sign" aria-hidden="true">
                  {state === "must" ? "+" : state === "not" ? "−" : ""}
                </span>
                <span class="label">{chip.label}</span>
                <span class="count">{!served ? "" : undecided ? "?" : format.count(on)}</span>
              </button>
            );
          })}
        </span>
      ))}
      {shown && <Tip model={model} {...shown} />}
    </div>
  );
}

function Tip({ model, chip, anchor }: Shown & { model: Model }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const at = anchor.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, innerWidth - element.offsetWidth - 8));
    element.style.left = `${left}px`;
    element.style.top = `${at.bottom + 6}px`;
  }, [chip, anchor]);
  const count = model.sums.chips.get(chip.id);
  const params = Object.entries(chip.params ?? {});
  return (
    <div class="tip" id="chip-tip" role="tooltip" ref={box}>
      <header>
        <b>{chip.label}</b>
        <span class="code faint">@{chip.id}</span>
        {chip.rollout !== "on" && <span class="tag">{chip.rollout}: tagged, not served yet</span>}
      </header>
      <p>{chip.doc || chip.english}</p>
      <pre class="code">{chip.rule}</pre>
      {chip.doc && chip.english && chip.english !== chip.doc && <p class="faint">{chip.english}</p>}
      {params.length > 0 && (
        <p class="code small">
          {params.map(([name, value]) => (
            <span key={name}>
              {name} = {typeof value === "number" ? format.strike(value) : [value].flat().join(", ")}{" "}
            </span>
          ))}
        </p>
      )}
      {chip.rollout === "on" && (
        <footer>
          on in {format.count(count?.on ?? 0)} of {format.count(model.sums.rows)} loaded rows
          {count?.unknown ? ` · undecided in ${format.count(count.unknown)}` : ""}
          <br />
          Click: must have, must not, off. Shift-click or right-click: must not.
        </footer>
      )}
    </div>
  );
}
