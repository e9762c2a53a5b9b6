/** The confusion matrix; each cell opens the pictures behind it. */

import { cells } from "./cell.js";
import { closeup } from "./closeup.js";
import { open } from "./dialog.js";
import { count, h, percent } from "./dom.js";
import { Grid } from "./grid.js";
import { trying } from "./notice.js";
import { Fixed } from "./pages.js";

/** A table: rows what is true, columns what the model thinks first. */
export function confusion(app, evaluation) {
  const { concepts } = app;
  const ids = evaluation.concepts.map(({ concept_id: id }) => id);
  const rows = evaluation.confusion;
  if (ids.length < 2 || !rows.some((row) => row.some(Boolean))) {
    return h("p", { class: "muted" }, "It takes two concepts, and pictures that show one of them.");
  }
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "is \\ seen as"),
    ids.map((id) => h("th", { scope: "col" }, concepts.nameOf(id))),
  );
  const body = rows.map((row, is) => {
    const total = row.reduce((sum, value) => sum + value, 0) || 1;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, concepts.nameOf(ids[is])),
      row.map((value, seen) => {
        const name = `${count(value, "picture")} of ${concepts.nameOf(ids[is])} seen as ${concepts.nameOf(ids[seen])}`;
        const button = h(
          "button",
          {
            class: is === seen ? "heat right" : "heat",
            "aria-label": name,
            disabled: !value,
            onclick: () => behind(app, evaluation, ids, is, seen),
          },
          String(value),
        );
        button.style.setProperty("--share", `${Math.round((100 * value) / total)}%`);
        return h("td", {}, button);
      }),
    );
  });
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": "Confusion matrix" },
      h("table", { class: "matrix" }, h("thead", {}, head), h("tbody", {}, body)),
    ),
    h(
      "p",
      { class: "muted small" },
      "Rows: what is true; columns: what the model without that label thinks first. A cell opens its pictures.",
    ),
  );
}

/** The pictures of one cell. */
async function behind(app, evaluation, ids, is, seen) {
  const { concepts, pictures: all } = app;
  const found = evaluation.judged.filter(({ values, labels }) => {
    const yes = labels.flatMap((label, place) => (label === 1 ? [place] : []));
    return yes.length === 1 && yes[0] === is && values.indexOf(Math.max(...values)) === seen;
  });
  await trying(async () => {
    const pictures = await all.byId(found.map(({ input_id: id }) => id));
    const values = new Map(found.map((one) => [one.input_id, one.values[seen]]));
    const value = (picture) => ({ name: concepts.nameOf(ids[seen]), value: values.get(picture.id) });
    const grid = new Grid({
      label: "Pictures of this cell",
      cell: cells(app, { value }),
      wide: 130,
      extra: 24,
      many: false,
    });
    grid.addEventListener("open", (event) => closeup(app, event.detail));
    const title =
      is === seen
        ? `${concepts.nameOf(ids[is])}, seen as such`
        : `${concepts.nameOf(ids[is])}, seen as ${concepts.nameOf(ids[seen])}`;
    open({
      title,
      wide: true,
      body: [
        h(
          "p",
          { class: "muted" },
          `Values are those of the model without the picture's own label. ${is === seen ? "" : `A mean of ${percent([...values.values()].reduce((a, b) => a + b, 0) / values.size)} for the wrong concept.`}`,
        ),
        h("div", { class: "dialog-grid" }, grid.element),
      ],
      closed: () => grid.close(),
    });
    grid.show(new Fixed(pictures));
  });
}
