/** Nodes on the real network, for the tests of one file; whatever a test opens is closed when it ends, the last first. */
import { afterEach, expect } from "vitest";
import type { TcpOptions } from "../src/runtime/tcp/network.ts";
import { startNode, type TestNode } from "./tcp-kit.ts";

export interface NodesOfTests {
  /** What a test opens besides nodes. */
  readonly closers: (() => unknown)[];
  readonly node: (id: string, options?: TcpOptions) => Promise<TestNode>;
}

export function nodesOfTests(): NodesOfTests {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  const node = async (id: string, options: TcpOptions = {}): Promise<TestNode> => {
    const started = await startNode(id, options);
    closers.push(async () => {
      await started.network.close();
      expect(started.sink.reentrant).toEqual([]);
    });
    return started;
  };
  return { closers, node };
}
