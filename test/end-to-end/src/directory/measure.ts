// `npm run bench:directories`: how long syncs take, what they need, and how fast leavers are out.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Leaving } from './leavers.ts';
import { measureSyncs, type Step } from './scale.ts';
import { Company } from './ways-out.ts';

const RESULTS = fileURLToPath(new URL('../../../../docs/directories/results.md', import.meta.url));
const { values: options } = parseArgs({
  options: {
    users: { type: 'string', default: '10000,100000' },
    leavers: { type: 'string', default: '100' },
    save: { type: 'boolean', default: false },
  },
});
const lines: string[] = [];

function say(line: string): void {
  lines.push(line);
  process.stdout.write(`${line}\n`);
}

/** Value below which a share of sorted values lies. */
function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
}

async function syncs(): Promise<void> {
  say('## Syncs of a real OpenLDAP (`slapd`), with groups in groups\n');
  say('| schema, users | what | s | Security at most, MiB | what it did |\n|---|---|---:|---:|---|');
  for (const users of options.users.split(',').map(Number).filter(Boolean))
    for (const flavour of ['standard', 'ad'] as const) {
      const row = ({ what, seconds, memoryMiB, did }: Step): string =>
        `| ${flavour === 'ad' ? 'Active Directory' : 'inetOrgPerson'}, ${users.toLocaleString('en')} | ${what} | ${seconds.toFixed(1)} | ${memoryMiB} | ${did} |`;
      for (const step of await measureSyncs(flavour, users)) say(row(step));
    }
}

async function leavers(count: number): Promise<void> {
  say('\n## Leavers, in the middle of requests and a download\n');
  say(
    '| way | leavers | acknowledged after, ms p50 / p99 | order to last byte, ms p50 / p99 / max | latest request after the acknowledgement, ms | latest byte after it, ms |',
  );
  say('|---|---:|---:|---:|---:|---:|');
  const company = await Company.start(Math.max(2_000, 6 * count));
  try {
    for (const [way, leave] of Object.entries(company.ways)) {
      const seen: Leaving[] = [];
      for (let i = 0; i < count; i++) seen.push(await leave());
      const sorted = (pick: (one: Leaving) => number): number[] => seen.map(pick).sort((a, b) => a - b);
      const [acknowledged, byte] = [sorted((one) => one.acknowledgedMs), sorted((one) => one.lastByteMs)];
      const shown = (values: readonly number[], ...shares: number[]): string =>
        shares.map((share) => quantile(values, share).toFixed(0)).join(' / ');
      const after = (pick: (one: Leaving) => number): string => Math.max(...seen.map(pick)).toFixed(1);
      say(
        `| ${way} | ${count} | ${shown(acknowledged, 0.5, 0.99)} | ${shown(byte, 0.5, 0.99, 1)} | ${after((one) => one.requestAfterMs)} | ${after((one) => one.byteAfterMs)} |`,
      );
    }
  } finally {
    await company.stop();
  }
}

await syncs();
if (Number(options.leavers) > 0) await leavers(Number(options.leavers));
if (options.save) {
  const head = `# Directories: what was measured\n\nMade by \`npm run bench:directories -- --users ${options.users} --leavers ${options.leavers} --save\` on a shared machine with four cores: the times are of that machine, the order of things is not. Negative numbers mean before.\n`;
  writeFileSync(RESULTS, `${head}\n${lines.join('\n')}\n`);
}
