/** A panel at the side: its header, and where the focus goes when it opens and closes. */

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Model } from "./model";

interface Props {
  model: Model;
  label: string;
  heading: ComponentChildren;
  /** What stands between heading and close button. */
  beside?: ComponentChildren;
  close: () => void;
  /** What the panel shows; when it changes, a focus that was on something no longer there comes back to the panel. */
  turn?: string;
  children: ComponentChildren;
}

export function Panel({ model, label, heading, beside, close, turn, children }: Props) {
  const panel = useRef<HTMLElement>(null);
  const shown = useRef(turn);
  useLayoutEffect(() => {
    const element = panel.current;
    const opener = document.activeElement;
    // opened by mouse, the focus stays where it is
    if (model.byKey) (element?.querySelector<HTMLElement>("input") ?? element?.querySelector<HTMLElement>(".close"))?.focus({ preventScroll: true });
    return () => {
      const now = document.activeElement;
      const lost = now === null || now === document.body || element?.contains(now);
      if (lost && opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
    };
  }, []);
  useLayoutEffect(() => {
    if (shown.current === turn) return;
    shown.current = turn;
    if (document.activeElement === document.body) panel.current?.querySelector<HTMLElement>("header button")?.focus({ preventScroll: true });
  }, [turn]);
  return (
    <aside class="panel" aria-label={label} ref={panel}>
      <header>
        <h2>{heading}</h2>
        {beside}
        <button type="button" class="close" aria-label={`Close ${label.toLowerCase()}`} onClick={close}>
          ×
        </button>
      </header>
      <div class="content">{children}</div>
    </aside>
  );
}
