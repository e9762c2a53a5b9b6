/** What can be done with the selected pictures: the bar that appears while there are any. */

import { inputs, parts } from "./api.js";
import * as concepts from "./concepts.js";
import { closeup } from "./closeup.js";
import { confirmed } from "./dialog.js";
import { count, h, icon, put } from "./dom.js";
import * as labels from "./labels.js";
import { notice, trying } from "./notice.js";
import { forget } from "./pictures.js";
import { session } from "./session.js";

/** The bar of a grid. deleted: called when pictures are gone. */
export function selectionBar(grid, deleted) {
  const said = h("strong", { role: "status" });
  const choice = h("select", { "aria-label": "Concept" });
  const say = (value) => () => given(grid, choice.value, value);
  const opening = h("button", { onclick: () => closeup(grid.targets[0]) }, icon("open"), "Open");
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
    session.canWrite && h("button", { class: "danger", onclick: () => gone(grid, deleted) }, icon("trash"), "Delete"),
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

async function given(grid, concept, value) {
  const pictures = [...grid.chosen.values()];
  await trying(async () => {
    await labels.label(pictures, concept, value);
    const undo = { text: "Undo", call: () => trying(() => labels.undo()) };
    notice(`${labels.last()}`, { action: undo });
  });
}

async function gone(grid, deleted) {
  const ids = [...grid.chosen.keys()];
  const sure = await confirmed({
    title: `Delete ${count(ids.length, "picture")}?`,
    text: "With their labels and vectors. This can't be undone.",
    yes: "Delete",
  });
  if (!sure) return;
  await trying(async () => {
    for (const part of parts(ids)) await inputs.delete(part);
    forget(ids);
    grid.clear();
    await concepts.load();
    notice(`${count(ids.length, "picture")} deleted`);
    deleted();
  });
}
