import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const HELP = `npm run fuzz -- [--rounds N] [--seed N]

Throws raw frames, raw answers of a backend and raw requests at a real gateway, while honest devices compare every answer
with what they asked. A seed repeats what is thrown, not when it arrives.
`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 30) },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else {
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  process.stdout.write(`seed ${seed}\n`);
  const startedAt = performance.now();
  const progress = (done: number): void => void process.stderr.write(`\r${done} of ${rounds} rounds`);
  const { problems, channels, reached, honest } = await fuzz({ rounds, seed, progress });
  const sum = (of: (seen: (typeof honest)[number]) => number): number => honest.reduce((all, one) => all + of(one), 0);
  process.stdout.write(`
rounds                                 ${rounds}
channels that attackers opened         ${channels}
their WebSockets that were accepted    ${reached.webSockets}
messages of backends over these        ${reached.messages}
right answers to honest devices        ${sum(({ right }) => right)}
honest devices were told to come again ${sum(({ later }) => later)}
slowest right answer                   ${Math.round(Math.max(...honest.map(({ slowestMs }) => slowestMs)))} ms
problems                               ${problems.length}
time                                   ${Math.round((performance.now() - startedAt) / 1000)} s
`);
  for (const problem of problems.slice(0, 10)) process.stdout.write(`\n${problem}\n`);
  if (problems.length > 0) process.stdout.write(`\nrepeat with: npm run fuzz -- --rounds ${rounds} --seed ${seed}\n`);
  process.exit(problems.length > 0 ? 1 : 0);
}
