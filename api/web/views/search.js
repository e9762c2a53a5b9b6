/** Search: by pictures and their parts, words, concepts, and more or less of what was found. */

import { cells } from "../cell.js";
import { closeup } from "../closeup.js";
import { h, icon, put } from "../dom.js";
import { Grid } from "../grid.js";
import { trying } from "../notice.js";
import { selectionBar } from "../selection.js";
import { broken, empty, loading } from "../shell.js";
import { shortcuts } from "../shortcuts.js";
import { showTerms, term, wired } from "../terms.js";
import { dropped } from "../upload.js";

const PATIENCE_MS = 250;

// What was asked last of an app stays while other views are looked at: app -> terms.
const asked = new WeakMap();

/** The pictures that the address names; each id is encoded alone, so a comma in it is none of these. */
export function load(app, rest) {
  return rest ? app.pictures.byId(rest.split(",").map(decodeURIComponent)) : null;
}

export function open(main, { app, loaded }) {
  const view = new Search(main, app);
  if (loaded) {
    view.ask(loaded.map((picture) => term.stored(picture)));
    history.replaceState(null, "", "#/search");
  } else view.ask((asked.get(app) ?? []).filter(({ kind, id }) => kind !== "concept" || app.concepts.byId(id)));
  return () => view.close();
}

class Search {
  constructor(main, app) {
    const { concepts, labels } = app;
    this.app = app;
    this.terms = [];
    this.words = h("input", { type: "search", placeholder: "By words", "aria-label": "Words", maxlength: 1000 });
    this.byWords = h("button", { class: "primary", "aria-label": "Search for these words" }, icon("search"));
    this.without = h("p", { class: "muted small", hidden: true });
    const file = h("input", {
      type: "file",
      accept: "image/*",
      hidden: true,
      "aria-label": "A picture to search by",
      id: "search-file",
    });
    file.addEventListener("change", () => {
      this.addFiles([...file.files]);
      file.value = "";
    });
    this.concept = h(
      "select",
      { "aria-label": "A concept to search for", onchange: () => this.addConcept() },
      h("option", { value: "" }, "A concept …"),
      concepts
        .all()
        .filter(({ yes }) => yes > 0)
        .map(({ id, name }) => h("option", { value: id }, name)),
    );
    this.label = h(
      "select",
      { "aria-label": "Only those with this label", onchange: () => this.find() },
      h("option", { value: "" }, "Any labels"),
      concepts
        .all()
        .map(({ id, name }) => [
          h("option", { value: `+${id}` }, `Labelled ${name}`),
          h("option", { value: `-${id}` }, `Not labelled ${name}`),
        ]),
    );
    this.field = h("input", {
      type: "text",
      "aria-label": "Metadata name",
      placeholder: "name",
      size: 8,
      onchange: () => this.find(),
    });
    this.is = h("input", {
      type: "text",
      "aria-label": "Metadata value",
      placeholder: "value",
      size: 8,
      onchange: () => this.find(),
    });
    this.list = h("ul", { class: "terms", "aria-label": "What is searched for" });
    this.body = h("div", { class: "stage" });
    this.grid = new Grid({
      label: "Found",
      cell: cells(app, { value: (picture) => this.value(picture), tools: () => this.tools() }),
      wide: 158,
      extra: 64,
    });
    const side = h(
      "aside",
      { class: "split-side", "aria-label": "Query" },
      h("h1", {}, "Search"),
      h(
        "form",
        { class: "concept-add", onsubmit: (event) => (event.preventDefault(), this.addWords()) },
        this.words,
        this.byWords,
      ),
      this.without,
      file,
      h(
        "button",
        { class: "drop-zone", onclick: () => file.click() },
        icon("picture"),
        h("span", {}, "Drop, paste or choose a picture"),
      ),
      this.concept,
      this.list,
      h(
        "details",
        { class: "search-filters" },
        h("summary", {}, "Only some of them"),
        h("div", {}, this.label, h("span", { class: "pair" }, this.field, " is ", this.is)),
      ),
    );
    put(
      main,
      h("div", { class: "split" }, side, h("section", { class: "split-main", "aria-label": "Results" }, this.body)),
      selectionBar(app, this.grid, () => this.find()),
    );
    this.grid.addEventListener("open", (event) => closeup(app, event.detail));
    this.onLabels = (event) => this.grid.refresh(event.detail);
    labels.addEventListener("change", this.onLabels);
    this.over = (event) => event.preventDefault();
    this.drop = async (event) => {
      event.preventDefault();
      this.addFiles((await dropped(event.dataTransfer)).map((one) => one.file));
    };
    this.paste = (event) => {
      if (!event.target.closest?.("input, textarea, dialog")) this.addFiles([...event.clipboardData.files]);
    };
    document.addEventListener("dragover", this.over);
    document.addEventListener("drop", this.drop);
    document.addEventListener("paste", this.paste);
    this.noKeys = shortcuts("Search", [
      { keys: ["/"], shown: "/", does: "To the words", call: () => this.words.focus() },
      { keys: ["+", "m"], shown: "M", does: "More like this", call: () => this.more(this.grid.targets, true) },
      { keys: ["-", "l"], shown: "L", does: "Less like this", call: () => this.more(this.grid.targets, false) },
      { keys: [], shown: "Enter", does: "Look closer, and why" },
    ]);
    trying(() => this.askForWords());
  }

  /** Words are for base workflows that have them. */
  async askForWords() {
    const { id, text } = await this.app.client.workflow.current();
    this.words.disabled = this.byWords.disabled = !text;
    this.without.hidden = text;
    this.without.textContent = `The base workflow ${id} has no words here: search by pictures and concepts, or change it under Apps.`;
  }

  close() {
    this.closed = true;
    this.grid.close();
    this.noKeys();
    this.app.labels.removeEventListener("change", this.onLabels);
    document.removeEventListener("dragover", this.over);
    document.removeEventListener("drop", this.drop);
    document.removeEventListener("paste", this.paste);
  }

  value(picture) {
    const value = this.grid.source?.scores?.get(picture.id);
    return value === undefined ? null : { name: null, value, score: true };
  }

  tools() {
    let shown = null;
    const button = (like) =>
      h(
        "button",
        { tabindex: "-1", onclick: () => this.more([shown], like) },
        icon(like ? "more" : "less"),
        like ? "More" : "Less",
      );
    const elements = [button(false), button(true)];
    const show = (picture) => {
      shown = picture;
      elements[0].setAttribute("aria-label", `Less like ${picture.title}`);
      elements[1].setAttribute("aria-label", `More like ${picture.title}`);
    };
    return { elements, show };
  }

  addWords() {
    const text = this.words.value.trim();
    if (!text) return;
    this.words.value = "";
    this.ask([...this.terms, term.words(text)]);
  }

  addConcept() {
    const id = this.concept.value;
    this.concept.value = "";
    if (id) this.ask([...this.terms, term.concept(id)]);
  }

  async addFiles(files) {
    const pictures = files.filter((file) => file.type.startsWith("image/"));
    if (!pictures.length) return;
    await trying(async () => {
      const terms = await Promise.all(pictures.map(term.file));
      if (!this.closed) this.ask([...this.terms, ...terms]);
    });
  }

  more(pictures, like) {
    const ids = new Set(pictures.map(({ id }) => id));
    const others = this.terms.filter(({ kind, id }) => kind !== "stored" || !ids.has(id));
    this.ask([...others, ...pictures.map((picture) => term.stored(picture, like))]);
  }

  ask(terms) {
    this.terms = terms;
    asked.set(this.app, terms);
    showTerms(this.app, this.list, terms, (next) => this.ask(next));
    this.find();
  }

  find() {
    const ands = this.terms.map(wired);
    if (this.label.value)
      ands.push({
        input: { data: { concepts: [{ id: this.label.value.slice(1), value: this.label.value[0] === "+" ? 1 : 0 }] } },
      });
    if (this.field.value && this.is.value)
      ands.push({ input: { data: { metadata: { [this.field.value]: plain(this.is.value) } } } });
    if (!this.terms.length) {
      put(this.body, this.hint());
      return;
    }
    const source = this.app.pictures.hits(ands);
    source.addEventListener("change", () => this.told(source));
    put(this.body, this.grid.element);
    this.grid.show(source);
    source.load(0);
    // The first words on a machine may take a while; what is quick doesn't flash.
    setTimeout(() => {
      if (source === this.grid.source && !source.length && !source.known && !source.error)
        put(this.body, loading("Searching …"));
    }, PATIENCE_MS);
  }

  told(source) {
    if (source !== this.grid.source) return;
    if (source.error && !source.length)
      put(
        this.body,
        broken(source.error, () => this.find()),
      );
    else if (source.known && !source.length)
      put(this.body, empty({ title: "Nothing found", text: "No picture passes these filters." }));
    else if (source.length && this.grid.element.parentElement !== this.body) put(this.body, this.grid.element);
  }

  hint() {
    return empty({
      title: "What are you looking for?",
      text: "Give a picture, a part of one, words or a concept, or several of them. Then say of what you found: more like this, less like that.",
      actions: [
        h(
          "button",
          { class: "primary", onclick: () => document.getElementById("search-file").click() },
          icon("picture"),
          "Choose a picture",
        ),
      ],
    });
  }
}

/** Numbers and truths as what they are, as in metadata. */
function plain(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
