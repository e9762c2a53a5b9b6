/** Apps: make one, open one, choose what it sees with; its keys and its export. */

import { knows } from "../api.js";
import { AppKeys } from "../app_keys.js";
import { BaseWorkflow } from "../base_workflow.js";
import { confirmed, open as window_ } from "../dialog.js";
import { h, icon, put } from "../dom.js";
import { notice, trying } from "../notice.js";
import * as sessions from "../session.js";
import { session } from "../session.js";
import { workflowCards } from "../workflow_cards.js";

export async function load(app) {
  const { client, admin } = session;
  const [list, apps] = await Promise.all([
    client.workflow.all(),
    admin ? client.admin.apps() : app ? [app.record] : [],
  ]);
  return { list, apps };
}

export function open(main, { app, loaded }) {
  const view = new Apps(main, app, loaded);
  return () => view.close();
}

class Apps {
  constructor(main, app, { list, apps }) {
    this.app = app;
    this.list = list;
    this.session = session;
    const title = (id) => list.find((one) => one.id === id)?.title ?? id;
    this.base = app && new BaseWorkflow(app, list);
    const none = h(
      "p",
      { class: "muted" },
      "There is no app yet. An app holds your pictures and what you teach with them.",
    );
    put(
      main,
      h(
        "div",
        { class: "bar-top" },
        h("h1", {}, "Apps"),
        h(
          "div",
          { class: "bar-tools" },
          session.admin && h("button", { class: "primary", onclick: () => this.make() }, icon("add"), "New app"),
        ),
      ),
      h(
        "div",
        { class: "apps-body" },
        apps.length
          ? h(
              "ul",
              { class: "app-cards" },
              apps.map((one) => this.card(one, title)),
            )
          : none,
        app &&
          h(
            "div",
            { class: "model-grid" },
            this.base.element,
            session.admin
              ? new AppKeys(app).element
              : h(
                  "section",
                  { class: "card stack", "aria-label": "Keys" },
                  h("h2", {}, "API keys"),
                  h(
                    "p",
                    { class: "muted" },
                    "You are signed in with a key of this app alone. The admin key manages apps and keys.",
                  ),
                ),
            exporting(app),
          ),
      ),
    );
    if (!apps.length && session.admin) this.make();
  }

  close() {
    this.closed = true;
    this.base?.close();
  }

  card(one, title) {
    const here = one.id === this.app?.id;
    return h(
      "li",
      { class: here ? "card app-card here" : "card app-card" },
      h("h2", {}, one.name),
      h("p", { class: "muted" }, title(one.default_workflow_id)),
      h("p", { class: "muted small" }, `Made ${new Date(one.created_at).toLocaleDateString()}`),
      h(
        "div",
        { class: "row" },
        here
          ? h("a", { class: "button", href: "#/library" }, "To its library")
          : h("button", { onclick: () => this.enter(one) }, "Open"),
        session.admin && h("button", { class: "danger quiet", onclick: () => this.remove(one) }, "Delete"),
      ),
    );
  }

  make() {
    const name = h("input", { type: "text", id: "app-name", maxlength: 200, placeholder: "birds" });
    const cards = workflowCards(this.list, "general", { name: "new-workflow" });
    const problem = h("p", { class: "problem", role: "alert" });
    const make = async () => {
      if (!name.value.trim()) {
        problem.textContent = "It needs a name.";
        name.focus();
        return;
      }
      button.disabled = true;
      try {
        const made = await this.session.client.admin.createApp(name.value.trim(), cards.value(), cards.dim());
        dialog.close();
        this.enter(made);
      } catch (error) {
        problem.textContent = error.message;
      }
      button.disabled = false;
    };
    const button = h("button", { class: "primary", onclick: make }, "Make the app");
    const dialog = window_({
      title: "A new app",
      body: [
        h("label", { for: "app-name" }, "Name"),
        name,
        h("h3", {}, "What are the pictures of?"),
        h(
          "p",
          { class: "muted small" },
          "The base workflow is the eye of the app: the nearer it is to your task, the fewer labels you need. It can be compared and changed later.",
        ),
        cards.element,
        problem,
      ],
      actions: [button],
      wide: true,
    });
    name.focus();
  }

  async remove(one) {
    const sure = await confirmed({
      title: `Delete the app ${one.name}?`,
      text: "With all its pictures, labels, models and keys. This can't be undone.",
      yes: "Delete the app",
    });
    if (!sure) return;
    await trying(async () => {
      await this.session.client.admin.deleteApp(one.id);
      notice(`${one.name} is deleted`);
      if (this.session === session) sessions.closeApp(one.id);
    });
  }

  enter(record) {
    // Unless somebody has gone elsewhere while it was made.
    if (this.closed) return;
    sessions.openApp(record);
    location.hash = "#/library";
  }
}

/** A way to take everything along, where the server has one. */
function exporting(app) {
  const place = h("section", { class: "card stack", "aria-label": "Export", hidden: true });
  const save = async () => {
    const url = URL.createObjectURL(await app.client.download("export"));
    h("a", { href: url, download: `${app.name}.tar` }).click();
    URL.revokeObjectURL(url);
  };
  trying(async () => {
    if (!(await knows("/v2/export"))) return;
    place.hidden = false;
    put(
      place,
      h("h2", {}, "Export"),
      h("p", { class: "muted" }, "Pictures, labels, concepts and models in one file."),
      h("div", { class: "row" }, h("button", { onclick: () => trying(save) }, icon("down"), "Download")),
    );
  });
  return place;
}
