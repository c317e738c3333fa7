import { describe, expect, test } from "vitest";
import type { DirectoryCommand, Message } from "../protocol/messages.ts";
import { Doorkeeper } from "./doorkeeper.ts";

const ann = "ann#0000000a";
const bob = "bob#0000000b";

type Requested = Extract<Message, { kind: "directoryRequest" }>;

function request(requester: string, number: number, command: DirectoryCommand): Requested {
  return { kind: "directoryRequest", request: { requester, number, command } };
}

function join(requester: string, number: number, ...names: string[]): Requested {
  const groups = names.map((name) => ({
    name,
    digest: "d",
    durable: false,
    acceptorsMax: 0,
    operations: [],
    proof: undefined,
  }));
  return request(requester, number, { kind: "join", groups });
}

const leave = (requester: string, number: number): Requested =>
  request(requester, number, { kind: "leave", groups: [1] });

/** A door where verdicts are given by hand. */
class Door {
  readonly asked: string[] = [];
  readonly passed: string[] = [];
  readonly #decisions = new Map<string, (isAllowed: boolean) => void>();
  readonly keeper = new Doorkeeper(
    ({ node, group }, decide) => {
      this.asked.push(`${node.slice(0, 3)} ${group}`);
      this.#decisions.set(`${node.slice(0, 3)} ${group}`, decide);
    },
    (from, message) => this.passed.push(shown(from, message)),
  );

  say(wish: string, isAllowed: boolean): void {
    this.#decisions.get(wish)?.(isAllowed);
  }
}

function shown(from: string, message: Message): string {
  if (message.kind !== "directoryRequest") return message.kind;
  const { number, command } = message.request;
  return `${from.slice(0, 3)} ${number} ${command.kind}${command.kind === "refuse" ? ` ${command.names}` : ""}`;
}

describe("the doorkeeper", () => {
  test("lets a join pass when it may, and makes it a refusal when not", () => {
    const door = new Door();
    door.keeper.requested(ann, join(ann, 1, "g"));
    door.keeper.requested(bob, join(bob, 1, "g"));
    expect(door.passed).toEqual([]);
    door.say("bob g", false);
    door.say("ann g", true);
    expect(door.passed).toEqual(["bob 1 refuse g", "ann 1 join"]);
  });

  test("asks for each group of a join, and names those that are refused", () => {
    const door = new Door();
    door.keeper.requested(ann, join(ann, 1, "g", "h", "i"));
    expect(door.asked).toEqual(["ann g", "ann h", "ann i"]);
    for (const group of ["i", "h", "g"]) door.say(`ann ${group}`, group === "h");
    expect(door.passed).toEqual(["ann 1 refuse i,g"]);
  });

  test("keeps a node's requests in their order, and asks once about each", () => {
    const door = new Door();
    door.keeper.requested(ann, leave(ann, 1));
    door.keeper.requested(ann, join(ann, 2, "g"));
    door.keeper.requested(ann, leave(ann, 3));
    door.keeper.requested(ann, join(ann, 2, "g"));
    door.keeper.requested(ann, join(ann, 4, "h"));
    expect(door.passed).toEqual(["ann 1 leave"]);
    door.say("ann g", true);
    expect(door.passed).toEqual(["ann 1 leave", "ann 2 join", "ann 3 leave"]);
    expect(door.asked).toEqual(["ann g", "ann h"]);
  });

  test("takes the first word only, and none about a node that has gone", () => {
    const door = new Door();
    door.keeper.requested(ann, join(ann, 1, "g"));
    door.keeper.gone(ann);
    door.say("ann g", true);
    expect(door.passed).toEqual([]);
    door.keeper.requested(ann, join(ann, 1, "g"));
    door.say("ann g", false);
    door.say("ann g", true);
    expect(door.passed).toEqual(["ann 1 refuse g"]);
  });

  test("keeps no more than a bound of what a node asks for", () => {
    const door = new Door();
    door.keeper.requested(ann, join(ann, 1, "g"));
    for (let number = 2; number < 1000; number++) door.keeper.requested(ann, leave(ann, number));
    door.say("ann g", true);
    expect(door.passed.length).toBe(256);
  });
});
