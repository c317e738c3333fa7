/**
 * Asks a node how it is, as somebody who is no node: one question, one answer, no link.
 */
import { connect } from "node:net";
import type { Guard } from "../secure/guard.ts";
import type { Address } from "./address.ts";
import { handshakeFrame, REPORT_BYTES_MAX, readHandshake, VERSION_NEWEST, VERSION_OLDEST } from "./handshake.ts";

const PREFIX_BYTES_MAX = 64;

/** The node's report, JSON (`NodeReport` of the driver). Rejects when nobody answers in time, or not with a report. */
export async function inquire(address: Address, withinMs = 2000, guard?: Guard): Promise<string> {
  for (let way = 0; ; way++) {
    try {
      return await inquireBy(way, address, withinMs, guard);
    } catch (problem) {
      if (!(problem instanceof UnprovenError) || way + 1 >= (guard?.ways ?? 1)) throw problem;
    }
  }
}

/** One of the two sides did not believe the other; another key may serve. */
class UnprovenError extends Error {
  override readonly name = "UnprovenError";
}

function inquireBy(way: number, { host, port }: Address, withinMs: number, guard: Guard | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const options = { host, port, noDelay: true };
    const socket = guard === undefined ? connect(options) : guard.dial(options, way);
    let isConnected = false;
    let isProven = guard === undefined;
    const fail = (why: string): void => {
      socket.destroy();
      reject(isConnected && !isProven ? new UnprovenError(why) : new Error(why));
    };
    socket.once("connect", () => {
      isConnected = true;
    });
    socket.setTimeout(withinMs, () => fail(`no answer within ${withinMs} ms`));
    socket.on(guard === undefined ? "connect" : "secureConnect", () => {
      isProven = true;
      socket.write(handshakeFrame({ kind: "inquiry", versionOldest: VERSION_OLDEST, versionNewest: VERSION_NEWEST }));
    });
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes > REPORT_BYTES_MAX + PREFIX_BYTES_MAX) fail("the answer is too long");
      else chunks.push(chunk);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on("end", () => {
      if (!isProven) {
        fail("the connection was closed by the other side");
        return;
      }
      socket.destroy();
      const answer = readHandshake(Buffer.concat(chunks), REPORT_BYTES_MAX + PREFIX_BYTES_MAX);
      if (answer?.kind === "report") resolve(answer.report);
      else if (answer?.kind === "refusal") reject(new Error(`${answer.code}: ${answer.detail}`));
      else reject(new Error("the answer is not of this protocol"));
    });
  });
}
