/** Who is signed in, for which app. Kept in this tab's sessionStorage: gone when the tab is closed. */

import * as api from "./api.js";

const PLACE = "tenshot";

/** What is known of the present session; `key` is null while nobody is signed in. */
export const session = {
  key: null,
  keyId: null,
  /** Whether the key was made by a sign-in link, and so goes when its user does. */
  fromLink: false,
  admin: false,
  scopes: [],
  /** The app that is open: {id, name, default_workflow_id}, or null. */
  app: null,
  get canWrite() {
    return this.admin || this.scopes.includes("All") || this.scopes.includes("Write");
  },
};

/** Tells `change` when somebody signs in or out, and when another app is opened. */
export const events = new EventTarget();

/** Takes up the session that this tab had. False: there is none. */
export async function resume() {
  const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
  if (!kept) return false;
  await signIn(kept.key, { fromLink: kept.fromLink, appId: kept.appId });
  return true;
}

/** Signs in with a key. Throws ApiError for one that nobody knows. */
export async function signIn(key, { fromLink = false, appId = null } = {}) {
  api.authorize(key);
  let found;
  try {
    found = await api.session.get();
  } catch (error) {
    if (!(error instanceof api.Offline)) forget();
    throw error;
  }
  Object.assign(session, { key, keyId: found.key_id, fromLink, admin: found.admin, scopes: found.scopes });
  session.app = found.app ?? null;
  if (found.admin) {
    const apps = await api.admin.apps();
    session.app = apps.find((one) => one.id === appId) ?? (apps.length === 1 ? apps[0] : null);
  }
  settle();
}

/** Signs in with the token of a link that the server printed. Throws ApiError where it was used already. */
export async function signInByToken(token) {
  const made = await api.session.byToken(token);
  await signIn(made.key, { fromLink: true });
}

/** Goes to another app; only an admin key opens more than one. */
export function openApp(app) {
  session.app = app;
  settle();
}

/** Forgets the key; one that a link made is revoked. */
export async function signOut({ revoke = session.fromLink } = {}) {
  if (revoke) await api.admin.revokeKey(session.keyId).catch(() => null);
  forget();
  events.dispatchEvent(new Event("change"));
}

function settle() {
  api.authorize(session.key, session.admin && session.app ? session.app.id : null);
  const kept = { key: session.key, fromLink: session.fromLink, appId: session.app?.id };
  sessionStorage.setItem(PLACE, JSON.stringify(kept));
  events.dispatchEvent(new Event("change"));
}

function forget() {
  api.authorize(null);
  sessionStorage.removeItem(PLACE);
  Object.assign(session, { key: null, keyId: null, fromLink: false, admin: false, scopes: [], app: null });
}
