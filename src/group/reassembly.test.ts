/** Long messages: parts that belong together are put together; what does not belong is dropped as a whole. */
import { expect, test } from "vitest";
import { FIFO, fragments, PACKET_BYTES_MAX, type Packet, PacketBuilder, TOTAL } from "../wire/packet.ts";
import { Reassembly } from "./reassembly.ts";

const long = new Uint8Array(150_000).map((_byte, index) => index % 253);

/** Comparing long arrays element by element takes seconds. */
const isLong = (payload: Uint8Array | undefined) => payload !== undefined && Buffer.compare(payload, long) === 0;

function addAll(reassembly: Reassembly, packets: readonly Packet[], sender = "a") {
  return packets.map((packet) => reassembly.add(packet, sender)).filter((whole) => whole !== undefined);
}

test("messages of several senders and flavours are put together side by side", () => {
  const reassembly = new Reassembly(1_000_000);
  const streams = [
    { sender: "a", packets: fragments(FIFO, 1, long, PACKET_BYTES_MAX) },
    { sender: "a", packets: fragments(TOTAL, 2, long, PACKET_BYTES_MAX) },
    { sender: "b", packets: fragments(FIFO, 3, long, PACKET_BYTES_MAX) },
  ];
  expect(reassembly.active).toBe(false);
  const wholes = [0, 1, 2].flatMap((part) =>
    streams.flatMap(({ sender, packets }) => addAll(reassembly, packets.slice(part, part + 1), sender)),
  );
  expect(wholes.map(({ tag, payload }) => [tag, isLong(payload)])).toEqual([1, 2, 3].map((tag) => [tag, true]));
  expect(reassembly.active).toBe(false);
});

test("parts with another tag, of several messages, or too many bytes give no message, and the next one is whole", () => {
  const several = new PacketBuilder(FIFO);
  several.append(1, new Uint8Array(1));
  several.append(1, new Uint8Array(1));
  const [first, ...rest] = fragments(FIFO, 1, long, PACKET_BYTES_MAX) as [Packet, ...Packet[]];
  const wrong = [
    [first, ...fragments(FIFO, 2, long, PACKET_BYTES_MAX).slice(1)],
    [first, several.finish()],
    [first, ...fragments(FIFO, 1, new Uint8Array(1_000_000), PACKET_BYTES_MAX)],
  ];
  for (const packets of wrong) {
    const reassembly = new Reassembly(200_000);
    expect(addAll(reassembly, packets)).toEqual([{ tag: 1, payload: undefined }]);
    const [next] = addAll(reassembly, [first, ...rest]);
    expect([next?.tag, isLong(next?.payload)]).toEqual([1, true]);
  }
});

test("what is incomplete when the view ends is forgotten", () => {
  const reassembly = new Reassembly(1_000_000);
  addAll(reassembly, fragments(FIFO, 1, long, PACKET_BYTES_MAX).slice(0, 2));
  expect(reassembly.expects("a", FIFO)).toBe(true);
  reassembly.reset();
  expect(reassembly.expects("a", FIFO)).toBe(false);
});
