/** Labels that the model contradicts which was taught without them, least probable first. */

import { models } from "./api.js";
import { mark } from "./cell.js";
import { closeup } from "./closeup.js";
import * as concepts from "./concepts.js";
import { h, percent, put } from "./dom.js";
import * as labels from "./labels.js";
import { trying } from "./notice.js";
import { remembered } from "./pictures.js";
import { session } from "./session.js";
import { broken, empty, loading } from "./shell.js";

const MOST = 60;

export class Doubtful {
  constructor() {
    this.element = h("div", { class: "doubtful" });
  }

  async begin() {
    put(this.element, loading("Judging every label without itself …"));
    try {
      const found = await models.doubts("all", { n: MOST });
      const pictures = remembered(found.map(({ input }) => input));
      if (!found.length) {
        put(
          this.element,
          empty({
            title: "No doubtful labels",
            text: "The model agrees with every label, or there are too few to judge: it takes three yes labels a concept.",
          }),
        );
        return;
      }
      put(
        this.element,
        h(
          "p",
          { class: "muted" },
          "Each was judged by the model without it. Some are hard pictures and right; the wrong ones are mostly near the top.",
        ),
        h(
          "ul",
          { class: "doubts" },
          found.map((one, place) => this.doubt(one, pictures[place])),
        ),
      );
    } catch (error) {
      put(
        this.element,
        broken(error, () => this.begin()),
      );
    }
  }

  doubt(one, picture) {
    const concept = one.concept.id;
    const yes = one.concept.value === 1;
    const element = h("li", { class: "doubt" });
    const done = (value) => async () => {
      if (value !== undefined) await trying(() => labels.label([picture], concept, value));
      element.remove();
    };
    const likely = one.instead ? `; it looks more like ${concepts.nameOf(one.instead.id)}` : "";
    return put(
      element,
      h(
        "button",
        { class: "doubt-picture", onclick: () => closeup(picture), "aria-label": `Look closer at ${picture.title}` },
        picture.thumbnail ? h("img", { src: picture.thumbnail, alt: "" }) : picture.id,
      ),
      h(
        "div",
        {},
        h("p", {}, mark(concept, yes)),
        h("p", {}, `Right with a probability of ${percent(one.probability)}${likely}.`),
      ),
      session.canWrite &&
        h(
          "div",
          { class: "doubt-tools" },
          h("button", { onclick: done(!yes) }, yes ? "Make it a no" : "Make it a yes"),
          h("button", { onclick: done(null) }, "Take it off"),
          h("button", { class: "quiet", onclick: done() }, "It is right"),
        ),
    );
  }
}
