/** The page: signs in, then shows the view that the address names. */

import { connection, Offline } from "./api.js";
import { closeDialogs } from "./dialog.js";
import { h, put } from "./dom.js";
import { failed, notice, noticePlace } from "./notice.js";
import * as sessions from "./session.js";
import { session } from "./session.js";
import { broken, loading, shell, VIEWS } from "./shell.js";
import { applyTheme } from "./theme.js";
import { signIn } from "./views/sign_in.js";

const root = document.getElementById("root");
let frame = null;
let leave = null;
let turn = 0;

applyTheme();
document.body.append(noticePlace());
// A sign-in link may be opened where the page is open already.
addEventListener("hashchange", () => {
  // What they are about is not in view any more.
  closeDialogs();
  if (location.hash.startsWith("#token=")) start();
  else show();
});
sessions.events.addEventListener("change", () => {
  closeDialogs();
  frame = null;
  show();
});
connection.addEventListener("back", () => session.key && show());
connection.addEventListener("refused", ({ detail: key }) => {
  // While signing in, the form says so itself; and who has signed out is not asked again.
  if (key !== session.key) return;
  sessions.signOut({ revoke: false });
  notice("This key works no more: it was revoked.", { kind: "bad" });
});
start();

async function start() {
  leave?.();
  leave = frame = null;
  turn++;
  put(root, h("div", { class: "lone" }, loading("Signing in …")));
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // Not in the history, and not on the screen for longer than needed.
  if (token) history.replaceState(null, "", "/");
  try {
    if (token) await sessions.signInByToken(token);
    else if (!(await sessions.resume())) signIn(root);
  } catch (error) {
    if (session.key) {
      show();
      failed(error);
    } else if (error instanceof Offline) put(root, h("div", { class: "lone" }, broken(error, start)));
    else signIn(root, error.message);
  }
}

/** Shows the view of the address; what was shown before is told to leave. */
async function show() {
  const mine = ++turn;
  const { app } = session;
  leave?.();
  leave = null;
  if (!session.key) return signIn(root);
  if (!frame) {
    frame = shell(app);
    put(root, frame.element);
  }
  const [, asked, rest = ""] = location.hash.match(/^#\/(\w+)\/?(.*)$/) ?? [];
  const view = app ? (asked in VIEWS ? asked : "library") : "apps";
  frame.mark(view);
  put(frame.main, loading());
  try {
    const { load, open } = await import(`./views/${view}.js`);
    const [loaded] = await Promise.all([load(app, rest), app?.concepts.load()]);
    // Somebody has gone elsewhere meanwhile.
    if (mine !== turn) return undefined;
    const place = h("div", { class: `view view-${view}` });
    put(frame.main, place);
    leave = open(place, { app, rest, loaded });
  } catch (error) {
    if (mine === turn) put(frame.main, broken(error, show));
  }
  return undefined;
}

addEventListener("beforeunload", (event) => {
  if (session.busy) event.preventDefault();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address names the view, so the link can't go by it.
  event.preventDefault();
  document.getElementById("main")?.focus();
});
