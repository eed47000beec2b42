// Who would hear a message, and the box to try one out.

import { number } from "./language.js";
import { ask } from "./server.js";
import { $, element, visible } from "./text.js";
import { indexOfByte, word } from "./words.js";

const NAMED = 20; // clients that are named where there are many

let checking = new AbortController();
let checkTimer;
let key = ""; // of one publication: a second try is no second message

function explanation({ clients = 0, empty, hears = [], not = [], more }) {
  const made = document.createDocumentFragment();
  if (empty) {
    made.append(element("p", word("empty")));
    return made;
  }
  made.append(element("p", word("wouldHear", { n: clients }), clients ? "good" : "wait"));
  if (clients) made.append(element("p", named(hears, clients)));
  const reasons = new Map();
  for (const { client, why } of not) reasons.set(why, [...(reasons.get(why) ?? []), client]);
  for (const [why, those] of reasons) {
    const n = number(those.length) + (more ? "+" : "");
    made.append(element("p", word("wouldNot", { n, why: visible(why) })));
    made.append(element("p", named(those, those.length)));
  }
  return made;
}

/** The first of them by their numbers, which are names. */
function named(clients, all) {
  const first = clients.slice(0, NAMED);
  const rest = all - first.length;
  return [...first, ...(rest > 0 ? [word("others", { n: rest })] : [])].join(", ");
}

/** What the server says of a document, to be shown. */
export async function explain(text, signal) {
  try {
    const answer = await ask("explain", { method: "POST", body: text, signal });
    return explanation(await answer.json());
  } catch (error) {
    return problem(text, error);
  }
}

async function check() {
  checking.abort();
  const { signal } = (checking = new AbortController());
  const text = $("document").value;
  const said = text.trim() ? await explain(text, signal) : "";
  if (!signal.aborted) $("verdict").replaceChildren(said);
}

/** The sentence, and the byte that it is about, in its surroundings. */
function problem(text, { message, byte }) {
  const made = document.createDocumentFragment();
  made.append(element("p", message, "bad"));
  if (!byte) return made;
  const at = indexOfByte(text, byte);
  const [wrong = ""] = text.slice(at, at + 2);
  const before = (at > 40 ? "…" : "") + visible(text.slice(Math.max(at - 40, 0), at));
  const mark = element("mark", wrong === "\n" ? "↵\n" : visible(wrong) || " ");
  const place = element("pre", before);
  const after = at + wrong.length;
  place.append(mark, visible(text.slice(after, after + 40)));
  made.append(place);
  return made;
}

async function push() {
  const body = $("document").value;
  key ||= `dashboard-${Date.now()}-${Math.random()}`;
  $("send").disabled = true;
  try {
    const answer = await ask("", { method: "POST", body, headers: { "Idempotency-Key": key } });
    const published = [await answer.json()].flat();
    key = "";
    const lines = published.map(({ id, clients, empty }) =>
      empty ? word("empty") : word("pushed", { id, n: clients }),
    );
    $("answer").replaceChildren(...lines.map((line) => element("span", line, "good")));
  } catch (error) {
    if (error.status) key = "";
    const text = error.status ? error.message : word("notSent", { error: error.message });
    $("answer").replaceChildren(element("span", text, "bad"));
  }
  $("send").disabled = false;
}

$("document").addEventListener("input", () => {
  key = "";
  $("answer").replaceChildren();
  $("send").disabled = !$("document").value.trim();
  clearTimeout(checkTimer);
  checkTimer = setTimeout(check, 300);
});
$("document").addEventListener("keydown", (event) => {
  const isSend = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (isSend) $("push-form").requestSubmit();
});
$("push-form").addEventListener("submit", (event) => {
  event.preventDefault();
  push();
});

/** A document that a link brings, such as the live page's: to look at, and to push by hand. */
function takeLink() {
  const document = new URLSearchParams(location.hash.slice(1)).get("push");
  if (!document) return;
  history.replaceState(null, "", "#push");
  $("document").value = document;
  $("document").dispatchEvent(new Event("input"));
  $("document").focus();
}

addEventListener("hashchange", takeLink);
takeLink();
