/**
 * One incarnation of a node on real sockets: its network, liveness and discovery, and the driver that runs the core on
 * them. It looks for the cluster until it is in it, or founds it when discovery says that it may.
 */
import { randomBytes } from "node:crypto";
import type { HistorySink } from "../protocol/history.ts";
import { BOUNDS, timing } from "../protocol/timing.ts";
import { type NodeRecord, nodeName } from "../protocol/view.ts";
import type { DataDirectory } from "./data-directory.ts";
import type { Discovery } from "./discovery/discovery.ts";
import type { Authorize } from "./doorkeeper.ts";
import { Driver } from "./driver.ts";
import { Liveness } from "./liveness.ts";
import type { Range } from "./log/recovery.ts";
import type { DiskCondition } from "./log/storage.ts";
import { RealClock } from "./real-clock.ts";
import type { Embodiment, IncarnationListener } from "./running-node.ts";
import type { Guard } from "./secure/guard.ts";
import { formatAddress } from "./tcp/address.ts";
import { TcpNetwork } from "./tcp/network.ts";

export interface IncarnationOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Where others reach this node, when it is not where it listens. */
  readonly advertise: string | undefined;
  readonly failureTimeoutMs: number;
  readonly directorySize: number;
  readonly weight: number;
  readonly history: HistorySink | undefined;
  readonly authorize: Authorize | undefined;
  /** Stands before every connection; without it whoever reaches this node is believed. */
  readonly guard: Guard | undefined;
  readonly data: DataDirectory | undefined;
  readonly discover: (record: NodeRecord) => Promise<Discovery>;
}

/** The node's name is in use by another node of the cluster. */
export class NameTakenError extends Error {
  override readonly name = "NameTakenError";
}

const SEEK_MS_MIN = 50;
const SEEK_MS_MAX = 1000;
/** A node that a cluster has answered is told by it whom to link with, and looks no more unless that takes long. */
const SEEK_MS_HINTED = 5000;

export class Incarnation implements Embodiment {
  readonly record: NodeRecord;
  readonly driver: Driver;
  readonly network: TcpNetwork;
  readonly #clock: RealClock;
  readonly #discovery: Discovery;
  readonly #listener: IncarnationListener;
  #seeking: NodeJS.Timeout | undefined;
  #seekMs = SEEK_MS_MIN;
  #foundersNamed = false;
  #recovers = false;
  #ended = false;
  waitingFor = "the first answers";

  private constructor(
    record: NodeRecord,
    network: TcpNetwork,
    discovery: Discovery,
    options: IncarnationOptions,
    listener: IncarnationListener,
  ) {
    this.record = record;
    this.network = network;
    this.#discovery = discovery;
    this.#listener = listener;
    const clock = new RealClock(
      () => this.driver.turn(),
      () => this.driver.wake(),
    );
    this.#clock = clock;
    const entropy = { word: (): number => randomBytes(4).readUInt32LE(0) };
    this.driver = new Driver(
      {
        self: record,
        timing: timing(options.failureTimeoutMs),
        bounds: BOUNDS,
        directorySize: options.directorySize,
        history: options.history,
        authorize: options.authorize,
        log: options.data?.log,
        disk: options.data && (() => (options.data as DataDirectory).report()),
        admission: (cluster, proceed) => {
          discovery.joined(cluster).then(proceed, (problem: unknown) => listener.failed(problem));
        },
      },
      clock,
      entropy,
      {
        statusChanged: (status, detail) => listener.statusChanged(status, detail),
        clusterInstalled: (view) => listener.clusterInstalled(view),
        joinRefused: (_code, detail) => listener.failed(new NameTakenError(detail)),
        noticed: (what, detail) => this.#noticed(what, detail),
      },
    );
    this.driver.attach(network);
    options.data?.serve({
      persisted: (upTo) => this.driver.persisted(upTo),
      diskChanged: (condition, detail) => this.#diskChanged(condition, detail),
      damaged: (range) => this.#damaged(range),
    });
  }

  static async open(options: IncarnationOptions, listener: IncarnationListener): Promise<Incarnation> {
    const { host, port, guard, data } = options;
    await data?.vacate();
    const liveness = await Liveness.start({ host, sealed: guard !== undefined });
    let network: TcpNetwork | undefined;
    try {
      network = await TcpNetwork.listen({ host, port, liveness, guard });
      const address = options.advertise ?? formatAddress(network.host, network.port);
      const id = `${options.name}#${randomBytes(4).toString("hex")}`;
      const record: NodeRecord = {
        id,
        address,
        livenessPort: liveness.port,
        features: network.features,
        disk: data?.id ?? "",
        weight: options.weight,
      };
      const discovery = await options.discover(record);
      const incarnation = new Incarnation(record, network, discovery, options, listener);
      network.start(incarnation.driver);
      incarnation.#seek();
      return incarnation;
    } catch (problem) {
      if (network === undefined) await liveness.close();
      else await network.close();
      throw problem;
    }
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#seeking !== undefined) clearTimeout(this.#seeking);
    this.driver.abandon();
    this.#clock.stop();
    await this.network.close();
    await this.#discovery.close();
  }

  #damaged({ from, to }: Range): void {
    this.#listener.noticed("disk damaged", { detail: `records ${from} to ${to - 1}` });
    this.driver.damaged(to);
  }

  #diskChanged(condition: DiskCondition, detail: string): void {
    this.#listener.noticed(`disk ${condition === "ok" ? "well again" : condition}`, { detail });
    if (condition === "failed") this.driver.diskFailed(detail);
  }

  #noticed(what: string, detail: Readonly<Record<string, unknown>>): void {
    this.#listener.noticed(what, detail);
  }

  #seek(): void {
    this.#look()
      .catch((problem: unknown) => this.#listener.failed(problem))
      .finally(() => {
        if (this.#ended) return;
        const isHinted = this.driver.process.cluster.hinted;
        this.#seeking = setTimeout(() => this.#seek(), isHinted ? SEEK_MS_HINTED : this.#seekMs);
        this.#seekMs = Math.min(SEEK_MS_MAX, this.#seekMs * 1.5);
      });
  }

  /** Looks for the cluster while this node is in none, or is cut off: others may have gone on without it. */
  async #look(): Promise<void> {
    if (this.driver.status === "primary") return;
    const { cluster } = this.driver.process;
    const addresses = new Set([...(await this.#discovery.candidates()), ...cluster.rememberedAddresses]);
    addresses.delete(this.record.address);
    for (const address of addresses) this.network.seek(address);
    if (this.driver.status !== "joining") return;
    if (cluster.cluster !== "") {
      await this.#recover(cluster.cluster);
      return;
    }
    const founding = await this.#discovery.founding();
    if (this.#ended || this.driver.status !== "joining") return;
    if (founding.kind === "wait") {
      this.waitingFor = founding.why;
    } else if (founding.kind === "found" && cluster.isUsed) {
      this.waitingFor = "the founder that this data directory has voted for";
    } else if (founding.kind === "found") {
      const cluster = randomBytes(8).toString("hex");
      await this.#discovery.joined(cluster);
      if (!this.#ended) this.driver.foundAlone(cluster);
    } else {
      for (const address of founding.addresses) if (address !== this.record.address) this.network.seek(address);
      this.waitingFor = `founders: ${this.driver.process.cluster.awaitedFounders.join(", ")}`;
      if (!this.#foundersNamed) this.driver.foundWith(founding.addresses);
      this.#foundersNamed = true;
    }
  }

  /** A8: who has been in a cluster founds none; it takes up what its disk remembers, and waits for the others. */
  async #recover(cluster: string): Promise<void> {
    try {
      await this.#discovery.joined(cluster);
    } catch (problem) {
      this.waitingFor = (problem as Error).message;
      return;
    }
    if (this.#ended || this.driver.status !== "joining") return;
    if (!this.#recovers) this.driver.recover();
    this.#recovers = true;
    const awaited = this.driver.process.cluster.awaitedAcceptors.map(
      ({ id, address }) => `${nodeName(id)} (${address})`,
    );
    this.waitingFor = `cluster ${cluster}${awaited.length === 0 ? "" : `, of which ${awaited.join(", ")}`}`;
  }
}
