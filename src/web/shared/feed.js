// A list of what comes.

const PACE = 200; // ms between two changes of a list

/**
 * A list, newest first, that keeps so many entries. A burst costs one change of it, not thousands.
 * While it is `paused`, `waiting` is how many have come, also where that is more than are kept.
 */
export function makeFeed(list, kept, make, drawn) {
  let entries = []; // that are not in the list yet, oldest first
  let timer = 0;
  let changed = -Infinity;
  const feed = { paused: false, waiting: 0, add, draw };
  function add(entry, isCounted = true) {
    entries.push(entry);
    if (isCounted) feed.waiting += 1;
    if (entries.length > 2 * kept) entries = entries.slice(-kept);
    timer ||= setTimeout(draw, Math.max(changed + PACE - performance.now(), 0));
  }
  function draw() {
    clearTimeout(timer);
    timer = 0;
    changed = performance.now();
    if (!feed.paused) {
      list.prepend(...entries.slice(-kept).map(make).reverse());
      entries = [];
      feed.waiting = 0;
      while (list.childElementCount > kept) list.lastElementChild.remove();
    }
    drawn();
  }
  return feed;
}
