import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { storeIdentity } from '@sallyport/security-client';
import { CLI, freePort, runCommand, scratchFolder, TestAuthority } from '@sallyport/support';
import { expect, onTestFinished, test } from 'vitest';
import { watchChannel } from '../src/doctor/own-channel.ts';
import { degradedDiagnoses } from '../src/doctor/own-realm.ts';

const folder = scratchFolder();
const ENVIRONMENT = { SALLYPORT_DATA: folder };

interface Told {
  readonly status: number;
  readonly diagnoses: readonly { subject: string; check: string; state: string; next?: string }[];
}

async function doctor(...args: string[]): Promise<{ code: number | null; told: Told }> {
  const { code, stdout, stderr } = await runCommand(process.execPath, [CLI, '--json', 'doctor', ...args], {
    environment: ENVIRONMENT,
  });
  expect(stdout, stderr).not.toBe('');
  return { code, told: JSON.parse(stdout) as Told };
}

test('from a Proxy it looks at its identity and tries every Security node and backend', async () => {
  const authority = await TestAuthority.create('Our CA');
  const pair = await authority.issue({ names: ['p1'], use: 'client' });
  const [security, backend] = [await freePort(), await freePort()];
  const urls = [`https://127.0.0.1:${security}`];
  storeIdentity(join(folder, 'identity.json'), {
    name: 'p1',
    site: 'main',
    realm: 'main',
    urls,
    ca: authority.certificate,
    ...pair,
  });
  writeFileSync(
    join(folder, 'proxy.env'),
    [
      `SALLYPORT_DATA=${folder}`,
      `SALLYPORT_HEALTH_LISTEN=0.0.0.0:${security}`,
      `SALLYPORT_ACME_DIRECTORY=https://127.0.0.1:${backend}/directory`,
      'SALLYPORT_ACME_NAMES=gate.invalid',
    ].join('\n'),
  );
  const { code, told } = await doctor(
    ...['--from', 'proxy', '--env', join(folder, 'proxy.env')],
    ...['--backend', `127.0.0.1:${backend}`, `https://localhost:${backend}`],
  );
  expect(code).toBe(2);
  expect(told.status).toBe(2);
  const said = told.diagnoses.map(({ subject, check, state }) => `${subject} ${check} ${state}`);
  expect(said).toContain('identity of this Proxy certificate ok');
  expect(said).toContain(`Proxy → Security 127.0.0.1:${security} port failure`);
  expect(said).toContain(`Proxy → backends 127.0.0.1:${backend} port failure`);
  expect(said).toContain(`Proxy → backends localhost:${backend} port failure`);
  expect(said).toContain(`this host → Proxy 127.0.0.1:${security} port failure`);
  expect(said).toContain(`Proxy → authorities 127.0.0.1:${backend} port failure`);
  expect(said).toContain('this host → Proxy gate.invalid:80 dns warning');
});

test('from Security it tries the stores of its settings, a directory, and reads its files', async () => {
  const [database, others, redis, directory, backups] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const file = join(folder, 'security.env');
  mkdirSync(join(folder, 'data'));
  const settings = [
    `SALLYPORT_DATA=${join(folder, 'data')}`,
    `SALLYPORT_DATABASE_HOSTS=127.0.0.1:${database}`,
    `SALLYPORT_REDIS=redis://127.0.0.1:${redis}`,
    'SALLYPORT_REDIS_CA=/nowhere/ca.pem',
    `SALLYPORT_OTHER_SITE_DATABASE_HOSTS=127.0.0.1:${others}`,
    `SALLYPORT_JOURNAL=file:${join(folder, 'not', 'yet')}`,
    'SALLYPORT_PACKAGES=/proc/packages',
    'SALLYPORT_JOIN_KEYS=/nowhere/jwks.json',
    `SALLYPORT_BACKUP_TARGETS=sftp://b@127.0.0.1:${backups}/x?key=/k&hostkey=SHA256:${'A'.repeat(43)},s3://backups?endpoint=https://127.0.0.1:${backups}&region=r&credentials=/c`,
  ];
  writeFileSync(file, settings.join('\n'));
  const { code, told } = await doctor(
    '--from',
    'security',
    '--env',
    file,
    '--directory',
    `ldaps://127.0.0.1:${directory}`,
  );
  expect(code).toBe(2);
  const wrong = told.diagnoses.filter(({ state }) => state === 'failure').map(({ subject }) => subject);
  expect(wrong).toEqual(
    expect.arrayContaining([
      `Security → database 127.0.0.1:${database}`,
      `Security → database 127.0.0.1:${others}`,
      'SALLYPORT_JOIN_KEYS',
      'SALLYPORT_REDIS_CA',
      `Security → Redis 127.0.0.1:${redis}`,
      `Security → directories 127.0.0.1:${directory}`,
      `Security → backup targets 127.0.0.1:${backups}`,
    ]),
  );
  // What the server makes by itself is looked at where it will be.
  expect(told.diagnoses).toContainEqual(expect.objectContaining({ subject: `disk of ${folder}`, state: 'ok' }));
  expect(wrong).toContain('disk of /proc');
  for (const one of told.diagnoses) if (one.state !== 'ok') expect(one.next).toBeTruthy();
});

test('from a database host the others are known by their certificates, and its own is judged', async () => {
  const authority = await TestAuthority.create('Database hosts');
  const { certificate, key } = await authority.issue({ names: ['127.0.0.1'] });
  const texts = { 'ca.pem': authority.certificate, 'server.pem': certificate, 'server.key': key };
  const tls = scratchFolder();
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(tls, name), text);
  const { told } = await doctor('--from', 'database', '--host', '127.0.0.9', '--patroni', '--tls', tls);
  const said = told.diagnoses.map(({ subject, check, state }) => `${subject} ${check} ${state}`);
  expect(said).toContain('certificate of this host certificate ok');
  for (const port of [5432, 8008, 2379, 2380]) expect(said.join()).toContain(`database → database 127.0.0.9:${port} `);
  writeFileSync(join(tls, 'server.key'), (await authority.issue({ names: ['127.0.0.1'] })).key);
  const { told: again } = await doctor('--from', 'database', '--tls', tls);
  expect(again.diagnoses).toContainEqual(
    expect.objectContaining({ subject: 'certificate of this host', state: 'failure' }),
  );
});

test('what the realm says is degraded are warnings with what to do, and an API that does not answer is one', async () => {
  const words = 'the root of updates (1) ends at 2027-01-01T00:00:00.000Z, in 12 days';
  expect(degradedDiagnoses('the realm', [words])).toMatchObject([{ state: 'warning', words, check: 'realm' }]);
  expect(degradedDiagnoses('the realm', [])).toMatchObject([{ state: 'ok' }]);
  const [data, port] = [join(folder, 'operator'), await freePort()];
  mkdirSync(join(data, 'cli'), { recursive: true });
  const profile = { url: `https://127.0.0.1:${port}`, ca: '', name: 'olga', token: 'spo_x' };
  writeFileSync(join(data, 'cli', 'operator.json'), JSON.stringify(profile));
  writeFileSync(join(folder, 'own.env'), `SALLYPORT_DATA=${folder}`);
  const { told } = await doctor('--from', 'security', '--env', join(folder, 'own.env'), '--data', data);
  const realm = told.diagnoses.filter(({ check }) => check === 'realm');
  expect(realm).toMatchObject([{ subject: `the realm, as 127.0.0.1:${port} knows it`, state: 'warning' }]);
  for (const { next } of realm) expect(next).toContain('sallyport status');
  const [other, authority] = [await freePort(), await TestAuthority.create('Nodes')];
  const { certificate: cert, key } = await authority.issue({ names: ['127.0.0.1'] });
  let [status, answer] = [200, '{"degraded":[]}'];
  const node = createServer({ cert, key }, (_, response) => response.writeHead(status).end(answer));
  await new Promise<void>((resolve) => node.listen(other, '127.0.0.1', resolve));
  onTestFinished(() => void node.close());
  const two = { ...profile, ca: authority.certificate, others: [`https://127.0.0.1:${other}`] };
  writeFileSync(join(data, 'cli', 'operator.json'), JSON.stringify(two));
  const { told: again } = await doctor('--from', 'security', '--env', join(folder, 'own.env'), '--data', data);
  expect(again.diagnoses.filter(({ check }) => check === 'realm')).toMatchObject([
    { subject: `the realm, as 127.0.0.1:${port} knows it`, state: 'warning' },
    { subject: `the realm, as 127.0.0.1:${other} knows it`, state: 'ok' },
  ]);
  // A node that refuses the credential has answered: the others would say the same.
  [status, answer] = [401, '{"code":"ERR_SECURITY_OPERATOR","detail":"the credential has ended"}'];
  const ended = { ...two, url: two.others[0], others: [profile.url] };
  writeFileSync(join(data, 'cli', 'operator.json'), JSON.stringify(ended));
  const { told: refused } = await doctor('--from', 'security', '--env', join(folder, 'own.env'), '--data', data);
  expect(refused.diagnoses.filter(({ check }) => check === 'realm')).toMatchObject([
    { subject: `the realm, as 127.0.0.1:${other} knows it`, state: 'warning' },
  ]);
});

test('a database elsewhere without a CA is asked for nothing but its port', async () => {
  const file = join(folder, 'open.env');
  const settings = [
    `SALLYPORT_DATA=${folder}`,
    'SALLYPORT_DATABASE_HOSTS=db.invalid:5432',
    'SALLYPORT_DATABASE_PASSWORD=x',
    'SALLYPORT_REDIS=redis://elsewhere:1',
  ];
  writeFileSync(file, settings.join('\n'));
  const { told } = await doctor('--from', 'security', '--env', file);
  const wrong = told.diagnoses.filter(({ state }) => state === 'failure');
  expect(wrong.map(({ subject, check }) => `${subject} ${check}`)).toEqual(
    expect.arrayContaining([
      'Security → database certificate',
      'Security → database db.invalid:5432 dns',
      'SALLYPORT_REDIS settings',
    ]),
  );
});

test('a host that is no server is a device, and is asked where devices come in', async () => {
  const { stderr } = await runCommand(process.execPath, [CLI, 'doctor'], { environment: ENVIRONMENT });
  expect(stderr).toContain('where do devices come in?');
});

type Hearing = Parameters<typeof watchChannel>[0];

/** A device that is connected, and loses its channel after so long, ms. */
function deviceThatLoses(afterMs: number | undefined): Hearing {
  return {
    resume: async () => undefined,
    on: (_name, listener) => {
      const lose = listener as (event: { state: string }) => void;
      if (afterMs !== undefined) setTimeout(() => lose({ state: 'connecting' }), afterMs);
      return () => undefined;
    },
  } as Hearing;
}

test('a quiet channel that is cut is named with its time, and one that stays is told', async () => {
  expect(await watchChannel(deviceThatLoses(undefined), { holdMs: 50 })).toMatchObject({ state: 'ok' });
  const cut = await watchChannel(deviceThatLoses(20), { holdMs: 60_000 });
  expect(cut).toMatchObject({ state: 'failure', check: 'channel', hop: expect.stringContaining('the balancer') });
  expect(cut.words).toMatch(/a quiet channel is cut after [\d.]+ s/);
});
