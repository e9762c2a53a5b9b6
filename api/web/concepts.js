/** An app's concepts, in the order in which they were made: their names, and how many labels they have. */

/** How many yes labels usually do. */
export const ENOUGH = 10;

/** Tells `change`. */
export class Concepts extends EventTarget {
  constructor(client) {
    super();
    this.client = client;
    this.list = [];
    this.asked = 0;
    this.answered = 0;
    /** How many labels are on their way, and how often that has changed. */
    this.held = 0;
    this.turns = 0;
    this.stale = false;
  }

  /** [{id, name, yes, no}]. */
  all() {
    return this.list;
  }

  byId(id) {
    return this.list.find((one) => one.id === id) ?? null;
  }

  /** A concept's name, for people. */
  nameOf(id) {
    return this.byId(id)?.name ?? id;
  }

  /** What the server knows now. */
  async load() {
    const asked = ++this.asked;
    const turns = this.turns;
    const counted = await this.client.concepts.counts();
    if (asked < this.answered) return;
    this.answered = asked;
    // The answer may or may not count labels that were on their way; the page does, until all have arrived.
    this.stale = this.held > 0 || turns !== this.turns;
    this.list = counted.map(({ id, name, concept_type_count: { positive, negative } }) => {
      const { yes, no } = (this.stale && this.byId(id)) || { yes: positive, no: negative };
      return { id, name, yes, no };
    });
    this.told();
  }

  /** Makes one, and returns it. */
  async create(name) {
    await this.client.concepts.create(name, name);
    await this.load();
    return this.byId(name);
  }

  /** Gives one another name; labels and models stay. */
  async rename(id, name) {
    await this.client.concepts.rename(id, name);
    await this.load();
  }

  /** Labels are on their way, whose number the page counts itself. */
  hold() {
    this.held++;
    this.turns++;
  }

  /** They have arrived, or some have not, `uncertain`. The server's numbers count where the page's may be others. */
  release(uncertain) {
    this.held--;
    this.turns++;
    this.stale ||= uncertain;
    if (this.stale && !this.held) this.load().catch(() => null);
  }

  /** Counts a label at once, before the server has been asked. */
  counted(id, before, after) {
    const one = this.byId(id);
    if (!one || before === after) return;
    if (before === true) one.yes--;
    if (before === false) one.no--;
    if (after === true) one.yes++;
    if (after === false) one.no++;
  }

  /** Says that counts have changed. */
  told() {
    this.dispatchEvent(new Event("change"));
  }
}
