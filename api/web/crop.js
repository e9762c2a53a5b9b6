/** A picture of which a part can be chosen, by dragging or by numbers. */

import { h } from "./dom.js";

const LEAST = 0.02;
const EDGES = ["top", "left", "bottom", "right"];

/** {element, box}: box() is [top, left, bottom, right] as fractions, null for the whole picture. */
export function cropper(url, alt, changed = () => {}) {
  let box = null;
  const image = h("img", { src: url, alt, draggable: "false" });
  const frame = h("span", { class: "crop-box", hidden: true });
  const shade = h("div", { class: "crop-stage" }, image, frame);
  const numbers = EDGES.map((edge, place) =>
    h(
      "label",
      {},
      `${edge[0].toUpperCase()}${edge.slice(1)} %`,
      h("input", {
        type: "number",
        min: 0,
        max: 100,
        step: 1,
        value: place < 2 ? 0 : 100,
        oninput: () => typed(),
      }),
    ),
  );
  const fields = numbers.map((label) => label.querySelector("input"));
  const whole = h("button", { type: "button", class: "quiet", onclick: () => set(null) }, "Whole picture");
  const element = h(
    "div",
    { class: "crop" },
    shade,
    h("div", { class: "crop-numbers", role: "group", "aria-label": "The part to use" }, numbers, whole),
  );

  function set(next) {
    box = next;
    const [top, left, bottom, right] = next ?? [0, 0, 1, 1];
    frame.hidden = !next;
    const style = { top, left, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(style)) frame.style.setProperty(name, `${100 * value}%`);
    [top, left, bottom, right].forEach((value, place) => (fields[place].value = Math.round(100 * value)));
    changed(box);
  }

  function typed() {
    const [top, left, bottom, right] = fields.map((field) => Math.min(1, Math.max(0, Number(field.value) / 100)));
    if (bottom - top < LEAST || right - left < LEAST) return;
    box = [top, left, bottom, right];
    frame.hidden = false;
    const style = { top, left, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(style)) frame.style.setProperty(name, `${100 * value}%`);
    changed(box);
  }

  shade.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    shade.setPointerCapture(event.pointerId);
    const at = (one) => {
      const edge = image.getBoundingClientRect();
      const share = (value, start, length) => Math.min(1, Math.max(0, (value - start) / length));
      return [share(one.clientY, edge.top, edge.height), share(one.clientX, edge.left, edge.width)];
    };
    const [top, left] = at(event);
    const moved = (next) => {
      const [bottom, right] = at(next);
      const [high, low] = [Math.min(top, bottom), Math.max(top, bottom)];
      const [near, far] = [Math.min(left, right), Math.max(left, right)];
      set(low - high < LEAST || far - near < LEAST ? null : [high, near, low, far]);
    };
    shade.addEventListener("pointermove", moved);
    shade.addEventListener("pointerup", () => shade.removeEventListener("pointermove", moved), { once: true });
    shade.addEventListener("pointercancel", () => shade.removeEventListener("pointermove", moved), { once: true });
  });
  return { element, box: () => box };
}
