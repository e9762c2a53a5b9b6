/** Short messages at the edge of the page, which a screen reader says as they come. */

import { h, icon } from "./dom.js";

const SECONDS = 6;
const MOST = 3;
const place = h("div", { class: "notices", role: "status", "aria-live": "polite" });

/** Where messages appear; to be put into the page once. */
export function noticePlace() {
  return place;
}

/** Shows a message for a while. action: {text, call}. */
export function notice(text, { kind = "plain", action = null } = {}) {
  const gone = () => one.remove();
  const one = h(
    "div",
    { class: `notice ${kind}` },
    h("span", {}, text),
    action && h("button", { class: "link", onclick: () => (gone(), action.call()) }, action.text),
    h("button", { class: "bare", "aria-label": "Dismiss", onclick: gone }, icon("close")),
  );
  place.append(one);
  while (place.children.length > MOST) place.firstChild.remove();
  setTimeout(gone, 1000 * (kind === "bad" ? 2 * SECONDS : SECONDS));
}

/** Says what went wrong. Being offline has a place of its own. */
export function failed(error) {
  if (error.name === "AbortError" || error.constructor.name === "Offline") return;
  notice(error.message, { kind: "bad" });
}

/** Runs what may fail, and says so if it did. */
export async function trying(call) {
  try {
    return await call();
  } catch (error) {
    failed(error);
    return undefined;
  }
}
