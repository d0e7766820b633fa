/** What the tape says when it has no rows: empty, refused, unreachable. And the banner above it. */

import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import { Diagnostics, Message } from "./diagnostics";
import * as format from "./format";
import type { Model } from "./model";
import { pills, type Pill } from "./pills";

export const LAG = "enrichment_lag_high";

const REASONS: Record<string, string> = {
  [LAG]: "Tagging is behind: newer prints are shown as they were received, with – and ? for what is not known of them yet.",
  no_live_data: "Nothing arrives although the market is open: the first rows are not the market's latest.",
  terminal_disconnected: "The terminal is disconnected: prints follow when it is back, those missed meanwhile too.",
  quote_feed_stale: "Underlying quotes are old: Spot, %OTM and the chips that read them may be off.",
};

/** Why answers lag behind the tape, in words. */
export function reasons(codes: readonly string[]): string {
  return codes.map((code) => REASONS[code] ?? format.words(code)).join(" ") || "The server says its answers are incomplete.";
}

export function Banner({ model }: { model: Model }) {
  const unreachable = model.problem instanceof api.Unreachable && model.rows.length > 0;
  if (unreachable) {
    return (
      <div class="banner" role="status">
        <b>Not connected.</b> The rows below are as of the last answer. <Retry model={model} />
      </div>
    );
  }
  if (!model.degraded.degraded) return null;
  return (
    <div class="banner" role="status">
      <b>Degraded.</b> {reasons(model.degraded.reasons)}
      {model.degraded.reasons.includes(LAG) && (
        <>
          {" "}
          <button type="button" class="link" onClick={() => void model.refresh()}>
            Read the newest
          </button>
        </>
      )}
    </div>
  );
}

function Retry({ model }: { model: Model }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const left = model.retryAt === null ? 0 : Math.max(0, Math.ceil((model.retryAt - Date.now()) / 1000));
  return (
    <>
      {left > 0 ? `Trying again in ${left} s. ` : "Trying again… "}
      <button type="button" class="link" onClick={() => void (model.catalog ? model.refresh() : model.start())}>
        Now
      </button>
    </>
  );
}

export function Failure({ model }: { model: Model }) {
  const { problem } = model;
  if (problem instanceof api.Problem && problem.status < 500) {
    return (
      <div class="state" role="alert">
        <h2>The server refused this filter</h2>
        {problem.errors.length === 0 && (
          <p>
            <Message text={problem.message} />
          </p>
        )}
        <Diagnostics model={model} errors={problem.errors} />
      </div>
    );
  }
  return (
    <div class="state" role="alert">
      <h2>{problem instanceof api.Problem ? "The server cannot answer now" : "No connection to the server"}</h2>
      <p>{problem?.message}</p>
      <p>
        <Retry model={model} />
      </p>
    </div>
  );
}

/** No rows: which filter stands in the way, with the rows each removal would bring. */
export function Empty({ model }: { model: Model }) {
  const list = model.catalog ? pills(model.query, model.catalog) : [];
  const [counts, setCounts] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
    const abort = new AbortController();
    setCounts(new Map());
    for (const pill of list.slice(0, 8)) {
      api
        .page(pill.without, { limit: "1", total: "exact" }, abort.signal)
        .then((page) => {
          const rows = page.page.total ?? page.data.length;
          const text = page.page.total === null && page.page.hasMore ? "more rows" : rows === 1 ? "1 row" : `${format.count(rows)} rows`;
          setCounts((old) => new Map(old).set(pill.key, text));
        })
        .catch(() => undefined); // the count is a hint; without it the button still works
    }
    return () => abort.abort();
  }, [model.query, model.generation]);
  if (!list.length) {
    return (
      <div class="state">
        <h2>No prints yet</h2>
        <p>Rows appear here by themselves as soon as the first prints are stored.</p>
      </div>
    );
  }
  return (
    <div class="state">
      <h2>No rows match</h2>
      <p>New rows that match will appear here by themselves. Or take a filter away:</p>
      <div class="removals">
        {list.map((pill: Pill) => (
          <button type="button" class="button" key={pill.key} onClick={() => model.go(pill.without)}>
            Remove {pill.negated ? "not " : ""}
            <b>{pill.text}</b>
            {counts.has(pill.key) && <span class="faint"> → {counts.get(pill.key)}</span>}
          </button>
        ))}
      </div>
    </div>
  );
}
