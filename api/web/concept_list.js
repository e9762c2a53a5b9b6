/** The concepts beside the pictures that teach them: which one is being taught, and how far it is. */

import { ENOUGH } from "./concepts.js";
import { open } from "./dialog.js";
import { h, icon, put, putKeepingFocus, unseen } from "./dom.js";
import { trying } from "./notice.js";
import { session } from "./session.js";

export class ConceptList extends EventTarget {
  /** Tells `choose` when another concept is taught. */
  constructor(app) {
    super();
    this.concepts = app.concepts;
    this.active = this.concepts.all()[0]?.id ?? null;
    this.list = h("ul", { class: "concepts", "aria-label": "Concepts" });
    this.name = h("input", {
      type: "text",
      maxlength: 200,
      placeholder: "Name a new concept",
      "aria-label": "New concept",
      required: true,
    });
    const add = h(
      "form",
      { class: "concept-add", onsubmit: (event) => (event.preventDefault(), this.make()) },
      this.name,
      h("button", { class: "primary", "aria-label": "Make the concept" }, icon("add")),
    );
    this.said = h("p", { class: "enough", role: "status" });
    this.element = h(
      "div",
      { class: "concept-panel" },
      h("h2", {}, "Concepts"),
      this.list,
      session.canWrite && add,
      this.said,
    );
    this.onChange = () => this.show();
    this.concepts.addEventListener("change", this.onChange);
    this.show();
  }

  close() {
    this.concepts.removeEventListener("change", this.onChange);
  }

  get concept() {
    return this.concepts.byId(this.active);
  }

  choose(id) {
    if (!id || id === this.active) return;
    this.active = id;
    this.show();
    this.dispatchEvent(new Event("choose"));
  }

  /** The one so many further in the list. */
  step(by) {
    const list = this.concepts.all();
    const place = list.findIndex(({ id }) => id === this.active);
    if (list.length) this.choose(list[(place + by + list.length) % list.length].id);
  }

  async make() {
    const name = this.name.value.trim();
    if (!name) return;
    await trying(async () => {
      const made = await this.concepts.create(name);
      if (this.name.value.trim() === name) this.name.value = "";
      this.name.blur();
      this.choose(made.id);
      this.dispatchEvent(new Event("made"));
    });
  }

  show() {
    if (!this.concept) this.active = this.concepts.all()[0]?.id ?? null;
    putKeepingFocus(
      this.list,
      this.concepts.all().map((one, place) => h("li", {}, this.entry(one, place))),
    );
    put(this.said, this.sentence());
  }

  entry(one, place) {
    const chosen = one.id === this.active;
    const dots = h(
      "span",
      { class: "dots", "aria-hidden": "true" },
      Array.from({ length: ENOUGH }, (_, number) => h("i", { class: number < one.yes ? "full" : null })),
    );
    return h(
      "button",
      {
        class: "concept",
        "aria-pressed": String(chosen),
        onclick: () => this.choose(one.id),
        ondblclick: () => session.canWrite && renaming(this.concepts, one),
        title: session.canWrite ? "A double click renames it" : null,
      },
      place < 9 ? h("kbd", { "aria-hidden": "true" }, String(place + 1)) : h("span", {}),
      h("span", { class: "concept-name" }, one.name),
      h("span", { class: "concept-count" }, icon("yes"), one.yes, unseen(" yes, "), icon("no"), one.no, unseen(" no")),
      dots,
    );
  }

  sentence() {
    const one = this.concept;
    if (!one) return "A concept is anything that you want to recognise. Name one to begin.";
    const left = ENOUGH - one.yes;
    if (one.yes === 0)
      return h("span", {}, "Mark pictures that show ", h("b", {}, one.name), ". Ten are usually enough.");
    if (left > 0) return h("span", {}, `${one.yes} of ${ENOUGH}. Ten are usually enough; a few noes sharpen it.`);
    return h(
      "span",
      {},
      icon("yes"),
      `${one.yes} yes labels: that is usually enough. See how good it is under `,
      h("a", { href: "#/model" }, "Model"),
      ".",
    );
  }
}

/** Another name for a concept: its labels stay. */
function renaming(concepts, one) {
  const name = h("input", { type: "text", value: one.name, maxlength: 200, "aria-label": "Name" });
  const save = async () => {
    await trying(() => concepts.rename(one.id, name.value.trim()));
    window.close();
  };
  const window = open({
    title: `Rename ${one.name}`,
    body: name,
    actions: [h("button", { class: "primary", onclick: save }, "Rename")],
  });
  name.select();
}
