/** What the tape says when it has no rows: empty, refused, unreachable. And the banner above it. */

import { useEffect, useState } from "preact/hooks";
import * as api from "./api";
import { Diagnostics, Message } from "./diagnostics";
import * as format from "./format";
import type { Model } from "./model";
import { pills, type Pill } from "./pills";
import * as query from "./query";

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

/** Whether rows shown stay right under a problem: it is about who asks, or when, and not about the filter. */
export function keepsRows(problem: Error): boolean {
  return api.passes(problem) || (problem instanceof api.Problem && !problem.refuses);
}

const HEADINGS: Record<number, string> = {
  401: "You are signed out",
  403: "You may not read this",
  429: "Too many requests",
};

function heading(problem: Error | null): string {
  if (!(problem instanceof api.Problem)) return "No connection to the server";
  return HEADINGS[problem.status] ?? (problem.passing ? "The server cannot answer now" : "The server refused this filter");
}

export function Banner({ model }: { model: Model }) {
  const { problem, unfollowed } = model;
  // without rows the tape itself says what is wrong
  if (problem && model.rows.length > 0) return <Trouble model={model} problem={problem} />;
  if (unfollowed && !problem) return <Trouble model={model} problem={unfollowed} />;
  if (!model.degraded.degraded) return null;
  return (
    <div class="banner" role="status">
      <b>Degraded.</b> {reasons(model.degraded.reasons)}
      {model.degraded.reasons.includes(LAG) && (
        <>
          {" "}
          <ReadAgain model={model}>Read the newest</ReadAgain>
        </>
      )}
    </div>
  );
}

/** What stands in the way of newer rows, above those there are. */
function Trouble({ model, problem }: { model: Model; problem: Error }) {
  const refused = problem instanceof api.Problem && problem.refuses;
  const said = refused ? "Not live" : problem instanceof api.Problem ? heading(problem) : "Not connected";
  return (
    <div class="banner" role="status">
      <b>{said}.</b>{" "}
      {problem instanceof api.Problem && (
        <>
          {refused && "No stream for this filter: "}
          <Message text={sentence(problem)} />{" "}
        </>
      )}
      {model.rows.length > 0 && "The rows below are as of the last answer. "}
      {refused ? <ReadAgain model={model}>Read again</ReadAgain> : <Way model={model} problem={problem} />}
    </div>
  );
}

/** What the server said, with its help, as one sentence. */
function sentence({ message, errors }: api.Problem): string {
  return `${[message, ...errors.flatMap((error) => error.help ?? [])].map((text) => text.replace(/\.$/, "")).join("; ")}.`;
}

function ReadAgain({ model, children }: { model: Model; children: string }) {
  return (
    <button type="button" class="link" onClick={() => void model.refresh()}>
      {children}
    </button>
  );
}

/** What can be done about a problem that is not the filter's. */
function Way({ model, problem }: { model: Model; problem: Error | null }) {
  if (api.passes(problem)) return <Retry model={model} />;
  if (!(problem instanceof api.Problem && problem.status === 401)) return <ReadAgain model={model}>Read again</ReadAgain>;
  return (
    <a class="button" href="login" onClick={() => query.keep(model.query)}>
      Sign in
    </a>
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
      <button type="button" class="link" onClick={() => model.retry()}>
        Now
      </button>
    </>
  );
}

export function Failure({ model }: { model: Model }) {
  const { problem } = model;
  if (problem instanceof api.Problem && problem.refuses) {
    return (
      <div class="state" role="alert">
        <h2>{heading(problem)}</h2>
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
      <h2>{heading(problem)}</h2>
      <p>{problem?.message}</p>
      <p>
        <Way model={model} problem={problem} />
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
  const more = model.past
    ? "The last day of this filter is over: no new rows will match."
    : model.live === "off"
      ? "New rows that match do not appear by themselves now."
      : "New rows that match will appear here by themselves.";
  return (
    <div class="state">
      <h2>No rows match</h2>
      <p>{more} Take a filter away to see others:</p>
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
