// A document as it was pushed: parsed and printed again, it would be another. What is done with it
// here leaves each of its tokens as it is.

import { speak } from "./language.js";
import { appendText, element } from "./text.js";

const SHOWN = 20_000; // characters of a document
const COLOURED = 5_000; // characters of one up to which it is coloured

const word = speak({}, {});

// Strings, brackets, commas, colons; numbers and words.
const TOKENS = /"[^"\\]*(?:\\[^][^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const NAME = /^\s*:/;
const LONGEST_SPACE = 64; // before a colon, where a name is to be known

/** To be put into the page, cut where it is long. */
export function coloured(raw) {
  const made = element("pre");
  if (raw.length > COLOURED) {
    appendText(made, raw.slice(0, SHOWN));
    if (raw.length > SHOWN) made.append(element("em", word("more", { n: raw.length - SHOWN })));
    return made;
  }
  let end = 0;
  for (const { 0: token, index } of raw.matchAll(TOKENS)) {
    if (/^[{}[\],:]/.test(token)) continue;
    const next = index + token.length;
    const isName = NAME.test(raw.slice(next, next + LONGEST_SPACE));
    const kind = token[0] !== '"' ? "literal" : isName ? "name" : "string";
    const part = element("span", "", kind);
    appendText(part, token);
    made.append(raw.slice(end, index), part);
    end = next;
  }
  made.append(raw.slice(end));
  return made;
}

/** The same tokens on many lines, each with its indent. */
export function formatted(raw) {
  const tokens = raw.match(TOKENS) ?? [];
  const lines = [];
  let line = "";
  let depth = 0;
  const end = () => {
    lines.push(line);
    line = "  ".repeat(depth);
  };
  tokens.forEach((token, index) => {
    const isEmpty = /^[{[]$/.test(tokens[index - 1]) && /^[}\]]$/.test(token);
    if (/^[}\]]$/.test(token)) {
      depth -= 1;
      if (!isEmpty) end();
    }
    line += token === ":" ? ": " : token;
    if (/^[{[]$/.test(token)) {
      depth += 1;
      if (!/^[}\]]$/.test(tokens[index + 1])) end();
    }
    if (token === ",") end();
  });
  return [...lines, line].join("\n");
}

/** The document on one line, as it is but for line breaks, which are never within a token. */
export const oneLine = (raw) => raw.replace(/[\r\n]/g, " ");

/** With the characters that stand behind escapes: PHP writes Chinese so. */
export const readable = (raw) =>
  raw.replace(/(\\\\)|\\u([0-9a-f]{4})/gi, (all, backslash, code) =>
    backslash ? all : String.fromCharCode(parseInt(code, 16)),
  );

/** The scalars of its fields as text, as a registration has them: `[field, text]`. */
export function fieldsOf(raw) {
  const found = [];
  const open = []; // brackets
  let name = null; // of the field whose value is read
  for (const token of raw.match(TOKENS) ?? []) {
    if (/^[{[]$/.test(token)) open.push(token);
    else if (/^[}\]]$/.test(token)) open.pop();
    else if (token === "," && open.length === 1) name = null;
    else if (open[0] !== "{" || /^[,:]$/.test(token)) continue;
    else if (open.length === 1 && name === null) name = JSON.parse(token);
    else if (open.length === 1 || (open.length === 2 && open[1] === "[")) {
      if (token !== "null") found.push([name, String(token[0] === '"' ? JSON.parse(token) : token)]);
    }
  }
  return found;
}
