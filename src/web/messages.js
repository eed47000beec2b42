// The list of what was pushed, and what can be done with it.

import { offerCopy } from "./copy.js";
import { makeFeed } from "./feed.js";
import { coloured, fieldsOf, formatted, oneLine, readable } from "./json.js";
import { fineClock } from "./language.js";
import { notify, offerNotifications } from "./notify.js";
import { focusBySlash, readSearch } from "./search.js";
import { $, element, say, visible } from "./text.js";
import { word } from "./words.js";

const KEPT = 200; // entries in the list
const OFFERED = 50; // fields with their values, to search for
const LONGEST_OFFER = 60; // characters of one

const entries = new WeakMap(); // item of the list → what it shows
let newest = ""; // id of the last message that came
let received = 0;
let order = 0; // of the next entry
let search = readSearch("");
let isFormatted = false;
let cleared = []; // items

const list = $("messages");
const feed = makeFeed(list, KEPT, makeItem, showCounts);

// --- what comes -------------------------------------------------------------------------------

/** `isOld`: it was pushed before the page listened. */
export function addMessage(id, raw, isOld) {
  if (isKnown(id)) return;
  newest = id;
  received += 1;
  const entry = { time: new Date(), order: ++order, id, raw, isOld };
  feed.add(entry);
  if (!isOld && matches(entry)) notify(raw);
}

export function addNote(kind, text, more = "") {
  const note = { kind, text: visible(text), more: visible(more) };
  feed.add({ time: new Date(), order: ++order, note }, false);
}

/** What comes again, where a new link begins with the newest. */
function isKnown(id) {
  const [epoch, sequence] = id.split("-");
  const [ours, seen] = newest.split("-");
  return epoch === ours && Number(sequence) <= Number(seen);
}

function makeItem(entry) {
  const { time, note, id, isOld } = entry;
  const made = element("li", "", note ? `note ${note.kind}` : "message");
  entries.set(made, entry);
  const clock = fineClock(time);
  const at = element("time", isOld ? word("before", { time: clock }) : clock);
  at.dateTime = time.toISOString();
  made.append(at);
  if (note) {
    const said = element("span", note.text);
    if (note.more) said.append(element("small", note.more));
    made.append(said);
    return made;
  }
  if (isOld) at.title = word("beforeMore");
  const copy = element("button", word("copy"), "copy");
  copy.type = "button";
  copy.dataset.word = "copy";
  copy.setAttribute("aria-label", word("copyOne", { id }));
  made.append(element("span", id, "id"), copy, element("pre"));
  showText(made);
  offerCopy(copy, () => textOf(entry), made.lastElementChild);
  made.hidden = !matches(entry);
  return made;
}

/** As it was pushed, or with white space that makes it easier to read. */
const textOf = ({ raw }) => (isFormatted ? formatted(raw) : raw);

function showText(item) {
  item.lastElementChild.replaceChildren(...coloured(textOf(entries.get(item))).childNodes);
}

// --- search -----------------------------------------------------------------------------------

/** Fields as a registration has them, each with one of its values; and all of the texts. */
function matches(entry) {
  const { fields, texts } = search;
  if (entry.note) return true;
  if (texts.length) {
    entry.texts ??= [entry.raw, readable(entry.raw), entry.id].map((text) => text.toLowerCase());
    if (!texts.every((text) => entry.texts.some((one) => one.includes(text)))) return false;
  }
  const names = [...new Set(fields.keys())];
  if (!names.length) return true;
  entry.fields ??= fieldsOf(entry.raw);
  return names.every((name) => {
    const wanted = fields.getAll(name);
    return entry.fields.some(([field, value]) => field === name && wanted.includes(value));
  });
}

function find() {
  search = readSearch($("search").value);
  for (const item of list.children) item.hidden = !matches(entries.get(item));
  showCounts();
}

/** What the messages here have, to choose from. */
function offerFields() {
  const found = new Set();
  for (const item of messageItems()) {
    const entry = entries.get(item);
    entry.fields ??= fieldsOf(entry.raw);
    for (const [field, value] of entry.fields) {
      if (found.size >= OFFERED) break;
      const pair = `${field}=${value}`;
      if (pair.length <= LONGEST_OFFER && !pair.includes('"')) {
        found.add(/\s/.test(pair) ? `"${pair}"` : pair);
      }
    }
  }
  const options = [...found].map((pair) => Object.assign(element("option"), { value: pair }));
  $("fields").replaceChildren(...options);
}

// --- the whole list ---------------------------------------------------------------------------

const messageItems = () => list.querySelectorAll(".message");
const shownItems = () => list.querySelectorAll(".message:not([hidden])");

function showCounts() {
  const all = messageItems().length;
  const shown = shownItems().length;
  const isSearching = $("search").value.trim() !== "";
  say($("count"), received ? word("received", { n: received }) : "");
  const found = isSearching ? word("found", { n: shown, all }) : "";
  say($("hint"), `${found} ${word("kept", { kept: KEPT })}`.trim());
  if (!feed.paused) say($("pause"), word("pause"));
  else say($("pause"), feed.waiting ? word("goOnNew", { n: feed.waiting }) : word("goOn"));
  $("empty").hidden = list.childElementCount > 0;
  $("copy-all").disabled = !shown;
  $("undo").hidden = !cleared.length;
}

/** What a search hides nobody has seen, nor what waits: it stays. */
function clear() {
  cleared = [...list.children].filter((item) => !item.hidden);
  for (const item of cleared) item.remove();
  feed.draw();
}

function undo() {
  const items = [...list.children, ...cleared];
  items.sort((one, other) => entries.get(other).order - entries.get(one).order);
  cleared = [];
  list.replaceChildren(...items.slice(0, KEPT));
  find();
  feed.draw();
  $("clear").focus();
}

/** Oldest first, as they came; a line for each, but where many are wanted. */
function allText() {
  const texts = Array.from(shownItems(), (item) => {
    const entry = entries.get(item);
    return isFormatted ? textOf(entry) : oneLine(entry.raw);
  });
  return `${texts.reverse().join("\n")}\n`;
}

// --- buttons ----------------------------------------------------------------------------------

$("pause").addEventListener("click", () => {
  feed.paused = !feed.paused;
  $("pause").setAttribute("aria-pressed", String(feed.paused));
  feed.draw();
});
$("clear").addEventListener("click", clear);
$("undo").addEventListener("click", undo);
$("search").addEventListener("input", find);
$("search").addEventListener("focus", offerFields);
$("format").addEventListener("click", () => {
  isFormatted = !isFormatted;
  $("format").setAttribute("aria-pressed", String(isFormatted));
  for (const item of messageItems()) showText(item);
});
offerCopy($("copy-all"), allText, list);
focusBySlash($("search"));
offerNotifications((why) => addNote("wait", why));
showCounts();
