/** Windows above the page: they take the focus, give it back, and close with Escape. */

import { h, icon } from "./dom.js";

/** Opens one. Returns {close, element}; closed: called when it is gone, however that came. */
export function open({ title, body, actions = [], wide = false, closed = null }) {
  const close = () => element.close();
  const heading = h("h2", {}, title);
  const element = h(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-label": title },
    h(
      "div",
      { class: "dialog-head" },
      heading,
      h("button", { class: "bare", "aria-label": "Close", onclick: close }, icon("close")),
    ),
    h("div", { class: "dialog-body" }, body),
    actions.length > 0 && h("div", { class: "dialog-foot" }, actions),
  );
  element.addEventListener("close", () => {
    element.remove();
    closed?.();
  });
  // A click beside it closes it too.
  element.addEventListener("pointerdown", (event) => {
    if (event.target === element) close();
  });
  document.body.append(element);
  element.showModal();
  return { close, element };
}

/** Closes all that are open, as unanswered. */
export function closeDialogs() {
  for (const element of document.querySelectorAll("dialog[open]")) element.close();
}

/** Asks before something that can't be undone. Resolves to whether the answer was yes. */
export function confirmed({ title, text, yes }) {
  return new Promise((resolve) => {
    let answer = false;
    const say = (value) => () => {
      answer = value;
      window.close();
    };
    const window = open({
      title,
      body: h("p", {}, text),
      actions: [
        h("button", { onclick: say(false), autofocus: true }, "Cancel"),
        h("button", { class: "danger", onclick: say(true) }, yes),
      ],
      closed: () => resolve(answer),
    });
  });
}
