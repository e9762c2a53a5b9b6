/** The queue of pictures that teach most, one at a time. */

import { h, icon, percent, put, putKeepingFocus } from "./dom.js";
import { failed } from "./notice.js";
import { session } from "./session.js";
import { broken, empty, loading } from "./shell.js";

const AT_ONCE = 12;
const FEW = 4;
const REASONS = {
  uncertain: "The model can't tell",
  diverse: "Unlike anything labelled so far",
  rare: "Probably one of the rare ones",
};

export class Suggested {
  /** concept: () -> the concept that is asked about. */
  constructor(app, concept) {
    this.app = app;
    this.concept = concept;
    /** Of how many beginnings this is; what was asked for an earlier one is not taken any more. */
    this.turn = 0;
    this.queue = [];
    this.seen = new Set();
    this.element = h("div", { class: "suggested" });
  }

  /** Begins anew, as for another concept. */
  async begin() {
    this.turn++;
    this.queue = [];
    this.error = null;
    this.fetching = false;
    this.seen.clear();
    put(this.element, loading("Choosing pictures …"));
    await this.more();
  }

  /** Says of the picture in front that it shows the concept, or doesn't; null: passes on. */
  async answer(value) {
    const one = this.queue.shift();
    if (!one) return;
    const { turn } = this;
    this.show();
    try {
      if (value !== null) await this.app.labels.label([one.picture], this.concept().id, value);
    } catch (error) {
      failed(error);
      if (turn !== this.turn) return;
      // What is not labelled is asked again.
      this.queue.unshift(one);
      this.show();
    }
    if (turn === this.turn && this.queue.length < FEW) await this.more();
  }

  get picture() {
    return this.queue[0]?.picture ?? null;
  }

  /** Fetches more and shows what there is then. */
  async more() {
    const { client, pictures: known } = this.app;
    const { turn } = this;
    const concept = this.concept();
    if (this.fetching) return;
    if (concept) {
      this.fetching = true;
      try {
        const asked = known.now();
        const concept_id = concept.yes > 0 ? concept.id : undefined;
        const found = await client.models.suggestions("all", { n: AT_ONCE, concept_id });
        if (turn !== this.turn) return;
        this.take(
          found,
          known.remembered(
            found.map(({ input }) => input),
            asked,
          ),
        );
        this.error = null;
      } catch (error) {
        if (turn !== this.turn) return;
        this.error = error;
      }
      this.fetching = false;
    }
    this.show();
  }

  take(found, pictures) {
    found.forEach((one, place) => {
      if (this.seen.has(one.input.id)) return;
      this.seen.add(one.input.id);
      this.queue.push({ picture: pictures[place], strategy: one.strategy, value: one.concept?.value ?? null });
    });
  }

  show() {
    const concept = this.concept();
    const one = this.queue[0];
    if (this.error && !one)
      return put(
        this.element,
        broken(this.error, () => this.begin()),
      );
    if (!concept)
      return put(
        this.element,
        empty({
          title: "No concept yet",
          text: "Name a concept on the left; then the pictures that teach it most come here.",
        }),
      );
    if (!one && this.fetching) return put(this.element, loading("Choosing pictures …"));
    if (!one) {
      const again = h("button", { onclick: () => this.begin() }, "Look again");
      return put(
        this.element,
        empty({
          title: "Nothing left to ask",
          text: "Every picture that would teach something has a label, or was passed over.",
          actions: [again],
        }),
      );
    }
    const say = (value) => () => this.answer(value);
    return putKeepingFocus(
      this.element,
      h(
        "div",
        { class: "card-stage" },
        h("p", { class: "question", role: "status" }, "Does this show ", h("b", {}, concept.name), "?"),
        h(
          "div",
          { class: "card-picture" },
          one.picture.thumbnail
            ? h("img", { src: one.picture.full ?? one.picture.thumbnail, alt: one.picture.title })
            : h("p", { class: "muted" }, one.picture.id),
        ),
        h("p", { class: "muted" }, REASONS[one.strategy], one.value !== null && `: ${percent(one.value)}`),
        h(
          "div",
          { class: "answers" },
          h(
            "button",
            { class: "no big", onclick: say(false), disabled: !session.canWrite },
            icon("no"),
            "No",
            h("kbd", {}, "N"),
          ),
          h("button", { class: "big", onclick: say(null) }, "Pass", h("kbd", {}, "S")),
          h(
            "button",
            { class: "yes big", onclick: say(true), disabled: !session.canWrite },
            icon("yes"),
            "Yes",
            h("kbd", {}, "Y"),
          ),
        ),
      ),
      h(
        "ul",
        { class: "upcoming", "aria-label": "Next" },
        this.queue
          .slice(1, 9)
          .map(({ picture }) =>
            h("li", {}, picture.thumbnail && h("img", { src: picture.thumbnail, alt: picture.title })),
          ),
      ),
    );
  }
}
