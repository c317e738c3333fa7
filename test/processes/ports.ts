/** Ports for nodes whose addresses must be known before they start. */
import { createServer } from "node:net";

/** Below the ports that the operating system gives to outgoing connections, so that none of those takes it meanwhile. */
const PORT_MIN = 20_000;
const PORT_COUNT = 10_000; // All have five digits, so that their order as text is their order.

const given = new Set<number>();

/** A port that nobody listens at. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * PORT_COUNT);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(host, port)) return port;
  }
}

export async function freePorts(count: number): Promise<number[]> {
  return await Promise.all(Array.from({ length: count }, () => freePort()));
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}
