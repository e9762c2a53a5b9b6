/** Labelling, with a way back from every step. */

import { inputs, parts } from "./api.js";
import * as concepts from "./concepts.js";
import { count } from "./dom.js";

/** Tells `change` with the pictures whose labels are other now, and `step` when there is more or less to undo. */
export const events = new EventTarget();

const steps = [];
const MOST_STEPS = 200;
// Requests go one after the other, so that quick keys arrive in their order.
let line = Promise.resolve();
let waiting = 0;

/** When the server has all labels that were given so far. */
export function arrived() {
  return line;
}

/** Whether some are on their way. */
export function busy() {
  return waiting > 0;
}

/** What `undo` would take back, as a sentence; null if there is nothing. */
export function last() {
  return steps.at(-1)?.said ?? null;
}

/**
 * One step: says of pictures that they show a concept (true), don't (false), or takes that back (null).
 *
 * Shown at once; where the server refuses it, everything is as it was before, and the promise is rejected.
 */
export async function label(pictures, concept, value) {
  const changes = pictures
    .map((picture) => ({ picture, concept, before: picture.labels.get(concept) ?? null, after: value }))
    .filter(({ before, after }) => before !== after);
  if (!changes.length) return;
  const name = concepts.nameOf(concept);
  const many = changes.length === 1 ? changes[0].picture.title : `${changes.length} pictures`;
  const verb = value === null ? "label taken off" : value ? "labelled yes" : "labelled no";
  const step = taken({ said: `${many} ${verb}: ${name}`, changes });
  try {
    await made(changes);
  } catch (error) {
    steps.splice(steps.indexOf(step), 1);
    events.dispatchEvent(new Event("step"));
    throw error;
  }
}

/**
 * Labels that new pictures came with, [{picture, concept}]: the server has them already, and they can be taken back.
 *
 * They join the step that an earlier part of the same upload returned, as long as that has not been taken back.
 */
export function brought(pairs, step = null) {
  if (!steps.includes(step)) step = taken({ said: "", changes: [] });
  step.changes.push(...pairs.map((pair) => ({ ...pair, before: null, after: true })));
  step.said = `${count(step.changes.length, "picture")} labelled by folder`;
  events.dispatchEvent(new Event("step"));
  return step;
}

/** Takes the last step back. Returns what that was, null if there was none. */
export async function undo() {
  const step = steps.pop();
  if (!step) return null;
  await made(
    step.changes.map(({ picture, concept, before, after }) => ({ picture, concept, before: after, after: before })),
  );
  return step.said;
}

/** Another app. */
export function clear() {
  steps.length = 0;
  events.dispatchEvent(new Event("step"));
}

function taken(step) {
  steps.push(step);
  if (steps.length > MOST_STEPS) steps.shift();
  return step;
}

async function made(changes) {
  show(changes);
  events.dispatchEvent(new Event("step"));
  const sent = line.then(() => send(changes));
  line = sent.catch(() => null);
  waiting++;
  try {
    await sent;
  } catch (error) {
    show(changes.map(({ picture, concept, before, after }) => ({ picture, concept, before: after, after: before })));
    throw error;
  } finally {
    waiting--;
  }
  events.dispatchEvent(new CustomEvent("kept", { detail: changes.map(({ picture }) => picture) }));
}

async function send(changes) {
  const given = changes.filter(({ after }) => after !== null);
  const taken = changes.filter(({ after }) => after === null);
  for (const part of parts(given))
    await inputs.change(
      part.map((one) => body(one, one.after ? 1 : 0)),
      "merge",
    );
  for (const part of parts(taken))
    await inputs.change(
      part.map((one) => body(one, 1)),
      "remove",
    );
}

function body({ picture, concept }, value) {
  return { id: picture.id, data: { concepts: [{ id: concept, value }] } };
}

function show(changes) {
  for (const { picture, concept, before, after } of changes) {
    if (after === null) picture.labels.delete(concept);
    else picture.labels.set(concept, after);
    concepts.counted(concept, before, after);
  }
  concepts.told();
  events.dispatchEvent(new CustomEvent("change", { detail: changes.map(({ picture }) => picture) }));
}
