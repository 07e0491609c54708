/** A block of code of a page: commands, or words that are to be seen. */
export interface RunbookBlock {
  readonly kind: 'commands' | 'words';
  readonly lines: readonly string[];
  /** Words that stand right behind commands are those that these print. */
  readonly follows: boolean;
}

/** A chapter of a page, with its blocks in their order. */
export interface RunbookChapter {
  readonly title: string;
  readonly blocks: readonly RunbookBlock[];
}

const KINDS: Readonly<Record<string, RunbookBlock['kind'] | undefined>> = { sh: 'commands', text: 'words' };
const FENCE = /^ *```(\w*)$/;

/** Reads the chapters of a page in Markdown, and what is fenced in them as `sh` or `text`. */
export function readRunbook(markdown: string): readonly RunbookChapter[] {
  const chapters: { title: string; blocks: RunbookBlock[] }[] = [{ title: '', blocks: [] }];
  let open: { kind: RunbookBlock['kind'] | undefined; lines: string[] } | undefined;
  let behindCommands = false;
  for (const line of markdown.split('\n')) {
    const fence = FENCE.exec(line);
    if (open && fence) {
      const { kind, lines } = open;
      if (kind) chapters.at(-1)!.blocks.push({ kind, lines, follows: kind === 'words' && behindCommands });
      behindCommands = kind === 'commands';
      open = undefined;
    } else if (open) open.lines.push(line.trim());
    else if (fence) open = { kind: KINDS[fence[1]!], lines: [] };
    else {
      if (line.startsWith('## ')) chapters.push({ title: line.slice(3), blocks: [] });
      if (line.trim() !== '') behindCommands = false;
    }
  }
  return chapters.filter(({ blocks }) => blocks.length > 0);
}

/** Lines of a block that a text does not hold; `…` stands for anything. */
export function unseenIn(text: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line !== '' && !patternOf(line).test(text));
}

function patternOf(line: string): RegExp {
  const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('.*'));
}
