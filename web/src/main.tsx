/** Puts the page together and listens to the keyboard. */

import { render } from "preact";
import { useEffect, useReducer, useState } from "preact/hooks";
import { AlertsDrawer } from "./alerts";
import { ChipBar } from "./chipbar";
import { RowDrawer } from "./details";
import { FilterDrawer } from "./drawer";
import { Help } from "./help";
import { Model } from "./model";
import { Pills, pills } from "./pills";
import * as query from "./query";
import { Banner } from "./states";
import { Tape } from "./tape";
import { Strip, TopBar } from "./topbar";

const PHONE = matchMedia("(max-width: 760px)");

function usePhone(): boolean {
  const [phone, setPhone] = useState(PHONE.matches);
  useEffect(() => {
    const change = (): void => setPhone(PHONE.matches);
    PHONE.addEventListener("change", change);
    return () => PHONE.removeEventListener("change", change);
  }, []);
  return phone;
}

function App({ model }: { model: Model }) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => model.subscribe(() => redraw(0)), [model]);
  const phone = usePhone();
  const filters = model.catalog ? pills(model.query, model.catalog).map((pill) => (pill.negated ? "not " : "") + pill.text) : [];
  const title = [...filters, "Phenix"].join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <>
      <TopBar model={model} />
      <ChipBar model={model} />
      <Pills model={model} />
      <Banner model={model} />
      <Strip model={model} />
      <main>
        <Tape model={model} phone={phone} />
        {model.panel === "filters" && <FilterDrawer model={model} />}
        {model.panel === "alerts" && <AlertsDrawer model={model} />}
        {model.panel === "row" && <RowDrawer model={model} />}
      </main>
      {model.panel === "help" && <Help model={model} />}
    </>
  );
}

function step(model: Model, by: number): void {
  const at = model.selectedAt;
  const next = at < 0 ? 0 : Math.max(0, Math.min(model.rows.length - 1, at + by));
  const row = model.rows[next];
  if (row) model.select(row.id);
}

/** Include or exclude the ticker of the selected row. */
function ticker(model: Model, exclude: boolean): void {
  const row = model.row(model.selected);
  if (!row) return;
  const symbol = String(row.symbol);
  const others = query.list(model.query, "symbol").filter((old) => old.replace(/^-/, "") !== symbol);
  const kept = exclude ? others : others.filter((old) => !old.startsWith("-"));
  model.go(query.setList(model.query, "symbol", [...kept, exclude ? `-${symbol}` : symbol]));
}

function keys(model: Model): Record<string, () => void> {
  return {
    "/": () => document.querySelector<HTMLInputElement>("#where")?.focus(),
    e: () => model.open(model.panel === "filters" ? null : "filters", true),
    a: () => model.open(model.panel === "alerts" ? null : "alerts", true),
    p: () => model.pause(!model.paused),
    j: () => step(model, 1),
    k: () => step(model, -1),
    f: () => ticker(model, false),
    F: () => ticker(model, true),
    Home: () => {
      model.select(null);
      document.querySelector(".scroll")?.scrollTo({ top: 0 });
    },
    Enter: () => {
      if (model.selected !== null) model.open("row", true);
    },
    Escape: () => {
      if (model.panel !== null && model.panel !== "row") model.open(null);
      else model.select(null);
    },
    "?": () => model.open("help"),
  };
}

function listen(model: Model): void {
  const table = keys(model);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    const writing = target.matches("input, textarea, select");
    if (writing && event.key !== "Escape") return;
    if (event.key === "Enter" && target.closest("button, a")) return;
    const act = model.panel === "help" ? undefined : table[event.key];
    if (!act) return;
    event.preventDefault();
    if (writing) target.blur();
    act();
  });
}

const root = document.querySelector("#app");
if (root) {
  const model = new Model();
  render(<App model={model} />, root);
  listen(model);
  void model.start();
}
