/** The top of the page: name, where box, how current the tape is, and its switches. */

import { useEffect, useState } from "preact/hooks";
import type { Candidate } from "./catalog";
import * as format from "./format";
import type { Model } from "./model";
import { pills } from "./pills";
import { LAG, reasons } from "./states";
import { Where } from "./where";

const THEMES = ["auto", "dark", "light"] as const;
type Theme = (typeof THEMES)[number];
const THEME_KEY = "phenix.theme";

function stored(): Theme {
  const found = localStorage.getItem(THEME_KEY);
  return THEMES.find((theme) => theme === found) ?? "auto";
}

function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(stored);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(THEME_KEY, theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
  return (
    <button type="button" class="icon" title={`Colours: ${theme}`} aria-label={`Colours: ${theme}; change to ${next}`} onClick={() => setTheme(next)}>
      {{ auto: "◐", dark: "●", light: "○" }[theme]}
    </button>
  );
}

/** One word and a longer sentence on how current the tape is. */
export function feed(model: Model): { state: string; word: string; text: string } {
  if (model.paused) return { state: "paused", word: "Paused", text: "New rows wait until you resume." };
  if (model.live === "reconnecting") return { state: "reconnecting", word: "Reconnecting", text: "The connection was lost; nothing will be missed when it is back." };
  if (model.live === "connecting" || (!model.loaded && !model.problem)) return { state: "connecting", word: "Connecting", text: "" };
  if (model.live === "off") return { state: "off", word: "Not live", text: model.trouble?.message ?? "No stream for this filter." };
  if (model.past) return { state: "past", word: "Past day", text: "The session of these rows is over; no new ones come." };
  if (model.degraded.degraded) return { state: "degraded", word: "Degraded", text: reasons(model.degraded.reasons) };
  return { state: "live", word: "Live", text: "New rows arrive by themselves." };
}

export function TopBar({ model }: { model: Model }) {
  const { state, word, text } = feed(model);
  const active = model.catalog ? pills(model.query, model.catalog).filter((pill) => !["chips", "notChips", "where"].includes(pill.param)).length : 0;
  return (
    <header class="topbar">
      <a class="name" href="./" aria-label="Phenix, all rows" onClick={(event) => {
        if (event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        model.go("");
      }}>
        <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
          <path d="M3 18 9 8l4.5 4.5L21 3" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
        <span>Phenix</span>
      </a>
      <Where model={model} />
      <div class="controls">
        <span class={`feed ${state}`} title={text}>
          <i aria-hidden="true" />
          <span role="status">{word}</span>
          {model.meta && (
            <span class="faint session">
              {format.isoDate(model.meta.sessionDate ?? "")}
              {model.degraded.reasons.includes(LAG) && ` · over ${format.count(model.meta.lagThresholdSeconds)} s behind`}
            </span>
          )}
        </span>
        <button
          type="button"
          class="icon"
          aria-pressed={model.paused}
          title={model.paused ? "Resume (p)" : "Pause (p)"}
          aria-label={model.paused ? "Resume" : "Pause"}
          onClick={() => model.pause(!model.paused)}
        >
          {model.paused ? "▶" : "❚❚"}
        </button>
        <button
          type="button"
          class="icon wide"
          aria-expanded={model.panel === "filters"}
          title="Filters (e)"
          onClick={(event) => model.open(model.panel === "filters" ? null : "filters", event.detail === 0)}
        >
          Filters{active > 0 && <b class="badge">{active}</b>}
        </button>
        <button
          type="button"
          class="icon wide"
          aria-expanded={model.panel === "alerts"}
          title="Alerts (a)"
          onClick={(event) => model.open(model.panel === "alerts" ? null : "alerts", event.detail === 0)}
        >
          Alerts
        </button>
        <ThemeButton />
        <button type="button" class="icon" title="Keys (?)" aria-label="Keys" onClick={() => model.open("help")}>
          ?
        </button>
      </div>
    </header>
  );
}

function share(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)}%` : "–";
}

const OUTCOMES: Record<string, string> = { within: "within its bands", outside: "outside its bands", insufficient: "no verdict yet" };

/** Which rule version is compared with the active one, and how that stands. */
function Shadow({ candidate }: { candidate: Candidate }) {
  const { version, outcome, reason, rows, sessions, sessionsRequired } = candidate;
  const of = sessions < sessionsRequired ? ` of ${sessionsRequired}` : "";
  return (
    <span class={`shadow ${outcome}`} title={`Rule version ${version} is compared with the active one, ${format.count(rows)} rows so far: ${reason}.`}>
      Shadow <b>{version.slice(0, 8)}</b> {OUTCOMES[outcome] ?? outcome}, {sessions}{of} sessions
    </span>
  );
}

/** Sums over the loaded rows, and what the rules are compared with. */
export function Strip({ model }: { model: Model }) {
  const { rows } = model;
  const { totals, rows: counted } = model.sums;
  const left = rows.length - counted;
  const leaning = totals.bullish + totals.bearish;
  return (
    <div class="strip" aria-label="Sums over the loaded rows">
      <span>
        <b>{format.count(rows.length)}</b> rows loaded
        {left > 0 && <span title="Cancelled prints stay in sight, and are in no sum and no count."> · {format.count(left)} cancelled</span>}
      </span>
      <span>
        <b title={format.exact(totals.premium)}>{counted ? format.premium(totals.premium) : "–"}</b> premium
      </span>
      <span>
        <b>{share(totals.calls, totals.premium)}</b> calls <b>{share(totals.puts, totals.premium)}</b> puts
      </span>
      <span class="lean">
        <span class="bullish">▲ {share(totals.bullish, leaning)}</span>
        <span class="bar" aria-hidden="true">
          <i class="up" style={{ flexGrow: totals.bullish }} />
          <i class="down" style={{ flexGrow: totals.bearish }} />
        </span>
        <span class="bearish">{share(totals.bearish, leaning)} ▼</span>
      </span>
      {model.catalog?.shadow && <Shadow candidate={model.catalog.shadow} />}
      {model.watermark > 0 && (
        <span class="push faint" title="The last position of the store this page has seen">
          seq {format.count(model.watermark)}
        </span>
      )}
    </div>
  );
}
