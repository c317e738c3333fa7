/**
 * Planted bugs in what little is promised of raw messages.
 */
import type { Mutant } from "./mutant.ts";

const MEMBER = "protocol/member.js";

export const rawMutants: readonly Mutant[] = [
  {
    name: "raw-twice",
    violates: "D1",
    file: "protocol/raw.js",
    find: "if ((word & bit) !== 0)\n            return false;",
    replace: "",
    why: "A datagram that the network doubles is delivered twice.",
  },
  {
    name: "raw-of-the-removed",
    violates: "M4",
    file: MEMBER,
    find: "return this.#epoch?.view.members.includes(from) === true && this.#target.members.includes(from);",
    replace: "return this.#epoch !== undefined;",
    why: "A raw message is delivered although its sender is no member any more, or not yet.",
  },
  {
    name: "raw-while-blocked",
    violates: "M3",
    file: MEMBER,
    find: "if (this.#ended || this.#blocked || !this.joined || from === this.self)",
    replace: "if (this.#ended || !this.joined || from === this.self)",
    why: "A member that has lost the primary partition goes on delivering raw messages.",
  },
  {
    name: "raw-to-the-next-view",
    violates: "D9",
    file: MEMBER,
    find: "to: epoch.others, packet });\n        }\n    }\n    #settleFlushes",
    replace:
      "to: this.#target.members.filter((id) => id !== this.self), packet });\n        }\n    }\n    #settleFlushes",
    why: "A raw message goes to those whom the directory has let in already, though its sender's view is without them.",
  },
];
