/** Who is signed in, for which app. Kept in this tab's sessionStorage: gone when the tab is closed. */

import * as api from "./api.js";
import { App } from "./app.js";

const PLACE = "tenshot";

/** One sign-in: it stays what it is, so who waits for the server can tell whether it is still the present one. */
class Session {
  constructor(key = null, { fromLink = false, keyId = null, admin = false, scopes = [] } = {}) {
    /** Null while nobody is signed in. */
    this.key = key;
    this.keyId = keyId;
    /** Whether the key was made by a sign-in link, and so goes when its user does. */
    this.fromLink = fromLink;
    this.admin = admin;
    this.scopes = scopes;
    this.client = api.client(key);
    /** The app that is open, or null. */
    this.app = null;
    this.apps = new Map();
  }

  get canWrite() {
    return this.admin || this.scopes.includes("All") || this.scopes.includes("Write");
  }

  /** Whether something is not on the server yet, of whichever app. */
  get busy() {
    return [...this.apps.values()].some(({ busy }) => busy);
  }

  /** Goes to an app, as the server answers it, or to none. What was begun in an app goes on there. */
  open(record) {
    if (record && !this.apps.has(record.id)) this.apps.set(record.id, new App(record, this.key, this.admin));
    this.app = record ? this.apps.get(record.id) : null;
    if (record) this.app.record = record;
  }

  /** No pictures are sent any more. */
  close() {
    for (const { upload } of this.apps.values()) upload.close();
  }
}

/** The present one. */
export let session = new Session();

/** Tells `change` when somebody signs in or out, and when another app is opened. */
export const events = new EventTarget();

let tries = 0;

/** Takes up the session that this tab had. False: there is none. */
export async function resume() {
  const before = kept();
  if (!before) return false;
  await signIn(before.key, { fromLink: before.fromLink, appId: before.appId });
  return true;
}

/** Signs in with a key, unless another one is tried meanwhile. Throws ApiError for a key that nobody knows. */
export async function signIn(key, { fromLink = false, appId = null } = {}) {
  const mine = ++tries;
  const client = api.client(key);
  let next;
  try {
    const found = await client.session.get();
    next = new Session(key, { fromLink, keyId: found.key_id, admin: found.admin, scopes: found.scopes });
    const apps = found.admin ? await client.admin.apps() : [];
    next.open(found.app ?? apps.find((one) => one.id === appId) ?? (apps.length === 1 ? apps[0] : null));
  } catch (error) {
    if (error.http === 401 && kept()?.key === key) sessionStorage.removeItem(PLACE);
    throw error;
  }
  if (mine === tries) become(next);
}

/** Signs in with the token of a link that the server printed. Throws ApiError where it was used already. */
export async function signInByToken(token) {
  const made = await api.client(null).session.byToken(token);
  await signIn(made.key, { fromLink: true });
}

/** Goes to another app, or to none; only an admin key opens more than one. */
export function openApp(record) {
  session.open(record);
  become(session);
}

/** An app was deleted: it is open no more. */
export function closeApp(id) {
  session.apps.get(id)?.upload.close();
  session.apps.delete(id);
  if (session.app?.id === id) session.app = null;
  become(session);
}

/** Forgets the key; one that a link made is revoked, when the labels on their way have arrived. */
export async function signOut({ revoke = session.fromLink } = {}) {
  const left = session;
  left.close();
  if (revoke) {
    const apps = [...left.apps.values()];
    await Promise.all(apps.map(({ labels }) => labels.arrived()));
    for (const { client } of [left, ...apps]) client.stop();
    await api
      .client(left.key)
      .admin.revokeKey(left.keyId)
      .catch(() => null);
  }
  // Somebody else may be signed in by now.
  if (left === session) become(new Session());
}

function become(next) {
  if (next !== session) session.close();
  session = next;
  if (session.key) {
    const { key, fromLink, app } = session;
    sessionStorage.setItem(PLACE, JSON.stringify({ key, fromLink, appId: app?.id }));
  } else sessionStorage.removeItem(PLACE);
  events.dispatchEvent(new Event("change"));
}

function kept() {
  return JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
}
