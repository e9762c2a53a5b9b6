/** Keys that work wherever no text is being typed, and the list of them that `?` shows. */

import { open } from "./dialog.js";
import { h } from "./dom.js";

const groups = new Map();

/** Adds keys: [{keys: ["y"], shown: "Y", does: "Yes", call}]. Returns how to take them away again. */
export function shortcuts(title, list) {
  groups.set(title, list);
  return () => groups.get(title) === list && groups.delete(title);
}

/** Shows all of them. */
export function showShortcuts() {
  const body = [...groups].map(([title, list]) => [
    h("h3", {}, title),
    h(
      "dl",
      { class: "keys" },
      list
        .filter(({ shown }) => shown)
        .map(({ shown, does }) =>
          h(
            "div",
            {},
            h(
              "dt",
              {},
              shown.split(" ").map((key) => h("kbd", {}, key)),
            ),
            h("dd", {}, does),
          ),
        ),
    ),
  ]);
  open({ title: "Keys", body });
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest?.(
    "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select",
  );
  const command = event.ctrlKey || event.metaKey;
  // Capitals too, for who has locked them.
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const name = `${command ? "Ctrl+" : ""}${event.shiftKey && key.length > 1 ? "Shift+" : ""}${key}`;
  if (typing) return;
  for (const list of groups.values()) {
    // Digits by their place on the keyboard too: with shift they are other signs.
    const digit = /^Digit\d$/.test(event.code) && event.shiftKey && !command ? `Shift+${event.code.at(-1)}` : null;
    const found = list.find(({ keys }) => keys.includes(name) || (digit && keys.includes(digit)));
    if (found) {
      event.preventDefault();
      found.call(event);
      return;
    }
  }
});
