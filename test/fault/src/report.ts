import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Check } from './tally.ts';

/** A saved run of a scenario. */
interface Saved {
  readonly name: string;
  readonly seed: number;
  readonly sessions: number;
  readonly rounds: number;
  readonly before?: { readonly name: string };
  readonly checks: readonly Check[];
  readonly numbers: Readonly<Record<string, number | string>>;
}

function sectionOf({ name, seed, sessions, rounds, before, checks, numbers }: Saved): string {
  const many = `${sessions > 0 ? ` --sessions ${sessions}` : ''} --rounds ${rounds}`;
  const size = `--seed ${seed}${many}${before ? ` --before ${before.name}` : ''}`;
  return `## ${name}${before ? ' between two versions' : ''}

    npm run fault -- ${name} ${size}

| | found | wanted | |
|---|---|---|---|
${checks.map(({ what, found, wanted, ok }) => `| ${what} | ${found} | ${wanted} | ${ok ? 'ok' : '**not reached**'} |`).join('\n')}

${Object.entries(numbers)
  .filter(([, value]) => value !== '')
  .map(([what, value]) => `- ${what}: ${value}`)
  .join('\n')}
`;
}

const files = process.argv.slice(2);
if (files.length === 0) {
  process.stderr.write('node test/fault/src/report.ts <saved run>… > docs/fault/results.md\n');
  process.exit(1);
}
const sections = files.map((file) => sectionOf(JSON.parse(readFileSync(file, 'utf8')) as Saved));
process.stdout.write(`# Fault runs

The long runs of the fault rig, each on a whole farm in network namespaces of one machine with ${availableParallelism()} cores, made by
\`npm run fault -- <scenario> --save <file>\`. Counts are what they are; times depend on the machine.

${sections.join('\n')}`);
