/**
 * A plot as SVG, by hand: axes with few ticks, lines, bars, and a legend to the right. All coordinates are of the data.
 */
export interface Axis {
  readonly label: string;
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  readonly isLogarithmic?: boolean;
  readonly format?: (value: number) => string;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly x: Axis;
  readonly y: Axis;
}

const MARGIN = { left: 62, right: 14, top: 12, bottom: 44 };

/** Colours that people with any colour vision can tell apart. */
export const COLOURS = [
  "#0072b2",
  "#009e73",
  "#e69f00",
  "#d55e00",
  "#7b3294",
  "#56b4e9",
  "#a6761d",
  "#444444",
] as const;

export class Plot {
  readonly #frame: Frame;
  readonly #parts: string[] = [];

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#axes();
  }

  x(value: number): number {
    const { width, x } = this.#frame;
    return MARGIN.left + share(x, value) * (width - MARGIN.left - MARGIN.right);
  }

  y(value: number): number {
    const { height, y } = this.#frame;
    return height - MARGIN.bottom - share(y, value) * (height - MARGIN.top - MARGIN.bottom);
  }

  line(points: readonly (readonly [number, number])[], colour: string, dash = ""): void {
    const path = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`).join(" ");
    this.#parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash}"/>`,
    );
    for (const [x, y] of points) this.dot(this.x(x), y, colour, 3);
  }

  /** At this place across, in pixels. */
  dot(across: number, y: number, colour: string, radius = 4): void {
    this.#parts.push(`<circle cx="${across.toFixed(1)}" cy="${this.y(y).toFixed(1)}" r="${radius}" fill="${colour}"/>`);
  }

  /** From one value to another, at this place across, in pixels. */
  range(across: number, from: number, to: number, colour: string, width: number): void {
    const [top, bottom] = [this.y(to), this.y(from)];
    this.#parts.push(
      `<line x1="${across.toFixed(1)}" x2="${across.toFixed(1)}" y1="${top.toFixed(1)}" y2="${bottom.toFixed(1)}" stroke="${colour}" stroke-width="${width}"/>`,
    );
  }

  bar(from: number, to: number, height: number, colour: string): void {
    const [left, right, top] = [this.x(from), this.x(to), this.y(height)];
    const [wide, high] = [Math.max(0.5, right - left - 0.5), this.y(this.#frame.y.low) - top];
    this.#parts.push(
      `<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${wide.toFixed(1)}" height="${high.toFixed(1)}" fill="${colour}"/>`,
    );
  }

  /** In pixels from the left and the top of the frame. */
  text(left: number, top: number, what: string, anchor: "start" | "middle" | "end" = "start"): void {
    this.#parts.push(
      `<text x="${left.toFixed(1)}" y="${top.toFixed(1)}" text-anchor="${anchor}">${escaped(what)}</text>`,
    );
  }

  toString(): string {
    const { width, height, y } = this.#frame;
    return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(y.label)}">${this.#parts.join("")}</svg>`;
  }

  #axes(): void {
    const { width, height, x, y } = this.#frame;
    const bottom = height - MARGIN.bottom;
    for (const tick of y.ticks) {
      const at = this.y(tick);
      this.#parts.push(`<line x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${at}" y2="${at}" class="grid"/>`);
      this.text(MARGIN.left - 7, at + 4, (y.format ?? String)(tick), "end");
    }
    for (const tick of x.ticks) {
      const at = this.x(tick);
      this.#parts.push(`<line x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}" class="axis"/>`);
      this.text(at, bottom + 19, (x.format ?? String)(tick), "middle");
    }
    this.#parts.push(
      `<line x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${bottom}" y2="${bottom}" class="axis"/>`,
    );
    this.text((MARGIN.left + width - MARGIN.right) / 2, height - 6, x.label, "middle");
    const middle = (MARGIN.top + bottom) / 2;
    this.#parts.push(
      `<text transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
    );
  }
}

/** Ticks at powers of ten, and at twice and five times them. */
export function logarithmicTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of [1, 2, 5]) ticks.push(Number((step * 10 ** power).toPrecision(1)));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

export function legend(entries: readonly (readonly [string, string])[]): string {
  const items = entries.map(([name, colour]) => `<span><i style="background:${colour}"></i>${escaped(name)}</span>`);
  return `<p class="legend">${items.join("")}</p>`;
}

export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

function share({ low, high, isLogarithmic }: Axis, value: number): number {
  const inside = Math.min(high, Math.max(low, value));
  return isLogarithmic === true ? Math.log(inside / low) / Math.log(high / low) : (inside - low) / (high - low);
}
