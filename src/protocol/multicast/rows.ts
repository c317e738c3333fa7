/**
 * Who tells whom what it holds, and when. A member's row is sent at once when somebody waits for it, and else after an
 * eighth of the window has come, or some time.
 *
 * In a small view everybody tells everybody. In a larger one that would be frames by the square of its size for each safe
 * packet, so rows are *relayed*: members tell the sequencer alone, and the sequencer tells all what every member holds. That
 * is one hop more, and four frames for each member. Whoever waits for the rows themselves, for its flush, asks, and is
 * answered directly.
 */
import type { Effects } from "../effects.ts";
import type { Row } from "../messages.ts";
import type { NodeId } from "../view.ts";
import type { Stability } from "./stability.ts";

export interface RowsOptions {
  readonly group: number;
  readonly epoch: number;
  readonly members: readonly NodeId[];
  readonly rank: number;
  /** The sequencer when rows are relayed. */
  readonly relay: number | undefined;
  readonly windowBytes: number;
  readonly rowDelayMs: number;
}

export class Rows {
  readonly #options: RowsOptions;
  readonly #stability: Stability;
  readonly #effects: Effects;
  /** Who is told. */
  readonly #audience: readonly NodeId[];
  /** Whether this is the sequencer, and relays. */
  readonly #isRelay: boolean;
  /** What has grown since it was told, by how many bytes of packets, whether somebody waits for it, and the deadline. */
  #changed = false;
  #bytes = 0;
  #urgent = false;
  #deadline = Number.POSITIVE_INFINITY;
  /** What those who wait want to hear that this member holds; undefined when it holds that already. */
  #wanted: number[] | undefined;
  /** Where rows are relayed: who waits, and whether they can be told something new. */
  readonly #askers = new Set<NodeId>();
  #answering = false;

  constructor(options: RowsOptions, stability: Stability, effects: Effects) {
    const { members, rank, relay } = options;
    this.#options = options;
    this.#stability = stability;
    this.#effects = effects;
    this.#isRelay = rank === relay;
    this.#audience = members.filter((_, other) =>
      relay === undefined || this.#isRelay ? other !== rank : other === relay,
    );
  }

  /** Time of the next call of `endTurn` that is needed even if nothing else happens. */
  get deadline(): number {
    return this.#deadline;
  }

  /** Whether somebody waits until this member holds more. */
  get isWanted(): boolean {
    return this.#wanted !== undefined;
  }

  /** A packet has come. */
  received(bytes: number): void {
    if (!this.#isRelay) this.#bytes += bytes;
  }

  /** This member's row has grown. */
  grew(): void {
    if (!this.#isRelay) this.#changed = true;
    if (this.#wanted === undefined) return;
    if (this.#options.relay === undefined) this.#urgent = true;
    else this.#answering = true;
    if (this.#stability.covers(this.#options.rank, this.#wanted)) this.#wanted = undefined;
  }

  /** Packets of so many bytes are held by all. */
  stabilized(bytes: number): void {
    if (!this.#isRelay) return;
    this.#changed = true;
    this.#bytes += bytes;
  }

  /** Somebody waits for what this member says. */
  hurry(): void {
    if (!this.#isRelay) this.#urgent = true;
  }

  /** A safe packet was delivered here. Where rows are relayed, the sequencer is the first to know that it is safe. */
  safeDelivered(): void {
    if (this.#isRelay) this.#urgent = true;
  }

  /** The member of rank `from` waits until this member's row covers `target`. */
  solicited(from: number, target: Row): void {
    const { members, rank, relay } = this.#options;
    if (relay !== undefined) this.#askers.add(members[from] as NodeId);
    if (!this.#stability.covers(rank, target)) {
      const before = this.#wanted;
      this.#wanted = target.map((count, sender) => Math.max(count, before?.[sender] ?? 0));
    } else if (relay !== undefined) this.#answering = true;
    else if (this.#changed) this.#urgent = true;
  }

  endTurn(now: number): void {
    if (this.#answering) this.#answer();
    if (!this.#changed || this.#audience.length === 0) return;
    const { rowDelayMs, windowBytes } = this.#options;
    if (this.#urgent || now >= this.#deadline || this.#bytes * 8 >= windowBytes) this.#tell();
    else if (this.#deadline === Number.POSITIVE_INFINITY) this.#deadline = now + rowDelayMs;
  }

  /** Nothing is told any more. */
  end(): void {
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  #answer(): void {
    const { group, epoch, rank } = this.#options;
    this.#answering = false;
    this.#effects.broadcast([...this.#askers], { kind: "row", group, epoch, row: this.#stability.row(rank) });
    if (this.#wanted === undefined) this.#askers.clear();
  }

  #tell(): void {
    const { group, epoch, rank } = this.#options;
    this.#changed = false;
    this.#urgent = false;
    this.#bytes = 0;
    this.#deadline = Number.POSITIVE_INFINITY;
    if (this.#isRelay)
      this.#effects.broadcast(this.#audience, { kind: "stable", group, epoch, row: this.#stability.minima() });
    else this.#effects.broadcast(this.#audience, { kind: "row", group, epoch, row: this.#stability.row(rank) });
  }
}
