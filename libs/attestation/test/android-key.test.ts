import { generateKeyPairSync } from 'node:crypto';
import { SecurityLevel, VerifiedBootState } from '@peculiar/asn1-android';
import { encodeCbor } from '@sallyport/channel';
import { beforeAll, expect, test } from 'vitest';
import { androidKeyConnector } from '../src/android-key.ts';
import { attestationOf } from '../src/attestation-file.ts';
import { parseRevokedSerials } from '../src/revoked-serials.ts';
import {
  type AndroidSays,
  type Authority,
  androidMaker,
  attestedKey,
  cborDescription,
  chainStatement,
  issue,
  keyDescription,
} from './platforms.ts';

const BOUND = new Uint8Array(32).fill(1);
const APP = 'com.example.app';

let maker: Awaited<ReturnType<typeof androidMaker>>;
beforeAll(async () => {
  maker = await androidMaker();
});

interface Trusting {
  readonly root?: Authority;
  readonly revoked?: string;
  readonly minOsPatch?: string;
  readonly now?: number;
}

/** What the connector says of a statement. */
function verify(statement: Uint8Array, { root = maker.root, revoked, minOsPatch, now = Date.now() }: Trusting = {}) {
  const serials = parseRevokedSerials(revoked ?? '{"entries":{}}');
  const trust = { roots: [root.certificate], revoked: () => serials, ...(minOsPatch ? { minOsPatch } : {}) };
  const attestation = attestationOf(new Map([['android-key', androidKeyConnector(trust)]]));
  return attestation.verify({ connector: 'android-key', statement, bound: BOUND, app: APP, key: undefined, now });
}

async function says(over: Partial<AndroidSays> = {}): Promise<Uint8Array> {
  const { chip, root } = maker;
  return chainStatement(await attestedKey(chip, { challenge: BOUND, ...over }), chip, root);
}

test('what hardware and a verified system say of app and system is proved', async () => {
  expect(await verify(await says())).toEqual({
    level: 'hardware',
    facts: {
      id: APP,
      signers: ['07'.repeat(32)],
      build: '42',
      os: 'android',
      osVersion: '15.0.0',
      osPatch: '2026-10',
      posture: { rooted: false, emulator: false },
    },
  });
});

test('the root need not be in the chain, and may have another certificate of the same key', async () => {
  const { chip } = maker;
  const own = await attestedKey(chip, { challenge: BOUND });
  expect(await verify(chainStatement(own, chip))).toMatchObject({ level: 'hardware' });
});

const ATTACKS: readonly [name: string, fault: string, over: Partial<AndroidSays>][] = [
  ['another challenge, or another key or installation', 'challenge-other', { challenge: new Uint8Array(32).fill(2) }],
  ['another app', 'app-other', { app: 'com.example.evil' }],
  ['a key in software', 'not-hardware', { level: SecurityLevel.software }],
  ['a system that nobody verified', 'boot-unverified', { boot: VerifiedBootState.unverified }],
  ['a system that its owner signed', 'boot-unverified', { boot: VerifiedBootState.selfSigned }],
  ['an unlocked boot loader', 'boot-unverified', { locked: false }],
];

test.each(ATTACKS)('evidence for %s is refused: %s', async (_, fault, over) => {
  expect(await verify(await says(over))).toEqual({ fault });
});

test('an old patch level is refused where the operator says how old it may be', async () => {
  const old = await says({ patch: 202_601 });
  expect(await verify(old, { minOsPatch: '2026-02' })).toEqual({ fault: 'patch-old' });
  expect(await verify(old, { minOsPatch: '2026-01' })).toMatchObject({ level: 'hardware' });
});

test("another maker's chain is refused, whatever its names: roots are known by their keys", async () => {
  const other = await androidMaker();
  const own = await attestedKey(other.chip, { challenge: BOUND });
  expect(await verify(chainStatement(own, other.chip, other.root))).toEqual({ fault: 'root-unknown' });
  expect(await verify(chainStatement(own, other.chip))).toEqual({ fault: 'root-unknown' });
  expect(await verify(chainStatement(own, other.chip, maker.root))).toEqual({ fault: 'root-unknown' });
});

test('a chain whose certificates do not fit each other is refused', async () => {
  const other = await androidMaker();
  const own = await attestedKey(other.chip, { challenge: BOUND });
  expect(await verify(chainStatement(own, maker.chip, maker.root))).toEqual({ fault: 'chain-broken' });
});

test('a chain is followed from its root down, so that what is made up below costs nothing', async () => {
  const root = await issue(undefined, { name: 'CN=Root of Android' });
  const late = await issue(root, { name: 'O=Google LLC', notAfter: Date.now() - 1_000 });
  const stranger = await issue(undefined, { name: 'O=Google LLC' });
  const own = await attestedKey(stranger, { challenge: BOUND });
  expect(await verify(chainStatement(own, late, root), { root })).toEqual({
    fault: 'certificate-expired',
  });
});

test('a key of a kind that no platform has is not even tried', async () => {
  const pem = generateKeyPairSync('ed25519').publicKey;
  const publicKey = await globalThis.crypto.subtle.importKey(
    'spki',
    new Uint8Array(pem.export({ type: 'spki', format: 'der' })),
    'Ed25519',
    true,
    ['verify'],
  );
  const own = await issue(maker.chip, { name: 'CN=odd', ca: false, publicKey });
  expect(await verify(chainStatement(own, maker.chip, maker.root))).toEqual({ fault: 'malformed' });
});

test('a key that was attested signs no description of its own', async () => {
  const { chip, root } = maker;
  const honest = await attestedKey(chip, { challenge: new Uint8Array(32).fill(2) });
  const forged = await issue(honest, {
    name: 'CN=forged',
    ca: false,
    extensions: [keyDescription({ challenge: BOUND })],
  });
  expect(await verify(chainStatement(forged, honest, chip, root))).toEqual({ fault: 'chain-extended' });
  // Also where the chip called the key an authority.
  const extensions = [keyDescription({ challenge: new Uint8Array(32).fill(2) })];
  const authority = await issue(chip, { name: 'CN=key', extensions });
  const below = await issue(authority, {
    name: 'CN=forged',
    ca: false,
    extensions: [keyDescription({ challenge: BOUND })],
  });
  expect(await verify(chainStatement(below, authority, chip, root))).toEqual({ fault: 'chain-extended' });
  // Or where it described that one in the other way.
  const byCbor = await issue(chip, { name: 'CN=key', ca: false, extensions: [cborDescription()] });
  const last = await issue(byCbor, {
    name: 'CN=forged',
    ca: false,
    extensions: [keyDescription({ challenge: BOUND })],
  });
  expect(await verify(chainStatement(last, byCbor, chip, root))).toEqual({ fault: 'chain-extended' });
});

test("a revoked or suspended certificate anywhere in the chain is refused, in the form of Google's list", async () => {
  const { root } = maker;
  const chip = await issue(root, { name: 'CN=Chip', serialNumber: '0c35015969f9ea' });
  const statement = chainStatement(await attestedKey(chip, { challenge: BOUND }), chip, root);
  const list = (serial: string, status: string): string => JSON.stringify({ entries: { [serial]: { status } } });
  expect(await verify(statement, { revoked: list('c35015969f9ea', 'REVOKED') })).toEqual({
    fault: 'certificate-revoked',
  });
  expect(await verify(statement, { revoked: list('C35015969F9EA', 'SUSPENDED') })).toEqual({
    fault: 'certificate-revoked',
  });
  expect(await verify(statement, { revoked: list('c35015969f9eb', 'REVOKED') })).toMatchObject({ level: 'hardware' });
});

test('a list that is none is no empty list', () => {
  for (const text of ['{}', '[]', 'null', '{"entries":{"no serial":{}}}'])
    expect(() => parseRevokedSerials(text)).toThrow(TypeError);
});

test("certificates that Google's servers renew have an end; those of a factory cannot be replaced", async () => {
  const { root } = maker;
  const ended = Date.now() - 1_000;
  const factory = await issue(root, { name: 'CN=Chip', notAfter: ended });
  const served = await issue(root, { name: 'CN=Droid CA3, O=Google LLC', notAfter: ended });
  const by = async (chip: Authority) => chainStatement(await attestedKey(chip, { challenge: BOUND }), chip, root);
  expect(await verify(await by(factory))).toMatchObject({ level: 'hardware' });
  expect(await verify(await by(served))).toEqual({ fault: 'certificate-expired' });
});

test('a maker whose authorities do not say that they are some is taken, as devices were sold', async () => {
  const { root } = maker;
  const chip = await issue(root, { name: 'CN=Chip', ca: false });
  const own = await attestedKey(chip, { challenge: BOUND });
  expect(await verify(chainStatement(own, chip, root))).toMatchObject({ level: 'hardware' });
});

test('what is no statement is malformed, and throws nothing', async () => {
  const { chip, root } = maker;
  const bad = [
    new Uint8Array(0),
    encodeCbor({}),
    encodeCbor({ chain: [] }),
    encodeCbor({ chain: ['text'] }),
    encodeCbor({ chain: [new Uint8Array(40)] }),
    chainStatement(await issue(chip, { name: 'CN=plain', ca: false }), chip, root),
    chainStatement(...Array.from({ length: 11 }, () => root)),
  ];
  for (const statement of bad) expect(await verify(statement)).toEqual({ fault: 'malformed' });
});
