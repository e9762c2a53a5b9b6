/** Long lists, fetched a page at a time as somebody looks at them. Both kinds have `length`, `at(i)` and `change`. */

import { pause } from "./api.js";

const PER_PAGE = 128;

/** A list behind the API. */
export class Pages extends EventTarget {
  /**
   * fetched: (page, perPage) -> records, fewer than perPage at the end. length: how many there are, null if nobody
   * knows: then the list grows as far as it is looked at.
   */
  constructor(fetched, length = null) {
    super();
    this.fetched = fetched;
    this.known = length !== null;
    this.length = length ?? 0;
    this.error = null;
    this.failures = 0;
    this.loading = new Map();
    this.pages = new Map();
  }

  /** The record at a place; undefined while its page is under way. */
  at(place) {
    const page = Math.floor(place / PER_PAGE);
    const there = this.pages.get(page);
    if (!there) this.load(page);
    return there?.[place % PER_PAGE];
  }

  /** Fetches a page unless it is there or under way; after a failure not before a while has passed. */
  load(page) {
    if (this.pages.has(page)) return Promise.resolve();
    if (!this.loading.has(page)) this.loading.set(page, this.take(page));
    return this.loading.get(page);
  }

  /** The records from one place to another that exist, fetched where they are missing. */
  async range(first, last) {
    const pages = [];
    for (let page = Math.floor(first / PER_PAGE); page <= Math.floor(last / PER_PAGE); page++)
      pages.push(this.load(page));
    await Promise.all(pages);
    const found = [];
    for (let place = first; place <= last; place++) {
      const one = this.pages.get(Math.floor(place / PER_PAGE))?.[place % PER_PAGE];
      if (one) found.push(one);
    }
    return found;
  }

  async take(page) {
    try {
      const records = await this.fetched(page + 1, PER_PAGE);
      this.pages.set(page, records);
      const end = page * PER_PAGE + records.length;
      if (!this.known) {
        if (records.length) this.length = Math.max(this.length, end);
        if (records.length < PER_PAGE) this.known = true;
      } else if (records.length < PER_PAGE && end < this.length) {
        // Something was deleted meanwhile.
        this.length = end;
      }
      this.error = null;
      this.failures = 0;
      this.loading.delete(page);
    } catch (error) {
      this.error = error;
      // Whoever looks at it asks again at the next change.
      setTimeout(() => {
        this.loading.delete(page);
        this.dispatchEvent(new Event("change"));
      }, pause(++this.failures));
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Looks further where nobody knows the end. */
  grow() {
    if (!this.known) this.load(Math.floor(this.length / PER_PAGE));
  }
}

/** A list that is here already. */
export class Fixed extends EventTarget {
  constructor(records) {
    super();
    this.records = records;
    this.known = true;
    this.error = null;
  }

  get length() {
    return this.records.length;
  }

  at(place) {
    return this.records[place];
  }

  async range(first, last) {
    return this.records.slice(first, last + 1);
  }

  grow() {}
}
