// What the page asks of its server, and what it does while there is no answer.

import { clock } from "./language.js";
import { $, say, visible } from "./text.js";
import { word } from "./words.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The answer, if it is a good one; else an error with what the server says. */
export async function ask(path, options) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (response.ok) return response;
  const { error, byte } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(visible(error ?? response.statusText)), {
    status: response.status,
    byte,
  });
}

/** Calls for each line of a body, until it ends. */
export async function eachLine(response, take) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line) take(line);
    if (done) return;
  }
}

/** What is known of it. */
export const server = {
  up: null, // whether it answers; null: not known yet
  status: null, // its last one
  streaming: null, // ends the streams; null while there are to be none
};
let awaySince;

/** Asks once a second for ever, and hands over each status, or nothing. */
export async function poll(take) {
  try {
    const response = await ask("status", { signal: AbortSignal.timeout(5000) });
    take(await response.json());
    setUp(true);
  } catch (error) {
    take(null);
    setUp(false, error.status && error.message);
  }
  setTimeout(poll, 1000, take);
}

function setUp(isUp, refusal) {
  if (server.up !== false && !isUp) awaySince = Date.now();
  server.up = isUp;
  const away = refusal ? ["refusedHere", { error: refusal }] : ["away", { time: clock(awaySince) }];
  $("state").dataset.state = isUp ? "open" : "closed";
  say($("state"), isUp ? word("live") : word(...away));
  document.title = `${isUp ? "" : "⚠ "}udpush · ${location.host}`;
  setStreaming();
}

/** A browser has few connections for a server: a page that nobody looks at holds none. */
function setStreaming() {
  const wanted = Boolean(server.up) && !document.hidden;
  if (wanted === Boolean(server.streaming)) return;
  server.streaming?.abort();
  server.streaming = wanted ? new AbortController() : null;
  if (wanted) dispatchEvent(new Event("streaming"));
}

document.addEventListener("visibilitychange", setStreaming);

const wanted = () => new Promise((go) => addEventListener("streaming", go, { once: true }));

/** Reads a stream for ever, with a new request whenever it ends. */
export async function follow(path, said, begin, takeLine) {
  for (;;) {
    if (!server.streaming) await wanted();
    try {
      const response = await ask(path, { signal: server.streaming.signal });
      say(said, "");
      await begin();
      await eachLine(response, takeLine);
    } catch (error) {
      if (error.status) say(said, error.message);
    }
    await pause(1000);
  }
}
