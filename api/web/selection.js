/** What can be done with the selected pictures: the bar that appears while there are any. */

import { parts } from "./api.js";
import { closeup } from "./closeup.js";
import { confirmed } from "./dialog.js";
import { count, h, icon, put } from "./dom.js";
import { sentence } from "./labels.js";
import { notice, trying } from "./notice.js";
import { session } from "./session.js";
import { undone } from "./shell.js";

/** The bar of a grid of an app's pictures. deleted: called when some are gone. */
export function selectionBar(app, grid, deleted) {
  const { concepts } = app;
  const said = h("strong", { role: "status" });
  const choice = h("select", { "aria-label": "Concept" });
  const say = (value) => () => given(app, grid, choice.value, value);
  const opening = h("button", { onclick: () => closeup(app, grid.targets[0]) }, icon("open"), "Open");
  const bar = h(
    "div",
    { class: "selection", role: "toolbar", "aria-label": "Selected pictures", hidden: true },
    said,
    h(
      "span",
      { class: "selection-give" },
      choice,
      h("button", { class: "yes", onclick: say(true) }, icon("yes"), "Yes"),
      h("button", { class: "no", onclick: say(false) }, icon("no"), "No"),
      h("button", { onclick: say(null) }, "No label"),
    ),
    opening,
    h("a", { class: "button", href: "#/search" }, icon("search"), "Find similar"),
    session.canWrite &&
      h("button", { class: "danger", onclick: () => gone(app, grid, deleted) }, icon("trash"), "Delete"),
    h("button", { class: "bare", "aria-label": "Select nothing", onclick: () => grid.clear() }, icon("close")),
  );
  grid.addEventListener("select", () => {
    const number = grid.chosen.size;
    bar.hidden = number === 0;
    if (!number) return;
    said.textContent = count(number, "picture");
    opening.hidden = number !== 1;
    bar.querySelector("a").href = `#/search/${[...grid.chosen.keys()].slice(0, 8).map(encodeURIComponent).join(",")}`;
    bar.querySelector(".selection-give").hidden = !session.canWrite || !concepts.all().length;
    const before = choice.value;
    put(
      choice,
      concepts.all().map(({ id, name }) => h("option", { value: id }, name)),
    );
    if (before) choice.value = before;
  });
  return bar;
}

async function given(app, grid, concept, value) {
  const pictures = [...grid.chosen.values()];
  await trying(async () => {
    const step = await app.labels.label(pictures, concept, value);
    if (step) notice(sentence(step), { action: { text: "Undo", call: () => undone(app, step) } });
  });
}

async function gone(app, grid, deleted) {
  const ids = [...grid.chosen.keys()];
  const sure = await confirmed({
    title: `Delete ${count(ids.length, "picture")}?`,
    text: "With their labels and vectors. This can't be undone.",
    yes: "Delete",
  });
  if (!sure) return;
  let number = 0;
  await trying(async () => {
    for (const part of parts(ids)) {
      await app.client.inputs.delete(part);
      app.pictures.forget(part);
      number += part.length;
    }
    grid.clear();
  });
  if (number) notice(`${count(number, "picture")} deleted`);
  await trying(() => app.concepts.load());
  deleted();
}
