// Who is online.

import { number } from "./language.js";
import { readSearch } from "./search.js";
import { ask, eachLine, server } from "./server.js";
import { $, element, say, visible } from "./text.js";
import { ago, bytes, moment, word } from "./words.js";

const ROWS = 50; // clients a page
const SCAN = 1000; // asked for at once where the page itself searches

const rows = new Map(); // client → row
let starts = [0]; // the client after which each page so far began
let next = 0;
let loading = new AbortController();
let loadTimer;

/** Asks for them now, and from now on every few seconds. */
export async function loadClients() {
  clearTimeout(loadTimer);
  loading.abort();
  const { signal } = (loading = new AbortController());
  const began = performance.now();
  try {
    // Fields are for the server, anything else for this page to find.
    const search = readSearch($("search").value);
    showClients(await findClients(search, signal), search);
    say($("clients-said"), "");
  } catch (error) {
    if (signal.aborted) return;
    if (error.status) say($("clients-said"), error.message);
  }
  // What takes long is not asked for all the time.
  loadTimer = setTimeout(refresh, Math.max(5000, 20 * (performance.now() - began)));
}

function refresh() {
  if (server.up && !document.hidden && !$("ask").open) loadClients();
  else loadTimer = setTimeout(refresh, 1000);
}

/** One page of those that are searched for, and one more if there is one. */
async function findClients({ fields, texts }, signal) {
  const found = [];
  const limit = texts.length ? SCAN : ROWS + 1;
  let after = starts.at(-1);
  for (let count = limit; count === limit && found.length <= ROWS;) {
    const query = new URLSearchParams([
      ...fields,
      ["limit", limit],
      ...(after ? [["after", after]] : []),
    ]);
    count = 0;
    await eachLine(await ask(`clients?${query}`, { signal }), (line) => {
      const client = JSON.parse(line);
      count += 1;
      after = client.client;
      const text = texts.length && describe(client);
      if (texts.every((one) => text.includes(one))) found.push(client);
    });
  }
  return found.slice(0, ROWS + 1);
}

const describe = (client) =>
  [client.client, client.address, client.mode, registered(client)].join(" ").toLowerCase();

const registered = ({ registration }) =>
  Object.entries(registration ?? {})
    .map(([field, values]) => `${field}=${[values].flat().join("|")}`)
    .join("  ");

function showClients(found, { fields, texts }) {
  const isMore = found.length > ROWS;
  found.length = Math.min(found.length, ROWS);
  next = found.at(-1)?.client ?? 0;
  if (!found.length && starts.length > 1) return turn(-1);
  const isSearch = texts.length > 0 || fields.size > 0;
  const before = (starts.length - 1) * ROWS;
  const n = before + found.length;
  const counts = { first: before + 1, last: n, n, all: server.status?.clients.online };
  const name = !isSearch ? "shown" : isMore ? "foundMore" : "found";
  say($("shown"), n ? word(name, counts) : "");
  say($("nobody"), word(isSearch ? "noneFound" : "nobody"));
  $("nobody").hidden = found.length > 0;
  $("table").hidden = !found.length;
  $("pages").hidden = !isMore && starts.length < 2;
  $("previous").disabled = starts.length < 2;
  $("next").disabled = !isMore;
  updateRows(found);
}

/** Rows stay who they are, so that a button under the finger does too. */
function updateRows(found) {
  const stay = new Set(found.map(({ client }) => client));
  for (const [client, row] of rows) {
    if (stay.has(client)) continue;
    if (row.contains(document.activeElement)) $("search").focus();
    row.remove();
    rows.delete(client);
  }
  found.forEach((client, index) => {
    const row = rows.get(client.client) ?? makeRow(client);
    updateRow(row, client);
    const there = $("rows").children[index];
    if (there !== row) $("rows").insertBefore(row, there ?? null);
  });
}

const COLUMNS = ["client", "address", "hears", "mode", "since", "queue", "sent", "seen", "action"];

function makeRow({ client, address, since }) {
  const row = element("tr");
  for (const name of COLUMNS) {
    const cell = element("td", "", name);
    cell.dataset.name = word(name);
    row.append(cell);
  }
  row.children[4].title = since;
  const button = element("button", word("disconnect"));
  button.type = "button";
  button.setAttribute("aria-label", word("disconnectOne", { client: String(client) }));
  button.addEventListener("click", () => disconnect(String(client), address));
  row.lastElementChild.append(button);
  rows.set(client, row);
  return row;
}

function updateRow(row, client) {
  const { queued, sent } = client;
  const amount = ({ messages, bytes: size }) =>
    messages ? `${number(messages)} · ${bytes(size)}` : "0";
  const texts = [
    client.client,
    visible(client.address),
    visible(registered(client)) || word("everything"),
    client.replaying ? word("catchingUp", client) : client.mode,
    moment(client.since),
    amount(queued),
    amount(sent),
    ago(client.seen),
  ];
  texts.forEach((text, index) => say(row.children[index], String(text)));
  row.children[2].title = row.children[2].textContent;
  row.classList.toggle("waits", queued.messages > 0);
}

function disconnect(client, address) {
  say($("question"), word("sure", { client, address: visible(address) }));
  $("yes").onclick = async () => {
    $("ask").close();
    const said = await ask(`clients/${client}`, { method: "DELETE" }).then(
      () => word("disconnected", { client }),
      (error) => (error.status === 404 ? word("gone", { client }) : error.message),
    );
    await loadClients();
    say($("clients-said"), said);
  };
  $("ask").showModal();
}

/** To the next page, or back. */
function turn(pages) {
  if (pages > 0) starts.push(next);
  else starts.pop();
  $("table").scrollTop = 0;
  return loadClients();
}

$("columns").append(
  ...COLUMNS.map((name) => Object.assign(element("th", word(name)), { scope: "col" })),
);
$("search").addEventListener("input", () => {
  clearTimeout(loadTimer);
  loadTimer = setTimeout(() => {
    starts = [0];
    loadClients();
  }, 250);
});
$("refresh").addEventListener("click", loadClients);
$("previous").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("no").addEventListener("click", () => $("ask").close());
