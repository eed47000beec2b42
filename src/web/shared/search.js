// What is typed into a search box.

/** `field=value` apart from plain text; quotes keep spaces. */
export function readSearch(typed) {
  const fields = new URLSearchParams();
  const texts = [];
  for (const [part] of typed.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)) {
    const text = part.replace(/"/g, "");
    const [, field, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
    if (field) fields.append(field, value);
    else if (text) texts.push(text.toLowerCase());
  }
  return { fields, texts };
}

/** The key `/` leads to the box, but where something is typed. */
export function focusBySlash(box) {
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, dialog");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.focus();
  });
}
