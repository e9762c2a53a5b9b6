/** Signing in with a key. */

import { h, put } from "../dom.js";
import * as sessions from "../session.js";

/** Shows the form; said: why somebody is here again. */
export function signIn(root, said = "") {
  const key = h("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "key-help key-error",
  });
  const problem = h("p", { id: "key-error", class: "problem", role: "alert" }, said);
  const button = h("button", { class: "primary" }, "Sign in");
  const form = h(
    "form",
    {
      class: "card sign-in",
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        problem.textContent = "";
        try {
          await sessions.signIn(key.value.trim());
        } catch (error) {
          problem.textContent = error.message;
          key.select();
        }
        button.disabled = false;
      },
    },
    h("img", { class: "sign-in-mark", src: "/page/icon.svg", alt: "" }),
    h("h1", {}, "tenshot"),
    h("p", { class: "lead" }, "Show it about ten pictures, and it sees what you mean."),
    h("label", { for: "key" }, "API key"),
    key,
    h(
      "p",
      { id: "key-help", class: "muted small" },
      "A key of an app, or the admin key that was made when the server first started. ",
      h("code", {}, "tenshot keys create APP"),
      " makes another. It stays in this tab, and is gone when you close it.",
    ),
    problem,
    button,
  );
  put(root, h("main", { id: "main", class: "lone", tabindex: "-1" }, form));
  document.title = "Sign in – tenshot";
  key.focus();
}
