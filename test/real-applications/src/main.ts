import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { APPLICATIONS } from './applications/all.ts';
import { installPrograms } from './programs.ts';
import { Surroundings } from './surroundings.ts';
import { type Outcome, tableOf, tryAll } from './trial.ts';

const HELP = `npm run real-applications -- [--only NAME]… [--save] [--pictures FOLDER]

Puts applications that companies run behind what "npm start" starts, and uses them by real clients. Installs what it needs
from Debian and PyPI.

  --only NAME       this application only: ${APPLICATIONS.map(({ name }) => name).join(', ')}
  --save            writes the table into docs/real-applications.md
  --pictures FOLDER pictures of the phone page with each application
`;
const DOCUMENT = fileURLToPath(new URL('../../../docs/real-applications.md', import.meta.url));
const INTRODUCTION = `# Real applications

What companies run, behind what \`npm start\` starts, and used by the clients that people have. Made by
\`npm run real-applications -- --save\`, which installs the programs from Debian and PyPI.

`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    save: { type: 'boolean', default: false },
    pictures: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const wanted = APPLICATIONS.filter(({ name }) => !values.only || values.only.includes(name));
  const surroundings = new Surroundings(await installPrograms(wanted));
  const outcomes: Outcome[] = [];
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void surroundings.stop().then(() => process.exit(1)));
  try {
    await surroundings.start(wanted);
    await tryAll(surroundings, wanted, async (outcome) => {
      outcomes.push(outcome);
      process.stderr.write(`${outcome.works ? '✔' : '✖'} ${outcome.application}, ${outcome.client}: ${outcome.seen}\n`);
      if (values.pictures && outcome.through === 'phone') {
        mkdirSync(values.pictures, { recursive: true });
        await surroundings.picture(
          `${values.pictures}/${outcome.application.replaceAll(/\W+/g, '-').toLowerCase()}.png`,
        );
      }
    });
  } finally {
    await surroundings.stop();
  }
  process.stdout.write(`${tableOf(outcomes)}\n`);
  if (values.save) writeFileSync(DOCUMENT, `${INTRODUCTION}${tableOf(outcomes)}\n`);
  return outcomes.every(({ works }) => works) ? 0 : 1;
}

if (values.help) process.stdout.write(HELP);
else process.exit(await main());
