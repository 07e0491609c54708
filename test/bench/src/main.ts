import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBackend } from './backend.ts';
import { Gateway } from './gateway.ts';
import { Load } from './load/load.ts';
import { startPeers } from './peers/peers.ts';
import { pictureOf } from './picture.ts';
import { PORTS } from './ports.ts';
import { summarise } from './profile.ts';
import { describeMachine, markdownOf, type Result, type Row } from './report.ts';
import type { Bench, Line, Measured, Work } from './work.ts';
import { beside } from './works/beside.ts';
import { hostile } from './works/hostile.ts';
import { idle } from './works/idle.ts';
import { largeGroup } from './works/large-group.ts';
import { latency } from './works/latency.ts';
import { opening } from './works/opening.ts';
import { overload } from './works/overload.ts';
import { revocation } from './works/revocation.ts';
import { rights } from './works/rights.ts';
import { scaling } from './works/scaling.ts';
import { sessions } from './works/sessions.ts';
import { small } from './works/small.ts';
import { download, upload } from './works/transfer.ts';

const WORKS: readonly Work[] = [
  small,
  download,
  upload,
  opening,
  latency,
  idle,
  revocation,
  overload,
  scaling,
  sessions,
  beside,
  rights,
  largeGroup,
  hostile,
];
const FOLDER = fileURLToPath(new URL('../../../docs/bench/', import.meta.url));
const THREADS = 2;

const { values, positionals } = parseArgs({
  options: {
    save: { type: 'boolean' },
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    profile: { type: 'string' },
  },
  allowPositionals: true,
});

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Lines of one work, round by round: a noisy minute hits all of them alike. */
async function run(work: Work, bench: Bench, machine: string): Promise<Result> {
  const only = new RegExp(values.only);
  const lines = work.lines(bench).filter(({ subject, variant }) => only.test(`${subject}, ${variant}`));
  const measured = new Map<Line, Measured[]>(lines.map((line) => [line, []]));
  const rounds = work.once ? 1 : Number(values.rounds);
  for (let round = 1; round <= rounds; round++) {
    for (const line of lines) {
      const result = await line.measure();
      measured.get(line)!.push(result);
      say(
        `${work.name} ${round}/${rounds}  ${line.variant.padEnd(26)} ${line.subject.padEnd(38)} ${result.value.toFixed(1)} ${line.unit}  ${result.note ?? ''}`,
      );
    }
  }
  return { work: work.name, title: work.title, machine, goals: work.goals, rows: [...measured].map(rowOf) };
}

function rowOf([line, results]: [Line, readonly Measured[]]): Row {
  const { subject, variant, unit } = line;
  return { subject, variant, unit, values: results.map(({ value }) => value), note: results.at(-1)?.note ?? '' };
}

function save(result: Result): void {
  mkdirSync(FOLDER, { recursive: true });
  const file = `${FOLDER}${result.work.toLowerCase()}`;
  writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(`${file}.md`, markdownOf(result));
  writeFileSync(`${file}.svg`, pictureOf(result));
}

async function main(): Promise<void> {
  const folder = mkdtempSync('/tmp/sallyport-bench-');
  // As root the database runs as a user of its own, who must get through here.
  chmodSync(folder, 0o755);
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().then(() => process.exit(1)));
  try {
    const backend = await startBackend(folder, PORTS);
    for (const daemon of backend) closing.push(() => daemon.end());
    const peers = await startPeers(folder);
    closing.push(() => peers.stop());
    const gateway = await Gateway.start(folder, values.profile);
    closing.push(() => gateway.stop());
    const load = Load.start(THREADS);
    closing.push(() => load.stop());
    const bench: Bench = { gateway, peers, load, scale: Number(values.scale), say };
    const machine = describeMachine();
    for (const work of WORKS) {
      if (positionals.length > 0 && !positionals.includes(work.name)) continue;
      const result = await run(work, bench, machine);
      process.stdout.write(`${markdownOf(result)}\n`);
      if (values.save) save(result);
    }
  } finally {
    await close();
  }
  if (values.profile) process.stdout.write(`${summarise(values.profile)}\n`);
}

await main();
process.exit(0);
