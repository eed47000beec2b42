// The form that says what is listened to, and the page's own address, which says the same.

import { $ } from "./text.js";

const OWN = ["since", "token", "last", "online"]; // of the protocol, in a URL

/** Pairs of a field and its values, in the order of the form. */
export function readForm() {
  const registration = new Map();
  for (const row of $("rows").children) {
    const [field, value] = Array.from(row.querySelectorAll("input"), (input) => input.value.trim());
    if (field) registration.set(field, [...(registration.get(field) ?? []), value]);
  }
  return [...registration];
}

export function addRow(field = "", value = "") {
  const row = $("row").content.cloneNode(true).firstElementChild;
  const inputs = row.querySelectorAll("input");
  inputs[0].value = field;
  inputs[1].value = value;
  row.querySelector(".remove").addEventListener("click", () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    if (!next) addRow();
    (next ?? $("rows").firstElementChild).querySelector("input").focus();
  });
  $("rows").append(row);
  return row;
}

/** The page's own address names the registration, so that it can be bookmarked. */
export function readAddress() {
  $("rows").replaceChildren();
  for (const [key, value] of new URLSearchParams(location.search)) {
    const field = key.replace(/\[\d*\]$/, "");
    if (field && !OWN.includes(field)) addRow(field, value);
  }
  if (!$("rows").firstElementChild) addRow();
}

export function writeAddress(base) {
  const address = new URL(base);
  for (const [field, values] of readForm()) {
    for (const value of values) address.searchParams.append(field, value);
  }
  if (address.href !== location.href) history.pushState(null, "", address);
}
