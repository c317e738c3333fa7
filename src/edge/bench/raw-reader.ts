/**
 * The receiving half of the baselines: cuts framed messages out of the memory they were read into, and hands each over as
 * the measured group does. Reads continue where the last one ended; only the beginning of an incomplete message is moved.
 */
import { Decoder } from "@msgpack/msgpack";
import type { Meter } from "./meter.ts";
import { RAW_HEADER_BYTES } from "./raw-batches.ts";
import type { Api } from "./task.ts";

const READ_BYTES = 512 * 1024;
const ROOM_BYTES_MIN = 64 * 1024;

export class RawReader {
  readonly #api: Api;
  readonly #meter: Meter;
  readonly #decoder = new Decoder();
  /** Of messages that do not fit into a read only the bytes are counted: no receiver could do less. */
  readonly #countsOnly: boolean;
  readonly #messageBytes: number;
  readonly #taken: (() => void) | undefined;
  readonly #memory: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #end = 0;
  #counted = 0;

  /** `taken` is called for every message. */
  constructor(api: Api, meter: Meter, messageBytes: number, taken: (() => void) | undefined) {
    this.#api = api;
    this.#meter = meter;
    this.#messageBytes = messageBytes;
    this.#countsOnly = messageBytes > ROOM_BYTES_MIN;
    this.#taken = taken;
    this.#memory = new Uint8Array(Buffer.allocUnsafeSlow(READ_BYTES).buffer);
    this.#view = new DataView(this.#memory.buffer);
  }

  readonly onread = {
    buffer: (): Uint8Array => this.#space(),
    callback: (length: number): boolean => {
      if (this.#countsOnly) this.#count(length);
      else {
        this.#end += length;
        this.#start = this.#cut(this.#memory, this.#view, this.#start, this.#end);
      }
      return true;
    },
  };

  /** Whole messages from elsewhere. */
  take(bytes: Uint8Array): void {
    if (this.#countsOnly) this.#count(bytes.length);
    else this.#cut(bytes, new DataView(bytes.buffer), 0, bytes.length);
  }

  #space(): Uint8Array {
    if (this.#countsOnly) return this.#memory;
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (READ_BYTES - this.#end < ROOM_BYTES_MIN) {
      this.#memory.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#memory.subarray(this.#end);
  }

  #count(length: number): void {
    for (this.#counted += length; this.#counted >= this.#messageBytes; this.#counted -= this.#messageBytes) {
      this.#meter.delivered++;
      this.#taken?.();
    }
  }

  /** Where the first message begins that is not whole. */
  #cut(bytes: Uint8Array, view: DataView, from: number, to: number): number {
    let at = from;
    while (at + RAW_HEADER_BYTES <= to) {
      const body = at + RAW_HEADER_BYTES;
      const end = body + view.getUint32(at, true);
      if (end > to) break;
      if (this.#api === "bytes" || this.#api === "kept") this.#handleView(bytes.subarray(body, end));
      else if (this.#api === "batch") this.#handlePlace(bytes, body);
      else this.#handleValues(this.#decoder.decode(bytes.subarray(body, end)) as [string, number]);
      this.#taken?.();
      at = end;
    }
    return at;
  }

  #handleView(message: Uint8Array): void {
    this.#meter.delivered++;
    this.#meter.checksum = (this.#meter.checksum + (message[0] as number)) | 0;
  }

  #handlePlace(bytes: Uint8Array, at: number): void {
    this.#meter.delivered++;
    this.#meter.checksum = (this.#meter.checksum + (bytes[at] as number)) | 0;
  }

  #handleValues([name, stamp]: readonly [string, number]): void {
    this.#meter.delivered++;
    this.#meter.checksum = (this.#meter.checksum + name.length + stamp) | 0;
  }
}
