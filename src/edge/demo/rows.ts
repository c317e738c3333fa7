/**
 * The table at the end of a demo: a name, a value, green or red if it can be right or wrong, and a remark.
 */
import { figure, type Output, wrap } from "../output.ts";

const NAME_WIDTH = 22;
const VALUE_WIDTH = 10;

export type Row = (name: string, value: string, remark: string, isRight?: boolean) => void;

export function rowsOn(output: Output): Row {
  const { dim, green, red } = output.colours;
  return (name, value, remark, isRight) => {
    const padded = value.padStart(VALUE_WIDTH);
    const painted = isRight === undefined ? padded : isRight ? green(padded) : red(padded);
    const indent = 2 + NAME_WIDTH + VALUE_WIDTH + 2;
    const [first = "", ...more] = wrap(remark, output.columns - indent);
    output.line(`  ${name.padEnd(NAME_WIDTH)}${painted}  ${dim(first)}`.trimEnd());
    for (const line of more) output.line(`${" ".repeat(indent)}${dim(line)}`);
  };
}

/** What to try after a demo. */
export function next(commands: readonly (readonly [command: string, about: string])[], output: Output): void {
  const { bold, dim } = output.colours;
  const width = Math.max(36, ...commands.map(([command]) => command.length)) + 2;
  output.line(`\n${bold("Next")}\n`);
  for (const [command, about] of commands) output.line(`  ${command.padEnd(width)}${dim(about)}`);
}

export function ms(value: number | null): string {
  return value === null ? "never" : `${figure(value)} ms`;
}

export function yes(value: boolean): string {
  return value ? "yes" : "no";
}
