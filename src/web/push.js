// udpush in a page, as a script or as a module:
//   <script src="http://host:6552/push.js"></script>
//   import { udpush } from "http://host:6552/push.js";
//
//   const link = udpush("ws://host:6552/", { school_id: "2" }, (data, id) => { … });
//
// It reconnects by itself and goes on behind the last message it has had. link.close() ends it,
// link.state is "connecting", "open", "waiting" or "closed". Its events, each with a `detail`:
//   open     the server said hello
//   resumed  … and nothing was missed meanwhile
//   missed   … and something may have been: reload what the page shows
//   closed   { code, reason, final }: the link is lost, or, when final, over
//   error    what the server complains of

var udpush = (() => {
  "use strict";

  // In ms. The wait before an attempt is random: at first up to SHORTEST, after many up to LONGEST.
  const SHORTEST = 500;
  const LONGEST = 30_000;
  const STABLE = 5_000; // a link that lasts as long makes the next wait short again
  const GREETING = 15_000; // from the attempt to the hello
  const SPREAD = 3_000; // of `missed`, so that thousands of pages don't reload at once
  const FINAL = [1008, 4401, 4403]; // these would only happen again

  class Link extends EventTarget {
    #url;
    #onMessage;
    #socket;
    #state = "connecting";
    #id; // of the last message, hello or heartbeat
    #ceiling = SHORTEST;
    #openedAt = Infinity;
    #heardAt;
    #patience; // longer silence is a dead link
    #timer; // of the next attempt, or of the end of patience
    #missed; // the timer of this event
    #listening = new AbortController();

    constructor(url, registration, onMessage) {
      super();
      this.#url = new URL(url, location.href);
      this.#url.protocol = this.#url.protocol.replace("http", "ws");
      this.#url.hash = "";
      for (const [field, value] of Object.entries(registration ?? {})) {
        const key = Array.isArray(value) ? `${field}[]` : field;
        for (const one of [value].flat()) {
          if (one != null) this.#url.searchParams.append(key, one);
        }
      }
      // A page that knows the id its content is from may say so in the URL.
      this.#id = this.#url.searchParams.get("since");
      this.#onMessage = onMessage;
      this.#connect();

      const { signal } = this.#listening;
      const on = (type, act) => addEventListener(type, act, { signal });
      on("online", () => this.#wake());
      on("pageshow", () => this.#wake());
      on("visibilitychange", () => document.hidden || this.#wake());
      // With a socket, the browser would not keep the page for its Back button.
      on("pagehide", () => this.#leave(1001, "page hidden", false));
    }

    get state() {
      return this.#state;
    }

    close() {
      if (this.#state !== "closed") this.#leave(1000, "closed by the page", true);
    }

    #connect() {
      clearTimeout(this.#timer);
      // Never two sockets: a dead one takes its time to close.
      if (this.#socket && this.#socket.readyState !== WebSocket.CLOSED) {
        this.#socket.onclose = () => this.#connect();
        return;
      }
      if (this.#id != null) this.#url.searchParams.set("since", this.#id);
      const socket = new WebSocket(this.#url.href, "udpush.v1");
      socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
      socket.onclose = ({ code, reason }) => this.#leave(code, reason, FINAL.includes(code));
      this.#socket = socket;
      this.#state = "connecting";
      this.#heardAt = Date.now();
      this.#patience = GREETING;
      this.#listen();
    }

    // By the clock: timers stand still while the computer sleeps.
    #listen() {
      clearTimeout(this.#timer);
      const left = this.#patience - Math.abs(Date.now() - this.#heardAt);
      if (left > 0) this.#timer = setTimeout(() => this.#listen(), left);
      else this.#leave(1006, "nothing heard", false);
    }

    #wake() {
      if (this.#state === "waiting") this.#connect();
      else this.#listen();
    }

    #hear(frame) {
      this.#heardAt = Date.now();
      this.#id = frame.id ?? this.#id;
      if (frame.type === "message") {
        // If it throws, the browser reports it, and the stream goes on.
        this.#onMessage?.(frame.data, frame.id);
      } else if (frame.type === "hello") {
        this.#openedAt = this.#heardAt;
        this.#patience = 2.5 * 1000 * frame.heartbeat;
        this.#state = "open";
        this.#listen();
        if (frame.resumed === false) {
          clearTimeout(this.#missed);
          this.#missed = setTimeout(() => this.#tell("missed", frame), Math.random() * SPREAD);
        }
        this.#tell("open", frame);
        if (frame.resumed) this.#tell("resumed", frame);
      } else if (frame.type === "error") {
        this.#tell("error", frame.error);
      }
    }

    #leave(code, reason, final) {
      const wasOpen = this.#state === "open";
      clearTimeout(this.#timer);
      this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close(1000);
      this.#state = final ? "closed" : "waiting";
      if (final) {
        clearTimeout(this.#missed);
        this.#listening.abort();
      } else {
        // Before the first hello there is no id, but much to miss: an empty one says so.
        this.#id ??= "";
        if (Date.now() - this.#openedAt > STABLE) this.#ceiling = SHORTEST;
        this.#openedAt = Infinity;
        this.#timer = setTimeout(() => this.#connect(), Math.random() * this.#ceiling);
        this.#ceiling = Math.min(2 * this.#ceiling, LONGEST);
      }
      if (final || wasOpen) this.#tell("closed", { code, reason, final });
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  return (url, registration, onMessage) => new Link(url, registration, onMessage);
})();

// In a script, which may not export, `await` is a name without a value, and the line a division and
// a comment. In a module it awaits /1/, and then exports.
typeof await /1//1; export { udpush, udpush as default };
