// Text in a page: it gets in as text only, never as markup, and what nobody could see is shown.

export const $ = (id) => document.getElementById(id);

export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A change only, so that nothing is read out or laid out twice. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

// What does not show, or turns the direction of what does; joiners belong to scripts and to emoji.
const HIDDEN = /(?![\t\n\r\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;

/** As JSON writes what it does not show. */
export const escapeUnits = (text) =>
  text.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Text to look at, with escapes as JSON has them. */
export const visible = (text) => text.replace(HIDDEN, escapeUnits);

/** Puts a text into the page; what is escaped can be told from what was written so. */
export function appendText(to, text) {
  let end = 0;
  for (const { 0: character, index } of text.matchAll(HIDDEN)) {
    to.append(text.slice(end, index), element("span", escapeUnits(character), "escape"));
    end = index + character.length;
  }
  to.append(text.slice(end));
}

/** Whether the clipboard has it now. */
export async function copyText(text) {
  // There is none but for secure pages, which http://host:6552/ is not.
  const written = navigator.clipboard?.writeText(text) ?? Promise.reject();
  return written.then(
    () => true,
    () => copySelected(text),
  );
}

function copySelected(text) {
  const focused = document.activeElement;
  const box = element("textarea", "", "unseen");
  box.value = text;
  box.readOnly = true;
  document.body.append(box);
  box.select();
  const isCopied = document.execCommand("copy");
  box.remove();
  focused?.focus({ preventScroll: true });
  return isCopied;
}
