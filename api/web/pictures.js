/** The app's inputs as the page knows them: one record each, shared by every view that shows it. */

import { inputs, onThisServer } from "./api.js";

const known = new Map();

/** One input: its labels are changed in place when somebody labels it. */
export class Picture {
  constructor(id) {
    this.id = id;
    /** Concept id -> true or false. */
    this.labels = new Map();
    /** Concept id -> value in [0, 1], as last predicted; null while unknown. */
    this.values = null;
  }

  /** What a person calls it. */
  get title() {
    return this.metadata?.file ?? this.id;
  }

  get ready() {
    return this.code === 30000;
  }

  get pending() {
    return this.code === 30001;
  }

  /** The concept of the highest value: [id, value]; null while nothing is predicted. */
  get best() {
    let best = null;
    for (const one of this.values ?? []) if (!best || one[1] > best[1]) best = one;
    return best;
  }
}

/** Records of inputs as the server answers them, in that order. */
export function remembered(answered) {
  return answered.map((one) => {
    const picture = known.get(one.id) ?? new Picture(one.id);
    known.set(one.id, picture);
    picture.thumbnail = onThisServer(one.data.image?.thumbnail_url);
    picture.full = onThisServer(one.data.image?.hosted_url);
    picture.crop = one.data.image?.crop ?? null;
    picture.url = one.data.image?.url ?? null;
    picture.metadata = one.data.metadata ?? null;
    picture.geo = one.data.geo?.geo_point ?? null;
    picture.created = one.created_at ?? null;
    picture.code = one.status.code;
    picture.reason = one.status.details ?? one.status.description;
    picture.labels = new Map((one.data.concepts ?? []).map((label) => [label.id, label.value >= 0.5]));
    return picture;
  });
}

/** Records by id, fetched where they are not known; deleted ones are left out. */
export async function byId(ids) {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  // In pieces that fit into an address.
  for (let start = 0; start < missing.length; start += 50)
    remembered(await inputs.byId(missing.slice(start, start + 50)));
  return ids.map((id) => known.get(id)).filter(Boolean);
}

/** Forgets what was deleted, or everything when another app is opened. */
export function forget(ids = null) {
  if (ids === null) known.clear();
  else for (const id of ids) known.delete(id);
}
