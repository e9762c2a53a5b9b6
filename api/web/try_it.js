/** Try it: drop a picture, see what the model makes of it, and why. Nothing is kept. */

import { base64 } from "./api.js";
import { valueList } from "./closeup.js";
import { h, icon, put } from "./dom.js";
import { explanation } from "./explanation.js";
import { loading } from "./shell.js";

export class TryIt {
  constructor(app, model) {
    this.app = app;
    this.latest = 0;
    this.model = model;
    const file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "A picture to try" });
    file.addEventListener("change", () => {
      if (file.files.length) this.try(file.files[0]);
      file.value = "";
    });
    this.found = h("div", { class: "tried" });
    const zone = h(
      "button",
      { class: "drop-zone", onclick: () => file.click() },
      icon("picture"),
      h("span", {}, "Drop a picture here, or choose one"),
    );
    this.element = h("div", { class: "stack" }, h("h2", {}, "Try it"), file, zone, this.found);
    this.element.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    this.element.addEventListener("dragleave", () => zone.classList.remove("over"));
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const [dropped] = event.dataTransfer.files;
      if (dropped) this.try(dropped);
    });
  }

  async try(file) {
    const mine = ++this.latest;
    put(this.found, loading("Looking at it …"));
    try {
      const given = { data: { image: { base64: await base64(file) } } };
      const answer = await this.app.client.models.predict(this.model, [given]);
      if (mine !== this.latest) return;
      const [output] = answer.outputs;
      if (output.status.code !== 10000) throw new Error(output.status.details ?? output.status.description);
      put(
        this.found,
        h(
          "div",
          { class: "tried-head" },
          h("img", { src: URL.createObjectURL(file), alt: file.name }),
          valueList(output.data.concepts ?? []),
        ),
        explanation(this.app, given, { model: this.model, most: 2 }),
      );
    } catch (error) {
      if (mine !== this.latest) return;
      put(this.found, h("p", { class: "problem", role: "alert" }, error.message));
    }
  }
}
