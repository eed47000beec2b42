// The live page: what is pushed, as it comes.

import { udpush } from "./push.js";
import { brief, example, htmlLines, phpLines, shellCommand } from "./commands.js";
import { translate } from "./language.js";
import { addMessage, addNote } from "./messages.js";
import { offerCopy } from "./copy.js";
import { addRow, readAddress, readForm, writeAddress } from "./registration.js";
import { $, element, say, visible } from "./text.js";
import { word } from "./words.js";

const AT_FIRST = 20; // messages of those that were pushed before
const SETTLED = 1000; // ms after which all of them have come

const base = new URL("./", location.href);
base.search = base.hash = "";
// Where the server wants a token, the page's own address has it at first.
const token = new URLSearchParams(location.search).get("token");
const { publishers, reach } = document.documentElement.dataset;

let link;
let sample = ""; // a document to push
let dashboard = ""; // its address, where it can be reached

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
    addNote("bad", error.message);
    if (!link) show("closed", word("disconnected"));
  }
}

function connect(fields) {
  const server = new URL(base);
  server.searchParams.set("last", AT_FIRST);
  if (token) server.searchParams.set("token", token);
  let opened = 0; // when it was, for the first time
  let received = 0;
  const take = (_, id, raw) => {
    received += 1;
    addMessage(id, raw, received <= AT_FIRST && Date.now() - opened < SETTLED);
  };
  link = udpush(server, fields, take, { online: true });
  show("connecting", word("connecting"));
  const on = (type, act) => link.addEventListener(type, ({ detail }) => act(detail));
  on("open", (hello) => {
    showOpen(hello, opened > 0);
    opened ||= Date.now();
  });
  on("online", showOnline);
  on("registered", () => addNote("good", word("from", { fields: $("summary").textContent })));
  on("closed", (detail) => showClosed(detail, opened > 0));
  on("error", (error) => addNote("bad", word("says", { error })));
}

function showOpen({ client, resumed }, wasOpen) {
  const isGap = resumed === false;
  const more = isGap ? word("partly") : word("asClient", { client: String(client) });
  show("open", word("connected"), more);
  if (resumed) addNote("good", word("resumed"));
  // Not at `missed`, which comes at leisure: here is the place in the list.
  if (isGap) addNote(wasOpen ? "bad" : "wait", word(wasOpen ? "missed" : "late"));
}

function showOnline(clients) {
  say($("online"), word("online", { n: clients }));
}

function showClosed({ code, reason, final }, wasOpen) {
  say($("online"), "");
  const isStopped = code === 1001 && reason !== "page hidden";
  if (final) show("closed", word("disconnected"));
  else show("waiting", word("reconnecting"), isStopped ? word("stopped") : "");
  const said = isStopped || code === 1001 ? "" : reason;
  addNote(final ? "bad" : "wait", whyClosed(code, isStopped, wasOpen), said);
}

function whyClosed(code, isStopped, wasOpen) {
  if (code === 1001) return word(isStopped ? "close1001" : "left");
  if (code === 1006) return word(wasOpen ? "lost" : "noLink");
  const isKnown = [1008, 1013, 4401, 4403].includes(code);
  return word(isKnown ? `close${code}` : "closeOther", { code: String(code) });
}

function show(state, text, more = "") {
  $("state").dataset.state = state;
  $("state").textContent = text;
  if (more) $("state").append(" ", element("small", visible(more)));
  $("again").hidden = state !== "closed";
  document.title = state === "open" ? "udpush" : `${text} – udpush`;
}

// --- the commands -----------------------------------------------------------------------------

function showCommands(registration) {
  const fields = registration.map(([field, values]) => `${field}=${values.join("|")}`);
  $("summary").textContent = visible(fields.join(" ")) || word("everything");
  const message = example(registration);
  $("shell").textContent = shellCommand(message, publishers);
  $("php").textContent = phpLines(message, publishers);
  $("html").textContent = htmlLines(registration, base);
  sample = JSON.stringify(Object.fromEntries(message));
  showDashboard();
}

/**
 * Offers to push from the dashboard where this browser can reach it: it answers there with its
 * icon. A page may not push by itself, as it is for everybody who can open it.
 */
function findDashboard() {
  const isThisMachine = /^(localhost|127\..*|\[::1\])$/.test(location.hostname);
  if (!isThisMachine && reach === "machine") return;
  const address = `http://${location.hostname}:${/\d+$/.exec(publishers)}/`;
  const icon = new Image();
  icon.addEventListener("load", () => {
    dashboard = address;
    showDashboard();
  });
  icon.src = `${address}icon.svg`;
}

function showDashboard() {
  $("dashboard").hidden = !dashboard;
  $("dashboard").href = `${dashboard}#${new URLSearchParams({ push: sample })}`;
}

// --- buttons ----------------------------------------------------------------------------------

$("add").addEventListener("click", () => addRow().querySelector("input").focus());
document.forms[0].addEventListener("submit", (event) => {
  event.preventDefault();
  writeAddress(base);
  listen();
});
addEventListener("popstate", () => {
  readAddress();
  listen();
});
$("again").addEventListener("click", listen);
for (const button of document.querySelectorAll("figure .copy")) {
  const code = button.closest("figure").querySelector("pre");
  offerCopy(button, () => code.textContent, code);
}

translate(document, word);
translate($("row").content, word);
$("host").textContent = location.host;
$("publishers").textContent = publishers;
// On a phone the messages come first.
if (matchMedia("(max-width: 49.99rem)").matches) {
  for (const card of document.querySelectorAll("details")) card.open = false;
}
readAddress();
listen();
findDashboard();
