/** The app's concepts, in the order in which they were made: their names, and how many labels they have. */

import { concepts as wire } from "./api.js";

/** How many yes labels usually do. */
export const ENOUGH = 10;

/** Tells `change`. */
export const events = new EventTarget();

let list = [];

/** [{id, name, yes, no}]. */
export function all() {
  return list;
}

/** A concept's name, for people. */
export function nameOf(id) {
  return list.find((one) => one.id === id)?.name ?? id;
}

/** What the server knows now. */
export async function load() {
  const found = await wire.counts();
  list = found.map(({ id, name, concept_type_count: counts }) => ({
    id,
    name,
    yes: counts.positive,
    no: counts.negative,
  }));
  events.dispatchEvent(new Event("change"));
  return list;
}

/** Makes one, and returns it. */
export async function create(name) {
  await wire.create(name, name);
  await load();
  return list.find((one) => one.id === name);
}

/** Gives one another name; labels and models stay. */
export async function rename(id, name) {
  await wire.rename(id, name);
  await load();
}

/** Counts labels at once, before the server has been asked. */
export function counted(concept, before, after) {
  const one = list.find((known) => known.id === concept);
  if (!one) return;
  if (before === true) one.yes--;
  if (before === false) one.no--;
  if (after === true) one.yes++;
  if (after === false) one.no++;
}

/** Says that counts have changed. */
export function told() {
  events.dispatchEvent(new Event("change"));
}

/** Another app. */
export function clear() {
  list = [];
}
