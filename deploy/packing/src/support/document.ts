import { MATRIX, type Supported } from './matrix.ts';

const BLOCK = /(<!-- support -->\n)[\s\S]*?(<!-- end -->)/g;

/** The document with its tables as the matrix has them. */
export function withSupport(document: string): string {
  return document.replace(BLOCK, (_, begin: string, end: string) => `${begin}${tables()}\n${end}`);
}

function tables(): string {
  const areas = [...Map.groupBy(MATRIX, ({ area }) => area)];
  return areas
    .map(
      ([area, rows]) => `## ${titled(area)}\n\n| what | shown by | |\n|---|---|---|\n${rows.map(rowOf).join('\n')}\n`,
    )
    .join('\n');
}

function rowOf({ what, shown, note = '' }: Supported): string {
  return `| ${what} | ${proofOf(shown)} | ${note} |`;
}

function proofOf(shown: Supported['shown']): string {
  if (shown === 'untested') return '**untested**';
  if (shown === 'no') return 'not supported';
  const name = shown.file.split('/').pop()!;
  return `[${name}](../${shown.file})${shown.only === undefined ? '' : `: ${shown.only}`}`;
}

function titled(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
