// udpush in a page, as a script or a module: see README.md. It has nothing that Chrome 64 lacks.
function udpush(url, registration, onMessage, options) {
  "use strict";

  // Makes a token, where the server wants one.
  const { token } = options || {};

  // In ms. The wait for an attempt is random, at first up to twice SHORTEST, at last up to LONGEST.
  const SHORTEST = 250;
  const LONGEST = 30000;
  // A link that lasts as long makes the wait short again.
  const STABLE = 5000;
  // From the attempt to the hello.
  const GREETING = 15000;
  // To why an attempt failed.
  const ANSWER = 3000;
  // Of `missed`: not all pages are to reload at once.
  const SPREAD = 3000;
  const MINUTE = 60000;
  // Would only happen again; a token's end only where no other is to be had.
  const FINAL = [1008, 4403, token || 4401];

  // The protocol's fields; and another field's, or nobody's.
  const OWN = /^(since|token|last|lastEventId|Last-Event-ID)$/;
  const LIST = /^$|^[^]+\[[^]*]$/;

  // For its events: older browsers construct no target.
  const link = document.createDocumentFragment();
  const address = new URL(url, location.href);
  const query = address.searchParams;
  let state = "connecting";
  // As a closed one, at first.
  let socket = { readyState: 3, close() {} };
  // Of the last message, hello or heartbeat.
  let id = query.get("since");
  let ceiling = SHORTEST, openings = 0, openedAt = Infinity;
  // Longer silence than `patience` is a dead link.
  let heardAt, patience;
  // Of the next attempt, or of the end of patience; of the next token; of `missed`.
  let timer, renewal, missed;
  // `asked` changes with each token that is asked for, and when none is of use any more.
  let asked = 0, isToldClosed, isHidden;

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
    if (socket.readyState !== WebSocket.CLOSED) {
      // Never two sockets: a dead one takes its time.
      socket.onclose = connect;
      return;
    }
    state = "connecting";
    heardAt = Date.now();
    patience = GREETING;
    listen();
    if (token) ask(open, (error) => leave(1006, `no token: ${error}`));
    else open();
  }

  function open(value) {
    if (token) query.set("token", value);
    if (id !== null) query.set("since", id);
    socket = new WebSocket(address.href, "udpush.v1");
    socket.onmessage = ({ data }) => hear(data);
    socket.onclose = ({ code, reason }) => leave(code, reason, FINAL.includes(code));
  }

  // What comes when it is of no use any more is nobody's.
  function ask(take, fail) {
    const mine = ++asked;
    const current = (act) => (value) => mine === asked && act(value);
    Promise.resolve().then(token).then(current(take), current(fail));
  }

  // Before the end of the token that the link has.
  function renew() {
    ask(
      (value) => socket.send(JSON.stringify({ type: "token", token: value })),
      () => (renewal = again(renew))
    );
  }

  function again(act) {
    ceiling = Math.min(2 * ceiling, LONGEST);
    return setTimeout(act, Math.random() * ceiling);
  }

  // By the clock: timers stand still while the computer sleeps.
  function listen() {
    clearTimeout(timer);
    const left = patience - Math.abs(Date.now() - heardAt);
    if (left > 0) timer = setTimeout(listen, left);
    else leave(1006, "nothing heard");
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
      patience = 2500 * frame.heartbeat;
      listen();
      clearTimeout(renewal);
      // When two fifths are left. A browser's timer takes 31 bits.
      if (token && frame.expires >= 0) renewal = setTimeout(renew, Math.min(500 + 600 * frame.expires, 1e9));
      if (state === "open") tell("registered", frame);
      else greet(frame);
    } else if (frame.type === "error") {
      tell("error", frame.error);
    }
  }

  function greet(hello) {
    state = "open";
    openedAt = heardAt;
    openings++;
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
      // No storage.
      return MINUTE;
    }
  }

  function leave(code, reason, final = false) {
    const isUntold = state === "connecting" && !reason && !final;
    clearTimeout(timer);
    clearTimeout(renewal);
    asked++;
    socket.onmessage = socket.onclose = null;
    socket.close(1000);
    state = final ? "closed" : "waiting";
    if (final) {
      clearTimeout(missed);
      for (const type in wakers) removeEventListener(type, wakers[type]);
    } else {
      // Much may be missed before the first hello, too.
      if (id === null) id = "";
      if (Date.now() - openedAt > STABLE) ceiling = SHORTEST;
      openedAt = Infinity;
      timer = again(connect);
    }
    // No news.
    if (isToldClosed && !final) return;
    isToldClosed = true;
    if (isUntold) explain(code);
    else tell("closed", { code, reason, final });
  }

  // No page is told why a handshake failed. The events of the same URL may tell.
  function explain(code) {
    new Promise((resolve) => {
      setTimeout(resolve, ANSWER, "");
      const events = new URL(`events${address.search}`, address.href.replace("ws", "http"));
      // What a browser tells of WebSockets alone: its own host may be another behind a proxy.
      const headers = events.origin === location.origin ? { "X-Page-Origin": self.origin } : {};
      const asked = fetch(events.href, { headers }).then((answer) => {
        const isPlain = /^text\/plain/.test(answer.headers.get("Content-Type"));
        if (isPlain && !answer.ok) return answer.text();
        // It has no end.
        if (answer.body) answer.body.cancel();
        return "HTTP gets through, WebSocket does not: a proxy stops it, or there are too many cookies";
      });
      asked.then(resolve, () => resolve(""));
    }).then((text) => {
      // Too late.
      if (!isToldClosed || state === "closed") return;
      const reason = text.trim();
      if (reason) console.warn(`udpush: ${reason}`);
      tell("closed", { code, reason, final: false });
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
      leave(1001, "page hidden");
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
