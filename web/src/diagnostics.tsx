/** What the server found wrong, where, and its suggestion as a button. */

import type { Diagnostic } from "./api";
import type { Model } from "./model";
import * as query from "./query";

/** The parameter a diagnostic speaks of, if the query has it. */
function origin(state: query.Query, found: Diagnostic): string | null {
  const name = found.source ?? "";
  return query.get(state, name) === "" ? null : name;
}

/** The text a diagnostic's position lies in, split at its span. Lines and columns count from 1, in characters. */
function split(text: string, found: Diagnostic): [string, string, string] | null {
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
  const parts = split(text, found);
  return suggestion === null || !parts ? null : parts[0] + suggestion + parts[2];
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

interface Props {
  model: Model;
  errors: readonly Diagnostic[];
  /** The text of the box the errors are about, when it is not applied yet, and how to change it. */
  draft?: { text: string; change: (text: string) => void };
}

export function Diagnostics({ model, errors, draft }: Props) {
  return (
    <ul class="diagnostics">
      {errors.map((found, at) => {
        const param = draft ? null : origin(model.query, found);
        const text = draft ? draft.text : param ? query.get(model.query, param) : "";
        const parts = split(text, found);
        const fixed = corrected(text, found);
        return (
          <li key={at} class={found.severity === "warning" ? "warning" : "error"}>
            <span>
              {!draft && found.source && <b class="code">{found.source}: </b>}
              <Message text={found.message} />
              {found.code && <span class="faint"> {found.code}</span>}
            </span>
            {parts && text && (
              <span class="excerpt code">
                {parts[0].slice(-60)}
                <mark>{parts[1] || "▁"}</mark>
                {parts[2].slice(0, 60)}
              </span>
            )}
            {found.help && <span class="help"><Message text={[found.help].flat().join(" ")} /></span>}
            {fixed !== null && (
              <button
                type="button"
                class="button"
                onClick={() => (draft ? draft.change(fixed) : param && model.go(query.set(model.query, { [param]: fixed })))}
              >
                Use <b class="code">{suggested(found)}</b>
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
