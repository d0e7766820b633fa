/** The alerts: which there are, what one raised, and how far each delivery is. */

import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import * as format from "./format";
import type { Model } from "./model";
import { Panel } from "./panel";
import * as query from "./query";

const AGAIN = 5_000;

/** What was read last, or what was wrong; read again every few seconds, and at once when `key` changes. */
function useRead<T>(key: string, read: (signal: AbortSignal) => Promise<T>): { found: T | null; problem: string; again: () => void } {
  const [state, set] = useState<{ key: string; found: T | null; problem: string }>({ key, found: null, problem: "" });
  const [turn, next] = useState(0);
  useEffect(() => {
    const left = new AbortController();
    let timer = 0;
    const once = async (): Promise<void> => {
      try {
        const found = await read(left.signal);
        if (!left.signal.aborted) set({ key, found, problem: "" });
      } catch (error) {
        if (!left.signal.aborted) set((old) => ({ key, found: old.key === key ? old.found : null, problem: (error as Error).message }));
      }
      if (!left.signal.aborted) timer = window.setTimeout(() => void once(), AGAIN);
    };
    void once();
    return () => {
      left.abort();
      window.clearTimeout(timer);
    };
  }, [key, turn]);
  const own = state.key === key;
  return { found: own ? state.found : null, problem: own ? state.problem : "", again: () => next((n) => n + 1) };
}

export function AlertsDrawer({ model }: { model: Model }) {
  const [chosen, choose] = useState<api.Alert | null>(null);
  return (
    <Panel
      model={model}
      label="Alerts"
      heading={chosen ? chosen.name : "Alerts"}
      close={() => model.open(null)}
      turn={chosen?.id ?? ""}
      beside={
        chosen && (
          <button type="button" class="link" onClick={() => choose(null)}>
            All alerts
          </button>
        )
      }
    >
      {chosen ? <History model={model} alert={chosen} key={chosen.id} /> : <List choose={choose} />}
    </Panel>
  );
}

function List({ choose }: { choose: (alert: api.Alert) => void }) {
  const { found, problem } = useRead("alerts", api.alerts);
  if (problem) return <p class="banner">{problem}</p>;
  if (!found) return null;
  if (!found.length) return <p class="faint">No alert is saved. The API saves one: POST to /api/flow/alerts.</p>;
  return (
    <ul class="alerts">
      {found.map((alert) => (
        <li key={alert.id}>
          <button type="button" class="link" onClick={() => choose(alert)}>
            {alert.name}
          </button>
          <span class="code faint">{alert.where || "every row"}</span>
        </li>
      ))}
    </ul>
  );
}

function History({ model, alert }: { model: Model; alert: api.Alert }) {
  const { found, problem, again } = useRead(alert.id, (signal) => api.alertEvents(alert.id, signal));
  const [said, say] = useState("");
  const act = (done: () => Promise<string>): void => {
    say("…");
    void done().then(say, (error: unknown) => say((error as Error).message)).then(again);
  };
  return (
    <>
      <p class="code">{alert.where || "every row"}</p>
      <div class="toggles">
        <button type="button" class="toggle" onClick={() => model.go(query.set("", { where: alert.where }))}>
          Show its rows
        </button>
        <button
          type="button"
          class="toggle"
          onClick={() =>
            act(async () => {
              const sent = (await api.testAlert(alert.id)).deliveries;
              return sent.length ? sent.map(delivery).join(" · ") : "It has no target: nothing was sent.";
            })
          }
        >
          Send a test
        </button>
        <button type="button" class="toggle" onClick={() => act(async () => `${format.count(await api.retryAlert(alert.id))} sent again`)}>
          Send failed again
        </button>
      </div>
      <p role="status">{said}</p>
      {problem && <p class="banner">{problem}</p>}
      {found && <h3>{format.count(found.total)} events</h3>}
      <ol class="alerts">
        {found?.events.map((event) => (
          <li key={event.number} class={event.kind}>
            <b>
              {event.flow.symbol ? `${event.flow.symbol} ${format.strike(event.flow.strike)} ${event.flow.right} ${format.expiry(event.flow.expiration)}` : "No row yet"}
              {event.kind !== "matched" && <span class="tag">{event.kind === "test" ? "test" : "taken back"}</span>}
            </b>
            <span>
              {event.flow.symbol ? `${format.premium(event.flow.value)} · ${format.count(event.flow.size)} × ${format.price(event.flow.price)}` : ""}
            </span>
            <span class="faint">{times(event)}</span>
            <span class="faint">{event.deliveries.length ? event.deliveries.map(delivery).join(" · ") : "no target"}</span>
          </li>
        ))}
      </ol>
    </>
  );
}

const RAISED: Record<api.AlertEvent["kind"], string> = { matched: "raised", retracted: "taken back", test: "sent" };

/** When the print was made and when the alert said so, in New York. */
function times(event: api.AlertEvent): string {
  const { tradeTsEt } = event.flow;
  const printed = tradeTsEt ? `${format.day(tradeTsEt)}, ${format.clock(tradeTsEt)}` : "";
  return `${printed && `${printed} · `}${RAISED[event.kind]} ${format.instant(event.createdAt)} ET`;
}

function delivery(one: api.Delivery): string {
  const tries = one.attempts === 1 ? "1 try" : `${one.attempts} tries`;
  const word = { delivered: "delivered", dead: "not delivered", waiting: one.attempts ? "tried again soon" : "waits" }[one.state];
  return `${one.type}${one.digest ? " digest" : ""}: ${word}${one.attempts ? `, ${tries}` : ""}${one.problem && one.state !== "delivered" ? ` (${one.problem})` : ""}`;
}
