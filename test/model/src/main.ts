import { writeFileSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { type Found, missingPackages, type Search, search } from './search.ts';
import { SEARCHES } from './searches.ts';

const HELP = `npm run model -- [name …] [--short | --long] [--steps] [--save file]

Searches the model of revocation, leases and restores (test/model/revocation.pml) with Spin. Each search is the design
within bounds, or the design with a rule taken away; what must come of it is known. Without names: all that take
minutes at most. --short: seconds. --long: all, with up to 8 GB. --steps shows counterexamples. --save writes a table.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    steps: { type: 'boolean', default: false },
    save: { type: 'string' },
  },
});

function chosen(): readonly Search[] {
  const unknown = positionals.filter((name) => !SEARCHES.some((one) => one.name === name));
  if (unknown.length > 0) throw new Error(`there is no search ${unknown.join(', ')}`);
  if (positionals.length > 0) return SEARCHES.filter(({ name }) => positionals.includes(name));
  const sizes = values.short ? ['seconds'] : ['seconds', 'minutes', ...(values.long ? ['long'] : [])];
  return SEARCHES.filter(({ size }) => sizes.includes(size));
}

/** A line of the table that is saved. */
function rowOf(
  { shows, defines, expect, kept = 'exact' }: Search,
  { outcome, states, memoryMiB, seconds }: Found,
): string {
  const searched = outcome === 'breaks' ? 'until it broke' : kept;
  const numbers = `${states.toLocaleString('en')} | ${Math.round(memoryMiB)} MiB | ${seconds.toFixed(1)} s`;
  return `| ${shows} | \`${defines.join(' ')}\` | ${outcome}${outcome === expect ? '' : ` (!, must: ${expect})`} | ${numbers} | ${searched} |`;
}

async function report(one: Search): Promise<{ row: string; ok: boolean }> {
  const found = await search(one);
  const ok = found.outcome === one.expect;
  const mark = ok ? styleText('green', 'ok  ') : styleText('red', 'FAIL');
  const numbers = `${found.states} states, ${Math.round(found.memoryMiB)} MiB, ${found.seconds.toFixed(1)} s`;
  process.stdout.write(`${mark} ${one.name.padEnd(28)} ${found.outcome.padEnd(10)} ${numbers}\n     ${one.shows}\n`);
  if (!ok || values.steps) for (const step of found.steps) process.stdout.write(`       ${step}\n`);
  return { row: rowOf(one, found), ok };
}

async function main(): Promise<boolean> {
  const missing = await missingPackages();
  if (missing.length > 0) throw new Error(`missing: apt-get install ${missing.join(' ')}`);
  const reports = [];
  for (const one of chosen()) reports.push(await report(one));
  const head = [
    '| what | bounds and switches | found | states | memory | time | search |',
    '|---|---|---|---|---|---|---|',
  ];
  if (values.save) writeFileSync(values.save, `${[...head, ...reports.map(({ row }) => row)].join('\n')}\n`);
  const bad = reports.filter(({ ok }) => !ok).length;
  process.stdout.write(bad === 0 ? `all ${reports.length} as expected\n` : `${bad} not as expected\n`);
  return bad === 0;
}

if (values.help) process.stdout.write(HELP);
else process.exit((await main()) ? 0 : 1);
