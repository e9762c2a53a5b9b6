/** What the model says of the pictures that are looked at: asked again after every label. */

import { Offline, parts, pause } from "./api.js";
import { failed } from "./notice.js";

const MOST_CONCEPTS = 12;

/** Keeps the values of visible pictures fresh; calls `shown` with those that have new ones. */
export class Predictions {
  /** visible: () -> pictures; concepts: () -> ids that matter, null for all; shown: (pictures) -> nothing. */
  constructor(app, { visible, concepts, shown, model = "all" }) {
    Object.assign(this, { app, visible, concepts, shown, model });
    /** Labels seen so far: values of an earlier age are stale. */
    this.age = 0;
    this.busy = false;
    this.again = false;
    this.failures = 0;
    this.fresh = new WeakMap();
    this.onKept = () => {
      this.age++;
      this.refresh();
    };
    this.app.labels.addEventListener("kept", this.onKept);
  }

  close() {
    this.app.labels.removeEventListener("kept", this.onKept);
    clearTimeout(this.timer);
    this.closed = true;
  }

  /** Everything is stale, as after another concept was chosen. */
  reset() {
    this.age++;
    this.refresh();
  }

  /** Asks for what is visible and stale; while that is under way, once more afterwards. */
  async refresh() {
    if (this.closed) return;
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    clearTimeout(this.timer);
    try {
      do {
        this.again = false;
        await this.ask();
      } while (this.again && !this.closed);
      this.failures = 0;
    } catch (error) {
      if (!this.closed) {
        if (!(error instanceof Offline)) failed(error);
        this.timer = setTimeout(() => this.refresh(), pause(++this.failures));
      }
    }
    this.busy = false;
  }

  async ask() {
    const { client, labels } = this.app;
    // A concept can't be asked about before its first label is there.
    while (labels.busy) await labels.arrived();
    const age = this.age;
    const stale = this.visible().filter((one) => one.ready && this.fresh.get(one) !== age);
    for (const part of parts(stale)) {
      const wanted = this.concepts();
      // What nothing was taught of can't be asked.
      if (wanted?.length === 0) return;
      const given = part.map(({ id }) => ({ id }));
      const options = wanted && wanted.length <= MOST_CONCEPTS ? { concepts: wanted } : {};
      const answer = await client.models.predict(this.model, given, options);
      if (this.closed) return;
      answer.outputs.forEach((output, place) => {
        const picture = part[place];
        picture.values = new Map((output.data.concepts ?? []).map((one) => [one.id, one.value]));
        this.fresh.set(picture, age);
      });
      this.shown(part);
    }
  }
}
