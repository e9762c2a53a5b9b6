/**
 * The public HTTP API, as the page uses it. Every call gives the answer's JSON, or throws what is fit for a user.
 *
 * A client is bound to a key and an app for good: what is begun in one app never ends in another.
 */

/** What the server refused. */
export class ApiError extends Error {
  constructor(message, http, code, answer) {
    super(message);
    this.http = http;
    this.code = code;
    this.answer = answer;
  }
}

/** The server can't be reached. */
export class Offline extends Error {}

/** Tells `offline`, `online` and `refused` (the key in `detail` works no more). */
export const connection = new EventTarget();

const FAILURE = 10020;
const MOST_ITEMS = 128;
const PATIENCE = 6;

/** Requests that carry this key; with an app's id they go to that app, which an admin key needs. */
export function client(key, appId = null) {
  const base = appId ? `/v2/users/me/apps/${encodeURIComponent(appId)}` : "/v2";
  const stopped = new AbortController();
  const { signal } = stopped;
  const call = (method, path, options) => request(method, `${base}/${path}`, { key, signal, ...options });
  const above = (method, path, options) => request(method, `/v2/${path}`, { key, signal, ...options });
  return {
    /** Breaks off all that is under way. */
    stop: () => stopped.abort(),
    inputs: inputs(call),
    concepts: concepts(call),
    models: models(call),
    workflow: workflow(call, above),
    admin: admin(above),
    session: session(above),
    searched: (ands, page, perPage) =>
      call("POST", "searches", { body: { query: { ands }, pagination: { page, per_page: perPage } } }).then(
        (found) => found.hits,
      ),
    /** A download that needs the key: its bytes. */
    async download(path) {
      const answer = await sent(`${base}/${path}`, { signal, headers: { Authorization: `Key ${key}` } });
      if (!answer.ok) throw new ApiError((await answer.json()).status.details, answer.status);
      return answer.blob();
    },
  };
}

/** The picture's address on this server, whatever name the server goes by. */
export function onThisServer(url) {
  if (!url) return null;
  const { pathname, search } = new URL(url, location.origin);
  return pathname + search;
}

async function request(method, path, { key, signal, query, body, items = false }) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Key ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const url = query ? `${path}?${search(query)}` : path;
  for (let turn = 0; ; turn++) {
    const answer = await sent(url, { method, headers, signal, body: body && JSON.stringify(body) });
    const found = await answer.json().catch((error) => {
      if (error.name === "AbortError") throw error;
      // An answer that broke off: whether the request was followed, nobody knows.
      if (answer.ok) throw away();
      return {};
    });
    const status = found.status ?? {};
    if (answer.ok || (items && status.code === FAILURE)) return found;
    const later = answer.headers.get("Retry-After") ?? (answer.status === 429 && 1);
    if (later && [429, 503].includes(answer.status) && turn < PATIENCE) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(later)));
      continue;
    }
    if (answer.status === 401 && key) connection.dispatchEvent(new CustomEvent("refused", { detail: key }));
    throw new ApiError(
      status.details || status.description || `HTTP ${answer.status}`,
      answer.status,
      status.code,
      found,
    );
  }
}

async function sent(url, options) {
  try {
    const answer = await fetch(url, options);
    connection.dispatchEvent(new Event("online"));
    return answer;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw away();
  }
}

function away() {
  connection.dispatchEvent(new Event("offline"));
  return new Offline("The server doesn't answer.");
}

function search(query) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null) given.append(name, one);
  }
  return given;
}

/** Milliseconds to wait before something is asked again that failed so often. */
export function pause(failures) {
  return Math.min(30_000, 1000 * 2 ** (failures - 1));
}

/** A list in parts that one request may have. */
export function parts(list, most = MOST_ITEMS) {
  const found = [];
  for (let start = 0; start < list.length; start += most) found.push(list.slice(start, start + most));
  return found;
}

/** A blob's content as base64. */
export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error(`${blob.name ?? "the file"} can't be read`));
    reader.readAsDataURL(blob);
  });
}

// Inputs

const inputs = (call) => ({
  page: (query) => call("GET", "inputs", { query }).then((found) => found.inputs),
  byId: (ids) => call("GET", "inputs", { query: { ids } }).then((found) => found.inputs),
  counts: () => call("GET", "inputs/status").then((found) => found.counts),
  add: (given, wait) => call("POST", "inputs", { body: { inputs: given }, query: { wait }, items: true }),
  change: (given, action) => call("PATCH", "inputs", { body: { inputs: given, action } }),
  delete: (ids) => call("DELETE", "inputs", { body: { ids } }),
});

// Concepts and models

const concepts = (call) => ({
  all: () => call("GET", "concepts", { query: { per_page: 1000 } }).then((found) => found.concepts),
  counts: () => call("GET", "concepts/status").then((found) => found.concept_counts),
  create: (id, name) => call("POST", "concepts", { body: { concepts: [{ id, name }] } }),
  rename: (id, name) => call("PATCH", "concepts", { body: { action: "overwrite", concepts: [{ id, name }] } }),
});

/** The path of a model, or of a version of it. */
function of(model, version) {
  const path = `models/${encodeURIComponent(model)}`;
  return version ? `${path}/versions/${encodeURIComponent(version)}` : path;
}

const models = (call) => ({
  all: () => call("GET", "models", { query: { per_page: 1000 } }).then((found) => found.models),
  create: (model) => call("POST", "models", { body: { model } }).then((found) => found.model),
  delete: (id) => call("DELETE", of(id)),
  predict: (id, given, { version, concepts: wanted } = {}) =>
    call("POST", `${of(id, version)}/outputs`, { body: { inputs: given, ...configured(wanted) }, items: true }),
  explain: (id, given, { version, concepts: wanted, most = 3, neighbours = 6 } = {}) =>
    call("POST", `${of(id, version)}/explanations`, {
      body: { inputs: given, neighbours, ...configured(wanted, most) },
    }),
  suggestions: (id, query) => call("GET", `${of(id)}/suggestions`, { query }).then((found) => found.suggestions),
  doubts: (id, query) => call("GET", `${of(id)}/doubts`, { query }).then((found) => found.doubts),
  evaluation: (id) =>
    call("GET", `${of(id)}/evaluation`, { query: { judged: true } }).then((found) => found.evaluation),
  learningCurve: (id) => call("GET", `${of(id)}/learning_curve`).then((found) => found.learning_curve),
  setThreshold: (id, concept, threshold) =>
    call("PATCH", `${of(id)}/thresholds`, { body: { thresholds: [{ id: concept, threshold }] } }),
  versions: (id) => call("GET", `${of(id)}/versions`).then((found) => found.model_versions),
  freeze: (id) => call("POST", `${of(id)}/versions`, { body: {} }).then((found) => found.model.model_version),
  goBack: (id, version) => call("POST", `${of(id)}/versions`, { body: { from_version_id: version } }),
  compare: (id, before, after) =>
    call("GET", `${of(id)}/comparison`, { query: { before, after, n: 60 } }).then((found) => found.comparison),
});

function configured(concepts, most = 200) {
  const config = { max_concepts: most };
  if (concepts) config.select_concepts = concepts.map((id) => ({ id }));
  return { model: { output_info: { output_config: config } } };
}

// What an app sees with

const workflow = (call, above) => ({
  current: () => call("GET", "base_workflow").then((found) => found.base_workflow),
  change: (id) =>
    call("POST", "base_workflow", { body: { base_workflow: { id } } }).then((found) => found.base_workflow),
  cancel: () => call("DELETE", "base_workflow").then((found) => found.base_workflow),
  compare: (ids) =>
    call("GET", "base_workflow/comparison", { query: { workflow: ids } }).then((found) => found.comparison),
  all: () => above("GET", "base_workflows").then((found) => found.base_workflows),
});

// Apps, keys, sessions

const admin = (above) => ({
  apps: () => above("GET", "users/me/apps").then((found) => found.apps),
  createApp: (name, workflowId, dim) =>
    above("POST", "users/me/apps", { body: { apps: [{ name, default_workflow_id: workflowId, dim }] } }).then(
      (found) => found.apps[0],
    ),
  deleteApp: (id) => above("DELETE", `users/me/apps/${encodeURIComponent(id)}`),
  keys: () => above("GET", "users/me/keys").then((found) => found.keys),
  createKey: (appId, description, scopes) =>
    above("POST", "users/me/keys", { body: { keys: [{ description, scopes, apps: [{ id: appId }] }] } }).then(
      (found) => found.keys[0],
    ),
  revokeKey: (id) => above("DELETE", `users/me/keys/${encodeURIComponent(id)}`),
});

const session = (above) => ({
  get: () => above("GET", "session").then((found) => found.session),
  byToken: (token) => above("POST", "session", { body: { token } }),
});

/** Whether this server knows a path, by its own OpenAPI document. */
export async function knows(path) {
  const answer = await sent("/openapi.json", {});
  return path in (await answer.json()).paths;
}
