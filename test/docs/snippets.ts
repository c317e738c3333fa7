/**
 * The TypeScript examples of a document, as modules that can be compiled. A block marked `ts` is a module of its own. A
 * block marked `ts continued` goes on from the first block of its document, in a scope of its own. Every line keeps
 * its number, so that the compiler's complaints point into the document.
 */

export interface Snippet {
  /** The line of the fence that opens the block, from 1. */
  readonly line: number;
  readonly continued: boolean;
  readonly code: readonly string[];
}

export interface Module {
  /** The line of its first block. */
  readonly line: number;
  readonly text: string;
}

export function snippetsOf(document: string): Snippet[] {
  const snippets: Snippet[] = [];
  let open: { readonly line: number; readonly info: string; readonly code: string[] } | undefined;
  for (const [index, line] of document.split("\n").entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.code.push(line);
    else if (open === undefined) open = { line: index + 1, info: fence[1] ?? "", code: [] };
    else {
      const [language, ...rest] = open.info.split(" ");
      if (language === "ts") snippets.push({ line: open.line, continued: rest[0] === "continued", code: open.code });
      open = undefined;
    }
  }
  return snippets;
}

export function modulesOf(document: string): Module[] {
  const snippets = snippetsOf(document);
  const [ground] = snippets;
  if (ground === undefined) return [];
  const modules = snippets.filter(({ continued }) => !continued).map((snippet) => layOut([snippet]));
  const continued = snippets.filter((snippet) => snippet.continued);
  return [layOut([ground, ...continued]), ...modules.slice(1)];
}

function layOut(snippets: readonly Snippet[]): Module {
  const lines: string[] = [];
  for (const { line, continued, code } of snippets) {
    while (lines.length < line - 1) lines.push("");
    lines.push(continued ? "{" : "", ...code, continued ? "}" : "");
  }
  return { line: snippets[0]?.line ?? 1, text: `${lines.join("\n")}\nexport {};\n` };
}
