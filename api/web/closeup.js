/** One picture, large: its labels, what the model sees in it, and why. */

import { open } from "./dialog.js";
import { h, icon, percent, put } from "./dom.js";
import { explanation } from "./explanation.js";
import { trying } from "./notice.js";
import { session } from "./session.js";

const MOST = 8;

/** Opens it. */
export function closeup(app, picture) {
  const { client, concepts, labels } = app;
  let latest = 0;
  const marks = h("ul", { class: "closeup-labels" });
  const values = h("div", { class: "values" });
  const why = h("div", {});
  const choice = h("select", { "aria-label": "Concept" });
  const say = (value) => () => trying(() => labels.label([picture], choice.value, value));
  const give = h(
    "div",
    { class: "closeup-give", hidden: !session.canWrite },
    choice,
    h("button", { class: "yes", onclick: say(true) }, icon("yes"), "Yes"),
    h("button", { class: "no", onclick: say(false) }, icon("no"), "No"),
  );

  function show() {
    put(
      choice,
      concepts.all().map(({ id, name }) => h("option", { value: id }, name)),
    );
    give.hidden = !session.canWrite || !concepts.all().length;
    const items = [...picture.labels].map(([concept, yes]) =>
      h(
        "li",
        { class: `badge ${yes ? "yes" : "no"}` },
        icon(yes ? "yes" : "no"),
        h("span", {}, concepts.nameOf(concept)),
        session.canWrite &&
          h(
            "button",
            {
              class: "bare",
              "aria-label": `Take the label ${concepts.nameOf(concept)} off`,
              onclick: () => trying(() => labels.label([picture], concept, null)),
            },
            icon("close"),
          ),
      ),
    );
    put(marks, items.length ? items : h("li", { class: "muted" }, "No labels yet"));
  }

  async function predict() {
    const mine = ++latest;
    if (!picture.ready || !concepts.all().some(({ yes }) => yes > 0)) {
      put(values, h("p", { class: "muted" }, picture.ready ? "Nothing is taught yet." : picture.reason));
      return;
    }
    await trying(async () => {
      const answer = await client.models.predict("all", [{ id: picture.id }]);
      if (mine !== latest) return;
      put(values, valueList(answer.outputs[0].data.concepts ?? [], MOST));
    });
    if (mine === latest) put(why, explanation(app, { id: picture.id }));
  }

  const kept = () => predict();
  labels.addEventListener("change", show);
  labels.addEventListener("kept", kept);
  open({
    title: picture.title,
    wide: true,
    body: h(
      "div",
      { class: "closeup" },
      h("div", { class: "closeup-picture" }, image(picture)),
      h(
        "div",
        { class: "closeup-side" },
        h("h3", {}, "Labels"),
        marks,
        give,
        h("h3", {}, "What the model sees"),
        values,
        why,
        facts(picture),
      ),
    ),
    closed: () => {
      labels.removeEventListener("change", show);
      labels.removeEventListener("kept", kept);
    },
  });
  show();
  predict();
}

/** Concepts with their values as bars, best first. */
export function valueList(found, most = 20) {
  if (!found.length) return h("p", { class: "muted" }, "The model says nothing: it has no concept with a yes label.");
  return h(
    "ol",
    { class: "value-list" },
    found.slice(0, most).map(({ name, value }) => {
      const bar = h("span", { class: value >= 0.5 ? "bar-fill sure" : "bar-fill" });
      bar.style.setProperty("transform", `scaleX(${value})`);
      return h(
        "li",
        {},
        h("span", { class: "value-name" }, name),
        h("span", { class: "bar-track" }, bar),
        h("span", { class: "number" }, percent(value)),
      );
    }),
  );
}

function image(picture) {
  if (!picture.full)
    return h("p", { class: "muted" }, picture.ready ? "This input is a vector without a picture." : picture.reason);
  return h("img", { src: picture.crop ? picture.thumbnail : picture.full, alt: picture.title });
}

function facts(picture) {
  const rows = [
    ["Id", picture.id],
    ["Added", picture.created && new Date(picture.created).toLocaleString()],
  ];
  if (picture.url && new URL(picture.url, location.origin).origin !== location.origin) rows.push(["From", picture.url]);
  for (const [name, value] of Object.entries(picture.metadata ?? {})) {
    rows.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
  }
  if (picture.geo) rows.push(["Place", `${picture.geo.latitude}, ${picture.geo.longitude}`]);
  return h(
    "details",
    { class: "facts" },
    h("summary", {}, "Details"),
    h(
      "dl",
      {},
      rows.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
  );
}
