// A notification on the desktop, for who wants it and does not look at the page.

import { readable } from "./json.js";
import { $, visible } from "./text.js";
import { word } from "./words.js";

const CHOICE = "udpush notify"; // in the browser's storage
const PACE = 1000; // ms between two notifications
const SHOWN = 200; // characters of a message

let isWanted = false;
let count = 0; // messages that were not notified of yet
let newest = "";
let timer = 0;

/** The button; `refuse` is told why there can be none. */
export function offerNotifications(refuse) {
  choose(canNotify() && Notification.permission === "granted" && recall());
  $("notify").addEventListener("click", async () => {
    if (isWanted) return choose(false);
    if (!canNotify()) return refuse(word("notifyNever"));
    const isGranted = (await Notification.requestPermission()) === "granted";
    if (!isGranted) refuse(word("notifyDenied"));
    choose(isGranted);
  });
}

const canNotify = () => isSecureContext && "Notification" in window;

function choose(wanted) {
  isWanted = wanted;
  $("notify").setAttribute("aria-pressed", String(wanted));
  try {
    if (wanted) localStorage[CHOICE] = "yes";
    else delete localStorage[CHOICE];
  } catch {
    // No storage: it is chosen anew each time.
  }
}

function recall() {
  try {
    return localStorage[CHOICE] === "yes";
  } catch {
    return false;
  }
}

/** A burst is one notification. */
export function notify(raw) {
  if (!isWanted || document.hasFocus()) return;
  count += 1;
  newest = raw;
  timer ||= setTimeout(tell);
}

function tell() {
  timer = 0;
  if (!count) return;
  const title = word("notification", { n: count, host: location.host });
  const body = visible(readable(newest.slice(0, SHOWN)));
  count = 0;
  timer = setTimeout(tell, PACE);
  try {
    const shown = new Notification(title, { body, icon: "icon.svg", tag: location.href });
    shown.addEventListener("click", () => {
      focus();
      shown.close();
    });
  } catch {
    choose(false); // phones: only for what stays when the page is gone
  }
}
