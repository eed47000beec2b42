// udpush in a page, as a script or a module: see README.md. It has nothing that Chrome 64 lacks.
function udpush(url, registration, onMessage) {
  "use strict";

  // In ms. The wait for an attempt is random, at first up to SHORTEST, at last up to LONGEST.
  const SHORTEST = 500;
  const LONGEST = 30000;
  const STABLE = 5000; // a link that lasts as long makes the wait short again
  const GREETING = 15000; // from the attempt to the hello
  const ANSWER = 3000; // to why an attempt failed
  const SPREAD = 3000; // of `missed`: not all pages are to reload at once
  const MINUTE = 60000;
  const FINAL = [1008, 4401, 4403]; // would only happen again

  const OWN = /^(since|token|last|lastEventId|Last-Event-ID)$/; // the protocol's
  const LIST = /^$|^[^]+\[[^]*]$/; // another field's, or nobody's

  const link = document.createDocumentFragment(); // for its events: older browsers construct no target
  const address = new URL(url, location.href);
  const query = address.searchParams;
  let state = "connecting";
  let socket;
  let id = query.get("since"); // of the last message, hello or heartbeat
  let ceiling = SHORTEST;
  let openings = 0;
  let openedAt = Infinity;
  let heardAt;
  let patience; // longer silence is a dead link
  let timer; // of the next attempt, or of the end of patience
  let missed; // the timer of this event
  let isToldClosed, isHidden;

  // Who registers nothing hears everything: nothing may get lost here.
  function check(registration) {
    const refuse = (why) => {
      throw new TypeError(`udpush: ${why}`);
    };
    if ({}.toString.call(registration) !== "[object Object]") {
      refuse("a registration is an object; {} hears everything");
    }
    const fields = Object.create(null);
    for (const field of Object.keys(registration)) {
      const name = `the field "${field}"`;
      const values = [].concat(registration[field]);
      if (OWN.test(field) || LIST.test(field)) refuse(`${name} is none in a URL`);
      if (!values.length) refuse(`${name} has no values, and would hear everything`);
      for (const value of values) {
        const type = typeof value;
        const isNumber = type === "number" && Math.abs(value) < 2 ** 53;
        if (!isNumber && type !== "string" && type !== "boolean") {
          refuse(`${name} has a value that no message has: ${value}`);
        }
      }
      fields[field] = values.map(String);
    }
    return fields;
  }

  function append(fields) {
    for (const field in fields) for (const value of fields[field]) query.append(field, value);
  }

  function connect() {
    clearTimeout(timer);
    if (isHidden) return;
    if (socket && socket.readyState !== WebSocket.CLOSED) {
      socket.onclose = connect; // never two sockets: a dead one takes its time
      return;
    }
    if (id !== null) query.set("since", id);
    socket = new WebSocket(address.href, "udpush.v1");
    socket.onmessage = ({ data }) => hear(data);
    socket.onclose = ({ code, reason }) => leave(code, reason, FINAL.includes(code));
    state = "connecting";
    heardAt = Date.now();
    patience = GREETING;
    listen();
  }

  // By the clock: timers stand still while the computer sleeps.
  function listen() {
    clearTimeout(timer);
    const left = patience - Math.abs(Date.now() - heardAt);
    if (left > 0) timer = setTimeout(listen, left);
    else leave(1006, "nothing heard", false);
  }

  function wake() {
    if (state === "waiting") connect();
    else listen();
  }

  function hear(text) {
    const frame = JSON.parse(text);
    heardAt = Date.now();
    id = frame.id || id;
    if (frame.type === "message") {
      // If it throws, the browser reports it, and the stream goes on.
      if (onMessage) onMessage(frame.data, id, text.slice(text.indexOf(',"data":') + 8, -1));
    } else if (frame.type === "hello") {
      patience = 2.5 * 1000 * frame.heartbeat;
      listen();
      if (state === "open") tell("registered", frame);
      else greet(frame);
    } else if (frame.type === "error") {
      tell("error", frame.error);
    }
  }

  function greet(hello) {
    state = "open";
    openedAt = heardAt;
    openings += 1;
    isToldClosed = false;
    const calm = openings === 1 ? calmAfterLoading(hello) : 0;
    if (hello.resumed === false) {
      clearTimeout(missed);
      missed = setTimeout(tell, calm + Math.random() * (SPREAD + calm), "missed", hello);
    }
    tell("open", hello);
    if (hello.resumed) tell("resumed", hello);
  }

  // A page out of a cache that reloads at `missed` would do so for ever: it is told later each
  // time, by a minute, two, four, up to an hour.
  function calmAfterLoading({ resumed }) {
    try {
      const last = Number(sessionStorage[mark] || 0);
      sessionStorage[mark] = resumed === false ? Math.min(2 * last || MINUTE, 60 * MINUTE) : 0;
      return last;
    } catch (error) {
      return MINUTE; // no storage
    }
  }

  function leave(code, reason, final) {
    const isUntold = state === "connecting" && !reason && !final;
    clearTimeout(timer);
    socket.onmessage = socket.onclose = null;
    socket.close(1000);
    state = final ? "closed" : "waiting";
    if (final) {
      clearTimeout(missed);
      for (const type in wakers) removeEventListener(type, wakers[type]);
    } else {
      if (id === null) id = ""; // much may be missed before the first hello, too
      if (Date.now() - openedAt > STABLE) ceiling = SHORTEST;
      openedAt = Infinity;
      timer = setTimeout(connect, Math.random() * ceiling);
      ceiling = Math.min(2 * ceiling, LONGEST);
    }
    if (isToldClosed && !final) return; // no news
    isToldClosed = true;
    if (isUntold) explain(code);
    else tell("closed", { code, reason, final });
  }

  // No page is told why a handshake failed. The events of the same URL may tell.
  function explain(code) {
    new Promise((resolve) => {
      setTimeout(resolve, ANSWER, "");
      const events = new URL(`events${address.search}`, address.href.replace("ws", "http"));
      const asked = fetch(events.href).then((answer) => {
        const isPlain = /^text\/plain/.test(answer.headers.get("Content-Type"));
        if (isPlain && !answer.ok) return answer.text();
        if (answer.body) answer.body.cancel(); // it has no end
        return "HTTP gets through, WebSocket does not: a proxy stops it, or there are too many cookies";
      });
      asked.then(resolve, () => resolve(""));
    }).then((reason) => {
      if (!isToldClosed || state === "closed") return; // too late
      tell("closed", { code, reason: reason.trim(), final: false });
    });
  }

  function tell(type, detail) {
    link.dispatchEvent(new CustomEvent(type, { detail }));
  }

  Object.defineProperty(link, "state", { get: () => state });
  link.close = () => {
    if (state !== "closed") leave(1000, "closed by the page", true);
  };
  link.register = (registration) => {
    if (state === "closed") throw new Error("udpush: the link is closed");
    const fields = check(registration);
    for (const key of Array.from(query.keys())) if (!OWN.test(key)) query.delete(key);
    append(fields);
    if (state === "open") {
      socket.send(JSON.stringify({ type: "register", registration: fields }));
    } else if (state === "connecting") {
      // What is replayed is what the URL registers.
      socket.onmessage = null;
      socket.close(1000);
      connect();
    }
  };

  const wakers = {
    online: wake,
    visibilitychange: () => document.hidden || wake(),
    pageshow: () => {
      isHidden = false;
      wake();
    },
    // With a socket, no page is kept for the Back button.
    pagehide: () => {
      isHidden = true;
      leave(1001, "page hidden", false);
    },
  };

  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  query.delete("since");
  append(check(registration));
  const mark = `udpush ${location.pathname} ${address}`;
  connect();
  for (const type in wakers) addEventListener(type, wakers[type]);
  return link;
}

// In a script, a name, a division and a comment. A module awaits /1/, and exports.
typeof await /1//1; export { udpush, udpush as default };
