/**
 * What code inside a simulation meets in place of the real world: timers and clocks run on simulated time, and random
 * numbers come from the seed. While a simulation runs, the globals (and what `node:timers`, `node:timers/promises` and
 * `node:crypto` export) ask in whose surroundings their caller is; callers outside of any simulation, such as the test
 * runner, get the real thing.
 */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import timersPromises from "node:timers/promises";
import { promisify } from "node:util";

/** The world around one process, or around the scenario. */
export interface Surroundings {
  /** Milliseconds since the world began. */
  now(): number;
  /** Milliseconds since 1970. */
  wallTime(): number;
  /** 32 random bits. */
  word(): number;
  /** Calls back once, unless the process is gone by then; the result cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

const inside = new AsyncLocalStorage<Surroundings>();

/** Runs `work`, and all that it starts, in these surroundings. */
export function within<T>(surroundings: Surroundings, work: () => T): T {
  return inside.run(surroundings, work);
}

// biome-ignore lint/suspicious/noExplicitAny: functions of any kind are put in place of others of their kind.
type Anything = any;

interface Replaced {
  readonly object: Anything;
  readonly key: string;
  readonly descriptor: PropertyDescriptor | undefined;
}

let replaced: Replaced[] = [];
let simulations = 0;

/** Puts the replacements in place for as long as at least one simulation runs. */
export async function whileSimulating<T>(work: () => Promise<T>): Promise<T> {
  if (simulations++ === 0) replaceAll();
  try {
    return await work();
  } finally {
    if (--simulations === 0) restoreAll();
  }
}

/** A timer as `setTimeout` and its kind return it. */
class SimulatedTimer {
  #cancel: () => void = () => {};
  readonly #arm: () => () => void;

  constructor(around: Surroundings, delayMs: unknown, repeats: boolean, callback: () => void) {
    const delay = Math.max(repeats ? 1 : 0, Number(delayMs) || 0);
    const bound = AsyncResource.bind(callback);
    const fire = (): void => {
      if (repeats) this.refresh();
      bound();
    };
    this.#arm = () => around.after(delay, fire);
    this.refresh();
  }

  refresh(): this {
    this.#cancel();
    this.#cancel = this.#arm();
    return this;
  }

  close(): void {
    this.#cancel();
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}

function replaceAll(): void {
  replaceTimers();
  replaceClocks();
  replaceRandom();
  syncBuiltinESMExports();
}

function replaceTimers(): void {
  replace(timersPromises, "setTimeout", (real: Anything) => (delayMs?: number, value?: unknown, options?: Anything) => {
    const around = inside.getStore();
    return around === undefined ? real(delayMs, value, options) : sleep(around, delayMs, value, options?.signal);
  });
  replace(timersPromises, "setImmediate", (real: Anything) => (value?: unknown, options?: Anything) => {
    const around = inside.getStore();
    return around === undefined ? real(value, options) : sleep(around, 0, value, options?.signal);
  });
  for (const object of [globalThis, timers]) {
    for (const key of ["setTimeout", "setInterval", "setImmediate"] as const) replaceTimer(object, key);
    for (const key of ["clearTimeout", "clearInterval", "clearImmediate"]) {
      replace(object, key, (real: Anything) => (timer: unknown) => {
        if (timer instanceof SimulatedTimer) timer.close();
        else real(timer);
      });
    }
  }
  replace(AbortSignal, "timeout", (real: Anything) => (delayMs: number) => {
    const around = inside.getStore();
    if (around === undefined) return real.call(AbortSignal, delayMs);
    const controller = new AbortController();
    const reason = () => new DOMException("The operation was aborted due to timeout", "TimeoutError");
    around.after(delayMs, () => controller.abort(reason()));
    return controller.signal;
  });
}

function replaceClocks(): void {
  replace(globalThis, "Date", (real: DateConstructor) => {
    const wallTime = () => inside.getStore()?.wallTime();
    return new Proxy(real, {
      construct: (target, args, made) => {
        const now = args.length === 0 ? wallTime() : undefined;
        return Reflect.construct(target, now === undefined ? args : [now], made);
      },
      apply: (target) => new target(wallTime() ?? target.now()).toString(),
      get: (target, key, receiver) =>
        key === "now" ? () => Math.floor(wallTime() ?? target.now()) : Reflect.get(target, key, receiver),
    });
  });
  replace(performance, "now", (real: Anything) => () => inside.getStore()?.now() ?? real.call(performance));
}

function replaceRandom(): void {
  replace(Math, "random", (real: Anything) => () => {
    const around = inside.getStore();
    return around === undefined ? real() : around.word() / 0x1_0000_0000;
  });
  for (const object of [crypto, globalThis.crypto]) {
    replace(object, "randomUUID", (real: Anything) => (options?: unknown) => {
      const around = inside.getStore();
      return around === undefined ? real.call(object, options) : uuidOf(bytesOf(around, 16));
    });
  }
  replace(crypto, "randomBytes", (real: Anything) => (size: number, callback?: unknown) => {
    const around = inside.getStore();
    return around === undefined || callback !== undefined ? real(size, callback) : Buffer.from(bytesOf(around, size));
  });
  replace(globalThis.crypto, "getRandomValues", (real: Anything) => (array: ArrayBufferView) => {
    const around = inside.getStore();
    if (around === undefined) return real.call(globalThis.crypto, array);
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytesOf(around, array.byteLength));
    return array;
  });
}

function restoreAll(): void {
  for (const { object, key, descriptor } of replaced.reverse()) {
    if (descriptor === undefined) delete object[key];
    else Object.defineProperty(object, key, descriptor);
  }
  replaced = [];
  syncBuiltinESMExports();
}

function replace(object: Anything, key: string, make: (real: Anything) => unknown): void {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  replaced.push({ object, key, descriptor });
  const value = make(object[key]);
  Object.defineProperty(object, key, { value, configurable: true, writable: true, enumerable: true });
}

function replaceTimer(object: Anything, key: "setTimeout" | "setInterval" | "setImmediate"): void {
  replace(object, key, (real: Anything) => {
    const timer = (callback: (...args: unknown[]) => void, ...rest: unknown[]): unknown => {
      const around = inside.getStore();
      if (around === undefined) return real(callback, ...rest);
      const [delayMs, ...args] = key === "setImmediate" ? [0, ...rest] : rest;
      return new SimulatedTimer(around, delayMs, key === "setInterval", () => callback(...args));
    };
    const promised = key === "setTimeout" ? timersPromises.setTimeout : timersPromises.setImmediate;
    return key === "setInterval" ? timer : Object.assign(timer, { [promisify.custom]: promised });
  });
}

function sleep(around: Surroundings, delayMs: unknown, value: unknown, signal?: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      timer.close();
      reject(new DOMException("The operation was aborted", { name: "AbortError", cause: signal?.reason }));
    };
    const timer = new SimulatedTimer(around, delayMs, false, () => {
      signal?.removeEventListener("abort", abort);
      resolve(value);
    });
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

function bytesOf(around: Surroundings, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => around.word());
}

/** A random UUID, version 4. */
function uuidOf(bytes: Uint8Array): string {
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const digits = Buffer.from(bytes).toString("hex");
  return [8, 4, 4, 4, 12]
    .map((length, index, all) => {
      const from = all.slice(0, index).reduce((sum, part) => sum + part, 0);
      return digits.slice(from, from + length);
    })
    .join("-");
}
