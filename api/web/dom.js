/** Elements, made in one call: `h("button", {class: "quiet", onclick: go}, "Go")`. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Children that are null, undefined or false are left out. */
export function h(tag, properties, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function svg(tag, properties, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** Puts other children in the place of those that are there. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(shown));
  return element;
}

/** As `put`, but the button that has the focus keeps it, by its place among the buttons. */
export function putKeepingFocus(element, ...children) {
  const place = [...element.querySelectorAll("button")].indexOf(document.activeElement);
  put(element, ...children);
  if (place >= 0) element.querySelectorAll("button")[place]?.focus({ preventScroll: true });
  return element;
}

/** One of the page's icons, which says nothing to a screen reader. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** Text that only a screen reader says. */
export function unseen(text) {
  return h("span", { class: "unseen" }, text);
}

/** "1 picture", "2 pictures", "12,345 pictures". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A share in [0, 1] as percent, never broken over two lines; a dash where there is none. */
export function percent(share) {
  return share === null || share === undefined ? "–" : `${Math.round(100 * share)}\u202f%`;
}

/** Calls at most once a frame. */
export function eachFrame(call) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      call();
    });
  };
}

/** Calls when nothing has asked for it for so many milliseconds. */
export function settled(call, ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), ms);
  };
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    // Only through the object model: the page's policy forbids styles in the markup.
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(shown));
  return element;
}

function shown(child) {
  return child !== null && child !== undefined && child !== false;
}

const ICONS = {
  library: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  teach: "M3 9l9-5 9 5-9 5zM7 12v5c3 2.6 7 2.6 10 0v-5M21 9v6",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L21 21",
  model: "M4 20V4M4 20h16M7 16l4-5 4 3 5-8",
  apps: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  theme: "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z",
  exit: "M14 4h5v16h-5M4 12h11M11 8l4 4-4 4",
  help: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .9-1 1.7v.5M12 17.5v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  add: "M12 5v14M5 12h14",
  folder: "M3 6h6l2 2h10v11H3z",
  link: "M10 14a4 4 0 0 1 0-6l3-3a4 4 0 0 1 6 6l-1.5 1.5M14 10a4 4 0 0 1 0 6l-3 3a4 4 0 0 1-6-6l1.5-1.5",
  yes: "M5 12.5l4.5 4.5L19 7",
  no: "M6 6l12 12M18 6L6 18",
  close: "M6 6l12 12M18 6L6 18",
  crop: "M7 2v15h15M2 7h15v15",
  more: "M5 12h14M12 5v14",
  less: "M5 12h14",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  why: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .9-1 1.7v.5M12 17.5v.5",
  open: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  key: "M14 10a4 4 0 1 0-3.5 4L12 15.500v2h2v2h3v-3l-3.500-3.500A4 4 0 0 0 14 10zM9 10h.01",
  down: "M12 4v12M7 11l5 5 5-5M5 20h14",
  freeze: "M12 3v18M4 7.500l16 9M20 7.500l-16 9",
  picture: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M15.500 9h.01",
};
