// The dashboard: one server as it runs, for who operates it. Here is its headline; the rest has its
// files.

import { addChart, addPoint } from "./charts.js";
import { loadClients } from "./clients.js";
import { number, translate } from "./language.js";
import { filterLog, followAll, slowClients } from "./messages.js";
import { focusBySlash } from "./search.js";
import { poll, server } from "./server.js";
import { $, element, say, visible } from "./text.js";
import { bytes, duration, word } from "./words.js";

function tile(where, name, title) {
  const made = $("tile").content.cloneNode(true).firstElementChild;
  const [heading, big, small, advice] = made.children;
  heading.textContent = title;
  made.id = `tile-${name}`;
  where.append(made);
  return { made, heading, big, small, advice };
}

/** `advice` is [words, command, what to look for in the log]; with none, all is well. */
function fill({ made, big, small, advice }, { value, more, alarm = "bad", needs }) {
  const [text = "", command, inLog] = needs || [];
  say(big, number(value));
  say(small, more);
  made.dataset.alarm = text && alarm;
  advice.hidden = !text;
  if (!text || advice.dataset.text === text) return;
  advice.dataset.text = text;
  advice.replaceChildren(element("p", text));
  if (command) advice.append(element("code", command));
  if (inLog) advice.append(logButton(inLog));
}

function logButton(text) {
  const button = element("button", word("inLog"));
  button.type = "button";
  button.addEventListener("click", () => {
    filterLog(text);
    $("filter").focus();
    $("log").scrollIntoView();
  });
  return button;
}

const perSecond = (what) => word("perSecond", { what: word(what) });
const tiles = {
  online: tile($("charts"), "online", word("online")),
  messages: tile($("charts"), "messages", perSecond("messages")),
  deliveries: tile($("charts"), "deliveries", perSecond("deliveries")),
};
for (const name of ["refused", "dropped", "slow"]) {
  tiles[name] = tile($("losses"), name, word(name));
}

/** What a second brought between two looks: no look that comes late loses any. */
function rates(before, status) {
  const seconds = before ? status.uptime - before.uptime : 0;
  if (before?.started !== status.started || seconds <= 0) return status.rates["1s"];
  return {
    messages: (status.messages.since_start - before.messages.since_start) / seconds,
    deliveries: (status.deliveries - before.deliveries) / seconds,
  };
}

function take(status) {
  if (!status) return addPoint(null);
  const { messages, deliveries } = rates(server.status, status);
  server.status = status;
  const { version, uptime, log, clients } = status;
  say($("about"), word("about", { host: location.host, version, uptime: duration(uptime) }));
  say($("log-file"), visible(log ?? ""));
  addPoint({ online: clients.online, messages, deliveries });
  showTraffic(status, messages, deliveries);
  showRefused(status);
  showLosses(status);
}

function showTraffic({ clients, messages, deliveries }, messageRate, deliveryRate) {
  const replaying = clients.replaying ? word("replaying", { n: clients.replaying }) : "";
  fill(tiles.online, {
    value: clients.online,
    more: word("onlineMore", clients) + replaying,
    needs: clients.online >= clients.most && [word("fullAdvice")],
  });
  const total = { n: messages.since_start, bytes: bytes(messages.bytes) };
  fill(tiles.messages, { value: messageRate, more: word("messagesMore", total) });
  fill(tiles.deliveries, { value: deliveryRate, more: word("deliveriesMore", { n: deliveries }) });
}

/** Of what was refused nothing is lost: its sender knows. */
function showRefused({ refused: { datagrams, documents }, refused_visitors }) {
  const value = datagrams + documents;
  const visitors = Object.values(refused_visitors).reduce((sum, one) => sum + one, 0);
  fill(tiles.refused, {
    value,
    more: word("refusedMore", { datagrams, documents, visitors }),
    alarm: "wait",
    needs: value
      ? [word("refusedAdvice"), "", "refused d"]
      : visitors && [word("visitorsAdvice"), "", "refused visitor"],
  });
}

function showLosses({ dropped_by_kernel: dropped, closed, queues }) {
  const command = "sysctl -w net.core.rmem_max=4194304";
  fill(tiles.dropped, {
    value: dropped,
    more: word("droppedMore"),
    needs: dropped && [word("droppedAdvice"), command, "the kernel dropped"],
  });
  const which = slowClients() || word("slowUnknown");
  fill(tiles.slow, {
    value: closed.too_slow,
    more: word("slowMore", { bytes: bytes(queues.bytes), most: bytes(queues.most) }),
    needs: closed.too_slow && [word("slowAdvice", { which }), "", "too slow"],
  });
}

translate(document, word);
focusBySlash($("search"));
say($("state"), word("connecting"));
addChart("online", tiles.online, 1);
addChart("messages", tiles.messages, 0.5);
addChart("deliveries", tiles.deliveries, 0.5);
poll(take);
loadClients();
followAll();
