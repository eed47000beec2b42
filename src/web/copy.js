// Buttons that copy.

import { copyText } from "./text.js";
import { word } from "./words.js";

const SAID = 2000; // ms for which a button says what it did

/** What cannot be copied by a script is selected: a key copies it then. */
export function offerCopy(button, read, where) {
  button.addEventListener("click", async () => {
    const isCopied = await copyText(read());
    if (!isCopied) getSelection().selectAllChildren(where);
    button.textContent = word(isCopied ? "copied" : "pressCopy");
    setTimeout(() => (button.textContent = word(button.dataset.word)), SAID);
  });
}
