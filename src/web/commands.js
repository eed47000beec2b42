// The commands on the live page: right for whatever was typed in, as they are pasted and run.

import { escapeUnits } from "./text.js";

// What does not show, or turns the direction of what does: nobody should copy what they can't see.
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** JSON of an object, given as pairs. */
const json = (pairs) => JSON.stringify(Object.fromEntries(pairs)).replace(INVISIBLE, escapeUnits);

/** The registration as one would write it: a list only where there are several values. */
export const brief = (registration) =>
  registration.map(([field, values]) => [field, values.length > 1 ? values : values[0]]);

/** A message that a client with this registration hears: its fields, and one more to see. */
export function example(registration) {
  const fields = registration.map(([field, values]) => [field, values[0]]);
  const names = ["msg", "message", "text", "note"];
  const name = names.find((name) => !fields.some(([field]) => field === name));
  return name ? [...fields, [name, "hi"]] : fields;
}

/** For a POSIX shell. `publishers` is the address of 6553, such as `127.0.0.1:6553`. */
export function shellCommand(pairs, publishers) {
  const document = json(pairs);
  // Some shells' echo takes a backslash for an escape of its own.
  const print = document.includes("\\") ? "printf '%s\\n'" : "echo";
  const [, host, port] = /^\[?([^\]]*)\]?:(\d+)$/.exec(publishers);
  return `${print} '${document.replaceAll("'", "'\\''")}' | nc -u -w1 ${host} ${port}`;
}

/** Lines of PHP. */
export function phpLines(pairs, publishers) {
  const entries = pairs.map((pair) => pair.map(phpText).join(" => "));
  return [
    `$message = [${entries.join(", ")}];`,
    "fwrite(",
    `  stream_socket_client('udp://${publishers}'),`,
    "  json_encode($message)",
    ");",
  ].join("\n");
}

function phpText(text) {
  if (text.search(INVISIBLE) < 0) return `'${text.replace(/['\\]/g, "\\$&")}'`;
  const escaped = text
    .replace(/["\\$]/g, "\\$&")
    .replace(INVISIBLE, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
  return `"${escaped}"`;
}

/** A script element that listens. */
export function htmlLines(registration, base) {
  // In a script element, `</script` ends it, wherever it stands.
  const object = json(brief(registration)).replaceAll("<", "\\u003c");
  const socket = new URL(base);
  socket.protocol = socket.protocol.replace("http", "ws");
  return [
    `<script src="${new URL("push.js", base).href}"></script>`,
    "<script>",
    `  udpush("${socket.href}", ${object}, (data, id) => {`,
    "    console.log(id, data);",
    "  });",
    "</script>",
  ].join("\n");
}
