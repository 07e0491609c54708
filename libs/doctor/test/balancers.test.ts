import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, inTime, isListening, scratchFolder, TestAuthority, waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { type Diagnosis, examineDeviceWay, type WaitLimits } from '../src/index.ts';
import { type Played, playProxy } from './played.ts';

/** Recipes of deploy/production, run as they are but for names, ports and files; and what becomes of them by one wrong line. */
const RECIPES = fileURLToPath(new URL('../../../deploy/production/', import.meta.url));
const LIMITS: WaitLimits = { connectMs: 60_000, answerMs: 60_000, holdMs: 1_000, askEveryMs: 300 };
const authority = await TestAuthority.create('Our CA');
const { certificate, key } = await authority.issue({ names: ['127.0.0.1'] });
const ca = authority.certificate;
const proxy: Played = await playProxy();
const children: ChildProcess[] = [];
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await proxy.close();
});

const ENVIRONMENT = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` };
/** What each is started with, by the file of its recipe. */
const BALANCERS = {
  haproxy: { recipe: 'haproxy.cfg', version: '-v', args: (file: string) => ['-db', '-f', file] },
  nginx: {
    recipe: 'nginx.conf',
    version: '-v',
    args: (file: string, folder: string) => [
      ...['-p', folder, '-c', file, '-e', 'stderr', '-g', `daemon off; pid ${folder}/pid;`],
    ],
  },
  envoy: {
    recipe: 'envoy.yaml',
    version: '--version',
    args: (file: string) => ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
  },
} as const;
type Program = keyof typeof BALANCERS;

const has = (program: Program) => spawnSync(program, [BALANCERS[program].version], { env: ENVIRONMENT }).status === 0;
for (const program of ['haproxy', 'nginx'] as const)
  if (!has(program)) process.stdout.write(`skipped: the recipe for ${program} needs the Debian package ${program}\n`);
if (!has('envoy')) process.stdout.write('skipped: the recipe for envoy needs it in PATH (Debian has none)\n');

type Change = (recipe: string) => string;

/** Starts a balancer by its recipe, changed; gives the origin of devices. */
async function startBalancer(program: Program, change: Change): Promise<string> {
  const [folder, port, other] = [scratchFolder(), await freePort(), await freePort()];
  const { recipe: name, args } = BALANCERS[program];
  const files = join(folder, 'devices');
  writeFileSync(`${files}.pem`, program === 'haproxy' ? certificate + key : certificate);
  writeFileSync(`${files}.key`, key);
  const recipe = readFileSync(RECIPES + name, 'utf8')
    .replaceAll('/etc/sallyport/tls/devices', files)
    .replace(/CHANGE_PROXY\d:8440/g, `127.0.0.1:${proxy.port}`)
    .replace(/CHANGE_PROXY\d/g, '127.0.0.1')
    .replace(/port_value: 844[01]/g, `port_value: ${proxy.port}`)
    .replace('address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${port}`)
    .replaceAll('check port 8441', `check port ${proxy.port}`)
    .replace(/CHANGE_NODE\d:8444/g, '127.0.0.1:9')
    .replaceAll('0.0.0.0:443', `127.0.0.1:${port}`)
    .replaceAll('0.0.0.0:8444', `127.0.0.1:${other}`);
  const file = join(folder, name);
  writeFileSync(file, change(recipe));
  mkdirSync(join(folder, 'logs'));
  const child = spawn(program, args(file, folder), { stdio: ['ignore', 'ignore', 'pipe'], env: ENVIRONMENT });
  children.push(child);
  let said = '';
  child.stderr!.on('data', (text) => {
    said += text;
  });
  await waitFor(
    () => isListening(port),
    program,
    () => said,
  );
  return `wss://127.0.0.1:${port}`;
}

const wrong = (found: readonly Diagnosis[]) => found.filter(({ state }) => state !== 'ok');
const asItIs: Change = (recipe) => recipe;

test.skipIf(!has('haproxy'))(
  'the recipe for HAProxy leaves nothing in the way, and a short tunnel is named',
  async () => {
    expect(wrong(await examineDeviceWay({ origin: await startBalancer('haproxy', asItIs), ca }, LIMITS))).toEqual([]);
    const limits = { ...LIMITS, holdMs: 80_000, askEveryMs: 75_000 };
    const found = await inTime(1_000, async (ms) => {
      const tunnel = `timeout tunnel ${ms}ms`;
      const short = await startBalancer('haproxy', (recipe) => recipe.replace('timeout tunnel 12h', tunnel));
      const examined = wrong(await examineDeviceWay({ origin: short, ca }, limits));
      return examined.length > 1 ? undefined : examined;
    });
    expect(found).toMatchObject([{ check: 'hold', state: 'failure', next: expect.stringContaining('timeout tunnel') }]);
  },
);

test.skipIf(!has('nginx'))(
  'the recipe for nginx leaves nothing in the way, and one without Upgrade is named',
  async () => {
    expect(wrong(await examineDeviceWay({ origin: await startBalancer('nginx', asItIs), ca }, LIMITS))).toEqual([]);
    const plain = await startBalancer('nginx', (recipe) =>
      recipe.replace(/proxy_set_header (Upgrade|Connection) .*\n/g, ''),
    );
    expect(wrong(await examineDeviceWay({ origin: plain, ca }, LIMITS))).toMatchObject([
      { check: 'upgrade', state: 'failure', next: expect.stringContaining('proxy_set_header Upgrade') },
    ]);
  },
);

test.skipIf(!has('envoy'))(
  'the recipe for Envoy leaves nothing in the way, and one without Upgrade is named',
  async () => {
    expect(wrong(await examineDeviceWay({ origin: await startBalancer('envoy', asItIs), ca }, LIMITS))).toEqual([]);
    const plain = await startBalancer('envoy', (recipe) => recipe.replace(/ +upgrade_configs: .*\n/, ''));
    expect(wrong(await examineDeviceWay({ origin: plain, ca }, LIMITS))).toMatchObject([
      { check: 'upgrade', state: 'failure' },
    ]);
  },
);
