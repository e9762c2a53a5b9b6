/** Labels that the model contradicts which was taught without them, least probable first. */

import { mark } from "./cell.js";
import { closeup } from "./closeup.js";
import { h, percent, put } from "./dom.js";
import { trying } from "./notice.js";
import { session } from "./session.js";
import { broken, empty, loading } from "./shell.js";

const MOST = 60;

export class Doubtful {
  constructor(app) {
    this.app = app;
    this.latest = 0;
    this.element = h("div", { class: "doubtful" });
  }

  async begin() {
    const { client, pictures: known } = this.app;
    const mine = ++this.latest;
    put(this.element, loading("Judging every label without itself …"));
    try {
      const asked = known.now();
      const found = await client.models.doubts("all", { n: MOST });
      if (mine !== this.latest) return;
      const pictures = known.remembered(
        found.map(({ input }) => input),
        asked,
      );
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
      if (mine !== this.latest) return;
      put(
        this.element,
        broken(error, () => this.begin()),
      );
    }
  }

  doubt(one, picture) {
    const { concepts, labels } = this.app;
    const concept = one.concept.id;
    const yes = one.concept.value === 1;
    const element = h("li", { class: "doubt" });
    const done = (value) => () =>
      trying(async () => {
        if (value !== undefined) await labels.label([picture], concept, value);
        element.remove();
      });
    const likely = one.instead ? `; it looks more like ${concepts.nameOf(one.instead.id)}` : "";
    return put(
      element,
      h(
        "button",
        {
          class: "doubt-picture",
          onclick: () => closeup(this.app, picture),
          "aria-label": `Look closer at ${picture.title}`,
        },
        picture.thumbnail ? h("img", { src: picture.thumbnail, alt: "" }) : picture.id,
      ),
      h(
        "div",
        {},
        h("p", {}, mark(this.app, concept, yes)),
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
