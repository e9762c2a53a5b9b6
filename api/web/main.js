/** The page: signs in, then shows the view that the address names. */

import { connection, Offline } from "./api.js";
import * as concepts from "./concepts.js";
import { h, put } from "./dom.js";
import * as labels from "./labels.js";
import { notice, noticePlace } from "./notice.js";
import * as pictures from "./pictures.js";
import * as sessions from "./session.js";
import { session } from "./session.js";
import { broken, loading, shell, VIEWS } from "./shell.js";
import { applyTheme } from "./theme.js";
import * as upload from "./upload.js";
import { signIn } from "./views/sign_in.js";

const root = document.getElementById("root");
let frame = null;
let leave = null;
let appId = null;
let turn = 0;

applyTheme();
document.body.append(noticePlace());
// A sign-in link may be opened where the page is open already.
addEventListener("hashchange", () => (location.hash.startsWith("#token=") ? start() : show()));
sessions.events.addEventListener("change", show);
connection.addEventListener("back", show);
connection.addEventListener("refused", () => {
  // While signing in, the form says so itself.
  if (!session.key) return;
  sessions.signOut({ revoke: false });
  notice("This key works no more: it was revoked.", { kind: "bad" });
});
start();

async function start() {
  put(root, h("div", { class: "lone" }, loading("Signing in …")));
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // Not in the history, and not on the screen for longer than needed.
  if (token) history.replaceState(null, "", "/");
  try {
    if (token) await sessions.signInByToken(token);
    else if (!(await sessions.resume())) signIn(root);
  } catch (error) {
    if (error instanceof Offline) put(root, h("div", { class: "lone" }, broken(error, start)));
    else signIn(root, error.message);
  }
}

/** Shows the view of the address; what was shown before is told to leave. */
async function show() {
  const mine = ++turn;
  leave?.();
  leave = null;
  if (!session.key) {
    frame = null;
    return signIn(root);
  }
  if (!frame) {
    frame = shell();
    put(root, frame.element);
  }
  const [, asked, rest = ""] = location.hash.match(/^#\/(\w+)\/?(.*)$/) ?? [];
  const view = session.app ? (asked in VIEWS ? asked : "library") : "apps";
  frame.mark(view);
  put(frame.main, loading());
  try {
    if (session.app?.id !== appId) await enter();
    const { open } = await import(`./views/${view}.js`);
    // A place of its own, so that a slow view can't write over a later one.
    const place = h("div", { class: `view view-${view}` });
    const left = await open(place, rest);
    if (mine !== turn) return left();
    leave = left;
    put(frame.main, place);
  } catch (error) {
    if (mine === turn) put(frame.main, broken(error, show));
  }
  return undefined;
}

/** Another app: nothing of the one before is true here. */
async function enter() {
  pictures.forget();
  concepts.clear();
  labels.clear();
  if (session.app) await concepts.load();
  appId = session.app?.id ?? null;
}

addEventListener("beforeunload", (event) => {
  if (labels.busy() || upload.progress().busy) event.preventDefault();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address names the view, so the link can't go by it.
  event.preventDefault();
  document.getElementById("main")?.focus();
});
