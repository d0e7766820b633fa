/** The keys, in a dialog. */

import { useEffect, useRef } from "preact/hooks";
import type { Model } from "./model";

const KEYS: readonly [string[], string][] = [
  [["/"], "write a filter"],
  [["e"], "open or close the filters"],
  [["a"], "what alerts raised"],
  [["p"], "pause or resume"],
  [["j", "k"], "next and previous row"],
  [["Enter"], "the row in full"],
  [["f", "F"], "only, or not, this row's ticker"],
  [["Home"], "to the newest row"],
  [["Esc"], "close, let go of the row"],
  [["?"], "these keys"],
];

export function Help({ model }: { model: Model }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="keys" aria-label="Keys" onClose={() => model.open(null)} onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
      <header>
        <h2>Keys</h2>
        <button type="button" class="close" aria-label="Close" onClick={() => dialog.current?.close()}>
          ×
        </button>
      </header>
      <dl>
        {KEYS.map(([keys, text]) => (
          <div key={text}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <p class="faint">
        Chips: click for must have, again for must not, again for off. A dashed chip cannot be decided for a row because a value it reads is unknown. ▲ bullish, ▼ bearish; C call, P put.
      </p>
    </dialog>
  );
}
