/** Pictures on their way to an app: files, folders, and addresses, a few requests at a time. */

import { base64, Offline } from "./api.js";

const AT_ONCE = 2;
const PER_REQUEST = 8;
const BYTES = 12 * 1024 * 1024;
const KINDS = /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i;
const AGAIN_MS = 2000;
// The server's words for an id or an address that is there already.
const DUPLICATE = 30100;

/** Tells `change` as things get on, and `added` when pictures have arrived. */
export class Upload extends EventTarget {
  constructor(app) {
    super();
    this.app = app;
    /**
     * {id, name, file or url, concept, batch: of what was given at once, state: "waiting" | "sending" | "done" | "failed",
     * reason}. The id is the input's, chosen before it is sent: sent again, it is not there twice.
     */
    this.things = [];
    this.running = 0;
  }

  /** How far it is. */
  progress() {
    const of = (state) => this.things.filter((one) => one.state === state).length;
    const waiting = of("waiting") + of("sending");
    return { total: this.things.length, done: of("done"), failed: of("failed"), waiting };
  }

  /** Takes on files; foldersTeach: the folder that a file is in becomes its label. */
  addFiles(files, { foldersTeach = false } = {}) {
    const batch = { step: null };
    for (const { file, path } of files) {
      const folder = path.split("/").at(-2);
      const looks = file.type.startsWith("image/") || KINDS.test(file.name);
      this.things.push({
        id: newId(),
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
    this.go();
  }

  /** Takes on addresses. */
  addUrls(urls) {
    for (const url of urls)
      this.things.push({ id: newId(), name: url, url, concept: null, state: "waiting", reason: null });
    this.go();
  }

  /** Tries again what failed. */
  retry() {
    for (const one of this.things) {
      if (one.state === "failed" && !one.final) Object.assign(one, { state: "waiting", reason: null });
    }
    this.go();
  }

  /** Forgets what is finished. */
  clear() {
    this.keep(({ state }) => state === "waiting" || state === "sending");
  }

  /** Forgets what has not been sent yet. */
  stop() {
    this.keep(({ state }) => state !== "waiting");
  }

  /** Forgets everything; what is being sent is not sent again. */
  close() {
    this.keep(() => false);
  }

  keep(wanted) {
    this.things = this.things.filter(wanted);
    this.told();
  }

  go() {
    this.told();
    while (this.running < AT_ONCE && this.things.some(({ state }) => state === "waiting")) {
      this.running++;
      this.work().finally(() => {
        this.running--;
        this.told();
      });
    }
  }

  async work() {
    for (let some = this.next(); some.length; some = this.next()) {
      this.told();
      await this.send(some);
      this.told();
    }
  }

  next() {
    const some = [];
    let bytes = 0;
    for (const one of this.things) {
      if (one.state !== "waiting") continue;
      bytes += one.file?.size ?? 0;
      if (some.length && (some.length === PER_REQUEST || bytes > BYTES)) break;
      one.state = "sending";
      some.push(one);
    }
    return some;
  }

  async send(some) {
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
      const { inputs: answered } = await this.app.client.inputs.add(
        readable.map(([, given]) => given),
        2,
      );
      const there = await this.earlier(answered);
      answered.forEach((input, place) => this.settle(readable[place][0], there.get(input.id) ?? input));
      this.dispatchEvent(new Event("added"));
    } catch (error) {
      const state = error instanceof Offline ? "waiting" : "failed";
      for (const [one] of readable) Object.assign(one, { state, reason: error.message });
      // Not round and round: until the server answers again.
      if (error instanceof Offline) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** Those refused as duplicates that are there under their own id: they came before, and that answer was lost. */
  async earlier(answered) {
    const ids = answered.filter(({ status }) => status.code === DUPLICATE).map(({ id }) => id);
    const there = ids.length ? await this.app.client.inputs.byId(ids) : [];
    return new Map(there.map((input) => [input.id, input]));
  }

  settle(one, input) {
    const { status } = input;
    // 30000 ready, 30001 on its way behind its address.
    if (status.code === 30000 || status.code === 30001) {
      Object.assign(one, { state: "done", file: null });
      if (one.concept) {
        const [picture] = this.app.pictures.remembered([input]);
        one.batch.step = this.app.labels.brought([{ picture, concept: one.concept }], one.batch.step);
      }
      // The server has answered: tried again, it is another input.
    } else Object.assign(one, { id: newId(), state: "failed", reason: status.details ?? status.description });
  }

  told() {
    this.dispatchEvent(new Event("change"));
  }
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

async function body({ id, file, url, name, concept }) {
  const concepts = concept ? [{ id: concept, value: 1 }] : undefined;
  if (url) return { id, data: { image: { url }, concepts } };
  return { id, data: { image: { base64: await base64(file) }, metadata: { file: name }, concepts } };
}

/** As the server makes ids. */
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
