// udpush: see README.md
// In a page, as a script or a module. It has nothing that Chrome 64 lacks. Times are in ms.
//
// The last line is, in a script, a name, a division and a comment. A module awaits /1/, and exports.
function udpush(url, registration, handler, options) {
  // `token` makes one, where the server wants it; `remember` is a name under which the newest id is
  // kept for the page that is loaded next; `online` asks how many are there.
  const { token, remember, online } = options || {};

  const // The protocol's fields.
    OWN = /^(since|token|last|online|lastEventId|Last-Event-ID)$/,
    isObject = value => ({}.toString.call(value) === "[object Object]"),
    isText = value => /^str|^boo/.test(typeof value);

  // For its events: older browsers construct no target.
  const link = document.createDocumentFragment(),
    address = new URL(url, location.href),
    query = address.searchParams,
    // What is heard, each with its handler: the page's own registration first, if it has one.
    parts = [],
    store = remember && `udpush ${remember}`;
  let state = "connecting",
    // As a closed one, at first.
    socket = { readyState: 3, close() {} },
    main,
    isDue,
    // Fields that address, where the server has only those.
    routes,
    // Whether WebSocket does not get through, and how often it seemed so.
    isStream,
    doubts = 0,
    // Of the last message, hello or heartbeat.
    id = query.get("since") || recall(store) || null,
    ceiling = 250,
    isFirst = true,
    openedAt = Infinity,
    // Longer silence than `patience` is a dead link.
    heardAt,
    patience,
    // Of the next attempt, or of the end of patience; of the next token; of `missed`.
    timer,
    renewal,
    missed,
    // Changes with each token that is asked for, and when none is of use any more.
    asked = 0,
    isTold,
    isHidden;

  // Who registers nothing hears everything: nothing may get lost here.
  function check(wanted) {
    const refuse = why => {
      throw TypeError(`udpush: ${why}`);
    };
    if (!isObject(wanted)) refuse("a registration is an object");
    const fields = Object.create(null);
    for (const field of Object.keys(wanted)) {
      const name = `the field "${field}"`, values = [].concat(wanted[field]);
      // The protocol's, another field's, or nobody's.
      if (OWN.test(field) || /^$|^[^]+\[[^]*]$/.test(field)) refuse(`${name} is none in a URL`);
      if (!values.length) refuse(`${name} has no values`);
      for (const value of values) {
        if (!isText(value) && !(typeof value === "number" && Math.abs(value) < 2 ** 53)) {
          refuse(`${name} cannot be ${value}`);
        }
      }
      fields[field] = values.map(String);
    }
    return fields;
  }

  // Once for all changes of a moment, the first ones included.
  function change() {
    if (state === "closed") throw Error("udpush: the link is closed");
    if (!isDue) isDue = Promise.resolve().then(apply);
  }

  function apply() {
    isDue = false;
    // Nothing is heard yet, or by nobody any more.
    if (state === "closed" || !parts.length) return;
    const all = parts.map(part => part.fields), [first, second] = all;
    for (const key of new Set(query.keys())) if (!OWN.test(key)) query.delete(key);
    if (second) query.set("registration", JSON.stringify(all));
    else for (const field in first) for (const value of first[field]) query.append(field, value);
    if (state === "open" && socket.send) {
      socket.send(JSON.stringify({ type: "register", registration: second ? all : first }));
    } else if (state !== "waiting") {
      // What is replayed is what the URL registers.
      asked++;
      socket.onmessage = null;
      socket.close(1000);
      connect();
    }
  }

  function connect() {
    clearTimeout(timer);
    if (isHidden) return;
    if (socket.readyState !== 3) {
      // Never two sockets: a dead one takes its time.
      socket.onclose = connect;
      return;
    }
    state = "connecting";
    heardAt = Date.now();
    // From the attempt to the hello.
    patience = 15000;
    listen();
    if (token) ask(open, error => leave(1006, `no token: ${error}`));
    else open();
  }

  function open(value) {
    if (token) query.set("token", value);
    if (id !== null) query.set("since", id);
    if (isStream) return stream();
    socket = new WebSocket(address.href, "udpush.v1");
    socket.onmessage = ({ data }) => hear(data);
    // What would only happen again is final; a token's end only where no other is to be had.
    socket.onclose = ({ code, reason }) => leave(code, reason, [1008, 4403, token || 4401].includes(code));
  }

  const eventsUrl = () => new URL(`events${address.search}`, address.href.replace("ws", "http"));

  function stream() {
    const events = new EventSource(eventsUrl());
    const own = (socket = {
      close() {
        events.close();
        own.readyState = 3;
      },
    });
    events.onmessage = ({ data, lastEventId }) =>
      take({ type: "message", id: lastEventId, data: JSON.parse(data) }, data);
    for (const type of ["hello", "heartbeat", "online"]) {
      events.addEventListener(type, ({ data }) => hear(data));
    }
    // What the browser would do by itself, some do not.
    events.onerror = () => leave(1006, "");
  }

  // What comes when it is of no use any more is nobody's.
  function ask(take, fail) {
    const mine = ++asked;
    const current = act => value => mine === asked && act(value);
    Promise.resolve().then(token).then(current(take), current(fail));
  }

  // Before the end of the token that the link has.
  function renew() {
    ask(
      value => socket.send(JSON.stringify({ type: "token", token: value })),
      () => (renewal = again(renew))
    );
  }

  // The wait for an attempt is random, at first up to half a second, at last up to thirty.
  function again(act) {
    ceiling = Math.min(2 * ceiling, 3e4);
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
    else if (heardAt) listen();
  }

  function hear(text) {
    const frame = JSON.parse(text);
    take(frame, frame.type === "message" && text.slice(text.indexOf(',"data":') + 8, -1));
  }

  function take(frame, raw) {
    heardAt = Date.now();
    if (frame.id) recall(store, (id = frame.id));
    if (frame.type === "message") {
      const said = parts.length > 1 && isObject(frame.data) && quoted(raw);
      for (const { fields, handler } of parts.slice()) {
        if (handler && (!said || hears(fields, said))) call(handler, frame.data, raw);
      }
    } else if (frame.type === "hello") {
      patience = 2500 * frame.heartbeat;
      routes = frame.route;
      listen();
      clearTimeout(renewal);
      // When two fifths are left. A browser's timer takes 31 bits. A stream gets its own when it ends.
      if (token && socket.send && frame.expires >= 0) {
        renewal = setTimeout(renew, Math.min(500 + 600 * frame.expires, 1e9));
      }
      if (state === "open") tell("registered", frame);
      else greet(frame);
      if (frame.online) tell("online", frame.online);
    } else if (frame.type === "online") {
      tell("online", frame.clients);
    } else if (frame.type === "error") {
      tell("error", frame.error);
    }
  }

  // If one throws, the browser reports it, and the others hear of the message.
  function call(handler, data, raw) {
    try {
      handler(data, id, raw);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  }

  // Its numbers as texts, as they were pushed: none is rounded, and 1.0 is not 1.
  function quoted(raw) {
    return JSON.parse(raw.replace(/"(\\.|[^"\\])*"|-?\d[\d.eE+-]*/g, text => (text[0] === '"' ? text : `"${text}"`)));
  }

  // As the server judges.
  function hears(fields, said) {
    const saying = name => ({}.hasOwnProperty.call(said, name) ? said[name] : undefined);
    const meets = name =>
      [].concat(saying(name)).some(value => isText(value) && (fields[name] || []).includes(`${value}`));
    return routes
      ? routes.every(name => saying(name) === undefined || meets(name))
      : Object.keys(fields).every(name => saying(name) == null || meets(name));
  }

  function greet(hello) {
    state = "open";
    openedAt = heardAt;
    isTold = false;
    if (!isStream) doubts = 0;
    const isNew = isFirst, calm = isNew ? calmed(hello) : 0;
    isFirst = false;
    if (hello.resumed === false) {
      clearTimeout(missed);
      // Not all pages are to load at once.
      missed = setTimeout(() => {
        tell("missed", hello);
        if (!isNew) tell("load", hello);
      }, calm + Math.random() * (3000 + calm));
    }
    tell("open", hello);
    if (isNew) tell("load", hello);
    if (hello.resumed) tell("resumed", hello);
  }

  // A page out of a cache that reloads at `missed` would do so for ever: it is told later each
  // time, by a minute, two, four, up to an hour.
  function calmed({ resumed }) {
    const last = Number(recall(mark) || 0),
      isKept = recall(mark, resumed === false ? Math.min(2 * last || 6e4, 36e5) : 0);
    return isKept ? last : 6e4;
  }

  // What is remembered under this name, or is to be from now on; undefined where nothing can be.
  function recall(name, value) {
    try {
      if (name && value !== undefined) sessionStorage[name] = value;
      return name && sessionStorage[name];
    } catch (error) {}
  }

  function leave(code, reason, final = false) {
    const isUntold = state === "connecting" && !reason && !final;
    // A stream has no `send`.
    if (isUntold && !socket.send) isStream = false;
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
      // A link that lasts as long makes the wait short again.
      if (Date.now() - openedAt > 5000) ceiling = 250;
      openedAt = Infinity;
      timer = again(connect);
    }
    const isNews = final || !isTold;
    isTold = true;
    if (isUntold) explain(code, isNews);
    else if (isNews) tell("closed", { code, reason, final });
  }

  // No page is told why a handshake failed. The events of the same URL may tell.
  function explain(code, isNews) {
    const events = eventsUrl(),
      late = new Promise(resolve => setTimeout(resolve, 3000, "")),
      // What a browser tells of WebSockets alone: its own host may be another behind a proxy.
      headers = events.origin === location.origin ? { "X-Page-Origin": self.origin } : {};
    const said = fetch(events.href, { headers }).then(answer => {
      if (!answer.ok && /^text\/plain/.test(answer.headers.get("Content-Type"))) return answer.text();
      // It has no end.
      answer.body.cancel();
      // Once, the server may have come back in between.
      isStream = ++doubts > 1;
      return "HTTP gets through, WebSocket does not";
    });
    Promise.race([said.catch(() => ""), late]).then(text => {
      // Too late.
      if (!isNews || !isTold || state === "closed") return;
      const reason = text.trim();
      if (reason) console.warn(`udpush: ${reason}`);
      tell("closed", { code, reason, final: false });
    });
  }

  function tell(type, detail) {
    link.dispatchEvent(new CustomEvent(type, { detail }));
  }

  Object.defineProperties(link, { state: { get: () => state }, id: { get: () => id } });
  link.close = () => {
    if (state !== "closed") leave(1000, "closed by the page", true);
  };
  link.register = wanted => {
    const fields = check(wanted);
    if (main) main.fields = fields;
    else parts.unshift((main = { fields, handler }));
    change();
  };
  link.subscribe = (wanted, handler) => {
    const part = { fields: check(wanted), handler };
    parts.push(part);
    change();
    return {
      unsubscribe() {
        const place = parts.indexOf(part);
        if (place < 0 || state === "closed") return;
        parts.splice(place, 1);
        change();
      },
    };
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
      if (heardAt) leave(1001, "page hidden");
    },
  };

  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  query.delete("since");
  if (online) query.set("online", "");
  if (registration !== undefined || handler) {
    const fields = check(registration);
    for (const key of new Set(query.keys())) {
      const field = key.replace(/\[\d*]$/, "");
      if (!OWN.test(key)) fields[field] = query.getAll(key).concat(fields[field] || []);
    }
    parts.push((main = { fields, handler }));
  }
  const mark = `udpush ${location.pathname} ${address}`;
  change();
  for (const type in wakers) addEventListener(type, wakers[type]);
  return link;
}

typeof await /1//1; export { udpush, udpush as default };
