/** The filter drawer: every filterable field of the catalog, by the parameter the catalog gives it. */

import { useEffect, useState } from "preact/hooks";
import type { Catalog, Field } from "./catalog";
import { fieldLabel } from "./columns";
import * as format from "./format";
import type { Model } from "./model";
import { Panel } from "./panel";
import * as query from "./query";

const TYPING = 450;

interface FieldProps {
  model: Model;
  catalog: Catalog;
  field: Field;
}

export function FilterDrawer({ model }: { model: Model }) {
  const { catalog } = model;
  const [sought, setSought] = useState("");
  if (!catalog) return null;
  const low = sought.trim().toLowerCase();
  const wanted = catalog.fields.filter(
    (field) =>
      (field.filterable || field.minParam) &&
      (low === "" || [field.name, field.json, field.doc, fieldLabel(field.json, field.name)].some((text) => text.toLowerCase().includes(low))),
  );
  const symbols = wanted.filter((field) => field.type === "symbol" && catalog.exactParam(field));
  const enums = wanted.filter((field) => field.enum && catalog.exactParam(field));
  const ranges = wanted.filter((field) => field.minParam || field.maxParam);
  const exact = wanted.filter((field) => !symbols.includes(field) && !enums.includes(field) && !ranges.includes(field) && catalog.exactParam(field));
  const placed = new Set([...symbols, ...enums, ...ranges, ...exact]);
  const rest = wanted.filter((field) => field.filterable && !placed.has(field));
  const active = query.filters(model.query) !== "";
  return (
    <Panel
      model={model}
      label="Filters"
      heading="Filters"
      close={() => model.open(null)}
      beside={
        active && (
          <button type="button" class="link" onClick={() => model.go(sorting(model.query))}>
            Clear all
          </button>
        )
      }
    >
      <input
        class="field seek"
        type="search"
        placeholder="Find a field…"
        aria-label="Find a field"
        value={sought}
        onInput={(event) => setSought(event.currentTarget.value)}
      />
      {symbols.map((field) => (
        <Tokens {...{ model, catalog, field }} key={field.name} excludes />
      ))}
      {enums.map((field) => (
        <Members {...{ model, catalog, field }} key={field.name} />
      ))}
      {exact.map((field) => (
        <Tokens {...{ model, catalog, field }} key={field.name} />
      ))}
      {low === "" && <Scope model={model} catalog={catalog} />}
      {ranges.length > 0 && <h3>Ranges</h3>}
      {ranges.map((field) => (
        <Range {...{ model, catalog, field }} key={field.name} />
      ))}
      {rest.length > 0 && <h3>In the filter text</h3>}
      {rest.map((field) => (
        <Written {...{ model, catalog, field }} key={field.name} />
      ))}
      {!wanted.length && <p class="faint">No field is called that.</p>}
    </Panel>
  );
}

/** The query with its order kept and every filter gone. */
function sorting(state: query.Query): query.Query {
  return query.set("", Object.fromEntries(query.SORTING.map((name) => [name, query.get(state, name)])));
}

function Legend({ field }: { field: Field }) {
  return (
    <legend title={field.doc}>
      {fieldLabel(field.json, field.name)} <span class="code faint">{field.name}</span>
    </legend>
  );
}

function Members({ model, catalog, field }: FieldProps) {
  const param = catalog.exactParam(field) ?? "";
  const chosen = query.list(model.query, param).map((text) => text.toLowerCase());
  return (
    <fieldset>
      <Legend field={field} />
      <div class="toggles">
        {(field.enum ?? []).map((member) => {
          const on = chosen.includes(member.toLowerCase());
          return (
            <button
              type="button"
              class={on ? "toggle on" : "toggle"}
              aria-pressed={on}
              key={member}
              onClick={() => model.go(query.toggle(model.query, param, member))}
            >
              {member}
            </button>
          );
        })}
      </div>
    </fieldset>
  );
}

function Tokens({ model, catalog, field, excludes = false }: FieldProps & { excludes?: boolean }) {
  const param = catalog.exactParam(field) ?? "";
  const values = query.list(model.query, param);
  const [text, setText] = useState("");
  const add = (exclude: boolean): void => {
    const words = text.split(/[\s,]+/).filter((word) => word !== "" && word !== "-");
    setText("");
    let next = model.query;
    for (const word of words) {
      const plain = word.replace(/^-/, "");
      const name = field.type === "symbol" ? plain.toUpperCase() : plain;
      const value = exclude || word.startsWith("-") ? `-${name}` : name;
      const opposite = value.startsWith("-") ? name : `-${name}`;
      const others = query.list(next, param).filter((old) => old.toUpperCase() !== opposite.toUpperCase());
      next = query.setList(next, param, [...others, value]);
    }
    model.go(next);
  };
  return (
    <fieldset>
      <Legend field={field} />
      <div class="inputs">
        <input
          class="field code"
          type="text"
          value={text}
          placeholder={excludes ? "SPY, QQQ" : field.type === "date" ? "YYYY-MM-DD" : ""}
          aria-label={`${fieldLabel(field.json, field.name)}: add`}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter") add(event.shiftKey && excludes);
          }}
        />
        <button type="button" class="button" disabled={!text.trim()} onClick={() => add(false)}>
          {excludes ? "Only" : "Add"}
        </button>
        {excludes && (
          <button type="button" class="button" disabled={!text.trim()} onClick={() => add(true)}>
            Not
          </button>
        )}
      </div>
      {values.length > 0 && (
        <div class="toggles">
          {values.map((value) => (
            <button
              type="button"
              class={value.startsWith("-") && excludes ? "toggle not" : "toggle on"}
              key={value}
              aria-label={`Remove ${value}`}
              onClick={() => model.go(query.toggle(model.query, param, value))}
            >
              {value.startsWith("-") && excludes ? `not ${value.slice(1)}` : value} ×
            </button>
          ))}
        </div>
      )}
    </fieldset>
  );
}

function hint(field: Field, which: "min" | "max"): string {
  const given = field.range?.[which];
  if (typeof given !== "number") return which;
  // limits nobody would type say nothing
  if (!Number.isInteger(given) || Math.abs(given) >= 1e4) return which;
  return field.type === "money" ? `$${format.strike(given)}` : field.type === "percent" ? `${given}%` : format.strike(given);
}

function Range({ model, field }: FieldProps) {
  return (
    <fieldset class="range">
      <Legend field={field} />
      <div class="inputs">
        {field.minParam && <Bound model={model} field={field} param={field.minParam} which="min" />}
        <span class="faint" aria-hidden="true">
          to
        </span>
        {field.maxParam && <Bound model={model} field={field} param={field.maxParam} which="max" />}
      </div>
    </fieldset>
  );
}

interface BoundProps {
  model: Model;
  field: Field;
  param: string;
  which: "min" | "max";
}

function Bound({ model, field, param, which }: BoundProps) {
  const applied = query.get(model.query, param);
  const [text, setText] = useState(applied);
  const [typing, setTyping] = useState(false);
  useEffect(() => {
    if (!typing) setText(applied);
  }, [applied, typing]);
  const apply = (replace: boolean): void => model.go(query.set(model.query, { [param]: query.plainNumber(text) || null }), replace);
  useEffect(() => {
    if (!typing || text === applied) return;
    const timer = setTimeout(() => apply(applied !== ""), TYPING);
    return () => clearTimeout(timer);
  }, [text, typing]);
  const wrong = applied !== "" && Number.isNaN(Number(applied));
  return (
    <input
      class="field code"
      type="text"
      inputMode="decimal"
      data-param={param}
      value={text}
      placeholder={hint(field, which)}
      aria-label={`${fieldLabel(field.json, field.name)} ${which === "min" ? "at least" : "at most"}`}
      aria-invalid={wrong}
      autocomplete="off"
      onFocus={() => setTyping(true)}
      onBlur={() => {
        setTyping(false);
        if (query.plainNumber(text) !== applied) apply(false);
      }}
      onInput={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") apply(false);
      }}
    />
  );
}

/** Parameters that bound the time, or ask for prints that are left out by themselves. */
const SCOPE = ["date", "from", "to", "sessions"];
const CANCELLED = "includeCancelled";

function Scope({ model, catalog }: { model: Model; catalog: Catalog }) {
  const given = catalog.parameters.filter((parameter) => SCOPE.includes(parameter.name));
  const cancelled = catalog.parameters.find((parameter) => parameter.name === CANCELLED);
  const on = query.on(model.query, CANCELLED);
  if (!given.length && !cancelled) return null;
  return (
    <>
      <h3>Sessions</h3>
      {given.map((parameter) => (
        <fieldset class="range" key={parameter.name}>
          <legend title={parameter.doc}>{format.words(parameter.name)}</legend>
          <input
            class="field code"
            type="text"
            // typed text stays until it is applied; what is applied elsewhere replaces it
            key={query.get(model.query, parameter.name)}
            defaultValue={query.get(model.query, parameter.name)}
            placeholder={parameter.kind === "integer" ? "" : "YYYY-MM-DD"}
            aria-label={parameter.doc}
            title={parameter.doc}
            autocomplete="off"
            onChange={(event) => model.go(query.set(model.query, { [parameter.name]: event.currentTarget.value.trim() || null }))}
          />
        </fieldset>
      ))}
      {cancelled && (
        <fieldset class="written">
          <legend title={cancelled.doc}>Cancelled prints</legend>
          <div class="toggles">
            <button
              type="button"
              class={on ? "toggle on" : "toggle"}
              aria-pressed={on}
              onClick={() => model.go(query.set(model.query, { [CANCELLED]: on ? null : "1" }))}
            >
              {on ? "shown" : "left out"}
            </button>
          </div>
        </fieldset>
      )}
    </>
  );
}

/** A field without a parameter of its own: its name is written into the filter text, where the server checks it. */
function Written({ model, field }: FieldProps) {
  const write = (clause: string): void => {
    const old = query.get(model.query, "where").trim();
    // parentheses keep an `or` already written from swallowing the new clause
    const left = / or /.test(old) ? `(${old})` : old;
    model.go(query.set(model.query, { where: left ? `${left} and ${clause}` : clause }));
  };
  const start = (): void => {
    const box = document.querySelector<HTMLInputElement>("#where");
    if (!box) return;
    const old = box.value.trim();
    box.value = old ? `${old} and ${field.name} ` : `${field.name} `;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
  };
  return (
    <fieldset class="written">
      <Legend field={field} />
      <div class="toggles">
        {field.type === "bool" ? (
          <>
            <button type="button" class="toggle" onClick={() => write(field.name)}>
              yes
            </button>
            <button type="button" class="toggle" onClick={() => write(`not ${field.name}`)}>
              no
            </button>
          </>
        ) : field.enum ? (
          field.enum.map((member) => (
            <button type="button" class="toggle" key={member} onClick={() => write(`${field.name} = ${member.toLowerCase()}`)}>
              {member}
            </button>
          ))
        ) : (
          <button type="button" class="toggle" onClick={start}>
            write…
          </button>
        )}
      </div>
    </fieldset>
  );
}
