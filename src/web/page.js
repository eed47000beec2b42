// The live page: what is pushed, as it comes.

import { udpush } from "./push.js";
import { brief, example, htmlLines, HIDDEN, phpLines, shellCommand, visible } from "./commands.js";

const KEPT = 200; // entries in the list
const SHOWN = 20_000; // characters of a message
const COLOURED = 5_000; // characters of a message up to which its JSON is coloured

const $ = (id) => document.getElementById(id);
const base = new URL("./", location.href);
base.search = base.hash = "";
// Where the server wants a token, the page's own address has it at first.
const token = new URLSearchParams(location.search).get("token");
const publishers = document.documentElement.dataset.publishers;

let link;
let received = 0;
let paused = false;
let frame = 0;
let waiting = []; // entries that are not in the list yet, oldest first

// --- the link ---------------------------------------------------------------------------------

/** What the form says is heard from now on; over the same link, so that nothing gets lost. */
function listen() {
  const registration = readForm();
  const fields = Object.fromEntries(brief(registration));
  try {
    if (link && link.state !== "closed") link.register(fields);
    else connect(fields);
    showCommands(registration);
  } catch (error) {
    note("bad", error.message);
    if (!link) show("closed", "Disconnected");
  }
}

function connect(fields) {
  const server = new URL(base);
  if (token) server.searchParams.set("token", token);
  link = udpush(server, fields, (_, id, raw) => {
    received += 1;
    add({ time: new Date(), id, raw });
  });
  show("connecting", "Connecting…");
  let wasOpen = false;
  const on = (type, act) => link.addEventListener(type, ({ detail }) => act(detail));
  on("open", ({ client, resumed }) => {
    const isGap = resumed === false;
    show("open", "Connected", isGap ? "messages were missed" : `as client ${client}`);
    if (resumed) note("good", "Connected again. Nothing was missed.");
    // Not at `missed`, which comes at leisure: here is the place in the list.
    if (isGap && wasOpen) {
      note("bad", "Messages were missed here: the server was started anew, or no longer has them.");
    } else if (isGap) {
      note("wait", "Connected at last. What was pushed until now was missed.");
    }
    wasOpen = true;
  });
  on("registered", () => note("good", `From here on: ${$("summary").textContent}`));
  on("closed", ({ code, reason, final }) => {
    if (final) {
      show("closed", "Disconnected", `by the server: ${reason || "no reason given"} (${code})`);
      note("bad", `The server ended the link: ${reason || "no reason given"} (${code}).`);
    } else {
      show("waiting", "Reconnecting…");
      const what = wasOpen ? "The link was lost" : "There is no link yet";
      note("wait", `${what} (${code}). Reconnecting…`, reason);
    }
  });
  on("error", (error) => note("bad", `The server says: ${error}`));
}

function show(state, text, more = "") {
  $("state").dataset.state = state;
  $("state").textContent = text;
  if (more) $("state").append(" ", element("small", visible(more)));
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
  $("summary").textContent = visible(fields.join(" ")) || "everything";
  const message = example(registration);
  $("shell").textContent = shellCommand(message, publishers);
  $("php").textContent = phpLines(message, publishers);
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

function note(kind, text, more = "") {
  add({ time: new Date(), kind, text: visible(text), more: visible(more) });
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

function item({ time, id, raw, kind, text, more }) {
  const made = element("li", "", kind ? `note ${kind}` : "message");
  const at = element("time", clock.format(time));
  at.dateTime = time.toISOString();
  made.append(at);
  if (kind) {
    const said = element("span", text);
    if (more) said.append(element("small", more));
    made.append(said);
    return made;
  }
  made.append(element("span", id, "id"), coloured(raw));
  return made;
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;

/** The bytes that were pushed: parsed and printed again, they would be others. */
function coloured(raw) {
  const made = element("pre");
  if (raw.length > COLOURED) {
    appendText(made, raw.slice(0, SHOWN));
    const more = raw.length - SHOWN;
    if (more > 0) made.append(element("em", ` … ${more.toLocaleString("en")} more characters`));
    return made;
  }
  let end = 0;
  for (const { 0: token, 1: string, 2: colon = "", index } of raw.matchAll(TOKENS)) {
    const part = element("span", "", colon ? "name" : string ? "string" : "literal");
    appendText(part, string ?? token);
    made.append(raw.slice(end, index), part, colon);
    end = index + token.length;
  }
  made.append(raw.slice(end));
  return made;
}

/** With an escape for what cannot be seen, or would turn around what can. */
function appendText(to, text) {
  let end = 0;
  for (const { 0: character, index } of text.matchAll(HIDDEN)) {
    to.append(text.slice(end, index), element("span", visible(character), "escape"));
    end = index + character.length;
  }
  to.append(text.slice(end));
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
  // What waits, nobody has seen yet.
  $("messages").replaceChildren();
  draw();
});
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", () => copy(button));
}

$("host").textContent = location.host;
$("publishers").textContent = publishers;
// On a phone the messages come first.
if (matchMedia("(width < 50rem)").matches) {
  for (const card of document.querySelectorAll("details")) card.open = false;
}
readAddress();
listen();
