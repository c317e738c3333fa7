/**
 * Nodes find each other through configured addresses. A cluster is founded by all configured founders together, once
 * they agree on one list (rule A8), or by nobody: without founders a node only joins.
 *
 * A list is one of two things. A single DNS name stands for all of its addresses, looked up each time. Anything else is
 * taken as it is written, in one spelling per address: names stay names, because each founder must come to the very
 * same list, while what a name resolves to depends on where one asks.
 *
 * A DNS name of founders must resolve to all of them from the beginning. If it grows while nodes start, as that of a
 * service does, two parts of them can each see a complete list of their own.
 */
import { lookup } from "node:dns/promises";
import { type Address, address, parseAddress } from "./address.ts";
import { type Discovery, DiscoveryError, type Founding } from "./discovery.ts";

/** All IP addresses of a name; rejects when there are none. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export function seeds(options: {
  readonly seeds: readonly string[];
  readonly founders: readonly string[] | undefined;
  /** The address at which others reach this node. */
  readonly self: string;
  readonly resolve?: Resolve;
}): Discovery {
  if (options.founders?.length === 0)
    throw new DiscoveryError("founders", "is empty; leave it out or name the founders");
  return new Seeds(
    options.seeds.map((text) => parseAddress(text, "seeds")),
    options.founders?.map((text) => parseAddress(text, "founders")),
    parseAddress(options.self, "advertise"),
    options.resolve ?? resolveAll,
  );
}

async function resolveAll(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map((found) => found.address);
}

class Seeds implements Discovery {
  readonly #seeds: readonly Address[];
  readonly #founders: readonly Address[] | undefined;
  readonly #self: Address;
  readonly #resolve: Resolve;
  readonly #unresolved = new Set<string>();

  constructor(list: readonly Address[], founders: readonly Address[] | undefined, self: Address, resolve: Resolve) {
    this.#seeds = list;
    this.#founders = founders;
    this.#self = self;
    this.#resolve = resolve;
  }

  async candidates(): Promise<readonly string[]> {
    const lists = await Promise.all([this.#addresses(this.#seeds), this.#addresses(this.#founders ?? [])]);
    const found = lists.flat();
    const self = this.#self;
    // A name that was looked up may have this node's address among its own.
    const own = self.isName && found.some((one) => !one.isName) ? await this.#ips(self) : [];
    const excluded = new Set([self, ...own].map((one) => one.text));
    return [...new Set(found.map((one) => one.text))].filter((text) => !excluded.has(text));
  }

  async founding(): Promise<Founding> {
    if (this.#founders === undefined) {
      const unresolved = this.#unresolved.size === 0 ? "" : `; cannot resolve ${[...this.#unresolved].join(", ")}`;
      return { kind: "wait", why: `no founders configured; none of the seeds answers${unresolved}` };
    }
    const found = [...new Set((await this.#addresses(this.#founders)).map((one) => one.text))].sort();
    const self = this.#self.text;
    const asWritten = this.#founders.map((one) => one.text).join(", ");
    if (found.length === 0) return { kind: "wait", why: `cannot resolve the founders ${asWritten}` };
    if (!found.includes(self)) {
      const why = `this node, ${self}, is not one of the founders ${found.join(", ")}, and none of them answers`;
      return { kind: "wait", why: `${why}; a founder must advertise its address as they list it` };
    }
    if (found.length === 1 && asWritten !== self) {
      return { kind: "wait", why: `the founders ${asWritten} resolve to this node only; to found alone, name ${self}` };
    }
    return { kind: "founders", addresses: found };
  }

  async joined(): Promise<void> {
    // The founders' agreement is the only record.
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  /** A single name for its addresses, else the list as it is. */
  async #addresses(list: readonly Address[]): Promise<readonly Address[]> {
    const [only] = list;
    if (list.length !== 1 || only === undefined || !only.isName || only.text === this.#self.text) return list;
    return await this.#ips(only);
  }

  async #ips(of: Address): Promise<readonly Address[]> {
    if (!of.isName) return [of];
    try {
      const ips = await this.#resolve(of.host);
      this.#unresolved.delete(of.host);
      return ips.map((ip) => parseAddress(address(ip, of.port, false).text, "seeds"));
    } catch {
      this.#unresolved.add(of.host);
      return [];
    }
  }
}
