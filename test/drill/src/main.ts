import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fillRealm } from './fill.ts';
import { openRealmOf } from './realm-of.ts';

const HELP = `npm run drill -- fill --data FOLDER [--installations N] [--seed N] [--real N]

  fill   fills the realm of a Security server's data folder with users and installations; the first --real of them
         have keys with which a device can sign in. A folder without a realm gets one. With SALLYPORT_DATABASE_HOSTS
         and the settings beside it in the environment the database is an external one
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    installations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    real: { type: 'string', default: '1000' },
  },
});

async function fill(): Promise<void> {
  if (values.data === undefined) throw new Error(`which folder?\n\n${HELP}`);
  const data = resolve(values.data);
  mkdirSync(data, { recursive: true });
  const realm = await openRealmOf(data);
  const begun = performance.now();
  const seconds = (): string => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  const installations = Number(values.installations);
  try {
    await fillRealm(realm.store, realm.keyring, {
      installations,
      seed: Number(values.seed),
      real: Number(values.real),
      progress: (written) => {
        if (written % 50_000 === 0) process.stderr.write(`${seconds()}  ${written} of ${installations}\n`);
      },
    });
  } finally {
    await realm.close();
  }
  process.stdout.write(`${installations} users and installations in ${seconds()}, seed ${values.seed}\n`);
}

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = { fill };
const command = COMMANDS[positionals[0] ?? ''];
if (command) await command();
else process.stdout.write(HELP);
process.exit();
