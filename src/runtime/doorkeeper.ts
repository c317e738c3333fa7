/**
 * Asks the application of the node that leads whether another node may join a group, before the directory hears of the
 * wish. A node's requests are numbered, so those behind a join wait for its verdict; a join that may not be becomes a
 * request of the same number that comes to nothing but a refusal.
 */
import type { DirectoryRequest, Message } from "../protocol/messages.ts";
import type { NodeId } from "../protocol/view.ts";

/** Answers once, at once or later, and in bounded time. */
export type Authorize = (
  wish: { readonly node: NodeId; readonly group: string },
  decide: (isAllowed: boolean) => void,
) => void;

type Requested = Extract<Message, { kind: "directoryRequest" }>;

/** More than a node asks for at once; what is dropped is asked for again. */
const WAITING_MAX = 256;

export class Doorkeeper {
  readonly #authorize: Authorize;
  readonly #pass: (from: NodeId, message: Message) => void;
  /** The requests of each node that has one before the application, that one first. */
  readonly #waiting = new Map<NodeId, Requested[]>();

  constructor(authorize: Authorize, pass: (from: NodeId, message: Message) => void) {
    this.#authorize = authorize;
    this.#pass = pass;
  }

  requested(from: NodeId, message: Requested): void {
    const waiting = this.#waiting.get(from);
    if (waiting === undefined) {
      this.#waiting.set(from, [message]);
      this.#next(from);
      return;
    }
    const isKnown = waiting.some(({ request }) => request.number === message.request.number);
    if (!isKnown && waiting.length < WAITING_MAX) waiting.push(message);
  }

  /** The node is not linked any more: it asks again when it is. */
  gone(node: NodeId): void {
    this.#waiting.delete(node);
  }

  #next(from: NodeId): void {
    const waiting = this.#waiting.get(from);
    const [first] = waiting ?? [];
    if (waiting === undefined || first === undefined) {
      this.#waiting.delete(from);
      return;
    }
    const { request } = first;
    const { command } = request;
    const decided = (refused: readonly string[]): void => {
      // It may be gone, and back, by now.
      if (this.#waiting.get(from) !== waiting) return;
      waiting.shift();
      this.#pass(from, refused.length === 0 ? first : { kind: "directoryRequest", request: refusal(request, refused) });
      this.#next(from);
    };
    if (command.kind === "join") this.#judge(from, [...new Set(command.groups.map(({ name }) => name))], decided);
    else decided([]);
  }

  /** Calls back once with the names of the groups that the node may not join. */
  #judge(node: NodeId, groups: readonly string[], decided: (refused: readonly string[]) => void): void {
    const refused: string[] = [];
    let open = groups.length;
    if (open === 0) decided(refused);
    for (const group of groups) {
      let isDecided = false;
      this.#authorize({ node, group }, (isAllowed) => {
        if (isDecided) return;
        isDecided = true;
        if (!isAllowed) refused.push(group);
        if (--open === 0) decided(refused);
      });
    }
  }
}

function refusal({ requester, number }: DirectoryRequest, names: readonly string[]): DirectoryRequest {
  return { requester, number, command: { kind: "refuse", names } };
}
