import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { AcmeServer, freePort, inTime, TestAuthority } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import {
  type Diagnosis,
  examineAuthority,
  examineChallenge,
  examineDatabase,
  examineDeviceWay,
  examineNameServers,
  examineRedis,
  examineService,
  exitStatusOf,
  judgeTimekeeping,
  type RedisWay,
  type ServiceWay,
  type WaitLimits,
} from '../src/index.ts';
import {
  type Balancing,
  type Played,
  playBalancer,
  playChallenges,
  playDatabase,
  playDemanding,
  playDirectory,
  playGreeting,
  playPlain,
  playProxy,
  playRedis,
  playSecurity,
  playSilent,
} from './played.ts';

/** Answers come at once here, also on a busy machine; only who stays silent is waited for, so that is short where it is played. */
const PATIENT: WaitLimits = { connectMs: 60_000, answerMs: 60_000, holdMs: 1_500, askEveryMs: 300 };
const HASTY: WaitLimits = { ...PATIENT, answerMs: 1_500 };

const authority = await TestAuthority.create('Our CA');
const other = await TestAuthority.create('Our CA');
const HOUR_MS = 3_600_000;
const names = ['127.0.0.1'];
const good = await authority.issue({ names });
const played: Played[] = [];
afterAll(() => Promise.all(played.map((one) => one.close())));

async function using(starting: Promise<Played>): Promise<Played> {
  const one = await starting;
  played.push(one);
  return one;
}

function toSecurity(port: number, more: Partial<ServiceWay['leg']> = {}, ca = authority.certificate): ServiceWay {
  return { leg: { from: 'Proxy', to: 'Security', host: '127.0.0.1', port, ...more }, tls: { ca }, isOurs: true };
}

/** The one thing that is wrong. */
function fault(found: readonly Diagnosis[]): Diagnosis {
  const wrong = found.filter(({ state }) => state !== 'ok');
  expect(wrong, JSON.stringify(found, null, 1)).toHaveLength(1);
  expect(wrong[0]!.next).toBeTruthy();
  return wrong[0]!;
}

test('a way that is open is told as ok, step by step', async () => {
  const { port } = await using(playSecurity(await authority.issue({ names: ['localhost'] })));
  const found = await examineService(toSecurity(port, { host: 'localhost' }), PATIENT);
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual([
    'dns ok',
    'port ok',
    'certificate ok',
    'ready ok',
    'clock ok',
  ]);
  expect(exitStatusOf(found)).toBe(0);
});

test('a closed port is named with the hop: the host answers and refuses', async () => {
  const { check, words, hop, subject } = fault(await examineService(toSecurity(await freePort()), PATIENT));
  expect({ check, hop }).toEqual({
    check: 'port',
    hop: expect.stringMatching(/^Security: nothing listens at \d+ there/),
  });
  expect(words).toMatch(/127\.0\.0\.1 is up and refuses port/);
  expect(subject).toMatch(/^Proxy → Security 127\.0\.0\.1:\d+$/);
});

test('a name that nobody knows is named, and where names are asked for', async () => {
  const found = await examineService(toSecurity(1, { host: 'nowhere.invalid' }), PATIENT);
  const { check, hop } = fault(found);
  expect(check).toBe('dns');
  expect(hop).toMatch(/^the name/);
});

const certificates: readonly [what: string, issue: () => Promise<typeof good>, words: RegExp, next: RegExp][] = [
  ['of another CA', () => other.issue({ names }), /ends at CN=Our CA: none of the CAs/, /name the CA that issued it/],
  ['that is over', () => authority.issue({ names, until: Date.now() - 1_000 }), /is over since/, /renew it/],
  [
    'that is not yet good',
    () => authority.issue({ names, from: Date.now() + HOUR_MS }),
    /not good before/,
    /clock of this host/,
  ],
  [
    'for another name',
    () => authority.issue({ names: ['else.example'] }),
    /is for else\.example, not for 127/,
    /come by a name/,
  ],
  [
    'that is no server’s',
    () => authority.issue({ names, use: 'client' }),
    /not for a TLS server/,
    /another certificate/,
  ],
];
test.each(certificates)('a certificate %s is named', async (_what, issue, words, next) => {
  const { port } = await using(playSecurity(await issue()));
  const found = fault(await examineService(toSecurity(port), PATIENT));
  expect(found).toMatchObject({ check: 'certificate', state: 'failure', hop: 'the certificate of the server' });
  expect(found.words).toMatch(words);
  expect(found.next).toMatch(next);
});

test('a certificate that ends soon is a warning, with the time that is left', async () => {
  const { port } = await using(
    playSecurity(await authority.issue({ names, from: Date.now() - 9 * 24 * HOUR_MS, until: Date.now() + HOUR_MS })),
  );
  const found = await examineService(toSecurity(port), PATIENT);
  expect(fault(found)).toMatchObject({
    check: 'certificate',
    state: 'warning',
    words: expect.stringContaining('hours'),
  });
  expect(exitStatusOf(found)).toBe(1);
});

test.each([
  ['ahead of', 600_000],
  ['behind', -600_000],
])('a clock that is ten minutes %s ours is named', async (words, offMs) => {
  const { port } = await using(playSecurity(good, { offMs }));
  const begun = performance.now();
  const found = fault(await examineService(toSecurity(port), PATIENT));
  const tookS = (performance.now() - begun) / 1_000;
  expect(found).toMatchObject({ check: 'clock', state: 'failure', next: expect.stringContaining('timedatectl') });
  const off = new RegExp(`its clock is (\\d+) s ${words}`).exec(found.words);
  // A Date has whole seconds, and what is asked takes its time.
  expect(Math.abs(Number(off?.[1]) - 600)).toBeLessThanOrEqual(2 + tookS);
});

test('a server that is not ready is a warning, and one that drains too', async () => {
  for (const status of [503, 404]) {
    const { port } = await using(playSecurity(good, { status }));
    expect(fault(await examineService(toSecurity(port), PATIENT))).toMatchObject({ check: 'ready', state: 'warning' });
  }
});

test('a server that hangs is told from a network that swallows', async () => {
  const { port } = await using(playSilent());
  const found = fault(await examineService(toSecurity(port), HASTY));
  expect(found).toMatchObject({ check: 'tls', hop: expect.stringContaining('it hangs') });
});

test('something else that listens there is named, and who does not take our certificate', async () => {
  const plain = await using(playPlain());
  expect(fault(await examineService(toSecurity(plain.port), PATIENT))).toMatchObject({
    check: 'tls',
    words: 'it speaks no TLS',
  });
  const demanding = await using(playDemanding(good, authority.certificate));
  const way = toSecurity(demanding.port);
  const stranger = await other.issue({ names: ['proxy'], use: 'client' });
  const found = fault(await examineService({ ...way, tls: { ...way.tls, ...stranger } }, PATIENT));
  expect(found.check).toMatch(/tls|ready/);
});

/** The one thing that is wrong; undefined when more is, as after a pause of the machine. */
async function only(examining: Promise<readonly Diagnosis[]>): Promise<Diagnosis | undefined> {
  const wrong = (await examining).filter(({ state }) => state !== 'ok');
  return wrong.length > 1 ? undefined : fault(wrong);
}

async function deviceWay(balancing?: Balancing, patience = PATIENT): Promise<Diagnosis[]> {
  const proxy = await using(playProxy());
  const { port } = balancing ? await using(playBalancer(proxy, balancing)) : proxy;
  return examineDeviceWay({ origin: `ws://127.0.0.1:${port}` }, patience);
}

test('the way of a device through a balancer that is right', async () => {
  const found = await deviceWay({});
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual([
    'port ok',
    'upgrade ok',
    'buffering ok',
    'size ok',
    'hold ok',
  ]);
});

test('a balancer that strips Upgrade is named', async () => {
  const found = fault(await deviceWay({ strips: /^(upgrade|connection):/i }));
  expect(found).toMatchObject({ check: 'upgrade', hop: 'the balancer between devices and Proxies' });
  expect(found.words).toContain('without its Upgrade');
  expect(found.next).toContain('proxy_set_header Upgrade');
});

test('a balancer that buffers is named', async () => {
  const found = await inTime(HASTY.answerMs, (answerMs) => only(deviceWay({ holds: true }, { ...PATIENT, answerMs })));
  expect(found).toMatchObject({ check: 'buffering', next: expect.stringContaining('proxy_buffering off') });
});

test('a balancer that cuts WebSockets after a time is named, with that time', async () => {
  const found = await inTime(3_000, (cutAfterMs) =>
    only(deviceWay({ cutAfterMs }, { ...PATIENT, holdMs: 10 * cutAfterMs })),
  );
  expect(found).toMatchObject({ check: 'hold', next: expect.stringContaining('timeout tunnel') });
  expect(found.words).toMatch(/is cut after [\d.]+ s, while it was in use/);
});

test('a balancer that takes no large messages is named', async () => {
  const found = fault(await deviceWay({ maxBytes: 8_192 }));
  expect(found).toMatchObject({ check: 'size', words: expect.stringContaining('65600 bytes') });
});

test('a balancer without a Proxy is named', async () => {
  const gone = await playSilent();
  await gone.close();
  const found = fault(
    await examineDeviceWay({ origin: `ws://127.0.0.1:${(await using(playBalancer(gone, {}))).port}` }, PATIENT),
  );
  expect(found.check).toBe('upgrade');
});

const toDatabase = ({ port }: Played, host = '127.0.0.1') =>
  examineDatabase(
    {
      ...{ from: 'Security', to: 'database', user: 'u', password: 'p', database: 'd', ca: authority.certificate },
      hosts: [{ host, port }],
    },
    PATIENT,
  );

const CA_SETTING = 'SALLYPORT_DATABASE_CA names the file with the CA that issued it';
const databases: readonly [what: string, issue: () => Promise<typeof good | undefined>, words: RegExp, next: string][] =
  [
    ['of another CA', () => other.issue({ names }), /ends at CN=Our CA: none of the CAs/, CA_SETTING],
    [
      'that is over',
      () => authority.issue({ names, until: Date.now() - 1_000 }),
      /is over since/,
      'renew it on the database host, then reload PostgreSQL',
    ],
    [
      'for another name',
      () => authority.issue({ names: ['else.example'] }),
      /is for else\.example, not for 127/,
      'come by a name',
    ],
    ['at all', async () => undefined, /speaks no TLS/, 'ssl = on in postgresql.conf'],
  ];
test.each(databases)(
  'a database with a certificate %s is named, and told nothing',
  async (_what, issue, words, next) => {
    const found = fault(await toDatabase(await using(playDatabase(await issue()))));
    expect(found).toMatchObject({ state: 'failure', next: expect.stringContaining(next) });
    expect(found.words).toMatch(words);
  },
);

test('a database whose certificate ends soon is asked for a session, and a warning says how long there is time', async () => {
  const soon = await authority.issue({ names, from: Date.now() - 9 * 24 * HOUR_MS, until: Date.now() + HOUR_MS });
  const found = await toDatabase(await using(playDatabase(soon)));
  expect(found.filter(({ state }) => state !== 'ok')).toMatchObject([
    { check: 'certificate', state: 'warning', next: 'renew it on the database host, then reload PostgreSQL' },
    { check: 'session', state: 'failure' },
  ]);
});

test('a directory is asked for StartTLS, by which it is known, and one that does not want to is named', async () => {
  const remedies = { renew: 'there', trust: 'name its CA' };
  const way = ({ port }: Played): ServiceWay => ({
    leg: { from: 'Security', to: 'directories', host: '127.0.0.1', port },
    tls: { ca: authority.certificate, beginning: 'LDAP', remedies },
  });
  const found = await examineService(way(await using(playDirectory(good))), PATIENT);
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual(['port ok', 'certificate ok']);
  expect(fault(await examineService(way(await using(playDirectory(undefined))), PATIENT))).toMatchObject({
    ...{ check: 'tls', words: 'the server speaks no TLS', next: expect.stringContaining('ldaps://') },
  });
  const stranger = await using(playDirectory(await other.issue({ names })));
  expect(fault(await examineService(way(stranger), PATIENT))).toMatchObject({ next: 'name its CA' });
});

test('who speaks first is known by its greeting', async () => {
  const way = ({ port }: Played): ServiceWay => ({
    leg: { from: 'Security', to: 'backup targets', host: '127.0.0.1', port },
    greeting: 'SSH-2.0',
  });
  const found = await examineService(way(await using(playGreeting('SSH-2.0-x\r\n'))), PATIENT);
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual(['port ok', 'session ok']);
  expect(fault(await examineService(way(await using(playGreeting('220 mail\r\n'))), PATIENT)).words).toBe(
    'something else than SSH-2.0 is there',
  );
  expect(fault(await examineService(way(await using(playSilent())), HASTY)).words).toContain('says nothing');
});

test('an authority is asked for its directory, and whether it wants to know whose account asks', async () => {
  const acme = await AcmeServer.start({ authority, challengePorts: [], lifeMs: HOUR_MS, now: Date.now });
  const { hostname, port, pathname } = new URL(acme.url);
  const leg = { from: 'Proxy', to: 'authorities', host: hostname, port: Number(port) };
  const way = { leg, path: pathname, ca: authority.certificate, isBound: false };
  const found = await examineAuthority(way, PATIENT);
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual(['port ok', 'certificate ok', 'directory ok']);
  expect(fault(await examineAuthority({ ...way, path: '/' }, PATIENT)).words).toBe(
    'that is no directory of ACME (400)',
  );
  acme.options.binding = { kid: 'k', key: 'x' };
  expect(fault(await examineAuthority(way, PATIENT)).next).toContain('SALLYPORT_ACME_EAB_KID');
  expect(exitStatusOf(await examineAuthority({ ...way, isBound: true }, PATIENT))).toBe(0);
  const { ca: _, ...untrusting } = way;
  expect(fault(await examineAuthority(untrusting, PATIENT)).next).toContain('SALLYPORT_ACME_CA');
  acme.close();
});

test('a challenge that reaches somebody else is a warning, with the port that should lead here', async () => {
  const leg = { from: 'this host', to: 'Proxy', host: '127.0.0.1' };
  const asked = async (answer: (token: string) => string | undefined) =>
    examineChallenge({ ...leg, port: (await using(playChallenges(answer))).port }, PATIENT);
  expect(exitStatusOf(await asked((token) => `${token}.${'x'.repeat(43)}`))).toBe(0);
  for (const answer of [() => undefined, () => 'It works!'])
    expect(fault(await asked(answer))).toMatchObject({ check: 'challenge', state: 'warning' });
  const closed = await examineChallenge({ ...leg, port: await freePort() }, PATIENT);
  expect(fault(closed)).toMatchObject({ check: 'port', state: 'warning' });
});

/** A name server that knows no name, or one that says nothing. */
async function nameServer(answers: boolean): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    const answer = Buffer.from(query);
    answer.writeUInt16BE(0x8183, 2);
    if (answers) socket.send(answer, port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  played.push({ port: 0, close: async () => void socket.close() });
  return `127.0.0.1:${socket.address().port}`;
}

test('a name server that is silent is named, beside one that answers', async () => {
  const [well, silent] = [await nameServer(true), await nameServer(false)];
  const found = await inTime(1_500, async (connectMs) => {
    const examined = await examineNameServers('db.corp', { ...HASTY, connectMs }, [well, silent]);
    return examined[0]?.state === 'ok' ? examined : undefined;
  });
  expect(found[0]).toMatchObject({ subject: `this host → name servers ${well}`, state: 'ok' });
  const trouble = fault(found);
  expect(trouble).toMatchObject({ check: 'dns', state: 'warning', subject: `this host → name servers ${silent}` });
  expect(trouble.words).toContain('comes late');
});

test('a clock that nobody keeps is a warning', () => {
  expect(judgeTimekeeping('yes')).toMatchObject([{ state: 'ok' }]);
  expect(judgeTimekeeping('no')).toMatchObject([{ state: 'warning', next: expect.stringContaining('123/udp') }]);
  expect(judgeTimekeeping('')).toEqual([]);
});

test('Sentinels are asked for the primary, which is then tried; an unknown name and a replica are named', async () => {
  const way = ({ port }: Played, mode: RedisWay['mode'] = 'sentinel'): RedisWay => ({
    ...{ from: 'Security', mode, name: 'sallyport', tls: false },
    servers: [{ host: '127.0.0.1', port }],
  });
  const primary = await using(playRedis('*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'));
  const named = `*2\r\n$9\r\n127.0.0.1\r\n$${String(primary.port).length}\r\n${primary.port}\r\n`;
  const found = await examineRedis(way(await using(playRedis(named))), PATIENT);
  expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual(['port ok', 'port ok', 'role ok']);
  expect(fault(await examineRedis(way(await using(playRedis('*-1\r\n'))), PATIENT))).toMatchObject({
    check: 'primary',
  });
  const replica = await using(playRedis('*5\r\n$5\r\nslave\r\n'));
  expect(fault(await examineRedis(way(replica, 'single'), PATIENT))).toMatchObject({ check: 'role' });
});
