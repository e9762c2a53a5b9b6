/** Teach: say yes and no, and see every prediction change. */

import { cells } from "../cell.js";
import { closeup } from "../closeup.js";
import { ConceptList } from "../concept_list.js";
import { curveChart } from "../curve.js";
import { Doubtful } from "../doubtful.js";
import { h, icon, put, settled } from "../dom.js";
import { Grid } from "../grid.js";
import { trying } from "../notice.js";
import { Predictions } from "../predictions.js";
import { session } from "../session.js";
import { empty } from "../shell.js";
import { shortcuts } from "../shortcuts.js";
import { Suggested } from "../suggested.js";

const TABS = { grid: "All pictures", suggested: "Suggested next", doubtful: "Doubtful labels" };
const CURVE_MS = 1200;
// Slower than this the learning curve is drawn when somebody asks, not after every label.
const SLOW_MS = 1500;

export function load(app) {
  return app.client.inputs.counts();
}

export function open(main, { app, rest, loaded }) {
  const view = new Teach(main, app, loaded);
  view.turnTo(rest in TABS ? rest : "grid");
  return () => view.close();
}

class Teach {
  constructor(main, app, counts) {
    const { concepts, labels } = app;
    this.app = app;
    this.curves = 0;
    this.counts = counts;
    this.curveSoon = settled(() => this.drawCurve(), CURVE_MS);
    this.list = new ConceptList(app);
    this.grid = new Grid({
      label: "Pictures to teach with",
      cell: cells(app, {
        value: (picture) => this.value(picture),
        badge: (picture) => [...picture.labels].filter(([id]) => id === this.list.active),
        tools: session.canWrite ? () => this.buttons() : null,
      }),
      wide: 150,
      extra: session.canWrite ? 64 : 24,
    });
    this.predictions = new Predictions(app, {
      visible: () => this.grid.visible(),
      concepts: () => this.taught(),
      shown: (pictures) => this.grid.refresh(pictures),
    });
    this.suggested = new Suggested(app, () => this.list.concept);
    this.doubtful = new Doubtful(app);
    this.order = h(
      "select",
      { "aria-label": "Order", onchange: () => this.find() },
      h("option", { value: "new" }, "Newest first"),
      h("option", { value: "likely" }, "Most likely first"),
      h("option", { value: "unlikely" }, "Least likely first"),
    );
    this.tabs = h(
      "div",
      { class: "tabs", role: "tablist", "aria-label": "Ways to teach", onkeydown: (event) => this.tabKey(event) },
      Object.entries(TABS).map(([name, title]) =>
        h(
          "button",
          { role: "tab", id: `tab-${name}`, "aria-controls": "teach-panel", onclick: () => this.turnTo(name) },
          title,
        ),
      ),
    );
    this.panel = h("div", { class: "stage", role: "tabpanel", id: "teach-panel" });
    this.curve = h("div", { class: "curve" });
    this.redraw = h("button", { hidden: true, onclick: () => this.drawCurve() }, "Draw it anew");
    this.curving = h(
      "details",
      { class: "curving", open: true, ontoggle: () => this.curveSoon() },
      h("summary", {}, "Learning curve"),
      this.curve,
      this.redraw,
    );
    put(
      main,
      h("h1", { class: "unseen" }, "Teach"),
      h(
        "div",
        { class: "split" },
        h("aside", { class: "split-side", "aria-label": "Concepts" }, this.list.element, this.curving),
        h(
          "section",
          { class: "split-main", "aria-label": "Pictures" },
          h("div", { class: "bar-top" }, this.tabs, this.order),
          this.panel,
        ),
      ),
    );
    const look = settled(() => this.predictions.refresh(), 60);
    this.grid.addEventListener("look", look);
    this.grid.addEventListener("open", (event) => closeup(app, event.detail));
    this.list.addEventListener("choose", () => this.chosen());
    this.list.addEventListener("made", () => this.tab === "grid" && this.grid.go(this.grid.place));
    this.onCounts = () => (this.curving.hidden = !concepts.all().some(({ yes }) => yes > 0));
    concepts.addEventListener("change", this.onCounts);
    this.onCounts();
    this.onLabels = (event) => this.grid.refresh(event.detail);
    this.onKept = () => {
      if (this.slow) this.redraw.hidden = false;
      else this.curveSoon();
    };
    labels.addEventListener("change", this.onLabels);
    labels.addEventListener("kept", this.onKept);
    this.noKeys = shortcuts("Teach", this.keys());
  }

  close() {
    const { concepts, labels } = this.app;
    this.closed = true;
    this.list.close();
    this.grid.close();
    this.predictions.close();
    this.noKeys();
    concepts.removeEventListener("change", this.onCounts);
    labels.removeEventListener("change", this.onLabels);
    labels.removeEventListener("kept", this.onKept);
  }

  keys() {
    const numbers = Array.from({ length: 9 }, (_, place) => ({
      keys: [String(place + 1), `Shift+${place + 1}`],
      call: (event) => this.numbered(place, !event.shiftKey),
    }));
    return [
      { keys: ["y"], shown: "Y", does: "Yes, it shows the concept", call: () => this.say(true) },
      { keys: ["n"], shown: "N", does: "No, it doesn't", call: () => this.say(false) },
      { keys: ["x", "Delete", "Backspace"], shown: "X", does: "Take the label off", call: () => this.say(null) },
      {
        keys: ["s"],
        shown: "S",
        does: "Pass, in the queue of suggestions",
        call: () => this.tab === "suggested" && this.suggested.answer(null),
      },
      { keys: [], shown: "1 … 9", does: "Yes, it shows that concept; with Shift: no", call: () => null },
      { keys: ["["], shown: "[", does: "The concept before", call: () => this.list.step(-1) },
      { keys: ["]"], shown: "]", does: "The next concept", call: () => this.list.step(1) },
      { keys: [], shown: "← ↑ → ↓", does: "Move; with Shift select on the way", call: () => null },
      { keys: [], shown: "Enter", does: "Look closer, and why", call: () => null },
      ...numbers,
    ];
  }

  /** Concepts that can be predicted, the one that is shown first. */
  taught() {
    const active = this.list.concept;
    return active?.yes > 0 ? [active.id] : [];
  }

  value(picture) {
    const value = this.list.concept?.yes > 0 ? picture.values?.get(this.list.active) : undefined;
    return value === undefined ? null : { name: null, value };
  }

  /** A cell's buttons for no and yes: made once, so that a click is never lost to a newer button. */
  buttons() {
    let shown = null;
    const made = [false, true].map((yes) => {
      const given = () => shown.labels.get(this.list.active) === yes;
      const click = () => this.give([shown], given() ? null : yes);
      const name = yes ? "yes" : "no";
      const element = h(
        "button",
        { class: `mark-${name}`, tabindex: "-1", onclick: click },
        icon(name),
        yes ? "Yes" : "No",
      );
      return { element, given, yes };
    });
    const show = (picture) => {
      shown = picture;
      for (const { element, given, yes } of made) {
        element.setAttribute("aria-pressed", String(given()));
        element.setAttribute("aria-label", `${yes ? "Yes" : "No"}: ${picture.title}`);
        element.disabled = !this.list.active;
      }
    };
    return { elements: made.map(({ element }) => element), show };
  }

  turnTo(tab) {
    this.tab = tab;
    for (const one of this.tabs.children) {
      const here = one.id === `tab-${tab}`;
      one.setAttribute("aria-selected", String(here));
      one.tabIndex = here ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${tab}`);
    this.order.hidden = tab !== "grid";
    if (tab === "grid") this.find();
    else {
      put(this.panel, this[tab].element);
      this[tab].begin();
    }
  }

  tabKey(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(TABS);
    const next = names[(names.indexOf(this.tab) + by + names.length) % names.length];
    this.turnTo(next);
    document.getElementById(`tab-${next}`).focus();
  }

  find() {
    const { processed } = this.counts;
    if (!processed) {
      put(
        this.panel,
        empty({
          title: "No pictures yet",
          text: "Concepts are taught with the app's own pictures: add some first.",
          actions: [h("a", { class: "button primary", href: "#/library" }, "To the library")],
        }),
      );
      return;
    }
    put(this.panel, this.grid.element);
    const { pictures } = this.app;
    const likely = this.order.value;
    const concept = this.list.concept;
    if (likely !== "new" && concept?.yes > 0) {
      const term = { output: { data: { concepts: [{ id: concept.id, value: likely === "likely" ? 1 : 0 }] } } };
      this.grid.show(pictures.hits([term], { length: processed }));
    } else this.grid.show(pictures.pages({ status: "ready" }, processed));
  }

  chosen() {
    this.predictions.reset();
    this.grid.refresh();
    if (this.tab === "suggested") this.suggested.begin();
    else if (this.tab === "grid" && this.order.value !== "new") this.find();
  }

  numbered(place, yes) {
    const concept = this.app.concepts.all()[place];
    if (!concept) return;
    this.list.choose(concept.id);
    this.say(yes);
  }

  /** Labels what the keyboard is on, and goes on to the next picture. */
  say(value) {
    if (!session.canWrite || !this.list.active) return;
    if (this.tab === "suggested") {
      this.suggested.answer(value);
    } else if (this.tab === "grid") {
      const { targets, chosen, place } = this.grid;
      this.give(targets, value);
      if (!chosen.size && value !== null) this.grid.go(place + 1);
      else if (chosen.size) this.grid.clear();
    }
  }

  give(pictures, value) {
    const before = this.list.concept?.yes;
    trying(() => this.app.labels.label(pictures, this.list.active, value));
    if (!before !== !this.list.concept?.yes) this.grid.refresh();
  }

  async drawCurve() {
    if (!this.curving.open || this.closed || !this.curving.checkVisibility()) return;
    this.redraw.hidden = true;
    this.curve.setAttribute("aria-busy", "true");
    const mine = ++this.curves;
    const start = performance.now();
    try {
      const found = await this.app.client.models.learningCurve("all");
      if (mine !== this.curves) return;
      put(this.curve, curveChart(found));
    } catch (error) {
      if (mine !== this.curves) return;
      put(this.curve, h("p", { class: "muted" }, error.message));
    }
    this.curve.removeAttribute("aria-busy");
    this.slow = performance.now() - start > SLOW_MS;
  }
}
