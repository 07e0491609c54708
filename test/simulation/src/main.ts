import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { OMISSIONS, type Omission } from './omissions.ts';
import { type RunResult, runSeed } from './run.ts';

const HELP = `npm run simulate -- [--seeds N] [--from N] [--seed N] [--omit RULE]

Runs the real rules and the real lease code on virtual clocks, network and store. Every seed is one run;
--seed repeats a single one and says what happened. --omit leaves a rule out, to see that it would be noticed:
${OMISSIONS.join(', ')}.
`;

/** What a worker does: every so-many-th seed from one on. */
interface Share {
  readonly from: number;
  readonly until: number;
  readonly step: number;
  readonly omit: Omission | undefined;
}

/** Sums over many seeds. */
interface Sum {
  seeds: number;
  served: number;
  faults: number;
  revocations: number;
  failing: number[];
  slowest: number;
}

function add(sum: Sum, { seed, late, acknowledged, served, faults }: RunResult): void {
  sum.seeds += 1;
  sum.served += served;
  sum.faults += faults;
  sum.revocations += acknowledged.length;
  sum.slowest = Math.max(sum.slowest, ...acknowledged);
  if (late.length > 0) sum.failing.push(seed);
}

async function work({ from, until, step, omit }: Share): Promise<void> {
  const sum: Sum = { seeds: 0, served: 0, faults: 0, revocations: 0, failing: [], slowest: 0 };
  for (let seed = from; seed < until; seed += step) {
    add(sum, await runSeed(seed, { omit }));
    if (sum.seeds % 250 === 0) parentPort!.postMessage({ progress: 250 });
  }
  parentPort!.postMessage({ sum });
}

async function spread(from: number, seeds: number, omit: Omission | undefined): Promise<Sum[]> {
  const step = Math.min(availableParallelism(), seeds);
  let done = 0;
  const shares = Array.from({ length: step }, (_, i) => ({ from: from + i, until: from + seeds, step, omit }));
  return Promise.all(
    shares.map(
      (share) =>
        new Promise<Sum>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: share });
          worker.on('error', reject);
          worker.on('message', ({ progress, sum }: { progress?: number; sum?: Sum }) => {
            if (sum) return resolve(sum);
            done += progress!;
            process.stderr.write(`\r${done} of ${seeds} seeds`);
          });
        }),
    ),
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100000' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      omit: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const omit = values.omit as Omission | undefined;
  if (values.seed !== undefined) {
    const trace = (text: string): void => void process.stdout.write(`${text}\n`);
    process.stdout.write(`${JSON.stringify(await runSeed(Number(values.seed), { omit, trace }), null, 2)}\n`);
    return;
  }
  const started = performance.now();
  const sums = await spread(Number(values.from), Number(values.seeds), omit);
  const total = (of: (sum: Sum) => number): number => sums.reduce((all, sum) => all + of(sum), 0);
  const failing = sums.flatMap((sum) => sum.failing).sort((a, b) => a - b);
  process.stdout.write(`
seeds                                          ${total(({ seeds }) => seeds)}
revocations acknowledged                       ${total(({ revocations }) => revocations)}
requests served                                ${total(({ served }) => served)}
faults                                         ${total(({ faults }) => faults)}
slowest acknowledgement (with faults going on) ${Math.round(Math.max(...sums.map(({ slowest }) => slowest)))} ms
seeds with a request after the acknowledgement ${failing.length}
time                                           ${Math.round((performance.now() - started) / 1000)} s
`);
  for (const seed of failing.slice(0, 10)) process.stdout.write(`repeat with: npm run simulate -- --seed ${seed}\n`);
  process.exitCode = failing.length === 0 ? 0 : 1;
}

await (isMainThread ? main() : work(workerData as Share));
