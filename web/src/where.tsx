/** The where box: rule text, checked by the server while it is typed, applied with Enter. */

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import type { Catalog } from "./catalog";
import { Diagnostics } from "./diagnostics";
import type { Model } from "./model";
import * as query from "./query";

const TYPING = 300;
const MOST_CHOICES = 8;

interface Choice {
  text: string;
  hint: string;
}

/** The word left of the caret and what could complete it: names come from the catalog only. */
function choices(catalog: Catalog, text: string, caret: number): { from: number; list: Choice[] } {
  const before = text.slice(0, caret);
  const word = /@?[A-Za-z_][\w>+-]*$|@$/.exec(before)?.[0] ?? "";
  const from = caret - word.length;
  if (!word) return { from, list: [] };
  const low = word.replace("@", "").toLowerCase();
  const found: Choice[] = [];
  if (word.startsWith("@")) {
    for (const chip of catalog.chips) found.push({ text: `@${chip.id}`, hint: chip.label });
  } else {
    // after `side =` or `side in {` only the members of that field make sense
    const named = /([A-Za-z_]\w*)\s*(?:!?=|in\s*\{)[^{}=]*$/.exec(before.slice(0, from))?.[1];
    const field = catalog.fields.find((field) => field.name === named);
    if (field?.enum) for (const member of field.enum) found.push({ text: member.toLowerCase(), hint: field.name });
    else for (const field of catalog.fields) if (field.filterable) found.push({ text: field.name, hint: field.type });
  }
  const bare = (choice: Choice): string => choice.text.replace("@", "");
  const list = found.filter((choice) => bare(choice).startsWith(low) && bare(choice) !== low);
  const inside = found.filter((choice) => !bare(choice).startsWith(low) && bare(choice).includes(low) && low.length > 1);
  return { from, list: [...list, ...inside].slice(0, MOST_CHOICES) };
}

export function Where({ model }: { model: Model }) {
  const applied = query.get(model.query, "where");
  const [text, setText] = useState(applied);
  const [errors, setErrors] = useState<readonly api.Diagnostic[]>([]);
  const [menu, setMenu] = useState<{ from: number; list: Choice[]; at: number } | null>(null);
  const box = useRef<HTMLInputElement>(null);

  useEffect(() => {
    setText(applied);
    setMenu(null);
  }, [applied]);

  // the server is the only judge of the text: ask it for one row
  useEffect(() => {
    setErrors([]);
    if (text.trim() === "" || (text === applied && !model.problem)) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.page(query.set("", { where: text }), { limit: "1" }, abort.signal).catch((error: unknown) => {
        if (error instanceof api.Problem && error.status < 500) {
          setErrors(error.errors.length ? error.errors : [{ message: error.message }]);
        }
      });
    }, TYPING);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, applied, model.problem]);

  const apply = (value = text): void => {
    setMenu(null);
    model.go(query.set(model.query, { where: value.trim() || null }));
  };

  const complete = (choice: Choice): void => {
    const element = box.current;
    if (!element || !menu) return;
    const caret = element.selectionStart ?? text.length;
    const next = text.slice(0, menu.from) + choice.text + text.slice(caret);
    setText(next);
    setMenu(null);
    const to = menu.from + choice.text.length;
    requestAnimationFrame(() => {
      element.focus();
      element.setSelectionRange(to, to);
    });
  };

  const key = (event: KeyboardEvent): void => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (menu?.list.length && move) {
      event.preventDefault();
      setMenu({ ...menu, at: (menu.at + move + menu.list.length + (menu.at < 0 && move < 0 ? 1 : 0)) % menu.list.length });
    } else if (menu?.list.length && (event.key === "Tab" || event.key === "Enter") && (menu.at >= 0 || event.key === "Tab")) {
      event.preventDefault();
      const choice = menu.list[Math.max(0, menu.at)];
      if (choice) complete(choice);
    } else if (event.key === "Enter") {
      apply();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (menu) setMenu(null);
      else {
        setText(applied);
        box.current?.blur();
      }
    }
  };

  const dirty = text.trim() !== applied;
  return (
    <div class={`where${errors.length ? " bad" : ""}${dirty ? " dirty" : ""}`}>
      <label class="box">
        <span class="lead code" aria-hidden="true">
          where
        </span>
        <input
          ref={box}
          id="where"
          class="code"
          type="text"
          value={text}
          placeholder="@whales and symbol in {SPY, QQQ} and dte in 0..7"
          aria-label="Filter text"
          aria-invalid={errors.length > 0}
          aria-describedby="where-errors"
          aria-autocomplete="list"
          aria-controls="where-choices"
          aria-expanded={Boolean(menu?.list.length)}
          role="combobox"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          onInput={(event) => {
            const element = event.currentTarget;
            setText(element.value);
            const found = model.catalog && choices(model.catalog, element.value, element.selectionStart ?? element.value.length);
            setMenu(found?.list.length ? { ...found, at: -1 } : null);
          }}
          onKeyDown={key}
          onBlur={() => setMenu(null)}
        />
        {dirty ? (
          <button type="button" class="key" onMouseDown={(event) => event.preventDefault()} onClick={() => apply()}>
            Enter ↵
          </button>
        ) : (
          !text && <kbd aria-hidden="true">/</kbd>
        )}
        {text !== "" && (
          <button type="button" class="clear" aria-label="Clear the filter text" onClick={() => (setText(""), apply(""))}>
            ×
          </button>
        )}
      </label>
      {menu && menu.list.length > 0 && (
        <ul class="choices" id="where-choices" role="listbox">
          {menu.list.map((choice, at) => (
            <li
              key={choice.text}
              role="option"
              aria-selected={at === menu.at}
              onMouseDown={(event) => {
                event.preventDefault();
                complete(choice);
              }}
            >
              <span class="code">{choice.text}</span>
              <span class="faint">{choice.hint}</span>
            </li>
          ))}
        </ul>
      )}
      <div id="where-errors" class="under" role="status">
        {errors.length > 0 && !menu?.list.length && (
          <Diagnostics
            model={model}
            errors={errors}
            draft={{
              text,
              change: (next) => {
                setText(next);
                box.current?.focus();
              },
            }}
          />
        )}
      </div>
    </div>
  );
}
