import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIsolated, runIsolated } from '@sallyport/support';
import { runDrill } from './drill.ts';
import { fillRealm } from './fill.ts';
import { drawn } from './filled.ts';
import { timeInstall } from './install.ts';
import { timeLogins } from './logins.ts';
import { EXPORT } from './means.ts';
import { openRealmOf } from './realm-of.ts';
import { reportOf } from './report.ts';

const HELP = `npm run drill -- fill --data FOLDER [--installations N] [--seed N] [--real N]
npm run drill [-- --installations N] [--devices N] [--seed N] [--every SECONDS] [--install] [--short]
npm run drill -- logins [--installations N] [--devices N] [--every SECONDS] [--exports N]
npm run drill -- install

  fill   fills the realm of a Security server's data folder with users and installations; the first --real of them
         have keys with which a device can sign in. A folder without a realm gets one. With SALLYPORT_DATABASE_HOSTS
         and the settings beside it in the environment the database is an external one
  logins times sign-ins while exports are made by the schedule of the node, and while none is (root)
  install times the install on an empty machine, until the phone page answers (root, and the Debian package mmdebstrap)
`;

/** Short enough that nobody waits, ms. */
const SHORT_EVERY_MS = 8_000;

/** Tells the run inside of the namespaces what was timed outside. */
const INSTALL_MS = 'SALLYPORT_DRILL_INSTALL_MS';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    installations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    real: { type: 'string', default: '1000' },
    devices: { type: 'string', default: '20' },
    every: { type: 'string', default: '300' },
    exports: { type: 'string', default: '3' },
    install: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
  },
});

function say(text: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
}

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

/** Times an install; gives ms until the phone page answered. */
async function install(): Promise<number> {
  const steps = await timeInstall(say);
  for (const { what, seconds } of steps) process.stdout.write(`${seconds.toFixed(1).padStart(7)} s  ${what}\n`);
  return 1_000 * steps.at(-1)!.seconds;
}

/** The install is timed before: on the hosts of a drill there is no way to a package registry. */
async function burn(): Promise<void> {
  if (!isIsolated()) {
    if (values.install) process.env[INSTALL_MS] = String(await install());
    return runIsolated();
  }
  const count = Number(values.short ? '300' : values.installations);
  const devices = Number(values.short ? '8' : values.devices);
  const seed = Number(values.seed);
  const everyMs = values.short ? SHORT_EVERY_MS : Number(values.every) * 1_000;
  // Some moment between two backups, which the seed says.
  const burnAfterMs = values.short ? 0 : (drawn(seed, 'fire', 0)[0]! / 256) * everyMs;
  const size = { installations: count, devices, sleepers: devices, seed, everyMs, burnAfterMs };
  const result = await runDrill(EXPORT, size, say);
  const installMs = process.env[INSTALL_MS];
  const { table, ok } = reportOf(result, {
    promised: EXPORT.promised,
    installMs: installMs === undefined ? undefined : Number(installMs),
    withTimes: !values.short,
  });
  process.stdout.write(table);
  process.exit(ok ? 0 : 1);
}

async function logins(): Promise<void> {
  if (!isIsolated()) return runIsolated();
  const table = await timeLogins(
    {
      installations: Number(values.installations),
      devices: Number(values.devices),
      seed: Number(values.seed),
      everyMs: Number(values.every) * 1_000,
      exports: Number(values.exports),
    },
    say,
  );
  process.stdout.write(table);
  process.exit();
}

const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = { fill, install, logins, burn };
const command = COMMANDS[positionals[0] ?? 'burn'];
if (command) await command();
else process.stdout.write(HELP);
if (command !== burn && command !== logins) process.exit();
