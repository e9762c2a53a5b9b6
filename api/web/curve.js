/** How good the model got with how many labels, as a chart. */

import { lineChart, shares } from "./chart.js";
import { h, percent } from "./dom.js";

/** The learning curve with its verdict. */
export function curveChart(found) {
  const points = found.points.filter((one) => (one.accuracy ?? one.average_precision) !== null);
  const [first, ...rest] = found.verdict;
  const verdict = h("p", { class: "verdict" }, `${first.toUpperCase()}${rest.join("")}.`);
  if (points.length < 2) return h("div", {}, verdict);
  // Equal steps for 1, 2, 5, 10, 20: each about doubles the work.
  const low = Math.log(points[0].labels);
  const high = Math.log(points.at(-1).labels);
  const value = (one) => one.accuracy ?? one.average_precision;
  const said = points.map((one) => `${one.labels} labels ${percent(value(one))}`).join(", ");
  return h(
    "div",
    {},
    lineChart({
      x: {
        label: "yes labels a concept",
        low,
        high,
        ticks: points.map(({ labels }) => Math.log(labels)),
        text: (at) => Math.round(Math.exp(at)),
      },
      y: shares(),
      lines: [{ points: points.map((one) => [Math.log(one.labels), value(one)]), kind: "one", dots: true }],
      said: `Accuracy on pictures held out: ${said}`,
    }),
    verdict,
  );
}
