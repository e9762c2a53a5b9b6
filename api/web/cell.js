/** What is in a cell of a grid: the picture, its labels, and a bar for a value. */

import { h, icon, percent, unseen } from "./dom.js";

/**
 * A maker of cells for an app's pictures. value: (picture) -> {name, value, score} to show as a bar, or null; a
 * score is no probability, so half of it means nothing. badge: (picture) -> labels to show, [[concept id, yes]]. tools: makes what else is in a cell,
 * {elements, show(picture, place)}.
 */
export function cells(app, { value = () => null, badge = allLabels, tools = null } = {}) {
  return () => {
    const image = h("img", { alt: "", decoding: "async", draggable: "false" });
    const missing = h("span", { class: "cell-missing", hidden: true });
    const fill = h("span", { class: "bar-fill" });
    const said = h("span", { class: "bar-said" });
    const bar = h("span", { class: "bar", hidden: true }, h("span", { class: "bar-track" }, fill), said);
    const badges = h("span", { class: "badges" });
    const more = tools?.();
    const check = h("span", { class: "cell-check", "aria-hidden": "true" }, icon("yes"));
    const frame = h("span", { class: "cell-frame" }, image, missing, badges, check);
    const element = h(
      "div",
      { class: "cell-content" },
      frame,
      bar,
      more && h("span", { class: "cell-tools" }, more.elements),
    );
    image.addEventListener("load", () => image.classList.add("there"));
    image.addEventListener("error", () => {
      image.hidden = true;
      missing.hidden = false;
      missing.textContent = "This picture can't be shown";
    });
    let shown = null;

    function show(picture, place) {
      // A picture that was on its way has other looks when it has come.
      const looks = `${picture.id} ${picture.code} ${picture.thumbnail}`;
      if (shown !== looks) {
        shown = looks;
        image.classList.remove("there");
        const there = Boolean(picture.thumbnail);
        image.hidden = !there;
        missing.hidden = there;
        image.alt = picture.title;
        if (there) image.src = picture.thumbnail;
        else
          missing.textContent = picture.ready
            ? `${picture.title}: a vector`
            : picture.pending
              ? "On its way"
              : picture.reason;
        missing.classList.toggle("failed", !picture.ready && !picture.pending);
      }
      const found = value(picture, place);
      bar.hidden = !found;
      if (found) {
        fill.style.setProperty("transform", `scaleX(${found.value})`);
        fill.classList.toggle("sure", found.value >= 0.5 && !found.score);
        said.textContent = found.name ? `${found.name} ${percent(found.value)}` : percent(found.value);
      }
      badges.replaceChildren(...badge(picture).map(([concept, yes]) => mark(app, concept, yes)));
      more?.show(picture, place);
    }
    return { element, show };
  };
}

/** All labels of a picture, yes first, at most three. */
export function allLabels(picture) {
  const sorted = [...picture.labels].sort((a, b) => Number(b[1]) - Number(a[1]));
  return sorted.slice(0, 3);
}

/** A label as a small sign: what it says, never by colour alone. */
export function mark(app, concept, yes) {
  const kind = yes ? "badge yes" : "badge no";
  const said = unseen(yes ? "labelled " : "labelled not ");
  return h(
    "span",
    { class: kind },
    icon(yes ? "yes" : "no"),
    said,
    h("span", { class: "badge-name" }, app.concepts.nameOf(concept)),
  );
}
