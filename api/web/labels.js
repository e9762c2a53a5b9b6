/** Labelling, with a way back from every step. */

import { parts } from "./api.js";
import { count } from "./dom.js";

const MOST_STEPS = 200;

/**
 * The labels that this tab gives in one app.
 *
 * A change {picture, concept, before, after} is shown at once on top of what is stored, sent in its turn, and `kept`
 * when the server has it. Where the server refuses it, what is stored is shown again.
 *
 * Tells `change` with the pictures whose labels may be other now, `kept` with those whose labels have arrived, and
 * `step` when there is more or less to undo.
 */
export class Labels extends EventTarget {
  constructor(app) {
    super();
    this.app = app;
    /** {what: "labelled yes: cat", changes, undoing}. */
    this.steps = [];
    // Requests go one after the other, so that quick keys arrive in their order.
    this.line = Promise.resolve();
    this.waiting = 0;
  }

  /** When the server has answered all labels that were given so far. */
  arrived() {
    return this.line;
  }

  /** Whether some are on their way. */
  get busy() {
    return this.waiting > 0;
  }

  /** What `undo` would take back, as a sentence; null if there is nothing. */
  get last() {
    const step = this.lastStep;
    return step ? sentence(step) : null;
  }

  get lastStep() {
    return this.steps.findLast(({ undoing }) => !undoing);
  }

  /**
   * One step: says of pictures that they show a concept (true), don't (false), or takes that back (null).
   *
   * Returns the step, null where nothing changes. Throws an error that names those that the server doesn't have.
   */
  async label(pictures, concept, value) {
    const changes = pictures
      .filter((picture) => (picture.labels.get(concept) ?? null) !== value)
      .map((picture) => ({ picture, concept, after: value }));
    if (!changes.length) return null;
    const verb = value === null ? "label taken off" : value ? "labelled yes" : "labelled no";
    const step = this.begun(`${verb}: ${this.app.concepts.nameOf(concept)}`, changes);
    const problem = await this.make(changes);
    const lost = changes.filter(({ kept }) => !kept);
    this.reduce(step, lost);
    if (lost.length) throw new Error(`Not kept: ${sentence({ ...step, changes: lost })}. ${problem}`);
    return step;
  }

  /**
   * Labels that new pictures came with, [{picture, concept}]: the server has them already, and they can be taken back.
   *
   * They join the step that an earlier part of the same upload returned, as long as that has not been taken back.
   */
  brought(pairs, step = null) {
    const changes = pairs.map((pair) => ({ ...pair, before: null, after: true, kept: true }));
    if (step?.undoing !== false || !this.steps.includes(step)) return this.begun("labelled by folder", changes);
    step.changes.push(...changes);
    this.dispatchEvent(new Event("step"));
    return step;
  }

  /**
   * Takes a step back, the last one unless another is given. What was labelled elsewhere since stays as it is.
   *
   * Returns what was done, as a sentence; null if there was nothing. Throws an error that names those that the server
   * has not taken back: they can be tried again.
   */
  async undo(step = this.lastStep) {
    if (!this.steps.includes(step) || step.undoing) return null;
    step.undoing = true;
    this.dispatchEvent(new Event("step"));
    const changes = step.changes.map((undone) => ({
      picture: undone.picture,
      concept: undone.concept,
      undone,
      get after() {
        return undone.before;
      },
    }));
    const problem = await this.make(changes);
    step.undoing = false;
    const lost = changes.filter(({ kept, elsewhere, undone }) => undone.kept && !kept && !elsewhere);
    this.reduce(
      step,
      changes.filter((change) => !lost.includes(change)).map(({ undone }) => undone),
    );
    if (lost.length) throw new Error(`Not undone: ${sentence({ ...step, changes: lost })}. ${problem}`);
    const said = [];
    const [back, others] = [changes.filter(({ kept }) => kept), changes.filter(({ elsewhere }) => elsewhere)];
    if (back.length) said.push(`Undone: ${sentence({ ...step, changes: back })}`);
    if (others.length)
      said.push(`Changed elsewhere since, and left as it is: ${sentence({ ...step, changes: others })}`);
    return said.join(". ") || null;
  }

  begun(what, changes) {
    const step = { what, changes, undoing: false };
    this.steps.push(step);
    if (this.steps.length > MOST_STEPS) this.steps.shift();
    this.dispatchEvent(new Event("step"));
    return step;
  }

  /** Takes changes out of a step that there is nothing to undo of. */
  reduce(step, changes) {
    const out = new Set(changes);
    step.changes = step.changes.filter((change) => !out.has(change));
    if (!step.changes.length) this.steps = this.steps.filter((other) => other !== step);
    this.dispatchEvent(new Event("step"));
  }

  /** Shows changes, and sends them in their turn. Returns why some are not kept, in words. */
  async make(changes) {
    const { concepts } = this.app;
    for (const change of changes) change.picture.changes.push(change);
    this.draw(changes);
    const seen = changes.map(({ before }) => before);
    this.waiting++;
    concepts.hold();
    this.line = this.line.then(() => this.send(changes));
    const problem = await this.line;
    this.waiting--;
    concepts.release(changes.some((change, place) => !change.kept || change.before !== seen[place]));
    const kept = changes.filter((change) => change.kept);
    if (kept.length) this.dispatchEvent(new CustomEvent("kept", { detail: kept.map(({ picture }) => picture) }));
    return problem;
  }

  async send(changes) {
    let problem = "Deleted elsewhere.";
    try {
      for (const part of parts(changes)) await this.store(part);
    } catch (error) {
      problem = error.message;
      // An answer that was lost says nothing of what is stored.
      await this.look(changes.filter(({ sent, kept }) => sent && !kept)).catch(() => null);
      for (const change of changes) if (change.sent && stored(change) === change.after) change.kept = true;
    }
    this.drop(changes);
    return problem;
  }

  async store(part) {
    // Another tab may have labelled them: an undo goes back to that, and leaves what came after alone.
    const there = await this.look(part);
    const due = part.filter((change) => {
      const { undone } = change;
      change.elsewhere = undone?.kept && !(there.has(change.picture) && stored(change) === undone.after);
      return there.has(change.picture) && (!undone || (undone.kept && !change.elsewhere));
    });
    for (const action of ["merge", "remove"]) {
      const some = due.filter(({ after }) => (after === null) === (action === "remove"));
      if (!some.length) continue;
      for (const change of some) change.sent = true;
      const { inputs } = await this.app.client.inputs.change(some.map(body), action);
      this.app.pictures.remembered(inputs);
      for (const change of some) change.kept = true;
      this.drop(some);
    }
  }

  /** Asks what is stored of the changes' pictures. Returns the set of those that exist. */
  async look(changes) {
    return new Set(await this.app.pictures.fetched([...new Set(changes.map(({ picture }) => picture.id))]));
  }

  /** These are on their way no more. */
  drop(changes) {
    for (const change of changes) change.picture.changes = change.picture.changes.filter((other) => other !== change);
    this.draw(changes);
  }

  draw(changes) {
    const { concepts } = this.app;
    for (const { picture, concept } of changes) {
      const before = picture.labels.get(concept) ?? null;
      picture.draw();
      concepts.counted(concept, before, picture.labels.get(concept) ?? null);
    }
    concepts.told();
    this.dispatchEvent(new CustomEvent("change", { detail: changes.map(({ picture }) => picture) }));
  }
}

function stored({ picture, concept }) {
  return picture.stored.get(concept) ?? null;
}

function body({ picture, concept, after }) {
  return { id: picture.id, data: { concepts: [{ id: concept, value: after === false ? 0 : 1 }] } };
}

/** "3 pictures labelled yes: cat". */
export function sentence({ what, changes }) {
  return `${changes.length === 1 ? changes[0].picture.title : count(changes.length, "picture")} ${what}`;
}
