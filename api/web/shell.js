/** What is round every view: the way between them, the app's name, undo, and whether the server answers. */

import { connection } from "./api.js";
import { confirmed } from "./dialog.js";
import { count, h, icon, unseen } from "./dom.js";
import { notice, trying } from "./notice.js";
import * as sessions from "./session.js";
import { session } from "./session.js";
import { showShortcuts, shortcuts } from "./shortcuts.js";
import { nextTheme, theme } from "./theme.js";

/** Address -> name, in their order. */
export const VIEWS = { library: "Library", teach: "Teach", search: "Search", model: "Model", apps: "Apps" };

const ASK_AGAIN_MS = 2000;

/** The page of somebody who is signed in, for an app or none: {element, main, mark(view)}. */
export function shell(app) {
  const links = Object.entries(VIEWS).map(([name, title]) =>
    h("a", { href: `#/${name}`, class: "nav-link" }, icon(name), h("span", {}, title)),
  );
  const main = h("main", { id: "main", tabindex: "-1" });
  const name = h("a", { class: "app-name", href: "#/apps" }, unseen("App: "), app?.name ?? "No app is open");
  const undo = h("button", { class: "quiet undo", onclick: () => undone(app) }, icon("undo"), h("span", {}, "Undo"));
  const colours = h("button", { class: "bare", onclick: () => tint(nextTheme()) }, icon("theme"));
  const tint = (name) => {
    colours.setAttribute("aria-label", `Colours: ${name}`);
    colours.title = `Colours: ${name}`;
  };
  tint(theme());
  const header = h(
    "header",
    { class: "top" },
    h(
      "a",
      { class: "brand", href: "#/library", "aria-label": "tenshot" },
      h("img", { src: "/page/icon.svg", alt: "" }),
      h("span", {}, "tenshot"),
    ),
    name,
    h(
      "div",
      { class: "top-tools" },
      undo,
      h("button", { class: "bare", "aria-label": "Keys", title: "Keys (?)", onclick: showShortcuts }, icon("help")),
      colours,
      h("button", { class: "bare", "aria-label": "Sign out", title: "Sign out", onclick: leaving }, icon("exit")),
    ),
  );
  const element = h(
    "div",
    { class: "shell" },
    header,
    h("nav", { class: "nav", "aria-label": "Views" }, links),
    main,
    offline,
  );

  const stepped = () => {
    const said = app?.labels.last;
    undo.disabled = !said;
    undo.title = said ? `Undo: ${said} (Z)` : "Nothing to undo";
  };
  app?.labels.addEventListener("step", stepped);
  stepped();
  shortcuts("Everywhere", [
    { keys: ["z", "Ctrl+z"], shown: "Z", does: "Undo the last labels", call: () => undone(app) },
    { keys: ["?"], shown: "?", does: "This list", call: showShortcuts },
  ]);

  return {
    element,
    main,
    /** Says where we are. */
    mark(view) {
      for (const link of links) {
        if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      document.title = `${VIEWS[view]} – tenshot`;
    },
  };
}

/** Takes labels back, the last ones unless a step is given, and says so. */
export async function undone(app, step) {
  const said = await trying(async () => app?.labels.undo(step));
  if (said) notice(said);
}

async function leaving() {
  const left = [...session.apps.values()].reduce((sum, { upload }) => sum + upload.progress().waiting, 0);
  const sure =
    !left ||
    (await confirmed({
      title: "Sign out now?",
      text: `${count(left, "picture")} on the way would not be added.`,
      yes: "Sign out",
    }));
  if (sure) await sessions.signOut();
}

const offline = offlineLine();

/** The line that appears while the server doesn't answer, and goes when it does. */
function offlineLine() {
  const element = h(
    "div",
    { class: "offline", role: "alert", hidden: true },
    h("strong", {}, "The server doesn't answer."),
    " What you see may be old. Trying again …",
  );
  let timer = 0;
  const ask = () =>
    fetch("/healthz").then(
      (answer) => answer.ok && back(),
      () => null,
    );
  const back = () => {
    if (element.hidden) return;
    element.hidden = true;
    clearInterval(timer);
    timer = 0;
    connection.dispatchEvent(new Event("back"));
  };
  connection.addEventListener("online", back);
  connection.addEventListener("offline", () => {
    element.hidden = false;
    timer ||= setInterval(ask, ASK_AGAIN_MS);
  });
  return element;
}

/** What stands where something would be, while there is nothing. */
export function empty({ title, text, actions = [] }) {
  return h(
    "div",
    { class: "empty" },
    h("img", { src: "/page/icon.svg", alt: "" }),
    h("h2", {}, title),
    h("p", {}, text),
    h("div", { class: "empty-actions" }, actions),
  );
}

/** What stands where something would be, if it could not be had. */
export function broken(error, again) {
  return h(
    "div",
    { class: "empty", role: "alert" },
    h("h2", {}, "That didn't work"),
    h("p", {}, error.message),
    h("div", { class: "empty-actions" }, h("button", { onclick: again }, "Try again")),
  );
}

/** Grey shapes while something is under way. */
export function loading(text = "Loading …") {
  return h(
    "div",
    { class: "loading", role: "status" },
    unseen(text),
    Array.from({ length: 3 }, () => h("span", { class: "bone" })),
  );
}
