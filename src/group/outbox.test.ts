/** The queue of calls that wait for room keeps their order whatever happens to the room. */
import { expect, test } from "vitest";
import type { Membership } from "../runtime/application.ts";
import { FIFO, SAFE } from "../wire/packet.ts";
import { Diagnostics } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";
import { Outbox, type Waiting } from "./outbox.ts";

/** A membership with so much room. */
class Room {
  room = 0;
  readonly sent: number[] = [];
  readonly name = "g";
  readonly view = { number: 1 };

  send(_flavour: number, tag: number): boolean {
    if (this.room === 0) return false;
    this.room--;
    this.sent.push(tag);
    return true;
  }
}

function make(limits = { callsMax: 10, bytesMax: 100 }) {
  const room = new Room();
  const outbox = new Outbox(new Diagnostics(() => {}, "g"), limits);
  outbox.open(room as unknown as Membership);
  const send = (tag: number, bytes = 1) => outbox.send(FIFO, tag, new Uint8Array(bytes), undefined);
  return { room, outbox, send };
}

test("a call does not overtake those that wait, though there is room again", () => {
  const { room, outbox, send } = make();
  send(1);
  room.room = 5;
  send(2);
  expect(room.sent).toEqual([]);
  outbox.room();
  send(3);
  expect(room.sent).toEqual([1, 2, 3]);
});

test("what is done after the calls made so far has its turn among them", () => {
  const { room, outbox, send } = make();
  outbox.afterThese(() => room.sent.push(-1));
  send(1);
  outbox.afterThese(() => room.sent.push(-2));
  send(2);
  room.room = 1;
  outbox.room();
  expect(room.sent).toEqual([-1, 1, -2]);
  room.room = 1;
  outbox.room();
  expect(room.sent).toEqual([-1, 1, -2, 2]);
});

test("both bounds hold, cancelling gives bytes back, and sending gives both", () => {
  const { room, outbox, send } = make();
  const isRefused = (tag: number, bytes: number) => send(tag, bytes) instanceof CoterieError;
  const first = send(1, 60) as Waiting;
  expect([isRefused(2, 41), isRefused(3, 40)]).toEqual([true, false]);
  expect([outbox.cancel(first), outbox.cancel(first)]).toEqual([true, false]);
  expect(isRefused(4, 60)).toBe(false);
  for (let tag = 5; tag < 12; tag++) expect(isRefused(tag, 0)).toBe(false);
  expect(isRefused(12, 0)).toBe(true);
  room.room = 100;
  outbox.room();
  expect(room.sent).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
  room.room = 0;
  expect(isRefused(13, 100)).toBe(false);
  const sent = send(14, 0) as Waiting;
  room.room = 2;
  outbox.room();
  expect(outbox.cancel(sent)).toBe(false);
});

test("an outbox that is not open, or not any more, takes nothing", () => {
  const outbox = new Outbox(new Diagnostics(() => {}, "g"));
  expect(outbox.send(SAFE, 1, new Uint8Array(0), undefined)).toMatchObject({ code: "closed" });
  const { outbox: ended, send } = make();
  ended.end(new CoterieError("left", "it has left"));
  ended.room();
  expect(send(1)).toMatchObject({ code: "left" });
});
