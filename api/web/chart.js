/** Small charts, drawn as SVG; each is also said in words. */

import { h, svg } from "./dom.js";

const WIDE = 320;
const HIGH = 200;
const EDGE = { left: 38, right: 12, top: 10, bottom: 30 };

/**
 * Lines over x. x and y: {label, low, high, ticks: [number], text: (number) -> string}. lines: [{points: [[x, y]], kind,
 * name, dots}]. marks: x values with a vertical line. said: the chart in words.
 */
export function lineChart({ x, y, lines, marks = [], diagonal = false, said }) {
  const across = (value) => EDGE.left + ((value - x.low) / (x.high - x.low || 1)) * (WIDE - EDGE.left - EDGE.right);
  const up = (value) =>
    HIGH - EDGE.bottom - ((value - y.low) / (y.high - y.low || 1)) * (HIGH - EDGE.top - EDGE.bottom);
  const path = (points) =>
    points.map(([a, b], place) => `${place ? "L" : "M"}${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join("");
  const drawing = svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": said },
    y.ticks.map((value) => [
      svg("line", { class: "rule", x1: EDGE.left, x2: WIDE - EDGE.right, y1: up(value), y2: up(value) }),
      svg("text", { class: "tick", x: EDGE.left - 6, y: up(value) + 3.5, "text-anchor": "end" }, y.text(value)),
    ]),
    x.ticks.map((value) =>
      svg(
        "text",
        { class: "tick", x: across(value), y: HIGH - EDGE.bottom + 13, "text-anchor": "middle" },
        x.text(value),
      ),
    ),
    svg(
      "text",
      { class: "axis", x: (EDGE.left + WIDE - EDGE.right) / 2, y: HIGH - 3, "text-anchor": "middle" },
      x.label,
    ),
    diagonal &&
      svg("line", { class: "diagonal", x1: across(x.low), y1: up(y.low), x2: across(x.high), y2: up(y.high) }),
    marks.map((value) =>
      svg("line", { class: "mark", x1: across(value), x2: across(value), y1: EDGE.top, y2: HIGH - EDGE.bottom }),
    ),
    lines.map(({ points, kind, dots }) => [
      points.length > 1 && svg("path", { class: `line ${kind}`, d: path(points) }),
      dots &&
        points.map(([a, b, size = 3]) => svg("circle", { class: `dot ${kind}`, cx: across(a), cy: up(b), r: size })),
    ]),
  );
  const named = lines.filter(({ name }) => name);
  const legend =
    named.length > 0 &&
    h(
      "p",
      { class: "legend" },
      named.map(({ name, kind }) => h("span", { class: kind }, h("i", { "aria-hidden": "true" }), name)),
    );
  return h("figure", { class: "figure" }, drawing, legend);
}

/** A share of 1 as an axis. */
export function shares(label) {
  return {
    label,
    low: 0,
    high: 1,
    ticks: [0, 0.25, 0.5, 0.75, 1],
    text: (value) => value.toString().replace("0.", "."),
  };
}
