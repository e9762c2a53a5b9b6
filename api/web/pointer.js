/** What a mouse or a finger does to a grid: a click selects one, Ctrl one more, shift all between, dragging all touched. */

import { h } from "./dom.js";

const DRAG_FROM = 6;

/** Follows a pointer that was pressed on a grid until it is let go. */
export function pointed(grid, event) {
  if (event.button !== 0 || event.target.closest("button, a")) return;
  const place = grid.placeOf(event.target);
  const start = spot(grid, event);
  const more = event.ctrlKey || event.metaKey;
  let box = null;
  const moved = (next) => {
    const now = spot(grid, next);
    if (!box && Math.hypot(now.x - start.x, now.y - start.y) < DRAG_FROM) return;
    if (!box && grid.many) box = grid.canvas.appendChild(h("div", { class: "lasso", "aria-hidden": "true" }));
    if (box) caught(grid, box, start, now, more);
  };
  const left = () => {
    removeEventListener("pointermove", moved);
    removeEventListener("pointerup", released);
    removeEventListener("pointercancel", left);
    box?.remove();
  };
  const released = () => {
    left();
    if (box) return;
    if (place !== null) clicked(grid, place, event, more);
    else if (!more) grid.clear();
  };
  // Fingers scroll, which cancels this; they don't draw boxes.
  if (event.pointerType === "mouse") {
    addEventListener("pointermove", moved);
    if (!(event.shiftKey || more)) event.preventDefault();
  }
  addEventListener("pointerup", released);
  addEventListener("pointercancel", left);
}

function clicked(grid, place, event, more) {
  const touch = event.pointerType !== "mouse";
  const from = grid.anchor;
  grid.go(place);
  if (event.shiftKey && grid.many) {
    grid.anchor = from;
    grid.choose(from, place, more);
  } else if (more || touch) grid.toggle(place);
  else if (grid.many) grid.choose(place, place);
}

/** Selects the cells that a box from one spot to another touches. */
function caught(grid, box, start, now, more) {
  const [left, right] = [start.x, now.x].sort((a, b) => a - b);
  const [top, bottom] = [start.y, now.y].sort((a, b) => a - b);
  const style = { left, top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(style)) box.style.setProperty(name, `${value}px`);
  const across = grid.size + grid.gap;
  const rows = [Math.max(0, Math.floor(top / grid.pitch)), Math.floor(bottom / grid.pitch)];
  const columns = [Math.max(0, Math.floor(left / across)), Math.min(grid.columns - 1, Math.floor(right / across))];
  grid.choices++;
  if (!more) grid.chosen.clear();
  for (let row = rows[0]; row <= rows[1]; row++) {
    for (let column = columns[0]; column <= columns[1]; column++) {
      const picture = grid.source.at(row * grid.columns + column);
      if (picture) grid.chosen.set(picture.id, picture);
    }
  }
  grid.told();
}

function spot(grid, event) {
  const frame = grid.canvas.getBoundingClientRect();
  return { x: event.clientX - frame.left, y: event.clientY - frame.top };
}
