import type { AttestedKey, Proven } from '@sallyport/access';
import { encodeCbor } from '@sallyport/channel';
import { beforeAll, expect, test } from 'vitest';
import { appAttestConnector } from '../src/app-attest.ts';
import { attestationOf } from '../src/attestation-file.ts';
import { type AppleSays, type Authority, apple, appleDevice } from './platforms.ts';

const HASH = new Uint8Array(32).fill(1);
const NEXT = new Uint8Array(32).fill(2);

let maker: Awaited<ReturnType<typeof apple>>;
let device: Awaited<ReturnType<typeof appleDevice>>;
beforeAll(async () => {
  maker = await apple();
  device = await appleDevice(maker.intermediate);
});

interface Asked {
  readonly bound?: Uint8Array;
  readonly key?: AttestedKey | undefined;
  readonly root?: Authority;
  readonly development?: boolean;
}

function verify(statement: Uint8Array, { bound = HASH, key, root = maker.root, development = false }: Asked = {}) {
  const connector = appAttestConnector({ roots: [root.certificate], teams: ['ABCDE12345'], development });
  return attestationOf(new Map([['app-attest', connector]])).verify({
    ...{ connector: 'app-attest', statement, bound, app: 'com.example.app', key, now: Date.now() },
  });
}

async function begun(): Promise<AttestedKey> {
  const proven = (await verify(await device.attestation({ hash: HASH }))) as Proven;
  return proven.key!;
}

test('an attestation proves app and key, and assertions of that key go on from it', async () => {
  const key = await begun();
  expect(key).toMatchObject({ id: device.keyId.toString('base64url'), counter: 0 });
  const proven = await verify(device.assertion({ hash: NEXT, counter: 1 }), { bound: NEXT, key });
  expect(proven).toMatchObject({ level: 'hardware', facts: { id: 'com.example.app', os: 'ios' }, key: { counter: 1 } });
});

const ATTESTATIONS: readonly [name: string, fault: string, over: Partial<AppleSays>, asked: Asked][] = [
  ['for another challenge', 'challenge-other', {}, { bound: NEXT }],
  ['of another app', 'app-other', { app: 'ABCDE12345.com.example.evil' }, {}],
  ['of another team', 'app-other', { app: 'EVIL012345.com.example.app' }, {}],
  ['with a counter that has begun', 'counter-old', { counter: 3 }, {}],
  ['of the development environment', 'environment-other', { environment: 'appattestdevelop' }, {}],
  ['whose certificate has ended', 'certificate-expired', { ends: Date.now() - 1_000 }, {}],
];

test.each(ATTESTATIONS)('an attestation %s is refused: %s', async (_, fault, over, asked) => {
  expect(await verify(await device.attestation({ hash: HASH, ...over }), asked)).toEqual({ fault });
});

test("another maker's chain is refused", async () => {
  const other = await apple();
  expect(await verify(await device.attestation({ hash: HASH }), { root: other.root })).toEqual({
    fault: 'root-unknown',
  });
});

test('keys of the development environment are taken where the operator says so', async () => {
  const statement = await device.attestation({ hash: HASH, environment: 'appattestdevelop' });
  expect(await verify(statement, { development: true })).toMatchObject({ level: 'hardware' });
});

test('a key of the development environment signs nothing any more once the operator takes none', async () => {
  const statement = await device.attestation({ hash: HASH, environment: 'appattestdevelop' });
  const { key } = (await verify(statement, { development: true })) as Proven;
  const next = device.assertion({ hash: NEXT, counter: 1 });
  expect(await verify(next, { bound: NEXT, key, development: true })).toMatchObject({ key: { counter: 1 } });
  expect(await verify(next, { bound: NEXT, key })).toEqual({ fault: 'environment-other' });
});

test('an assertion is refused for another challenge, app or key, and when its counter does not rise', async () => {
  const key = { ...(await begun()), counter: 4 };
  const good = { bound: NEXT, key };
  const asserted = (over: Partial<AppleSays>) => device.assertion({ hash: NEXT, counter: 5, ...over });
  expect(await verify(asserted({}), good)).toMatchObject({ key: { counter: 5 } });
  expect(await verify(asserted({ hash: HASH }), good)).toEqual({ fault: 'challenge-other' });
  expect(await verify(asserted({ app: 'ABCDE12345.other' }), good)).toEqual({ fault: 'app-other' });
  expect(await verify(asserted({ counter: 4 }), good)).toEqual({ fault: 'counter-old' });
  expect(await verify(asserted({ counter: 0 }), good)).toEqual({ fault: 'counter-old' });
  expect(await verify(asserted({}), { bound: NEXT })).toEqual({ fault: 'key-other' });
  const other = await appleDevice(maker.intermediate);
  expect(await verify(other.assertion({ hash: NEXT, counter: 9 }), good)).toEqual({ fault: 'key-other' });
});

test('what is no statement is malformed, and throws nothing', async () => {
  const key_id = new Uint8Array(32);
  const bad = [
    new Uint8Array(0),
    encodeCbor({ key_id }),
    encodeCbor({ key_id: new Uint8Array(3), attestation: new Uint8Array(9) }),
    encodeCbor({ key_id, attestation: new Uint8Array(9) }),
    encodeCbor({ key_id, attestation: encodeCbor({ fmt: 'none' }) }),
  ];
  for (const statement of bad) expect(await verify(statement)).toEqual({ fault: 'malformed' });
});
