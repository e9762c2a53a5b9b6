/** Model: how good it is, where it decides, what it was before, and what it says of a new picture. */

import { confusion } from "../confusion.js";
import { curveChart } from "../curve.js";
import { open as window_ } from "../dialog.js";
import { h, icon, percent, put } from "../dom.js";
import { notice, trying } from "../notice.js";
import { qualityOf, qualityTable } from "../quality.js";
import { session } from "../session.js";
import { broken, empty, loading } from "../shell.js";
import { TryIt } from "../try_it.js";
import { Versions } from "../versions.js";

const ALL = "all";
// What was looked at last of an app: app -> a model's id.
const chosen = new WeakMap();

export async function load(app) {
  return (await app.client.models.all()).filter((one) => one.app_id !== "main");
}

export function open(main, { app, rest, loaded: own }) {
  if (rest) chosen.set(app, decodeURIComponent(rest));
  const id = own.some((one) => one.id === chosen.get(app)) ? chosen.get(app) : ALL;
  const view = new ModelView(main, app, own, id);
  view.show();
  return () => view.close();
}

class ModelView {
  constructor(main, app, own, id) {
    this.app = app;
    this.models = app.client.models;
    this.id = id;
    this.latest = 0;
    const pick = h(
      "select",
      { "aria-label": "Model", onchange: () => (location.hash = `#/model/${encodeURIComponent(pick.value)}`) },
      h("option", { value: ALL }, "All concepts"),
      own.map(({ id, name }) => h("option", { value: id }, name)),
    );
    pick.value = id;
    this.place = h("div", { class: "model-body" });
    put(
      main,
      h(
        "div",
        { class: "bar-top" },
        h("h1", {}, "Model"),
        pick,
        h(
          "div",
          { class: "bar-tools" },
          session.canWrite && h("button", { onclick: () => making(app) }, icon("add"), "New model"),
        ),
      ),
      this.place,
    );
  }

  close() {
    this.closed = true;
    this.observer?.disconnect();
  }

  async show() {
    const mine = ++this.latest;
    put(this.place, loading("Judging every label without itself …"));
    if (!this.app.concepts.all().some(({ yes }) => yes > 0)) {
      put(
        this.place,
        empty({
          title: "Nothing is taught yet",
          text: "A model is what your labels make of your concepts. Mark a few pictures, and its quality is here.",
          actions: [h("a", { class: "button primary", href: "#/teach" }, "Teach")],
        }),
      );
      return;
    }
    try {
      const evaluation = await this.models.evaluation(this.id);
      if (!this.closed && mine === this.latest) this.draw(evaluation);
    } catch (error) {
      if (!this.closed && mine === this.latest)
        put(
          this.place,
          broken(error, () => this.show()),
        );
    }
  }

  draw(evaluation) {
    const detail = h("section", { class: "card wide", "aria-label": "One concept" });
    const pick = (one) =>
      put(
        detail,
        qualityOf(this.app, one, evaluation, (concept, value) => this.decide(concept, value)),
      );
    const curve = h("div", {}, loading("Teaching it anew with fewer labels …"));
    const frozen = this.id === ALL ? this.noVersions() : new Versions(this.app, this.id).element;
    put(
      this.place,
      h(
        "div",
        { class: "model-grid" },
        summary(evaluation),
        h(
          "section",
          { class: "card wide", "aria-label": "Concepts" },
          h("h2", {}, "Concept by concept"),
          qualityTable(this.app, evaluation.concepts, pick),
        ),
        detail,
        h(
          "section",
          { class: "card", "aria-label": "Confusion matrix" },
          h("h2", {}, "What is taken for what"),
          confusion(this.app, evaluation),
        ),
        h("section", { class: "card", "aria-label": "Learning curve" }, h("h2", {}, "Would more labels help?"), curve),
        h("section", { class: "card", "aria-label": "Try it" }, new TryIt(this.app, this.id).element),
        h("section", { class: "card", "aria-label": "Versions" }, frozen),
      ),
    );
    if (evaluation.concepts.length) pick(evaluation.concepts[0]);
    this.whenSeen(curve, () => this.drawCurve(curve));
  }

  /** What takes a while is not begun before somebody sees its place. */
  whenSeen(element, call) {
    this.observer?.disconnect();
    this.observer = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      this.observer.disconnect();
      call();
    });
    this.observer.observe(element);
  }

  drawCurve(curve) {
    this.models.learningCurve(this.id).then(
      (found) => put(curve, curveChart(found)),
      (error) => put(curve, h("p", { class: "muted" }, error.message)),
    );
  }

  noVersions() {
    return h(
      "div",
      { class: "stack" },
      h("h2", {}, "Versions"),
      h(
        "p",
        { class: "muted" },
        "This model always follows the labels. To freeze what it knows, compare and go back, make a model of these concepts.",
      ),
      session.canWrite && h("button", { onclick: () => making(this.app) }, icon("freeze"), "Make a model to freeze"),
    );
  }

  async decide(concept, value) {
    await trying(async () => {
      await this.models.setThreshold(this.id, concept, value);
      notice(`${this.app.concepts.nameOf(concept)} is a yes from ${percent(value)} on`);
      await this.show();
    });
  }
}

function summary(evaluation) {
  const mean = (of) => {
    const known = evaluation.concepts.map(of).filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const facts = [
    ["Right at first guess", percent(evaluation.accuracy), "of the inputs that show one concept"],
    ["AUC", decimal(mean((one) => one.roc_auc)), "mean of the concepts; 1 is perfect, .5 is chance"],
    [
      "Calibration error",
      percent(evaluation.reliability.expected_calibration_error),
      "how far values are from what comes true",
    ],
    ["Labelled inputs", evaluation.inputs.toLocaleString("en"), "each judged by the model without it"],
  ];
  return h(
    "section",
    { class: "facts-row wide", "aria-label": "Summary" },
    facts.map(([name, value, meaning]) =>
      h(
        "div",
        { class: "fact card" },
        h("span", { class: "fact-name" }, name),
        h("span", { class: "fact-value" }, value),
        h("span", { class: "muted small" }, meaning),
      ),
    ),
  );
}

function decimal(value) {
  return value === null ? "–" : value.toFixed(2).replace(/^0/, "");
}

/** A model of some concepts. */
function making({ client, concepts }) {
  const name = h("input", { type: "text", id: "model-name", maxlength: 200 });
  const exclusive = h("input", { type: "checkbox", id: "model-exclusive" });
  const boxes = concepts.all().map((one) => {
    const box = h("input", { type: "checkbox", value: one.id, checked: true });
    return { box, label: h("label", { class: "check" }, box, one.name) };
  });
  const problem = h("p", { class: "problem", role: "alert" });
  const make = async () => {
    const wanted = boxes.filter(({ box }) => box.checked).map(({ box }) => ({ id: box.value }));
    if (!name.value.trim() || !wanted.length) {
      problem.textContent = "It needs a name and one concept at least.";
      return;
    }
    try {
      const made = await client.models.create({
        id: name.value.trim(),
        output_info: {
          data: { concepts: wanted },
          output_config: { concepts_mutually_exclusive: exclusive.checked, closed_environment: false },
        },
      });
      dialog.close();
      location.hash = `#/model/${encodeURIComponent(made.id)}`;
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const dialog = window_({
    title: "A new model",
    body: [
      h("label", { for: "model-name" }, "Name"),
      name,
      h(
        "fieldset",
        { class: "plain-set" },
        h("legend", {}, "Concepts"),
        boxes.map(({ label }) => label),
      ),
      h("label", { class: "check", for: "model-exclusive" }, exclusive, "A picture shows at most one of them"),
      problem,
    ],
    actions: [h("button", { class: "primary", onclick: make }, "Make it")],
  });
  name.focus();
}
