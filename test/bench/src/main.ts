import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Measured, type Workplace, workloads } from './workloads.ts';
import { startWorkplace } from './workplace.ts';

const { values, positionals } = parseArgs({
  options: { save: { type: 'boolean' }, rounds: { type: 'string', default: '3' } },
  allowPositionals: true,
});
const FOLDER = fileURLToPath(new URL('../../../docs/bench/', import.meta.url));

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly note: string;
}

function summarise(name: string, rounds: readonly Measured[]): Row {
  const sorted = rounds.map(({ value }) => value).sort((a, b) => a - b);
  return {
    name,
    unit: rounds[0]!.unit,
    median: sorted[Math.floor(sorted.length / 2)]!,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    note: rounds.at(-1)!.note,
  };
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

function markdown(rows: readonly Row[], machine: string): string {
  const lines = rows.map(
    ({ name, unit, median, min, max, note }) =>
      `| ${name} | ${round(median)} | ${round(min)} – ${round(max)} | ${unit} | ${note} |`,
  );
  return ['| work | median | min – max | unit | note |', '|---|---|---|---|---|', ...lines, '', machine, ''].join('\n');
}

function describeMachine(): string {
  const model = cpus()[0]?.model ?? 'unknown';
  return `${cpus().length} × ${model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}. Shared machine: read as ratios.`;
}

/** Rounds of all workloads are interleaved, so that a noisy minute hits every one of them. */
async function run(place: Workplace): Promise<Row[]> {
  const chosen = workloads.filter(
    ({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)),
  );
  const measured = new Map<string, Measured[]>(chosen.map(({ name }) => [name, []]));
  for (let i = 0; i < Number(values.rounds); i++) {
    for (const { name, measure, firstRoundOnly } of chosen) {
      if (firstRoundOnly && i > 0) continue;
      process.stderr.write(`round ${i + 1}: ${name}\n`);
      for (const result of await measure(place)) {
        const key = result.label ? `${name}, ${result.label}` : name;
        measured.set(key, [...(measured.get(key) ?? []), result]);
      }
    }
  }
  return [...measured].filter(([, rounds]) => rounds.length > 0).map(([name, rounds]) => summarise(name, rounds));
}

const place = await startWorkplace();
try {
  const rows = await run(place);
  const machine = describeMachine();
  process.stdout.write(markdown(rows, machine));
  if (values.save) {
    writeFileSync(`${FOLDER}baseline.json`, `${JSON.stringify({ machine, rows }, null, 1)}\n`);
    writeFileSync(
      `${FOLDER}baseline.md`,
      `# Baseline\n\n\`npm run bench -- --save\` wrote this.\n\n${markdown(rows, machine)}`,
    );
    process.stderr.write(`saved to docs/bench; ${readFileSync(`${FOLDER}baseline.json`).length} bytes\n`);
  }
} finally {
  await place.stop();
}
process.exit(0);
