/** Versions of a model: freeze what it knows, compare with then, go back. */

import { confirmed, open } from "./dialog.js";
import { count, h, icon, percent, put } from "./dom.js";
import { notice, trying } from "./notice.js";
import { session } from "./session.js";
import { loading } from "./shell.js";

const FROZEN = 21100;

export class Versions {
  constructor(app, model) {
    this.app = app;
    this.models = app.client.models;
    this.latest = 0;
    this.model = model;
    this.list = h("ol", { class: "versions" });
    this.element = h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h("h2", {}, "Versions"),
        session.canWrite && h("button", { onclick: () => this.freeze() }, icon("freeze"), "Freeze now"),
      ),
      h(
        "p",
        { class: "muted small" },
        "A frozen version never changes its mind. Predictions without a version follow the labels of the moment.",
      ),
      this.list,
    );
    this.load();
  }

  async load() {
    const mine = ++this.latest;
    await trying(async () => {
      const found = (await this.models.versions(this.model)).filter(({ status }) => status.code === FROZEN);
      if (mine !== this.latest) return;
      put(
        this.list,
        found.length
          ? found.map((one, place) => this.line(one, found.length - place))
          : h("li", { class: "muted" }, "None is frozen yet."),
      );
    });
  }

  line(version, number) {
    return h(
      "li",
      { class: "version" },
      h("b", {}, `Version ${number}`),
      h(
        "span",
        { class: "muted small" },
        `${new Date(version.created_at).toLocaleString()}, ${count(version.total_input_count, "labelled input")}, ${count(version.active_concept_count, "concept")}`,
      ),
      h(
        "div",
        { class: "row" },
        h("button", { onclick: () => this.compare(version, number) }, "Compare with now"),
        session.canWrite && h("button", { onclick: () => this.goBack(version, number) }, icon("undo"), "Go back to it"),
      ),
    );
  }

  async freeze() {
    await trying(async () => {
      await this.models.freeze(this.model);
      notice("Frozen: this version's predictions never change");
      await this.load();
    });
  }

  async goBack(version, number) {
    const sure = await confirmed({
      title: `Go back to version ${number}?`,
      text: "That makes a new version which predicts as this one does. Labels stay as they are, and no version is lost.",
      yes: "Go back",
    });
    if (!sure) return;
    await trying(async () => {
      await this.models.goBack(this.model, version.id);
      notice(`The newest version predicts as version ${number} does`);
      await this.load();
    });
  }

  async compare(version, number) {
    const body = h("div", { class: "stack" }, loading("Asking both …"));
    open({ title: `Version ${number}, and the labels of now`, body, wide: true });
    try {
      const found = await this.models.compare(this.model, version.id);
      const pictures = new Map(
        (await this.app.pictures.byId(found.changes.map(({ input_id: id }) => id))).map((one) => [one.id, one]),
      );
      put(body, compared(this.app, found, pictures, number));
    } catch (error) {
      put(body, h("p", { class: "problem" }, error.message));
    }
  }
}

const QUALITIES = [
  ["accuracy", "Right at first guess", percent],
  ["mean_average_precision", "Mean average precision", percent],
  ["mean_roc_auc", "Mean AUC", percent],
  ["expected_calibration_error", "Calibration error", percent],
];

function compared({ concepts }, found, pictures, number) {
  const rows = QUALITIES.map(([key, name, shown]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, shown(found.quality_before[key])),
      h("td", {}, shown(found.quality_after[key])),
    ),
  );
  const said = (concept, value) => (concept === null ? "nothing" : `${concepts.nameOf(concept)} ${percent(value)}`);
  return [
    h(
      "p",
      {},
      `${count(found.changed, "picture")} of ${found.inputs.toLocaleString("en")} ${found.changed === 1 ? "is" : "are"} seen differently now.`,
    ),
    h(
      "table",
      { class: "table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["On the labels of today", `Version ${number}`, "Now"].map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h("tbody", {}, rows),
    ),
    h(
      "ul",
      { class: "changes" },
      found.changes.map((one) => {
        const picture = pictures.get(one.input_id);
        return h(
          "li",
          {},
          picture?.thumbnail && h("img", { src: picture.thumbnail, alt: picture.title, loading: "lazy" }),
          h(
            "span",
            { class: "small" },
            said(one.best_before, one.value_before),
            h("br"),
            h("b", {}, said(one.best_after, one.value_after)),
          ),
        );
      }),
    ),
  ];
}
