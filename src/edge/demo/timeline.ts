/**
 * The demo as it happens: a column for each member, time downwards, and a remark at the right.
 *
 *       s  ann         bob         cleo
 *     0.0  ○           ○           ○           three processes start
 *     0.5  ═ view 3 ═══════════════════════    all three are in
 *     1.5  │ 912/s     │ 903/s     │ 909/s     updates delivered
 *     3.6  ✖           │           │           ann is killed: SIGKILL
 */
import { figure, type Output, wrap } from "../output.ts";

const CELL = 12;
const GUTTER = 8;

type Paint = (text: string) => string;
type Life = "unborn" | "running" | "dead";

export class Timeline {
  readonly #output: Output;
  readonly #lives: Map<string, Life>;
  #begunAt = 0;

  constructor(output: Output, names: readonly string[]) {
    this.#output = output;
    this.#lives = new Map(names.map((name) => [name, "unborn"]));
  }

  begin(at: number): void {
    this.#begunAt = at;
    const { bold, dim } = this.#output.colours;
    const cells = [...this.#lives.keys()].map((name) => bold(name) + " ".repeat(CELL - name.length));
    this.#output.line(`${dim("s".padStart(GUTTER - 2))}  ${cells.join("")}`.trimEnd());
  }

  starts(at: number, names: readonly string[], remark: string): void {
    for (const name of names) this.#lives.set(name, "running");
    const { green } = this.#output.colours;
    this.#row(at, new Map(names.map((name) => [name, green("○") + " ".repeat(CELL - 1)])), remark);
  }

  killed(at: number, names: readonly string[], remark: string): void {
    const { red, bold } = this.#output.colours;
    for (const name of names) this.#lives.set(name, "dead");
    this.#row(at, new Map(names.map((name) => [name, red(bold("✖".padEnd(CELL)))])), remark);
  }

  left(at: number, remark: string): void {
    const cells = new Map<string, string>();
    for (const [name, life] of this.#lives) if (life === "running") cells.set(name, "□".padEnd(CELL));
    this.#row(at, cells, remark);
  }

  /** A view at those who installed it. */
  view(at: number, number: number, names: readonly string[], remark: string): void {
    const { cyan } = this.#output.colours;
    const all = [...this.#lives.keys()];
    const cells = new Map<string, string>();
    for (const [index, name] of all.entries()) {
      if (!names.includes(name)) continue;
      const label = names[0] === name ? `═ view ${number} ` : "";
      const next = all[index + 1];
      const isJoined = next !== undefined && names.includes(next);
      cells.set(name, cyan(`${label.padEnd(CELL - 1, "═")}${isJoined ? "═" : " "}`));
    }
    this.#row(at, cells, remark, cyan);
  }

  /** Updates delivered per second at each member. */
  rates(at: number, rates: ReadonlyMap<string, number>, remark: string): void {
    const { dim } = this.#output.colours;
    const cells = new Map<string, string>();
    for (const [name, rate] of rates) cells.set(name, `${dim("│")} ${`${figure(rate)}/s`.padEnd(CELL - 2)}`);
    this.#row(at, cells, remark, dim);
  }

  remark(at: number, remark: string): void {
    this.#row(at, new Map(), remark);
  }

  #row(at: number, cells: ReadonlyMap<string, string>, remark: string, paint: Paint = (text) => text): void {
    const time = ((at - this.#begunAt) / 1000).toFixed(1);
    const remarkWidth = this.#output.columns - GUTTER - this.#lives.size * CELL;
    const [first = "", ...more] = wrap(remark, remarkWidth);
    this.#print(time, cells, paint(first));
    for (const line of more) this.#print("", new Map(), paint(line));
  }

  #print(time: string, cells: ReadonlyMap<string, string>, remark: string): void {
    const { dim } = this.#output.colours;
    const drawn = [...this.#lives].map(
      ([name, life]) => cells.get(name) ?? dim((life === "running" ? "│" : "").padEnd(CELL)),
    );
    this.#output.line(`${dim(time.padStart(GUTTER - 2))}  ${drawn.join("")}${remark}`.trimEnd());
  }
}
