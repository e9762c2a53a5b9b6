/** The app's inputs as the page knows them: one record each, shared by every view that shows it. */

import { onThisServer } from "./api.js";
import { Pages } from "./pages.js";

// As many ids as fit into an address.
const MOST_IDS = 50;

/** One input. */
export class Picture {
  constructor(id) {
    this.id = id;
    /** What the server has, as last heard: concept id -> true or false. */
    this.stored = new Map();
    /** Labels that the server has not answered yet, in their order: {concept, before, after, sent}. */
    this.changes = [];
    /** What is shown, `changes` on top of `stored`: concept id -> true or false. */
    this.labels = new Map();
    /** Concept id -> value in [0, 1], as last predicted; null while unknown. */
    this.values = null;
    /** When the answer was asked for that this record is from. */
    this.asked = 0;
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

  /** Draws what is on its way on top of what is stored, and notes what each change is going to change. */
  draw() {
    this.labels = new Map(this.stored);
    for (const change of this.changes) {
      // Once it is sent, what is stored may be the change itself.
      if (!change.sent) change.before = this.labels.get(change.concept) ?? null;
      if (change.after === null) this.labels.delete(change.concept);
      else this.labels.set(change.concept, change.after);
    }
  }

  become(answered) {
    this.thumbnail = onThisServer(answered.data.image?.thumbnail_url);
    this.full = onThisServer(answered.data.image?.hosted_url);
    this.crop = answered.data.image?.crop ?? null;
    this.url = answered.data.image?.url ?? null;
    this.metadata = answered.data.metadata ?? null;
    this.geo = answered.data.geo?.geo_point ?? null;
    this.created = answered.created_at ?? null;
    this.code = answered.status.code;
    this.reason = answered.status.details ?? answered.status.description;
    this.stored = new Map((answered.data.concepts ?? []).map((label) => [label.id, label.value >= 0.5]));
    this.draw();
  }
}

/** All pictures of one app that were seen. */
export class Pictures {
  constructor(client) {
    this.client = client;
    this.known = new Map();
    this.clock = 0;
  }

  /** This moment, to be noted before a question; later ones are greater. */
  now() {
    return ++this.clock;
  }

  /** Records of inputs as the server answers them, in that order. What was asked before a record's own answer is old. */
  remembered(answered, asked = this.now()) {
    return answered.map((one) => {
      const picture = this.known.get(one.id) ?? new Picture(one.id);
      this.known.set(one.id, picture);
      if (asked > picture.asked) {
        picture.asked = asked;
        picture.become(one);
      }
      return picture;
    });
  }

  /** Records by id, fetched where they are not known; those that don't exist are left out. */
  async byId(ids) {
    await this.fetched([...new Set(ids)].filter((id) => !this.known.has(id)));
    return ids.map((id) => this.known.get(id)).filter(Boolean);
  }

  /** As they are now on the server; those that don't exist are left out. */
  async fetched(ids) {
    const found = [];
    for (let start = 0; start < ids.length; start += MOST_IDS) {
      const asked = this.now();
      found.push(...this.remembered(await this.client.inputs.byId(ids.slice(start, start + MOST_IDS)), asked));
    }
    return found;
  }

  /** A list of inputs, the newest first. query: {status}; length: how many there are. */
  pages(query, length) {
    return new Pages(async (page, perPage) => {
      const asked = this.now();
      const found = await this.client.inputs.page({ ...query, newest_first: true, page, per_page: perPage });
      return this.remembered(found, asked);
    }, length);
  }

  /**
   * A list of what a search finds, with `scores` by id. length: how many there are, null if nobody knows; least: hits
   * with lower scores are left out.
   */
  hits(terms, { length = null, least = null } = {}) {
    const scores = new Map();
    const source = new Pages(async (page, perPage) => {
      const asked = this.now();
      const found = await this.client.searched(terms, page, perPage);
      // Best first: behind the first that is too low there is none.
      const hits = least === null ? found : found.filter(({ score }) => score >= least);
      for (const { input, score } of hits) scores.set(input.id, score);
      return this.remembered(
        hits.map(({ input }) => input),
        asked,
      );
    }, length);
    return Object.assign(source, { scores });
  }

  /** Forgets what was deleted. */
  forget(ids) {
    for (const id of ids) this.known.delete(id);
  }
}
