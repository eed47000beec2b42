// The live page: what is pushed, as it comes.

import { udpush } from "./push.js";
import { brief, example, htmlLines, phpLines, shellCommand } from "./commands.js";

const KEPT = 200; // entries in the list
const SHOWN = 20_000; // characters of a message
const COLOURED = 5_000; // characters up to which its JSON is coloured

const $ = (id) => document.getElementById(id);
const base = new URL("./", location.href);
base.search = base.hash = "";

let link;
let received = 0;
let paused = false;
let frame = 0;
let waiting = []; // entries that are not in the list yet, oldest first

// --- the link ---------------------------------------------------------------------------------

function listen() {
  const registration = readForm();
  showCommands(registration);
  // Let go first: its last event is no news.
  const former = link;
  link = null;
  former?.close();
  show("connecting", "Connecting…");
  const mine = udpush(base, Object.fromEntries(brief(registration)), (data, id) => {
    received += 1;
    add({ time: new Date(), id, data });
  });
  link = mine;
  const on = (type, act) =>
    mine.addEventListener(type, ({ detail }) => mine === link && act(detail));
  on("open", ({ client, resumed }) => {
    const isGap = resumed === false;
    show("open", "Connected", isGap ? "messages were missed" : `as client ${client}`);
    if (resumed) note("good", "Connected again. Nothing was missed.");
    // Not at `missed`, which comes at leisure: here is the place in the list.
    if (isGap) {
      note("bad", "Messages were missed here: the server was started anew, or no longer has them.");
    }
  });
  on("closed", ({ code, reason, final }) => {
    if (final) {
      show("closed", "Disconnected", `by the server: ${reason || "no reason given"} (${code})`);
      note("bad", `The server ended the link: ${reason || "no reason given"} (${code}).`);
    } else {
      show("waiting", "Reconnecting…");
      note("wait", `The link was lost (${code}). Reconnecting…`);
    }
  });
  on("error", (error) => note("bad", `The server says: ${error}`));
}

function show(state, text, more = "") {
  $("state").dataset.state = state;
  $("state").textContent = text;
  if (more) $("state").append(" ", element("small", more));
  $("again").hidden = state !== "closed";
  document.title = state === "open" ? "udpush" : `${text} – udpush`;
}

// --- the registration -------------------------------------------------------------------------

/** Pairs of a field and its values, in the order of the form. */
function readForm() {
  const registration = new Map();
  for (const row of $("rows").children) {
    const [field, value] = Array.from(row.querySelectorAll("input"), (input) => input.value.trim());
    if (field) registration.set(field, [...(registration.get(field) ?? []), value]);
  }
  return [...registration];
}

function addRow(field = "", value = "") {
  const row = $("row").content.cloneNode(true).firstElementChild;
  const inputs = row.querySelectorAll("input");
  inputs[0].value = field;
  inputs[1].value = value;
  row.querySelector(".remove").addEventListener("click", () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    if (!next) addRow();
    (next ?? $("rows").firstElementChild).querySelector("input").focus();
  });
  $("rows").append(row);
  return row;
}

/** The page's own address names the registration, so that it can be bookmarked. */
function readAddress() {
  $("rows").replaceChildren();
  for (const [key, value] of new URLSearchParams(location.search)) {
    const field = key.replace(/\[\d*\]$/, "");
    if (field && field !== "since" && field !== "token") addRow(field, value);
  }
  if (!$("rows").firstElementChild) addRow();
}

function writeAddress() {
  const address = new URL(base);
  for (const [field, values] of readForm()) {
    for (const value of values) address.searchParams.append(field, value);
  }
  if (address.href !== location.href) history.pushState(null, "", address);
}

// --- the commands -----------------------------------------------------------------------------

function showCommands(registration) {
  const fields = registration.map(([field, values]) => `${field}=${values.join("|")}`);
  $("summary").textContent = fields.join(" ") || "everything";
  const message = example(registration);
  $("shell").textContent = shellCommand(message);
  $("php").textContent = phpLines(message);
  $("html").textContent = htmlLines(registration, base);
}

async function copy(button) {
  const code = button.closest("figure").querySelector("pre");
  // The clipboard is there for secure pages only, which http://host:6552/ is not.
  const copied = await (navigator.clipboard?.writeText(code.textContent) ?? Promise.reject()).then(
    () => true,
    () => copySelected(code),
  );
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function copySelected(code) {
  getSelection().selectAllChildren(code);
  if (!document.execCommand("copy")) return false;
  getSelection().removeAllRanges();
  return true;
}

// --- the messages -----------------------------------------------------------------------------

function note(kind, text) {
  add({ time: new Date(), kind, text });
}

/** Entries are drawn once a frame: a burst costs one change of the list, not thousands. */
function add(entry) {
  waiting.push(entry);
  if (waiting.length > 2 * KEPT) waiting = waiting.slice(-KEPT);
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const number = received.toLocaleString("en");
  $("count").textContent = received ? `${number} received` : "";
  if (paused) {
    const messages = Math.min(waiting.filter((entry) => entry.id).length, KEPT);
    $("pause").textContent = messages ? `Go on (${messages} new)` : "Go on";
    return;
  }
  $("pause").textContent = "Pause";
  const list = $("messages");
  list.prepend(...waiting.slice(-KEPT).map(item).reverse());
  waiting = [];
  while (list.childElementCount > KEPT) list.lastElementChild.remove();
  $("empty").hidden = list.childElementCount > 0;
}

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** Text gets into the page as text only, never as markup. */
function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function item({ time, id, data, kind, text }) {
  const made = element("li", "", kind ? `note ${kind}` : "message");
  const at = element("time", clock.format(time));
  at.dateTime = time.toISOString();
  made.append(at);
  if (kind) {
    made.append(element("span", text));
    return made;
  }
  made.dataset.id = id;
  made.append(element("span", id, "id"), pretty(data));
  return made;
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

function pretty(data) {
  const text = JSON.stringify(data, null, 2);
  const made = element("pre");
  if (text.length > COLOURED) {
    const more = text.length - SHOWN;
    made.textContent = text.slice(0, SHOWN);
    if (more > 0) made.append(element("em", ` … ${more.toLocaleString("en")} more characters`));
    return made;
  }
  let end = 0;
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(TOKENS)) {
    made.append(text.slice(end, index));
    if (colon) made.append(element("span", string, "name"), colon);
    else made.append(element("span", token, string ? "string" : "literal"));
    end = index + token.length;
  }
  made.append(text.slice(end));
  return made;
}

// --- buttons ----------------------------------------------------------------------------------

$("add").addEventListener("click", () => addRow().querySelector("input").focus());
document.forms[0].addEventListener("submit", (event) => {
  event.preventDefault();
  writeAddress();
  listen();
});
addEventListener("popstate", () => {
  readAddress();
  listen();
});
$("again").addEventListener("click", listen);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  draw();
});
$("clear").addEventListener("click", () => {
  waiting = [];
  $("messages").replaceChildren();
  draw();
});
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", () => copy(button));
}

$("host").textContent = location.host;
// On a phone the messages come first.
if (matchMedia("(width < 50rem)").matches) {
  for (const card of document.querySelectorAll("details")) card.open = false;
}
readAddress();
listen();
