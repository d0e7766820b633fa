/** What the server found wrong, where, and its suggestion as a button. */

import type { Diagnostic } from "./api";
import type { Model } from "./model";
import * as query from "./query";

type Place = Pick<Diagnostic, "line" | "column" | "endLine" | "endColumn">;

/** The text a diagnostic's position lies in, split at its span. Lines and columns count from 1, in characters. */
function split(text: string, found: Place): [string, string, string] | null {
  if (!found.line || !found.column) return null;
  const lines = text.split("\n");
  const offset = (line: number, column: number): number => {
    const before = lines.slice(0, line - 1).reduce((sum, part) => sum + part.length + 1, 0);
    // columns count code points, JavaScript counts UTF-16 units
    return before + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
  };
  const start = offset(found.line, found.column);
  const end = found.endLine && found.endColumn ? offset(found.endLine, found.endColumn) : start;
  return start > text.length ? null : [text.slice(0, start), text.slice(start, end), text.slice(end)];
}

/** The text with a diagnostic's suggestion put in; null when there is none or it fits nowhere. */
export function corrected(text: string, found: Diagnostic): string | null {
  const suggestion = suggested(found);
  const parts = split(text, replaced(found));
  return suggestion === null || !parts ? null : parts[0] + suggestion + parts[2];
}

/** What a suggestion replaces: its own place, which may be more than what the finding underlines. */
function replaced(found: Diagnostic): Place {
  const given: unknown = found.suggestion;
  return given !== null && typeof given === "object" && "line" in given ? (given as Place) : found;
}

export function suggested(found: Diagnostic): string | null {
  const given: unknown = found.suggestion;
  if (typeof given === "string") return given;
  const text = (given as { text?: unknown } | null | undefined)?.text;
  return typeof text === "string" ? text : null;
}

/** Text of a message with what stands in backticks set as code. */
export function Message({ text }: { text: string }) {
  return <>{text.split("`").map((part, at) => (at % 2 ? <span class="code">{part}</span> : part))}</>;
}

interface Fix {
  label: string;
  query: query.Query;
}

/** The query with a suggestion put in; null when there is none, or no place for it. */
function fix(state: query.Query, found: Diagnostic): Fix | null {
  const suggestion = suggested(found);
  const param = found.source ?? "";
  const value = query.get(state, param);
  if (suggestion === null || value === "") return null;
  if (found.name === "unknown-parameter") {
    return { label: suggestion, query: query.set(query.set(state, { [param]: null }), { [suggestion]: value }) };
  }
  if (param === "where") {
    const text = corrected(value, found);
    return text === null ? null : { label: suggestion, query: query.set(state, { where: text }) };
  }
  // in a list only the item the message quotes is wrong
  const items = query.list(state, param);
  const wrong = items.find((item) => found.message.includes(`'${item}'`)) ?? (items.length === 1 ? items[0] : undefined);
  if (wrong === undefined) return null;
  return { label: suggestion, query: query.setList(state, param, items.map((item) => (item === wrong ? suggestion : item))) };
}

interface Props {
  model: Model;
  errors: readonly Diagnostic[];
  /** The text of the where box, when it is not applied yet, and how to change it. */
  draft?: { text: string; change: (text: string) => void };
}

export function Diagnostics({ model, errors, draft }: Props) {
  return (
    <ul class="diagnostics">
      {errors.map((found, at) => {
        const text = draft ? draft.text : found.source === "where" ? query.get(model.query, "where") : "";
        const parts = text ? split(text, found) : null;
        const written = draft ? corrected(draft.text, found) : null;
        const fixed = draft ? null : fix(model.query, found);
        return (
          <li key={at} class={found.severity === "warning" ? "warning" : "error"}>
            <span>
              {!draft && found.source && <b class="code">{found.source}: </b>}
              <Message text={found.message} />
              {found.code && <span class="faint"> {found.code}</span>}
            </span>
            {parts && (
              <span class="excerpt code">
                {parts[0].slice(-60)}
                <mark>{parts[1] || "▁"}</mark>
                {parts[2].slice(0, 60)}
              </span>
            )}
            {found.help && (
              <span class="help">
                <Message text={[found.help].flat().join(" ")} />
              </span>
            )}
            {written !== null && (
              <button type="button" class="button" onClick={() => draft?.change(written)}>
                Use <b class="code">{suggested(found)}</b>
              </button>
            )}
            {fixed && (
              <button type="button" class="button" onClick={() => model.go(fixed.query)}>
                Use <b class="code">{fixed.label}</b>
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
