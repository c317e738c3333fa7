/**
 * How commands end. Every command's `--help` shows the table, and scripts may rely on it.
 */
export const EXIT = {
  /** It was done, and all is right. */
  ok: 0,
  /** It was done, and found something wrong: a violated property, a failed demo, nobody there. */
  wrong: 1,
  /** The command line is not right; nothing was done. */
  usage: 2,
  /** It could not be done. */
  failed: 3,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

export type Exit = (typeof EXIT)[keyof typeof EXIT];

/** The last part of a command's help; `wrong` says what code 1 means for it. */
export function exitHelp(wrong: string): string {
  const rows: readonly (readonly [Exit, string])[] = [
    [EXIT.ok, "all is right"],
    [EXIT.wrong, wrong],
    [EXIT.usage, "the command line is not right"],
    [EXIT.failed, "it could not be done; the error says why"],
    [EXIT.interrupted, "interrupted by Ctrl-C"],
  ];
  return `\nExit codes:\n${rows.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join("\n")}\n`;
}
