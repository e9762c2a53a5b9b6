/** Adding pictures: the buttons, what is dropped or pasted, and the tray that says how it goes. */

import { count, h, icon, put, settled } from "./dom.js";
import { open } from "./dialog.js";
import { session } from "./session.js";
import { dropped } from "./upload.js";

const FAILURES_SHOWN = 100;

/** The buttons that ask for files, a folder and addresses. */
export function addButtons({ upload }) {
  if (!session.canWrite) return [];
  const files = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*",
    hidden: true,
    "aria-label": "Pictures",
    id: "add-files",
  });
  const folder = h("input", {
    type: "file",
    webkitdirectory: true,
    hidden: true,
    "aria-label": "A folder of pictures",
  });
  files.addEventListener("change", () => taken(upload, files));
  folder.addEventListener("change", () => taken(upload, folder));
  return [
    files,
    folder,
    h("button", { class: "primary", onclick: () => files.click() }, icon("add"), "Add pictures"),
    h("button", { onclick: () => folder.click() }, icon("folder"), "Folder"),
    h("button", { onclick: () => addresses(upload) }, icon("link"), "Addresses"),
  ];
}

/** Takes what is dropped on or pasted into the page while a view is open. Returns how to stop that. */
export function accepting({ upload }, element) {
  if (!session.canWrite) return () => null;
  const hint = h(
    "div",
    { class: "drop-hint", hidden: true, "aria-hidden": "true" },
    h("p", {}, icon("down"), "Drop pictures or folders"),
  );
  element.append(hint);
  let inside = 0;
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const enter = (event) => files(event) && (inside++, (hint.hidden = false));
  const exit = (event) => files(event) && --inside <= 0 && (hint.hidden = true);
  const over = (event) => files(event) && event.preventDefault();
  const drop = async (event) => {
    inside = 0;
    hint.hidden = true;
    if (!files(event)) return;
    event.preventDefault();
    offered(upload, await dropped(event.dataTransfer));
  };
  const paste = (event) => {
    if (event.target.closest?.("input, textarea, dialog")) return;
    const pasted = [...event.clipboardData.files].map((file) => ({ file, path: file.name }));
    if (pasted.length) upload.addFiles(pasted);
    else {
      const urls = addressesIn(event.clipboardData.getData("text/plain"));
      if (urls.length) upload.addUrls(urls);
    }
  };
  const listeners = { dragenter: enter, dragleave: exit, dragover: over, drop, paste };
  for (const [name, call] of Object.entries(listeners)) document.addEventListener(name, call);
  return () => {
    for (const [name, call] of Object.entries(listeners)) document.removeEventListener(name, call);
  };
}

/** The tray: how far the upload is, and what failed for which reason. */
export function tray({ upload }) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Upload" });
  const said = h("strong", { role: "status" });
  const failures = h("details", { class: "failures" });
  const buttons = h("span", { class: "tray-tools" });
  const element = h(
    "section",
    { class: "tray", "aria-label": "Upload", hidden: true },
    h("div", { class: "tray-head" }, said, buttons),
    bar,
    failures,
  );

  function show() {
    const { total, done, failed, waiting } = upload.progress();
    const busy = waiting > 0;
    element.hidden = !total;
    bar.value = total ? (done + failed) / total : 0;
    bar.hidden = !busy;
    const wrong = failed ? `, ${failed.toLocaleString("en")} not` : "";
    said.textContent = busy
      ? `${done.toLocaleString("en")} of ${count(total, "picture")} added${wrong}`
      : `${count(done, "picture")} added${wrong}`;
    const again = upload.things.some((one) => one.state === "failed" && !one.final);
    put(
      buttons,
      again && !busy && h("button", { onclick: () => upload.retry() }, "Try again"),
      busy
        ? h("button", { onclick: () => upload.stop() }, "Stop")
        : h("button", { class: "bare", "aria-label": "Close", onclick: () => upload.clear() }, icon("close")),
    );
    const list = upload.things.filter(({ state }) => state === "failed");
    failures.hidden = !list.length;
    put(
      failures,
      h("summary", {}, `${count(list.length, "picture")} could not be added`),
      h(
        "ul",
        {},
        list.slice(0, FAILURES_SHOWN).map(({ name, reason }) => h("li", {}, h("b", {}, name), " ", reason)),
      ),
      list.length > FAILURES_SHOWN && h("p", { class: "muted" }, `and ${list.length - FAILURES_SHOWN} more`),
    );
  }
  const later = settled(show, 40);
  upload.addEventListener("change", later);
  show();
  return { element, close: () => upload.removeEventListener("change", later) };
}

function taken(upload, input) {
  offered(
    upload,
    [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })),
  );
  input.value = "";
}

/** Files that came with folders may be labelled by them: that is asked first. */
function offered(upload, files) {
  const folders = new Set(files.map(({ path }) => path.split("/").at(-2)).filter(Boolean));
  if (!folders.size) {
    upload.addFiles(files);
    return;
  }
  const names = [...folders].slice(0, 6).join(", ") + (folders.size > 6 ? " …" : "");
  const take = (foldersTeach) => () => {
    upload.addFiles(files, { foldersTeach });
    window.close();
  };
  const window = open({
    title: count(files.length, "file"),
    body: h(
      "p",
      {},
      `They lie in ${count(folders.size, "folder")}: ${names}. Does a folder's name say what its pictures show?`,
    ),
    actions: [
      h("button", { onclick: take(true) }, "Yes, label them so"),
      h("button", { class: "primary", onclick: take(false) }, "No, just add them"),
    ],
  });
}

function addresses(upload) {
  const text = h("textarea", { rows: 8, id: "urls", placeholder: "https://example.org/robin.jpg" });
  const problem = h("p", { class: "problem", role: "alert" });
  const add = () => {
    const urls = addressesIn(text.value);
    if (!urls.length) {
      problem.textContent = "There is no address in this: each begins with http:// or https://.";
      return;
    }
    upload.addUrls(urls);
    window.close();
  };
  const window = open({
    title: "Add pictures by their addresses",
    body: [h("label", { for: "urls" }, "One address a line"), text, problem],
    actions: [h("button", { class: "primary", onclick: add }, "Add")],
  });
  text.focus();
}

function addressesIn(text) {
  return text.split(/\s+/).filter((one) => /^https?:\/\/\S+$/i.test(one));
}
