/** Pictures on their way to the server: files, folders, and addresses, a few requests at a time. */

import { base64, inputs, Offline } from "./api.js";
import * as labels from "./labels.js";
import { remembered } from "./pictures.js";

const AT_ONCE = 2;
const PER_REQUEST = 8;
const BYTES = 12 * 1024 * 1024;
const KINDS = /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i;

/** Tells `change` as things get on, and `added` when pictures have arrived. */
export const events = new EventTarget();

/** {name, file or url, concept, batch: of what was given at once, state: "waiting" | "sending" | "done" | "failed", reason}. */
export const things = [];
let running = 0;

/** How far it is. */
export function progress() {
  const of = (state) => things.filter((one) => one.state === state).length;
  return { total: things.length, done: of("done"), failed: of("failed"), busy: of("waiting") + of("sending") > 0 };
}

/** Takes on files; foldersTeach: the folder that a file is in becomes its label. */
export function addFiles(files, { foldersTeach = false } = {}) {
  const batch = { step: null };
  for (const { file, path } of files) {
    const folder = path.split("/").at(-2);
    const looks = file.type.startsWith("image/") || KINDS.test(file.name);
    things.push({
      name: path || file.name,
      file,
      concept: foldersTeach && folder ? folder : null,
      batch,
      state: looks ? "waiting" : "failed",
      reason: looks ? null : "not a picture",
      // What is no picture by its name was left out on purpose; it isn't tried again.
      final: !looks,
    });
  }
  go();
}

/** Takes on addresses. */
export function addUrls(urls) {
  for (const url of urls) things.push({ name: url, url, concept: null, state: "waiting", reason: null });
  go();
}

/** Tries again what failed. */
export function retry() {
  for (const one of things) {
    if (one.state === "failed" && !one.final) Object.assign(one, { state: "waiting", reason: null });
  }
  go();
}

/** Forgets what is finished. */
export function clear() {
  things.splice(0, things.length, ...things.filter(({ state }) => state === "waiting" || state === "sending"));
  told();
}

/** Forgets what has not been sent yet. */
export function stop() {
  things.splice(0, things.length, ...things.filter(({ state }) => state !== "waiting"));
  told();
}

/** All files behind a drop, folders opened. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  // A reader gives a hundred at a time.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}

function go() {
  told();
  while (running < AT_ONCE && things.some(({ state }) => state === "waiting")) {
    running++;
    work().finally(() => {
      running--;
      told();
    });
  }
}

async function work() {
  for (let some = next(); some.length; some = next()) {
    told();
    await send(some);
    told();
  }
}

function next() {
  const some = [];
  let bytes = 0;
  for (const one of things) {
    if (one.state !== "waiting") continue;
    bytes += one.file?.size ?? 0;
    if (some.length && (some.length === PER_REQUEST || bytes > BYTES)) break;
    one.state = "sending";
    some.push(one);
  }
  return some;
}

async function send(some) {
  const readable = [];
  for (const one of some) {
    try {
      readable.push([one, await body(one)]);
    } catch (error) {
      Object.assign(one, { state: "failed", reason: error.message });
    }
  }
  if (!readable.length) return;
  try {
    const answer = await inputs.add(
      readable.map(([, given]) => given),
      2,
    );
    answer.inputs.forEach((input, place) => settle(readable[place][0], input));
    events.dispatchEvent(new Event("added"));
  } catch (error) {
    const state = error instanceof Offline ? "waiting" : "failed";
    for (const [one] of readable) Object.assign(one, { state, reason: error.message });
    // Not round and round: until the server answers again.
    if (error instanceof Offline) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function body({ file, url, name, concept }) {
  const concepts = concept ? [{ id: concept, value: 1 }] : undefined;
  if (url) return { data: { image: { url }, concepts } };
  return { data: { image: { base64: await base64(file) }, metadata: { file: name }, concepts } };
}

function settle(one, input) {
  const { status } = input;
  // 30000 ready, 30001 on its way behind its address.
  if (status.code === 30000 || status.code === 30001) {
    Object.assign(one, { state: "done", file: null });
    if (one.concept) {
      const [picture] = remembered([input]);
      one.batch.step = labels.brought([{ picture, concept: one.concept }], one.batch.step);
    }
  } else Object.assign(one, { state: "failed", reason: status.details ?? status.description });
}

function told() {
  events.dispatchEvent(new Event("change"));
}
