import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { APPLICATIONS } from './applications/all.ts';
import { installPrograms } from './programs.ts';
import { Surroundings } from './surroundings.ts';
import { type Outcome, tableOf, tryAll } from './trial.ts';

const HELP = `npm run real-applications -- [--only NAME]… [--save]

Puts applications that companies run behind what "npm start" starts, and uses them by real clients. Installs what it needs
from Debian and PyPI.

  --only NAME       this application only: ${APPLICATIONS.map(({ name }) => name).join(', ')}
  --save            writes the table into docs/real-applications.md, and pictures of the phone page beside it
`;
const DOCUMENT = fileURLToPath(new URL('../../../docs/real-applications.md', import.meta.url));
const PICTURES = fileURLToPath(new URL('../../../docs/pictures/', import.meta.url));
const introduction = (pictures: readonly string[]): string => `# Real applications

What companies run, behind what \`npm start\` starts, and used by the clients that people have. Made by
\`npm run real-applications -- --save\`, which installs the programs from Debian and PyPI.

<p>${pictures.map((file) => `<img src="pictures/${file}" width="220" alt="On the phone page">`).join(' ')}</p>

`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    save: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const wanted = APPLICATIONS.filter(({ name }) => !values.only || values.only.includes(name));
  const surroundings = new Surroundings(await installPrograms(wanted));
  const outcomes: Outcome[] = [];
  const pictures: string[] = [];
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void surroundings.stop().then(() => process.exit(1)));
  try {
    await surroundings.start(wanted);
    await tryAll(surroundings, wanted, async (outcome) => {
      outcomes.push(outcome);
      process.stderr.write(`${outcome.works ? '✔' : '✖'} ${outcome.application}, ${outcome.client}: ${outcome.seen}\n`);
      if (!values.save || outcome.through !== 'phone') return;
      const file = `application-${outcome.application.replaceAll(/\W+/g, '-').toLowerCase()}.png`;
      await surroundings.picture(`${PICTURES}${file}`);
      pictures.push(file);
    });
  } finally {
    await surroundings.stop();
  }
  process.stdout.write(`${tableOf(outcomes)}\n`);
  if (values.save) writeFileSync(DOCUMENT, `${introduction(pictures)}${tableOf(outcomes)}\n`);
  return outcomes.every(({ works }) => works) ? 0 : 1;
}

if (values.help) process.stdout.write(HELP);
else process.exit(await main());
