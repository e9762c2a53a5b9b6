/** Library: all pictures of the app, to add, look through, select and label. */

import { cells } from "../cell.js";
import { closeup } from "../closeup.js";
import { count, h, icon, put, settled } from "../dom.js";
import { Filters } from "../filters.js";
import { Grid } from "../grid.js";
import { trying } from "../notice.js";
import { Predictions } from "../predictions.js";
import { selectionBar } from "../selection.js";
import { session } from "../session.js";
import { broken, empty, loading } from "../shell.js";
import { shortcuts } from "../shortcuts.js";
import { accepting, addButtons, tray } from "../tray.js";

const WAIT_MS = 3000;

export function load(app) {
  return app.client.inputs.counts();
}

export function open(main, { app, loaded }) {
  const view = new Library(main, app, loaded);
  view.find();
  return () => view.close();
}

class Library {
  constructor(main, app, counts) {
    const { concepts, labels, upload } = app;
    this.app = app;
    this.latest = 0;
    this.counts = counts;
    this.total = h("span", { class: "count" });
    this.filters = new Filters(app);
    this.body = h("div", { class: "stage" });
    this.grid = new Grid({
      label: "Pictures",
      cell: cells(app, { value: (picture) => this.value(picture) }),
      extra: 24,
    });
    this.predictions = new Predictions(app, {
      visible: () => this.grid.visible(),
      concepts: () => (concepts.all().some(({ yes }) => yes > 0) ? null : []),
      shown: (pictures) => this.grid.refresh(pictures),
    });
    this.tray = tray(app);
    const bar = selectionBar(app, this.grid, () => this.again());
    put(
      main,
      h(
        "div",
        { class: "bar-top" },
        h("h1", {}, "Library"),
        this.total,
        h("div", { class: "bar-tools" }, addButtons(app)),
      ),
      this.filters.element,
      this.body,
      this.tray.element,
      bar,
    );
    const look = settled(() => this.predictions.refresh(), 80);
    this.grid.addEventListener("look", look);
    this.grid.addEventListener("open", (event) => closeup(app, event.detail));
    this.onLabels = (event) => this.grid.refresh(event.detail);
    this.onAdded = settled(() => this.again(), 300);
    this.filters.addEventListener("change", () => this.find());
    labels.addEventListener("change", this.onLabels);
    upload.addEventListener("added", this.onAdded);
    this.stopAccepting = accepting(app, main);
    this.noKeys = shortcuts("Library", [
      { keys: [], shown: "← ↑ → ↓", does: "Move; with Shift select on the way" },
      { keys: [], shown: "Space", does: "Select or not" },
      { keys: [], shown: "Enter", does: "Look closer" },
      ...concepts
        .all()
        .slice(0, 9)
        .map(({ id, name }, place) => ({
          keys: [String(place + 1), `Shift+${place + 1}`],
          shown: String(place + 1),
          does: `Yes, ${name}; with Shift: no`,
          call: (event) => session.canWrite && trying(() => labels.label(this.grid.targets, id, !event.shiftKey)),
        })),
    ]);
  }

  close() {
    const { labels, upload } = this.app;
    this.closed = true;
    clearTimeout(this.timer);
    this.grid.close();
    this.predictions.close();
    this.tray.close();
    this.filters.close();
    this.stopAccepting();
    this.noKeys();
    labels.removeEventListener("change", this.onLabels);
    upload.removeEventListener("added", this.onAdded);
  }

  value(picture) {
    const { concepts } = this.app;
    const { looks } = this.filters;
    if (looks) {
      const score = picture.values?.get(looks) ?? this.grid.source.scores?.get(picture.id);
      return score === undefined ? null : { name: concepts.nameOf(looks), value: score };
    }
    const best = picture.best;
    return best && { name: concepts.nameOf(best[0]), value: best[1] };
  }

  /** Shows what the filters let through. */
  find() {
    const source = this.source();
    this.grid.show(source);
    this.told(source);
    source.load(0);
    this.watch();
  }

  source() {
    const source = this.filters.narrowed ? this.searching() : this.listing();
    source.addEventListener("change", () => this.told(source));
    return source;
  }

  listing() {
    const { status } = this.filters;
    const { processed, to_process: waiting, errors } = this.counts;
    const length = { ready: processed, pending: waiting, failed: errors }[status] ?? processed + waiting + errors;
    return this.app.pictures.pages({ status }, length);
  }

  searching() {
    const { looks, least } = this.filters;
    return this.app.pictures.hits(this.filters.terms(), { least: looks ? least : null });
  }

  /** Says how many there are, or why there are none. */
  told(source) {
    if (source !== this.grid.source) return;
    const { length, known, error } = source;
    this.total.textContent = known ? count(length, "picture") : length ? `${length.toLocaleString("en")} and more` : "";
    if (error && !length)
      put(
        this.body,
        broken(error, () => this.find()),
      );
    else if (known && !length) put(this.body, this.nothing());
    else if (!length) put(this.body, loading());
    else if (this.grid.element.parentElement !== this.body) put(this.body, this.grid.element);
  }

  nothing() {
    if (this.filters.active) {
      const all = h("button", { onclick: () => this.filters.clear() }, "Show all");
      return empty({ title: "None of them", text: "No picture passes these filters.", actions: [all] });
    }
    return empty({
      title: "Begin with pictures",
      text: session.canWrite
        ? "Drop files or folders anywhere on this page, paste a picture or its address, or choose files. A few dozen are enough to teach the first concept."
        : "This app has no pictures yet, and your key can't add any.",
      actions: session.canWrite
        ? [
            h(
              "button",
              { class: "primary", onclick: () => document.getElementById("add-files").click() },
              icon("add"),
              "Choose pictures",
            ),
          ]
        : [],
    });
  }

  /** Looks again at what there is; what is in sight changes only where it is other. */
  async again() {
    if (this.closed) return;
    const mine = ++this.latest;
    const { grid } = this;
    await trying(async () => {
      const [counts] = await Promise.all([this.app.client.inputs.counts(), this.app.concepts.load()]);
      if (this.closed || mine !== this.latest) return;
      this.counts = counts;
      const before = grid.source;
      const source = this.source();
      await source.load(0);
      await source.range(...grid.span);
      // Meanwhile other filters were chosen, or it was begun anew.
      if (this.closed || mine !== this.latest || before !== grid.source) return;
      grid.update(source);
      this.told(source);
    });
    if (mine === this.latest) this.watch();
  }

  /** While pictures are on their way, asks now and then whether they have come. */
  watch() {
    clearTimeout(this.timer);
    if (this.closed || !this.counts.to_process) return;
    this.timer = setTimeout(() => this.again(), WAIT_MS);
  }
}
