/**
 * Where commands write. With `--json` stdout carries machine output only, its last line one JSON object (or array);
 * otherwise it carries text for people, coloured if it is a terminal that wants colours (NO_COLOR is respected).
 * What is only of interest while it happens goes to stderr, and only to a terminal.
 */
import pc from "picocolors";
import { CoterieError } from "../group/errors.ts";

export type Colours = Omit<typeof pc, "createColors">;

const COLUMNS_DEFAULT = 80;
const COLUMNS_MIN = 60;
const COLUMNS_MAX = 110;

export class Output {
  readonly json: boolean;
  readonly colours: Colours;
  /** How wide text may be. */
  readonly columns: number;
  #progressShown = false;

  constructor(json: boolean) {
    this.json = json;
    const { stdout, env } = process;
    const isForced = env["FORCE_COLOR"] !== undefined && env["FORCE_COLOR"] !== "0";
    const hasColours = env["NO_COLOR"] === undefined && (isForced || (stdout.isTTY === true && pc.isColorSupported));
    this.colours = pc.createColors(hasColours && !json);
    this.columns = Math.min(COLUMNS_MAX, Math.max(COLUMNS_MIN, stdout.columns ?? COLUMNS_DEFAULT));
  }

  /** A line for people. */
  line(text = ""): void {
    if (this.json) return;
    this.progress("");
    process.stdout.write(`${text}\n`);
  }

  /** A line for machines. */
  record(value: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Replaces the line that shows how far things are; "" removes it. */
  progress(text: string): void {
    if (process.stderr.isTTY !== true || (text === "" && !this.#progressShown)) return;
    this.#progressShown = text !== "";
    process.stderr.write(`\r\u001b[2K${text.slice(0, (process.stderr.columns ?? COLUMNS_DEFAULT) - 1)}`);
  }

  /** The reason why nothing more comes. */
  error(error: unknown): void {
    this.progress("");
    const { code, message } = codeAndMessage(error);
    process.stderr.write(`${this.colours.red(code)}: ${message}\n`);
    this.record({ error: { code, message } });
  }

  /** Text in lines of this width, each after `indent` blanks. */
  paragraph(text: string, indent = 2): void {
    for (const line of wrap(text, this.columns - indent)) this.line(`${" ".repeat(indent)}${line}`);
  }
}

function codeAndMessage(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof CoterieError) return { code: error.code, message: error.message };
  // A bug of this program: the place where it happened is worth more than brevity.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "internal-error", message };
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((each) => each !== "")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** 1234567 as "1,234,567", with so many decimals. */
export function figure(value: number, decimals = 0): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** "1 view", "2 views". */
export function count(value: number, noun: string): string {
  return `${figure(value)} ${noun}${value === 1 ? "" : "s"}`;
}
