/** A value of a field, compared by its text: 2 is "2". */
export type Scalar = string | number | boolean;

/** Fields, each with the values of which any is wanted; `{}` is everything. */
export type Registration = Record<string, Scalar | readonly Scalar[]>;

/**
 * Hears a message.
 *
 * @param data what was pushed, parsed
 * @param id its id; opaque
 * @param raw the document as it was pushed, whose numbers are not rounded
 */
export type Handler<Data = any> = (data: Data, id: string, raw: string) => void;

export interface Options {
  /** Makes a token, where the server wants one; asked before each attempt, and before the last one ends. */
  token?: () => string | Promise<string>;
  /** A name under which the tab keeps the newest id: a page that is loaded again goes on where it was. */
  remember?: string;
  /** Asks how many clients are online; see the event of that name. */
  online?: boolean;
}

/** What the server says first, and again after each registration and token. */
export interface Hello {
  type: "hello";
  client: number;
  id: string;
  /** Whether nothing was missed; absent where the link did not ask to go on from an id. */
  resumed?: boolean;
  /** Seconds between heartbeats. */
  heartbeat: number;
  registration: Record<string, string | string[]> | Record<string, string | string[]>[];
  /** The only fields that address, with --route. */
  route?: string[];
  /** Seconds for which the token is still good. */
  expires?: number;
  online?: number;
}

export interface Closed {
  code: number;
  reason: string;
  /** Whether it is the end; else the link is about to connect again. */
  final: boolean;
}

export interface LinkEvents {
  /** Show everything anew: on the first open, and whenever something may have been missed. */
  load: CustomEvent<Hello>;
  open: CustomEvent<Hello>;
  resumed: CustomEvent<Hello>;
  missed: CustomEvent<Hello>;
  registered: CustomEvent<Hello>;
  closed: CustomEvent<Closed>;
  /** The server refused something: its sentence. */
  error: CustomEvent<string>;
  /** How many clients are online. */
  online: CustomEvent<number>;
}

export interface Subscription {
  /** Hears nothing more; does nothing the second time. */
  unsubscribe(): void;
}

export interface Link {
  readonly state: "connecting" | "open" | "waiting" | "closed";
  /** The newest id that the link knows; null before the first. */
  readonly id: string | null;
  /**
   * Replaces what the link itself registered.
   *
   * @throws TypeError for what is no registration; Error when the link is closed
   */
  register(registration: Registration): void;
  /** The same errors as {@link register}. At most 16 on a link. */
  subscribe<Data = any>(registration: Registration, handler: Handler<Data>): Subscription;
  close(): void;
  addEventListener<Type extends keyof LinkEvents>(type: Type, listener: (event: LinkEvents[Type]) => void): void;
  removeEventListener<Type extends keyof LinkEvents>(type: Type, listener: (event: LinkEvents[Type]) => void): void;
}

/**
 * Connects; without a registration, with the first subscription.
 *
 * @param url where udpush listens: `ws://`, `http://`, or a path such as `/push/`
 * @throws TypeError for what is no registration
 */
export function udpush<Data = any>(
  url: string | URL,
  registration?: Registration,
  handler?: Handler<Data> | null,
  options?: Options
): Link;

export default udpush;
