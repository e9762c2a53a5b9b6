/** Base workflows as cards that say what each is good for; one of them is chosen. */

import { h } from "./dom.js";

/** A group of cards. chosen: the id that is chosen at first; with `vectors` comes a field for their length. */
export function workflowCards(list, chosen, { name = "workflow", changed = () => {} } = {}) {
  let now = chosen;
  const dim = h("input", { type: "number", min: 1, max: 65536, value: 512, "aria-label": "Length of the vectors" });
  const dims = h("label", { class: "check", hidden: true }, "Length of the vectors", dim);
  const cards = list.map((one) => {
    const radio = h("input", {
      type: "radio",
      name,
      value: one.id,
      checked: one.id === chosen,
      onchange: () => {
        now = one.id;
        dims.hidden = now !== "vectors";
        changed(now);
      },
    });
    return h(
      "label",
      { class: "workflow" },
      radio,
      h("span", { class: "workflow-title" }, one.title),
      h("span", { class: "workflow-for" }, `For ${one.good_for}`),
      h(
        "span",
        { class: "tags" },
        tags(one).map(([text, kind]) => h("span", { class: `tag ${kind}` }, text)),
      ),
    );
  });
  const element = h(
    "div",
    { class: "stack" },
    h("div", { class: "workflows", role: "radiogroup", "aria-label": "Base workflow" }, cards),
    dims,
  );
  return { element, value: () => now, dim: () => (now === "vectors" ? Number(dim.value) : undefined) };
}

function tags(one) {
  const found = [one.ready ? ["ready", "good"] : [one.availability, "warn"]];
  if (one.text) found.push(["understands words", "plain"]);
  found.push([one.licence, "plain"]);
  return found;
}
