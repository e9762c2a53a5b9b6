/** How good a model is at its concepts: a table, and one concept with its threshold. */

import { lineChart, shares } from "./chart.js";
import { h, percent, put } from "./dom.js";
import { session } from "./session.js";

/** All concepts; chosen: called with the one that is to be looked at. */
export function qualityTable({ concepts }, list, chosen) {
  const rows = list.map((one) => {
    const button = h(
      "button",
      { class: "link", "aria-pressed": "false", onclick: () => pick(one, row, button) },
      concepts.nameOf(one.concept_id),
    );
    const row = h(
      "tr",
      {},
      h("th", { scope: "row" }, button),
      [
        one.positives,
        one.negatives,
        decimal(one.roc_auc),
        decimal(one.average_precision),
        percent(one.precision),
        percent(one.recall),
        decimal(one.f1),
        percent(one.threshold),
      ].map((value) => h("td", {}, value)),
    );
    return { row, button };
  });
  function pick(one, row, button) {
    for (const other of rows) {
      other.row.classList.toggle("chosen", other.row === row);
      other.button.setAttribute("aria-pressed", String(other.button === button));
    }
    chosen(one);
  }
  if (rows.length) {
    rows[0].row.classList.add("chosen");
    rows[0].button.setAttribute("aria-pressed", "true");
  }
  const heads = ["Concept", "Yes", "No", "AUC", "Average precision", "Precision", "Recall", "F1", "Yes from"];
  return h(
    "div",
    { class: "scroller", tabindex: "0", role: "region", "aria-label": "Concepts in numbers" },
    h(
      "table",
      { class: "table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(({ row }) => row),
      ),
    ),
  );
}

/** One concept: precision and recall against the threshold, and whether its values come true. */
export function qualityOf({ concepts }, one, evaluation, decide) {
  const { x: recalls, y: precisions, thresholds } = one.precision_recall;
  const points = thresholds
    .map((threshold, place) => ({ threshold, recall: recalls[place], precision: precisions[place] }))
    .sort((a, b) => a.threshold - b.threshold);
  const at = (value) => points.find(({ threshold }) => threshold >= value) ?? { precision: null, recall: 0 };
  const chart = h("div", {});
  const said = h("p", { class: "said-threshold", role: "status" });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    value: one.threshold,
    id: "threshold",
    oninput: () => show(),
  });
  const save = h("button", { onclick: () => decide(one.concept_id, Number(slider.value)) }, "Decide from here on");
  const best =
    one.choice &&
    h(
      "button",
      { class: "link", onclick: () => ((slider.value = one.choice.threshold), show()) },
      `Set it for ${percent(evaluation.wanted_precision)} precision`,
    );

  function show() {
    const value = Number(slider.value);
    const found = at(value);
    put(
      said,
      "From ",
      h("b", {}, percent(value)),
      " on: precision ",
      h("b", {}, percent(found.precision)),
      ", recall ",
      h("b", {}, percent(found.recall)),
    );
    slider.setAttribute("aria-valuetext", said.textContent);
    save.disabled = Math.abs(value - one.threshold) < 0.005;
    const line = (of) => points.filter((point) => of(point) !== null).map((point) => [point.threshold, of(point)]);
    put(
      chart,
      lineChart({
        x: shares("threshold"),
        y: shares(),
        lines: [
          { name: "precision", kind: "one", points: line(({ precision }) => precision) },
          { name: "recall", kind: "two", points: line(({ recall }) => recall) },
        ],
        marks: [value],
        said: `Precision and recall of ${concepts.nameOf(one.concept_id)} against the threshold. ${said.textContent}`,
      }),
    );
  }
  show();
  return h(
    "div",
    { class: "quality" },
    h(
      "div",
      { class: "stack" },
      h("h2", {}, concepts.nameOf(one.concept_id)),
      h("p", { class: "muted" }, "From which value on is it a yes? Higher is surer and misses more."),
      h("label", { for: "threshold" }, "Threshold"),
      slider,
      said,
      h("div", { class: "row" }, session.canWrite && save, best),
    ),
    h("div", {}, h("h3", {}, "Precision and recall"), chart),
    h("div", {}, h("h3", {}, "Does 80 % mean 8 in 10?"), reliabilityChart(one)),
  );
}

function reliabilityChart(one) {
  const { bins, expected_calibration_error: error } = one.reliability;
  const most = Math.max(...bins.map(({ count }) => count), 1);
  const said = bins.map((bin) => `${percent(bin.value)} came true in ${percent(bin.share)} of ${bin.count}`).join("; ");
  return h(
    "div",
    {},
    lineChart({
      x: shares("what it said"),
      y: shares(),
      diagonal: true,
      lines: [
        {
          kind: "one",
          dots: true,
          points: bins.map((bin) => [bin.value, bin.share, 3 + 4 * Math.sqrt(bin.count / most)]),
        },
      ],
      said: `Reliability: ${said}`,
    }),
    h(
      "p",
      { class: "muted small" },
      `Off by ${percent(error)} on average; on the dashed line it would be true to its word.`,
    ),
  );
}

function decimal(value) {
  return value === null ? "–" : value === 1 ? "1" : value.toFixed(3).replace(/^0/, "");
}
