/**
 * A grid of pictures of which only those in sight are in the document, so a hundred thousand cost what a hundred do.
 *
 * Cells are all of one size, known before any picture is: nothing jumps. Arrow keys move, space selects, shift extends,
 * Enter opens; a click selects, with Ctrl one more, with Shift all between, and dragging all that is touched.
 */

import { eachFrame, h } from "./dom.js";
import { pointed } from "./pointer.js";

const OVERSCAN = 2;
const ROOMY = 1700;

export class Grid extends EventTarget {
  /**
   * label: the grid's name. cell: makes a cell's content, {element, show(picture, place)}. wide: the least width of a
   * cell. extra: what a cell is higher than wide. many: whether several can be selected.
   */
  constructor({ label, cell, wide = 168, extra = 0, many = true }) {
    super();
    Object.assign(this, { cell, wide, extra, many });
    this.gap = 10;
    this.source = null;
    this.rows = new Map();
    this.place = 0;
    this.anchor = 0;
    this.chosen = new Map();
    this.choices = 0;
    this.canvas = h("div", { class: "grid-canvas", role: "rowgroup" });
    this.element = h("div", {
      class: "grid",
      role: "grid",
      "aria-label": label,
      "aria-multiselectable": many ? "true" : null,
      onkeydown: (event) => this.pressed(event),
      onpointerdown: (event) => pointed(this, event),
      ondblclick: (event) => this.opened(event),
      onfocusin: (event) => this.focused(event),
    });
    this.element.append(this.canvas);
    this.draw = eachFrame(() => this.render());
    this.element.addEventListener("scroll", this.draw, { passive: true });
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.element);
    this.onChange = () => {
      this.measure();
    };
  }

  close() {
    this.observer.disconnect();
    this.source?.removeEventListener("change", this.onChange);
  }

  /** Shows another list, from its beginning. */
  show(source) {
    this.change(source);
    this.place = this.anchor = 0;
    this.clear();
    this.element.scrollTop = 0;
    for (const row of this.rows.values()) row.element.remove();
    this.rows.clear();
    this.measure();
  }

  /** Shows a newer list in the place of the present one, where the reader is. */
  update(source) {
    this.change(source);
    this.measure();
  }

  change(source) {
    this.source?.removeEventListener("change", this.onChange);
    this.source = source;
    source.addEventListener("change", this.onChange);
  }

  /** The pictures in sight. */
  visible() {
    const found = [];
    for (const row of this.rows.values()) for (const one of row.cells) if (one.picture) found.push(one.picture);
    return found;
  }

  /** The first and the last place in sight. */
  get span() {
    const first = Math.floor(this.element.scrollTop / (this.pitch || 1)) * (this.columns || 1);
    const rows = Math.ceil(this.element.clientHeight / (this.pitch || 1)) + 1;
    return [first, first + rows * (this.columns || 1)];
  }

  /** The picture that the keyboard is on. */
  get current() {
    return this.source?.at(this.place) ?? null;
  }

  /** What was selected, or else the picture that the keyboard is on. */
  get targets() {
    if (this.chosen.size) return [...this.chosen.values()];
    return this.current ? [this.current] : [];
  }

  /** Shows these anew, if they are in sight. */
  refresh(pictures = null) {
    const wanted = pictures && new Set(pictures);
    for (const row of this.rows.values()) {
      for (const one of row.cells) if (!wanted || wanted.has(one.picture)) this.fill(one, one.place);
    }
  }

  clear() {
    this.choices++;
    if (!this.chosen.size) return;
    this.chosen.clear();
    this.told();
  }

  /** Moves the keyboard to a place; extending selects all on the way. */
  async go(place, { extend = false, focus = true } = {}) {
    const last = this.source.length - 1;
    if (last < 0) return;
    this.place = Math.max(0, Math.min(place, last));
    this.reveal(this.place);
    this.render();
    if (focus) this.cellAt(this.place)?.element.focus({ preventScroll: true });
    if (extend && this.many) await this.choose(this.anchor, this.place);
    else this.anchor = this.place;
    this.dispatchEvent(new Event("move"));
  }

  // Layout

  measure() {
    const width = this.element.clientWidth;
    if (!width || !this.source) return;
    const { gap } = this;
    // Larger where there is much room, two at least where there is little.
    const wide = this.wide * (width > ROOMY ? 1.3 : 1);
    const columns = Math.max(2, Math.floor((width - gap) / (wide + gap)));
    this.size = Math.floor((width - gap) / columns) - gap;
    this.pitch = this.size + this.extra + gap;
    if (columns !== this.columns) {
      for (const row of this.rows.values()) row.element.remove();
      this.rows.clear();
      this.columns = columns;
    }
    const rows = Math.ceil(this.source.length / columns);
    this.element.setAttribute("aria-rowcount", this.source.known ? rows : -1);
    this.element.setAttribute("aria-colcount", columns);
    this.canvas.style.setProperty("height", `${rows * this.pitch + gap}px`);
    this.element.style.setProperty("--columns", columns);
    this.element.style.setProperty("--size", `${this.size}px`);
    this.place = Math.min(this.place, Math.max(0, this.source.length - 1));
    this.render();
  }

  render() {
    if (!this.columns || !this.source) return;
    const total = Math.ceil(this.source.length / this.columns);
    const top = this.element.scrollTop;
    const first = Math.max(0, Math.floor(top / this.pitch) - OVERSCAN);
    const last = Math.min(total - 1, Math.floor((top + this.element.clientHeight) / this.pitch) + OVERSCAN);
    // The row with the keyboard stays, or the focus would be lost.
    const kept = Math.floor(this.place / this.columns);
    for (const [number, row] of this.rows) {
      if ((number < first || number > last) && number !== kept) {
        row.element.remove();
        this.rows.delete(number);
      }
    }
    const wanted = [];
    for (let number = first; number <= last; number++) wanted.push(number);
    if (kept < total && (kept < first || kept > last)) wanted.push(kept);
    for (const number of wanted) this.drawRow(number);
    if (last >= total - 1 - OVERSCAN) this.source.grow();
    this.dispatchEvent(new Event("look"));
  }

  drawRow(number) {
    let row = this.rows.get(number);
    if (!row) {
      const element = h("div", { class: "grid-row", role: "row", "aria-rowindex": number + 1 });
      const cells = Array.from({ length: this.columns }, (_, column) => {
        const content = this.cell();
        const cell = h(
          "div",
          { class: "cell", role: "gridcell", "aria-colindex": column + 1, tabindex: "-1" },
          content.element,
        );
        element.append(cell);
        return { element: cell, content, place: number * this.columns + column, picture: undefined };
      });
      row = { element, cells };
      this.rows.set(number, row);
      // In their order for whoever reads the document.
      const after = [...this.rows.keys()].filter((one) => one > number).sort((a, b) => a - b)[0];
      this.canvas.insertBefore(element, after === undefined ? null : this.rows.get(after).element);
    }
    row.element.style.setProperty("transform", `translateY(${number * this.pitch}px)`);
    for (const one of row.cells) this.fill(one, one.place);
  }

  fill(one, place) {
    const there = place < this.source.length;
    one.element.hidden = !there;
    if (!there) {
      one.picture = undefined;
      return;
    }
    const picture = this.source.at(place);
    one.picture = picture;
    one.element.tabIndex = place === this.place ? 0 : -1;
    one.element.classList.toggle("waiting", !picture);
    const selected = Boolean(picture && this.chosen.has(picture.id));
    if (this.many) one.element.setAttribute("aria-selected", selected);
    one.element.setAttribute("aria-busy", !picture);
    one.element.dataset.id = picture?.id ?? "";
    if (picture) one.content.show(picture, place);
  }

  cellAt(place) {
    const row = this.rows.get(Math.floor(place / this.columns));
    return row?.cells[place % this.columns];
  }

  reveal(place) {
    const top = Math.floor(place / this.columns) * this.pitch;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.pitch > scrollTop + clientHeight) this.element.scrollTop = top + this.pitch - clientHeight + 10;
  }

  // Selecting

  async choose(from, to, more = false) {
    const { source } = this;
    const turn = ++this.choices;
    const pictures = await source.range(Math.min(from, to), Math.max(from, to));
    // Meanwhile something else was chosen, or another list is shown.
    if (turn !== this.choices || source !== this.source) return;
    if (!more) this.chosen.clear();
    for (const one of pictures) this.chosen.set(one.id, one);
    this.told();
  }

  toggle(place) {
    const picture = this.source.at(place);
    if (!picture) return;
    this.choices++;
    if (!this.chosen.delete(picture.id)) {
      if (!this.many) this.chosen.clear();
      this.chosen.set(picture.id, picture);
    }
    this.anchor = place;
    this.told();
  }

  told() {
    this.refresh();
    this.dispatchEvent(new Event("select"));
  }

  // Keyboard

  pressed(event) {
    if (event.target.closest("button, input, select") || !this.source) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.pitch)) * this.columns;
    const moves = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page,
      PageUp: -page,
      Home: -this.source.length,
      End: this.source.length,
    };
    const command = event.ctrlKey || event.metaKey;
    if (event.key in moves && !event.altKey) this.go(this.place + moves[event.key], { extend: event.shiftKey });
    else if (event.key === " ") this.toggle(this.place);
    else if (event.key === "Enter" && !command) this.tellOpen(this.place);
    else if (event.key === "Escape" && this.chosen.size) this.clear();
    else if (event.key === "a" && command && this.many) this.choose(0, Math.min(this.source.length, 2000) - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  focused(event) {
    const place = this.placeOf(event.target);
    if (place === null || place === this.place) return;
    this.place = place;
    this.refresh();
    this.dispatchEvent(new Event("move"));
  }

  opened(event) {
    const place = this.placeOf(event.target);
    if (place !== null && !event.target.closest("button")) this.tellOpen(place);
  }

  tellOpen(place) {
    const picture = this.source.at(place);
    if (picture) this.dispatchEvent(new CustomEvent("open", { detail: picture }));
  }

  placeOf(target) {
    const element = target.closest?.(".cell");
    if (!element) return null;
    for (const row of this.rows.values()) for (const one of row.cells) if (one.element === element) return one.place;
    return null;
  }
}
