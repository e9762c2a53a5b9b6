/** What a search is for: pictures, parts of pictures, words and concepts, each wanted or not. */

import { base64 } from "./api.js";
import { cropper } from "./crop.js";
import { open } from "./dialog.js";
import { h, icon, put } from "./dom.js";

let number = 0;

/** A term: {kind, like, ...}. `shown` is its picture's address, `box` the part that counts. */
export const term = {
  words: (text) => ({ key: ++number, kind: "words", like: true, text }),
  concept: (id) => ({ key: ++number, kind: "concept", like: true, id }),
  stored: (picture, like = true) => ({
    key: ++number,
    kind: "stored",
    like,
    id: picture.id,
    name: picture.title,
    shown: picture.full ?? picture.thumbnail,
    box: null,
  }),
  async file(file) {
    const content = await base64(file);
    return {
      key: ++number,
      kind: "file",
      like: true,
      content,
      name: file.name || "a picture",
      shown: URL.createObjectURL(file),
      box: null,
    };
  },
};

/** As the API takes it. */
export function wired(one) {
  const negate = !one.like;
  if (one.kind === "concept") return { output: { data: { concepts: [{ id: one.id, value: one.like ? 1 : 0 }] } } };
  if (one.kind === "words") return { output: { input: { data: { text: { raw: one.text } } } }, negate };
  const image = one.box ? { crop: one.box } : {};
  if (one.kind === "stored") return { output: { input: { id: one.id, data: { image } } }, negate };
  return { output: { input: { data: { image: { base64: one.content, ...image } } } }, negate };
}

/** A term as a line of the query: can be turned round, cropped and taken away. */
export function termLine({ concepts }, one, { changed, removed }) {
  const flip = h(
    "button",
    { class: one.like ? "flip yes" : "flip no", onclick: () => changed({ ...one, like: !one.like }) },
    icon(one.like ? "more" : "less"),
    one.like ? "Like" : "Unlike",
  );
  const name = one.kind === "words" ? `“${one.text}”` : one.kind === "concept" ? concepts.nameOf(one.id) : one.name;
  return h(
    "li",
    { class: "term" },
    one.shown
      ? preview(one)
      : h("span", { class: "term-kind", "aria-hidden": "true" }, icon(one.kind === "words" ? "search" : "teach")),
    h(
      "div",
      { class: "term-name" },
      h("span", {}, name),
      one.box && h("span", { class: "muted small" }, "a part of it"),
    ),
    h(
      "div",
      { class: "term-tools" },
      flip,
      one.shown && h("button", { onclick: () => cropped(one, changed) }, icon("crop"), "Crop"),
      h("button", { class: "bare", "aria-label": `Take ${name} away`, onclick: removed }, icon("close")),
    ),
  );
}

/** The picture, with the part that counts in the light. */
function preview(one) {
  const light = h("span", { class: "term-box", hidden: !one.box });
  if (one.box) {
    const [top, left, bottom, right] = one.box;
    const style = { top, left, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(style)) light.style.setProperty(name, `${100 * value}%`);
  }
  return h("span", { class: "term-picture" }, h("img", { src: one.shown, alt: "" }), light);
}

function cropped(one, changed) {
  const crop = cropper(one.shown, one.name);
  const use = () => {
    changed({ ...one, box: crop.box() });
    window.close();
  };
  const window = open({
    title: "Which part of it?",
    body: [h("p", { class: "muted" }, "Drag over the part to search for, or give its edges."), crop.element],
    actions: [h("button", { class: "primary", onclick: use }, "Search for this part")],
    wide: true,
  });
}

/** A list of terms in an element. */
export function showTerms(app, element, terms, call) {
  put(
    element,
    terms.map((one) =>
      termLine(app, one, {
        changed: (next) => call(terms.map((other) => (other.key === one.key ? next : other))),
        removed: () => call(terms.filter((other) => other.key !== one.key)),
      }),
    ),
  );
}
