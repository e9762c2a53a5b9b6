/** The API keys of an app: make one, see it once, revoke. */

import { confirmed, open } from "./dialog.js";
import { h, icon, put } from "./dom.js";
import { notice, trying } from "./notice.js";
import { session } from "./session.js";

const SCOPES = { All: "everything", Write: "read and write", Read: "read and predict only" };

export class AppKeys {
  constructor(app) {
    this.app = app;
    this.admin = session.client.admin;
    this.latest = 0;
    this.list = h("tbody", {});
    this.element = h(
      "section",
      { class: "card stack", "aria-label": "Keys" },
      h(
        "div",
        { class: "row spread" },
        h("h2", {}, "API keys"),
        h("button", { onclick: () => this.ask() }, icon("key"), "New key"),
      ),
      h("p", { class: "muted small" }, "For programs that use this app. A key is shown once, when it is made."),
      h(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": "Keys of this app" },
        h(
          "table",
          { class: "table keys-table" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["What for", "May", "Made", ""].map((name) => h("th", { scope: "col" }, name)),
            ),
          ),
          this.list,
        ),
      ),
    );
    this.load();
  }

  async load() {
    const mine = ++this.latest;
    await trying(async () => {
      const keys = (await this.admin.keys()).filter(
        ({ apps, revoked }) => !revoked && apps.some(({ id }) => id === this.app.id),
      );
      if (mine !== this.latest) return;
      const none = h("tr", {}, h("td", { colspan: 4, class: "muted" }, "No keys yet."));
      put(this.list, keys.length ? keys.map((key) => this.row(key)) : none);
    });
  }

  row(key) {
    return h(
      "tr",
      {},
      h("td", {}, key.description || "–"),
      h("td", {}, key.scopes.map((scope) => SCOPES[scope] ?? scope).join(", ")),
      h("td", {}, new Date(key.created_at).toLocaleDateString()),
      h("td", {}, h("button", { class: "danger quiet", onclick: () => this.revoke(key) }, "Revoke")),
    );
  }

  ask() {
    const what = h("input", { type: "text", id: "key-what", maxlength: 200 });
    const scope = h(
      "select",
      { id: "key-scope" },
      Object.entries(SCOPES).map(([value, text]) => h("option", { value }, text)),
    );
    const make = async () => {
      await trying(async () => {
        const made = await this.admin.createKey(this.app.id, what.value.trim(), [scope.value]);
        window.close();
        shown(made.id);
        await this.load();
      });
    };
    const window = open({
      title: "A new API key",
      body: [
        h("label", { for: "key-what" }, "What is it for?"),
        what,
        h("label", { for: "key-scope" }, "It may"),
        scope,
      ],
      actions: [h("button", { class: "primary", onclick: make }, "Make it")],
    });
    what.focus();
  }

  async revoke(key) {
    const sure = await confirmed({
      title: "Revoke this key?",
      text: `Programs that use it (${key.description || "no description"}) are refused from now on.`,
      yes: "Revoke",
    });
    if (sure) await trying(async () => (await this.admin.revokeKey(key.id), this.load()));
  }
}

function shown(secret) {
  const copy = async () => {
    await navigator.clipboard.writeText(secret);
    notice("Copied");
  };
  open({
    title: "The new key, shown this once",
    body: [
      h("p", { class: "secret" }, h("code", {}, secret)),
      h("p", { class: "muted small" }, "It goes into the header ", h("code", {}, "Authorization: Key …")),
    ],
    actions: [h("button", { class: "primary", onclick: () => trying(copy) }, "Copy")],
  });
}
