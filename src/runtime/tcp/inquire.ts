/**
 * Asks a node how it is, as somebody who is no node: one question, one answer, no link.
 */
import { connect } from "node:net";
import type { Guard } from "../secure/guard.ts";
import type { Address } from "./address.ts";
import { handshakeFrame, REPORT_BYTES_MAX, readHandshake, VERSION_NEWEST, VERSION_OLDEST } from "./handshake.ts";

const PREFIX_BYTES_MAX = 64;

/** The node's report, JSON (`NodeReport` of the driver). Rejects when nobody answers in time, or not with a report. */
export function inquire({ host, port }: Address, withinMs = 2000, guard?: Guard): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const options = { host, port, noDelay: true };
    const socket = guard === undefined ? connect(options) : guard.dial(options);
    const fail = (why: string): void => {
      socket.destroy();
      reject(new Error(why));
    };
    socket.setTimeout(withinMs, () => fail(`no answer within ${withinMs} ms`));
    socket.on(guard === undefined ? "connect" : "secureConnect", () => {
      socket.write(handshakeFrame({ kind: "inquiry", versionOldest: VERSION_OLDEST, versionNewest: VERSION_NEWEST }));
    });
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      if (bytes > REPORT_BYTES_MAX + PREFIX_BYTES_MAX) fail("the answer is too long");
      else chunks.push(chunk);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on("end", () => {
      socket.destroy();
      const answer = readHandshake(Buffer.concat(chunks), REPORT_BYTES_MAX + PREFIX_BYTES_MAX);
      if (answer?.kind === "report") resolve(answer.report);
      else if (answer?.kind === "refusal") reject(new Error(`${answer.code}: ${answer.detail}`));
      else reject(new Error("the answer is not of this protocol"));
    });
  });
}
