/** The where box: rule text, checked by the server while it is typed, applied with Enter. */

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import type { Catalog } from "./catalog";
import { Diagnostics } from "./diagnostics";
import type { Model } from "./model";
import * as query from "./query";

const TYPING = 300;
/** The menu comes sooner than what is wrong. */
const CHOOSING = 80;
const MOST_CHOICES = 8;

/** How names begin; numbers and signs are typed faster than chosen. */
const NAME = /^[@$A-Za-z_]/;

interface Choice {
  text: string;
  hint: string;
}

interface Menu {
  /** Where the word begins that a choice takes the place of. */
  from: number;
  list: Choice[];
  at: number;
}

/** What the server offers at the caret. Before a word is begun that is only what a field is compared with. */
async function choices(catalog: Catalog | null, text: string, caret: number, signal: AbortSignal): Promise<Menu | null> {
  const before = text.slice(0, caret);
  const found = await api.complete(text, [...before].length, signal);
  const from = [...text].slice(0, found.from).join("").length;
  const word = text.slice(from, caret);
  const list = found.items
    .filter((item) => (word === "" ? item.kind === "member" : NAME.test(word) && NAME.test(item.insert) && item.insert !== word))
    .slice(0, MOST_CHOICES)
    .map((item) => ({ text: item.insert, hint: (item.kind === "chip" && catalog?.chip(item.insert.slice(1))?.label) || item.detail || item.kind }));
  return list.length ? { from, list, at: -1 } : null;
}

/** The choices that still fit while a word is typed on, until the server says which do. */
function kept(menu: Menu | null, text: string, caret: number): Menu | null {
  const word = menu && text.slice(menu.from, caret).toLowerCase();
  if (!menu || !word || !/^[@$]?\w*$/.test(word)) return null;
  const list = menu.list.filter((choice) => choice.text.toLowerCase().includes(word) && choice.text.toLowerCase() !== word);
  return list.length ? { ...menu, list, at: -1 } : null;
}

export function Where({ model }: { model: Model }) {
  const applied = query.get(model.query, "where");
  const [text, setText] = useState(applied);
  const [errors, setErrors] = useState<readonly api.Diagnostic[]>([]);
  const [menu, setMenu] = useState<Menu | null>(null);
  const asking = useRef<() => void>(() => undefined);
  const box = useRef<HTMLInputElement>(null);

  const close = (): void => {
    asking.current();
    setMenu(null);
  };

  useEffect(() => {
    setText(applied);
    close();
  }, [applied]);

  const offer = (value: string, caret: number): void => {
    asking.current();
    setMenu((old) => kept(old, value, caret));
    if (value.slice(0, caret).trim() === "") return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      choices(model.catalog, value, caret, abort.signal).then(
        (found) => !abort.signal.aborted && setMenu(found),
        () => undefined, // the text can be written without
      );
    }, CHOOSING);
    asking.current = () => {
      clearTimeout(timer);
      abort.abort();
    };
  };

  // the server is the only judge of the text: ask it for one row
  useEffect(() => {
    setErrors([]);
    if (text.trim() === "" || (text === applied && !model.problem)) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.page(query.set("", { where: text }), { limit: "1" }, abort.signal).catch((error: unknown) => {
        if (error instanceof api.Problem && error.refuses) {
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
    close();
    model.go(query.set(model.query, { where: value.trim() || null }));
  };

  const complete = (choice: Choice): void => {
    const element = box.current;
    if (!element || !menu) return;
    const caret = element.selectionStart ?? text.length;
    const next = text.slice(0, menu.from) + choice.text + text.slice(caret);
    const to = menu.from + choice.text.length;
    // At once: what is typed before the next frame belongs behind the choice.
    element.value = next;
    element.focus();
    element.setSelectionRange(to, to);
    setText(next);
    close();
  };

  const key = (event: KeyboardEvent): void => {
    // Tab takes the first choice once a word is begun; before that it leaves the box
    const begun = menu !== null && (box.current?.selectionStart ?? 0) > menu.from;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (menu?.list.length && move) {
      event.preventDefault();
      setMenu({ ...menu, at: (menu.at + move + menu.list.length + (menu.at < 0 && move < 0 ? 1 : 0)) % menu.list.length });
    } else if (menu?.list.length && (menu.at >= 0 || begun) && (event.key === "Tab" || (event.key === "Enter" && menu.at >= 0))) {
      event.preventDefault();
      const choice = menu.list[Math.max(0, menu.at)];
      if (choice) complete(choice);
    } else if (event.key === "Enter") {
      apply();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      // what was typed stays: it can be applied or cleared later
      if (menu) close();
      else box.current?.blur();
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
            offer(element.value, element.selectionStart ?? element.value.length);
          }}
          onKeyDown={key}
          onBlur={close}
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
