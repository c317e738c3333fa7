/**
 * Values of command line options: each is checked where it is read, and a bad one is refused with the option named.
 */
import { CoterieError } from "../group/errors.ts";

/** A parser of whole numbers for commander's `option`. */
export function wholeNumber(option: string, low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= low && value <= high) return value;
    throw badOption(option, `is not a whole number from ${low} to ${high}: ${JSON.stringify(text)}`);
  };
}

/** A parser of lists, `a,b,c`, of these words; "none" is the empty list. */
export function wordList<W extends string>(option: string, words: readonly W[]): (text: string) => readonly W[] {
  return (text) => {
    if (text === "none") return [];
    return text.split(",").map((part) => {
      const word = words.find((each) => each === part.trim());
      if (word === undefined)
        throw badOption(option, `has no ${JSON.stringify(part)}; it takes ${words.join(", ")}, or none`);
      return word;
    });
  };
}

export function badOption(option: string, problem: string): CoterieError {
  return new CoterieError("invalid-option", `${option} ${problem}`, { remedy: "See --help." });
}
