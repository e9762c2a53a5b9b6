/** Library: all pictures of the app, to add, look through, select and label. */

import { inputs, searched } from "../api.js";
import { cells } from "../cell.js";
import { closeup } from "../closeup.js";
import * as concepts from "../concepts.js";
import { count, h, icon, put, settled } from "../dom.js";
import { Grid } from "../grid.js";
import * as labels from "../labels.js";
import { failed, trying } from "../notice.js";
import { Pages } from "../pages.js";
import { remembered } from "../pictures.js";
import { Predictions } from "../predictions.js";
import { selectionBar } from "../selection.js";
import { session } from "../session.js";
import { broken, empty, loading } from "../shell.js";
import { shortcuts } from "../shortcuts.js";
import { accepting, addButtons, tray } from "../tray.js";
import * as upload from "../upload.js";

const WAIT_MS = 3000;

export async function open(main) {
  const counts = await inputs.counts();
  const view = new Library(main, counts);
  view.find();
  return () => view.close();
}

class Library {
  constructor(main, counts) {
    this.counts = counts;
    this.scores = new Map();
    this.total = h("span", { class: "count" });
    this.filters = this.filterBar();
    this.body = h("div", { class: "stage" });
    this.grid = new Grid({
      label: "Pictures",
      cell: cells({ value: (picture) => this.value(picture) }),
      extra: 24,
    });
    this.predictions = new Predictions({
      visible: () => this.grid.visible(),
      concepts: () => (concepts.all().some(({ yes }) => yes > 0) ? null : []),
      shown: (pictures) => this.grid.refresh(pictures),
      failed,
    });
    this.tray = tray();
    const bar = selectionBar(this.grid, () => this.again());
    put(
      main,
      h("div", { class: "bar-top" }, h("h1", {}, "Library"), this.total, h("div", { class: "bar-tools" }, addButtons())),
      this.filters,
      this.body,
      this.tray.element,
      bar,
    );
    const look = settled(() => this.predictions.refresh(), 80);
    this.grid.addEventListener("look", look);
    this.grid.addEventListener("open", (event) => closeup(event.detail));
    this.onLabels = (event) => this.grid.refresh(event.detail);
    this.onAdded = settled(() => this.again(), 300);
    this.onConcepts = settled(() => this.fillChoices(), 50);
    labels.events.addEventListener("change", this.onLabels);
    upload.events.addEventListener("added", this.onAdded);
    concepts.events.addEventListener("change", this.onConcepts);
    this.stopAccepting = accepting(main);
    this.noKeys = shortcuts("Library", [
      { keys: [], shown: "← ↑ → ↓", does: "Move; with Shift select on the way" },
      { keys: [], shown: "Space", does: "Select or not" },
      { keys: [], shown: "Enter", does: "Look closer" },
      ...concepts.all().slice(0, 9).map(({ id, name }, place) => ({
        keys: [String(place + 1), `Shift+${place + 1}`],
        shown: String(place + 1),
        does: `Yes, ${name}; with Shift: no`,
        call: (event) => session.canWrite && trying(() => labels.label(this.grid.targets, id, !event.shiftKey)),
      })),
    ]);
  }

  close() {
    clearTimeout(this.timer);
    this.grid.close();
    this.predictions.close();
    this.tray.close();
    this.stopAccepting();
    this.noKeys();
    labels.events.removeEventListener("change", this.onLabels);
    upload.events.removeEventListener("added", this.onAdded);
    concepts.events.removeEventListener("change", this.onConcepts);
  }

  filterBar() {
    this.state = h(
      "select",
      { "aria-label": "Status", onchange: () => this.find() },
      [["", "Every status"], ["ready", "Ready"], ["pending", "On their way"], ["failed", "Failed"]].map(([value, text]) => h("option", { value }, text)),
    );
    this.label = h("select", { "aria-label": "Label", onchange: () => this.find() });
    this.looks = h("select", { "aria-label": "Prediction", onchange: () => this.find() });
    this.least = h("input", { type: "range", min: 0, max: 95, step: 5, value: 50, "aria-label": "Least value", oninput: () => this.moved() });
    this.leastSaid = h("output", {}, "50 %");
    this.range = h("span", { class: "range", hidden: true }, "at least", this.least, this.leastSaid);
    this.soon = settled(() => this.find(), 250);
    this.fillChoices();
    const plain = h("button", { class: "link", hidden: true, onclick: () => this.unfiltered() }, "Show all");
    this.plain = plain;
    return h("div", { class: "filters", role: "group", "aria-label": "Filters" }, this.state, this.label, this.looks, this.range, plain);
  }

  fillChoices() {
    const option = (value, text) => h("option", { value }, text);
    const [label, looks] = [this.label.value, this.looks.value];
    put(
      this.label,
      option("", "Any labels"),
      option("none", "Without a yes"),
      concepts.all().map(({ id, name, yes }) => [option(`+${id}`, `Labelled ${name} (${yes})`), option(`-${id}`, `Not labelled ${name}`)]),
    );
    put(
      this.looks,
      option("", "Whatever they look like"),
      concepts.all().filter(({ yes }) => yes > 0).map(({ id, name }) => option(id, `Looks like ${name}`)),
    );
    this.label.value = label;
    this.looks.value = looks;
    if (this.label.selectedIndex < 0) this.label.value = "";
    if (this.looks.selectedIndex < 0) this.looks.value = "";
  }

  moved() {
    this.leastSaid.textContent = `${this.least.value} %`;
    this.soon();
  }

  unfiltered() {
    this.state.value = this.label.value = this.looks.value = "";
    this.find();
  }

  value(picture) {
    if (this.looks.value) {
      const score = picture.values?.get(this.looks.value) ?? this.scores.get(picture.id);
      return score === undefined ? null : { name: concepts.nameOf(this.looks.value), value: score };
    }
    const best = picture.best;
    return best && { name: concepts.nameOf(best[0]), value: best[1] };
  }

  /** Shows what the filters let through. */
  find() {
    const { state, looks } = this;
    this.scores.clear();
    this.range.hidden = !looks.value;
    // A search knows ready pictures only.
    state.disabled = this.narrowed;
    this.plain.hidden = !this.narrowed && !state.value;
    const source = this.source();
    this.grid.show(source);
    this.told(source);
    source.load(0);
    this.watch();
  }

  /** Whether labels or predictions narrow what is shown. */
  get narrowed() {
    return Boolean(this.label.value || this.looks.value);
  }

  source() {
    const source = this.narrowed ? this.searching() : this.listing();
    source.addEventListener("change", () => this.told(source));
    return source;
  }

  listing() {
    const status = this.state.value || undefined;
    const { processed, to_process: waiting, errors } = this.counts;
    const length = { ready: processed, pending: waiting, failed: errors }[status] ?? processed + waiting + errors;
    const query = { status, newest_first: true };
    return new Pages(async (page, perPage) => remembered(await inputs.page({ ...query, page, per_page: perPage })), length);
  }

  searching() {
    const ands = [];
    const wanted = this.label.value;
    const labelled = (id, value) => ands.push({ input: { data: { concepts: [{ id, value }] } } });
    if (wanted === "none") for (const { id } of concepts.all()) labelled(id, 0);
    else if (wanted) labelled(wanted.slice(1), wanted[0] === "+" ? 1 : 0);
    if (this.looks.value) ands.push({ output: { data: { concepts: [{ id: this.looks.value, value: 1 }] } } });
    const least = this.looks.value ? Number(this.least.value) / 100 : 0;
    return new Pages(async (page, perPage) => {
      const hits = (await searched(ands, page, perPage)).filter(({ score }) => score >= least);
      if (this.looks.value) for (const { input, score } of hits) this.scores.set(input.id, score);
      return remembered(hits.map(({ input }) => input));
    });
  }

  /** Says how many there are, or why there are none. */
  told(source) {
    if (source !== this.grid.source) return;
    const { length, known, error } = source;
    this.total.textContent = known ? count(length, "picture") : length ? `${length.toLocaleString("en")} and more` : "";
    if (error && !length) put(this.body, broken(error, () => this.find()));
    else if (known && !length) put(this.body, this.nothing());
    else if (!length) put(this.body, loading());
    else if (this.grid.element.parentElement !== this.body) put(this.body, this.grid.element);
  }

  nothing() {
    if (!this.plain.hidden) {
      const all = h("button", { onclick: () => this.unfiltered() }, "Show all");
      return empty({ title: "None of them", text: "No picture passes these filters.", actions: [all] });
    }
    return empty({
      title: "Begin with pictures",
      text: session.canWrite
        ? "Drop files or folders anywhere on this page, paste a picture or its address, or choose files. A few dozen are enough to teach the first concept."
        : "This app has no pictures yet, and your key can't add any.",
      actions: session.canWrite ? [h("button", { class: "primary", onclick: () => document.getElementById("add-files").click() }, icon("add"), "Choose pictures")] : [],
    });
  }

  /** Looks again at what there is; what is in sight changes only where it is other. */
  async again() {
    await trying(async () => {
      this.counts = await inputs.counts();
      await concepts.load();
      const source = this.source();
      await source.load(0);
      await source.range(...this.grid.span);
      this.grid.update(source);
      this.told(source);
      this.watch();
    });
  }

  /** While pictures are on their way, asks now and then whether they have come. */
  watch() {
    clearTimeout(this.timer);
    if (!this.counts.to_process) return;
    this.timer = setTimeout(() => this.again(), WAIT_MS);
  }
}
