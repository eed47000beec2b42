// The messages and the lines of the log, as they come.

import { explain } from "./explain.js";
import { makeFeed } from "./feed.js";
import { coloured } from "./json.js";
import { clock } from "./language.js";
import { ask, eachLine, follow, server } from "./server.js";
import { $, element, say, visible } from "./text.js";
import { word } from "./words.js";

const KEPT = 200; // messages in the list
const LINES = 500; // of the log

let newest = ""; // id of the last message that came

const messages = makeFeed($("message-list"), KEPT, messageItem, () => {
  const { paused, waiting } = messages;
  if (!paused) say($("pause"), word("pause"));
  else say($("pause"), waiting ? word("goOnNew", { n: waiting }) : word("goOn"));
  $("no-messages").hidden = $("message-list").childElementCount > 0;
});

/** The document is the last member, and is shown as it came: printed again, it would be another. */
function takeMessage(line) {
  const start = line.indexOf('"data":');
  if (start < 0) {
    const lost = /^\{"event":"lost".*"count":(\d+)/.exec(line);
    if (lost) messages.add({ note: word("lost", { n: Number(lost[1]) }) }, false);
    return;
  }
  const message = JSON.parse(`${line.slice(0, start)}"data":0}`);
  if (isKnown(message.id)) return;
  newest = message.id;
  message.raw = line.slice(start + 7, line.lastIndexOf("}"));
  messages.add(message);
}

/** What came again, at the seam of history and stream. */
function isKnown(id) {
  const [epoch, sequence] = id.split("-");
  const [ours, seen] = newest.split("-");
  return epoch === ours && Number(sequence) <= Number(seen);
}

/** What was pushed before the stream began, or while there was none. */
async function catchUp() {
  const since = newest && `since=${encodeURIComponent(newest)}&`;
  try {
    const { signal } = server.streaming;
    await eachLine(await ask(`history?${since}last=${KEPT}`, { signal }), takeMessage);
  } catch (error) {
    if (error.status === 404) return; // no history is kept
    if (error.status !== 409 || !newest) throw error;
    newest = "";
    messages.add({ note: word("missed") }, false);
    await catchUp();
  }
}

function messageItem({ note, id, time, from, clients, raw }) {
  const made = element("li", note, note ? "note" : "message");
  if (note) return made;
  const head = element("button", "", "head");
  head.type = "button";
  head.setAttribute("aria-expanded", "false");
  head.title = word("from", { from: visible(from) });
  const at = element("time", clock(time));
  at.dateTime = time;
  head.append(
    at,
    element("span", word("forClients", { n: clients }), clients ? "for" : "for none"),
    element("span", id, "id"),
  );
  const who = element("div", "", "who");
  who.hidden = true;
  head.addEventListener("click", () => {
    who.hidden = !who.hidden;
    head.setAttribute("aria-expanded", String(!who.hidden));
    if (!who.hidden) explainMessage(who, { from, clients, raw });
  });
  made.append(head, coloured(raw), who);
  return made;
}

/** The server keeps no record of who heard it; it knows who hears such a one now. */
async function explainMessage(who, { from, clients, raw }) {
  who.replaceChildren(element("p", word("then", { n: clients, from: visible(from) })));
  who.append(await explain(raw));
}

// --- the log ----------------------------------------------------------------------------------

let logLines = []; // that were taken, oldest first
let old = 0; // lines that may come again at the beginning of a stream

const logFeed = makeFeed($("log-list"), LINES, logItem, noteFilter);

function takeLine(line) {
  old -= 1;
  if (old >= 0 && logLines.includes(line)) return;
  logLines.push(line);
  if (logLines.length > 2 * LINES) logLines = logLines.slice(-LINES);
  logFeed.add(line);
}

function logItem(line) {
  const made = element("li");
  const [, time, level, text] = /^(\S+) \[(\w+)\] (.*)$/.exec(line) ?? [, "", "", line];
  if (level === "WARN" || level === "ERROR") made.className = level.toLowerCase();
  const at = element("time", time.slice(11, 23));
  at.title = time;
  made.append(at, element("b", level), element("span", visible(text)));
  made.dataset.line = line.toLowerCase();
  made.hidden = !isWanted(made);
  return made;
}

const isWanted = (item) => item.dataset.line.includes($("filter").value.trim().toLowerCase());

/** Shows the lines with this text only. */
export function filterLog(text = $("filter").value) {
  $("filter").value = text;
  for (const item of $("log-list").children) item.hidden = !isWanted(item);
  noteFilter();
}

/** An empty list says why. */
function noteFilter() {
  const { children } = $("log-list");
  const isEmpty = children.length > 0 && !$("log-list").querySelector("li:not([hidden])");
  say($("none-such"), isEmpty ? word("noneSuch", { n: children.length }) : "");
}

/** The last clients that were closed for slowness, as far as the lines here go back. */
export function slowClients() {
  const found = logLines.map((line) => /^(\S+).*\bclient (\d+) closed: too slow/.exec(line));
  const named = found.filter(Boolean).slice(-3);
  return named
    .map(([, time, client]) => word("oneClient", { client, time: clock(time) }))
    .join(", ");
}

// --- buttons ----------------------------------------------------------------------------------

$("pause").addEventListener("click", () => {
  messages.paused = !messages.paused;
  $("pause").setAttribute("aria-pressed", String(messages.paused));
  messages.draw();
});
$("clear").addEventListener("click", () => {
  // What waits, nobody has seen yet.
  $("message-list").replaceChildren();
  messages.draw();
});
$("filter").addEventListener("input", () => filterLog());

/** From now on. */
export function followAll() {
  follow("messages", $("messages-said"), catchUp, takeMessage);
  follow("log", $("log-said"), () => (old = 200), takeLine);
}
