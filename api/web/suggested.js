/** The queue of pictures that teach most, one at a time. */

import { models } from "./api.js";
import * as concepts from "./concepts.js";
import { h, icon, percent, put, putKeepingFocus } from "./dom.js";
import * as labels from "./labels.js";
import { trying } from "./notice.js";
import { remembered } from "./pictures.js";
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
  constructor(concept) {
    this.concept = concept;
    this.queue = [];
    this.seen = new Set();
    this.element = h("div", { class: "suggested" });
  }

  /** Begins anew, as for another concept. */
  async begin() {
    this.queue = [];
    this.seen.clear();
    put(this.element, loading("Choosing pictures …"));
    await this.more();
    this.show();
  }

  /** Says of the picture in front that it shows the concept, or doesn't; null: passes on. */
  async answer(value) {
    const one = this.queue.shift();
    if (!one) return;
    this.show();
    if (value !== null) await trying(() => labels.label([one.picture], this.concept().id, value));
    if (this.queue.length < FEW) {
      await this.more();
      this.show();
    }
  }

  get picture() {
    return this.queue[0]?.picture ?? null;
  }

  async more() {
    const concept = this.concept();
    if (!concept || this.fetching) return;
    this.fetching = true;
    try {
      const found = await models.suggestions("all", {
        n: AT_ONCE,
        concept_id: concept.yes > 0 ? concept.id : undefined,
      });
      if (concept !== this.concept()) return;
      const pictures = remembered(found.map(({ input }) => input));
      found.forEach((one, place) => {
        if (this.seen.has(one.input.id)) return;
        this.seen.add(one.input.id);
        this.queue.push({ picture: pictures[place], strategy: one.strategy, value: one.concept?.value ?? null });
      });
      this.error = null;
    } catch (error) {
      this.error = error;
    } finally {
      this.fetching = false;
    }
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
