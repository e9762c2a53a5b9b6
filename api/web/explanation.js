/** Why the model says what it says of a picture: the parts of the score, and the neighbours who voted. */

import { h, icon, percent, put } from "./dom.js";

const PARTS = [
  ["prototype", "like the average of the yes labels"],
  ["neighbours", "near single labelled pictures"],
  ["background", "unlike the app's other pictures"],
  ["text_prior", "by the concept's name"],
];
const CALIBRATION = {
  none: "There are only yes labels and nothing to compare them with, so the value means little yet.",
  low: "The value stands on fewer than five yes labels.",
  medium: "The value stands on fewer than twenty yes labels.",
};

/** A panel about one picture: {id} of a stored one, or {data: {image: {base64}}}. */
export function explanation(app, given, { model = "all", version, concepts: wanted, most = 3 } = {}) {
  const element = h("div", { class: "why", "aria-busy": "true" }, h("p", { class: "muted" }, "Asking who voted …"));
  fill(app, element, given, { version, concepts: wanted, most }, model);
  return element;
}

async function fill(app, element, given, options, model) {
  try {
    const answer = await app.client.models.explain(model, [given], options);
    const found = answer.outputs[0].explanations;
    const shown = new Map();
    const ids = found.flatMap(({ nearest }) => nearest.map(({ input_id: id }) => id));
    for (const one of await app.pictures.byId(ids)) shown.set(one.id, one);
    const nothing = h("p", { class: "muted" }, "Nothing is taught yet: there is nothing to explain.");
    put(element, found.length ? found.map((one) => explained(app, one, shown)) : nothing);
  } catch (error) {
    put(element, h("p", { class: "muted" }, error.message));
  }
  element.removeAttribute("aria-busy");
}

function explained(app, one, shown) {
  const most = Math.max(...PARTS.map(([part]) => Math.abs(one[part])), 1e-6);
  const rows = PARTS.filter(([part]) => one[part] !== 0).map(([part, meaning]) => {
    const bar = h("span", { class: one[part] < 0 ? "part-bar against" : "part-bar" });
    bar.style.setProperty("--share", Math.abs(one[part]) / most);
    const amount = `${one[part] < 0 ? "−" : "+"}${Math.abs(one[part]).toFixed(2)}`;
    return h("div", { class: "part" }, h("span", {}, meaning), bar, h("span", { class: "number" }, amount));
  });
  return h(
    "section",
    { class: "why-concept" },
    h("h3", {}, app.concepts.nameOf(one.concept_id), h("span", { class: "why-value" }, percent(one.value))),
    h("div", { class: "parts" }, rows),
    one.any_shown < 1 &&
      h("p", { class: "muted small" }, `That it shows any of the model's concepts: ${percent(one.any_shown)}`),
    one.nearest.length > 0 &&
      h("p", { class: "muted small" }, "The nearest labelled pictures, and their share of the vote:"),
    h(
      "ul",
      { class: "neighbours" },
      one.nearest.map((near) => neighbour(near, shown.get(near.input_id))),
    ),
    CALIBRATION[one.calibration.confidence] &&
      h("p", { class: "muted small" }, CALIBRATION[one.calibration.confidence]),
  );
}

function neighbour(near, picture) {
  const label = near.label ? "yes" : "no";
  return h(
    "li",
    { class: "neighbour", title: picture?.title ?? near.input_id },
    picture?.thumbnail
      ? h("img", { src: picture.thumbnail, alt: picture.title, loading: "lazy" })
      : h("span", { class: "cell-missing" }, near.input_id),
    h("span", { class: `badge ${label}` }, icon(label), h("span", {}, `${label}, ${percent(near.share)}`)),
  );
}
