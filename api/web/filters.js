/** Which pictures of the library are shown: by status, by label, by what they look like. */

import { h, percent, put, settled } from "./dom.js";

const STATES = { "": "Every status", ready: "Ready", pending: "On their way", failed: "Failed" };

/** Tells `change` when other pictures are wanted. */
export class Filters extends EventTarget {
  constructor(app) {
    super();
    this.concepts = app.concepts;
    const told = () => this.told();
    this.state = h(
      "select",
      { "aria-label": "Status", onchange: told },
      Object.entries(STATES).map(([value, text]) => option(value, text)),
    );
    this.label = h("select", { "aria-label": "Label", onchange: told });
    this.prediction = h("select", { "aria-label": "Prediction", onchange: told });
    const soon = settled(told, 250);
    const moved = () => {
      said.textContent = percent(this.least);
      soon();
    };
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 95,
      step: 5,
      value: 50,
      "aria-label": "Least value",
      oninput: moved,
    });
    const said = h("output", {}, percent(0.5));
    this.range = h("span", { class: "range", hidden: true }, "at least", this.slider, said);
    this.all = h("button", { class: "link", hidden: true, onclick: () => this.clear() }, "Show all");
    this.element = h(
      "div",
      { class: "filters", role: "group", "aria-label": "Filters" },
      this.state,
      this.label,
      this.prediction,
      this.range,
      this.all,
    );
    this.onConcepts = settled(() => this.fill(), 50);
    this.concepts.addEventListener("change", this.onConcepts);
    this.fill();
  }

  close() {
    this.concepts.removeEventListener("change", this.onConcepts);
  }

  /** Lets everything through. */
  clear() {
    this.state.value = this.label.value = this.prediction.value = "";
    this.told();
  }

  /** The wanted status; undefined for every one. */
  get status() {
    return this.state.value || undefined;
  }

  /** The concept that pictures should look like, "" for none, and its least value. */
  get looks() {
    return this.prediction.value;
  }

  get least() {
    return Number(this.slider.value) / 100;
  }

  /** Whether labels or predictions narrow what is shown: then only ready pictures are known. */
  get narrowed() {
    return Boolean(this.label.value || this.looks);
  }

  /** Whether anything is left out. */
  get active() {
    return this.narrowed || Boolean(this.status);
  }

  /** The filters as terms of a search. */
  terms() {
    const wanted = this.label.value;
    const labelled = (id, value) => ({ input: { data: { concepts: [{ id, value }] } } });
    const terms = [];
    if (wanted === "none") terms.push(...this.concepts.all().map(({ id }) => labelled(id, 0)));
    else if (wanted) terms.push(labelled(wanted.slice(1), wanted[0] === "+" ? 1 : 0));
    if (this.looks) terms.push({ output: { data: { concepts: [{ id: this.looks, value: 1 }] } } });
    return terms;
  }

  told() {
    this.range.hidden = !this.looks;
    this.state.disabled = this.narrowed;
    this.all.hidden = !this.active;
    this.dispatchEvent(new Event("change"));
  }

  /** The concepts of this moment, what was chosen stays. */
  fill() {
    const [label, looks] = [this.label.value, this.prediction.value];
    const all = this.concepts.all();
    put(
      this.label,
      option("", "Any labels"),
      option("none", "Without a yes"),
      all.map(({ id, name, yes }) => [
        option(`+${id}`, `Labelled ${name} (${yes})`),
        option(`-${id}`, `Not labelled ${name}`),
      ]),
    );
    put(
      this.prediction,
      option("", "Whatever they look like"),
      all.filter(({ yes }) => yes > 0).map(({ id, name }) => option(id, `Looks like ${name}`)),
    );
    for (const [select, value] of [
      [this.label, label],
      [this.prediction, looks],
    ]) {
      select.value = value;
      if (select.selectedIndex < 0) select.value = "";
    }
  }
}

function option(value, text) {
  return h("option", { value }, text);
}
