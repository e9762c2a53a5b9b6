/** What an app sees with: compare others on its own labels, and change while it serves. */

import { pause } from "./api.js";
import { confirmed } from "./dialog.js";
import { count, h, percent, put } from "./dom.js";
import { failed, notice, trying } from "./notice.js";
import { session } from "./session.js";
import { workflowCards } from "./workflow_cards.js";

export class BaseWorkflow {
  constructor(app, list) {
    this.workflow = app.client.workflow;
    this.list = list;
    this.asked = 0;
    this.answered = 0;
    this.failures = 0;
    this.going = h("div", { class: "going", role: "status" });
    this.table = h("div", {
      class: "scroller",
      tabindex: "0",
      role: "region",
      "aria-label": "Base workflows compared",
    });
    this.advice = h("p", {});
    this.compared = h("div", { class: "stack", hidden: true, role: "status" }, this.table, this.advice);
    this.now = h("p", {});
    this.others = h("div", {});
    this.element = h(
      "section",
      { class: "card stack", "aria-label": "Base workflow" },
      h("h2", {}, "What it sees with"),
      this.now,
      this.going,
      this.compared,
      this.others,
    );
    this.load();
  }

  close() {
    clearTimeout(this.timer);
    this.closed = true;
  }

  load() {
    return this.ask(() => this.workflow.current());
  }

  /** Shows how it is now, by this question's answer unless a later one is here already. */
  async ask(question) {
    const asked = ++this.asked;
    clearTimeout(this.timer);
    try {
      const current = await question();
      if (this.closed || asked < this.answered) return;
      this.answered = asked;
      this.failures = 0;
      this.show(current);
    } catch (error) {
      this.failures++;
      if (!this.closed) failed(error);
    }
    clearTimeout(this.timer);
    if (!this.closed && this.current?.change?.state === "running")
      this.timer = setTimeout(() => this.load(), pause(this.failures + 1));
  }

  show(current) {
    this.current = current;
    const known = this.list.find(({ id }) => id === current.id);
    put(
      this.now,
      h("b", {}, known?.title ?? current.id),
      known ? `: ${known.good_for}.` : ".",
      ` Vectors of ${count(current.dim, "number")}.`,
    );
    this.progress(current.change);
    if (current.id === "vectors") {
      put(
        this.others,
        h(
          "p",
          { class: "muted" },
          "Vectors that were made elsewhere can't be embedded again: make another app for pictures.",
        ),
      );
      return;
    }
    if (!this.cards) this.choices();
  }

  choices() {
    const others = this.list.filter(({ id }) => id !== "vectors");
    this.cards = workflowCards(others, this.current.id, { name: "change-workflow", changed: () => this.chosen() });
    this.compare = h("button", { onclick: () => this.compareChosen() }, "Compare with the present one");
    this.change = h("button", { class: "primary", onclick: () => this.changeTo() }, "Change to it");
    put(
      this.others,
      h(
        "details",
        {},
        h("summary", {}, "Another one may be nearer to your task"),
        h(
          "div",
          { class: "stack" },
          this.cards.element,
          session.canWrite && h("div", { class: "row" }, this.compare, this.change),
        ),
      ),
    );
    this.chosen();
  }

  chosen() {
    const same = this.cards.value() === this.current.id;
    this.compare.disabled = this.change.disabled = same;
  }

  /** Both on the app's own labelled pictures. */
  async compareChosen() {
    const ids = [this.current.id, this.cards.value()];
    this.compare.disabled = true;
    this.compared.hidden = true;
    put(
      this.going,
      h("p", {}, `Embedding the labelled pictures with ${ids[1]} …`),
      h("progress", { "aria-label": "Comparison" }),
    );
    const found = await trying(() => this.workflow.compare(ids));
    put(this.going);
    this.chosen();
    if (!found) return;
    put(this.table, sideBySide(found.workflows));
    put(this.advice, found.advice);
    this.compared.hidden = false;
  }

  async changeTo() {
    const id = this.cards.value();
    const sure = await confirmed({
      title: `See with ${id}?`,
      text: "All pictures are embedded again. The app serves as before until that is done; labels and models carry over. Frozen versions wait for you to change back.",
      yes: "Change",
    });
    if (!sure) return;
    await this.ask(() => this.workflow.change(id));
  }

  progress(change) {
    if (!change || change.state !== "running") {
      if (this.wasRunning && change)
        notice(
          change.state === "done"
            ? `The app sees with ${change.id} now`
            : `The change ended: ${change.failure ?? change.state}`,
          { kind: change.state === "failed" ? "bad" : "plain" },
        );
      this.wasRunning = false;
      put(this.going);
      return;
    }
    this.wasRunning = true;
    put(
      this.going,
      h(
        "p",
        {},
        `On the way to ${change.id}: ${change.done.toLocaleString("en")} of ${count(change.total, "picture")}`,
      ),
      h("progress", { max: change.total || 1, value: change.done, "aria-label": "Change of the base workflow" }),
      h("button", { onclick: () => this.ask(() => this.workflow.cancel()) }, "Stay with the present one"),
    );
  }
}

/** A row for each base workflow: accuracy by labels a concept, and what a picture costs. */
function sideBySide(compared) {
  const names = ["Right with so many labels a concept", ...compared[0].shots, "ms a picture"];
  return h(
    "table",
    { class: "table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        names.map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h(
      "tbody",
      {},
      compared.map((one) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, one.workflow),
          one.accuracy.map((value) => h("td", {}, percent(value))),
          h("td", {}, Math.round(one.ms_per_image)),
        ),
      ),
    ),
  );
}
