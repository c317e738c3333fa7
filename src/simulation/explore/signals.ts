/**
 * What comes to a node, by short keys: equal keys are equal inputs. Frames are numbered by their bytes.
 */
import type { NodeId } from "../../protocol/view.ts";
import type { Lane } from "../../runtime/ports.ts";
import type { Input } from "./machine.ts";

export interface Signal {
  readonly key: string;
  readonly input:
    | Exclude<Input, { kind: "frame" | "datagram" }>
    | { readonly kind: "datagram"; readonly from: NodeId; readonly frame: number }
    | { readonly kind: "frame"; readonly from: NodeId; readonly frame: number; readonly isHeld: boolean };
}

export function signal(input: Exclude<Input, { kind: "frame" | "datagram" }>): Signal {
  const detail = "peer" in input ? input.peer : "flavour" in input ? input.flavour : "to" in input ? input.to : "";
  return { key: `${input.kind} ${detail}`, input };
}

export class Frames {
  readonly #numbers = new Map<string, number>();
  readonly #frames: Uint8Array[] = [];

  number(lane: Lane | "datagram", bytes: Uint8Array): number {
    const text = `${lane}${Array.prototype.join.call(bytes)}`;
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#frames.push(bytes.slice()) - 1;
    this.#numbers.set(text, number);
    return number;
  }

  bytes(number: number): Uint8Array {
    return this.#frames[number] as Uint8Array;
  }

  signal(from: NodeId, frame: number, isHeld: boolean): Signal {
    return { key: `${from} ${frame}${isHeld ? " held" : ""}`, input: { kind: "frame", from, frame, isHeld } };
  }

  datagram(from: NodeId, frame: number): Signal {
    return { key: `${from} datagram ${frame}`, input: { kind: "datagram", from, frame } };
  }

  inputOf({ input }: Signal): Input {
    if (input.kind !== "frame" && input.kind !== "datagram") return input;
    const { frame, ...rest } = input;
    return { ...rest, bytes: this.bytes(frame) };
  }
}
