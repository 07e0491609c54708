import { type Evidence, evidenceHash, keyOf, type SharedKey } from '@sallyport/channel';
import { expect, test } from 'vitest';
import {
  type AccessContext,
  type Attestation,
  changeSettings,
  type EvidenceClaim,
  type InstallationRow,
  issueCode,
  makeChallenge,
  type Proven,
  putUser,
  takeEvidence,
  type Unproven,
} from '../../src/index.ts';
import { BY, enrolWithPassword, scene } from '../scene.ts';

const FACTS = { id: 'com.example.app', posture: { rooted: false } };
const PROVEN: Proven = { level: 'hardware', facts: FACTS };

/** A realm with installations, and a platform that says what a test wants it to. */
async function devices(names: readonly string[] = ['ada']) {
  const { access, clock, store } = await scene();
  const installations = new Map<string, InstallationRow>();
  for (const [i, name] of names.entries()) {
    await putUser(access, name, { password: 'pw', groups: [] }, BY);
    const { code } = await issueCode(access, name, undefined, BY);
    const device = new Uint8Array(32).fill(i + 1);
    const enrolled = await enrolWithPassword(access, {
      ...{ user: name, password: 'pw', code, signingKey: { kty: 'EC', x: name, y: name }, deviceStatic: device },
      ...{ sharedKey: keyOf<SharedKey>(device), app: 'com.example.app@1.2', model: 'm' },
    });
    if (enrolled.status !== 'ok') throw new Error(enrolled.code);
    installations.set(name, enrolled.installation);
  }
  const state = { says: PROVEN as Proven | Unproven, proofFits: true, claims: [] as EvidenceClaim[] };
  const attestation: Attestation = {
    async verify(claim) {
      state.claims.push(claim);
      return state.says;
    },
  };
  const challenge = (name = 'ada', of: AccessContext = access): Uint8Array =>
    makeChallenge(of, { installationId: installations.get(name)!.id, now: clock.now });
  const send = async (bytes: Uint8Array, over: Partial<Evidence> = {}, name = 'ada') => {
    const evidence = { challenge: bytes, connector: 'android-key', statement: new Uint8Array(3), proof: 'p', ...over };
    const verifyProof = async (): Promise<boolean> => state.proofFits;
    const installation = installations.get(name)!;
    const outcome = await takeEvidence(access, evidence, {
      ...{ session: { app: 'com.example.app@1.2' }, installation, attestation, verifyProof },
    });
    return outcome.taken ? 'taken' : outcome.fault;
  };
  const row = (name = 'ada') =>
    access.store.transaction(({ tables }) => tables.evidence.find({ installationId: installations.get(name)!.id }));
  return { access, clock, store, state, challenge, send, row, installations };
}

test('what evidence proves is kept, and the platform is asked about the right hash and app', async () => {
  const { access, clock, state, challenge, send, row, installations } = await devices();
  const asked = challenge();
  expect(await send(asked)).toBe('taken');
  expect(await row()).toMatchObject({ level: 'hardware', connector: 'android-key', at: clock.now, facts: FACTS });
  const { id: iid, signingKey } = installations.get('ada')!;
  const bound = evidenceHash(access.crypto, { realm: 'main', challenge: asked, iid, signingKey });
  expect(state.claims).toEqual([
    {
      connector: 'android-key',
      statement: new Uint8Array(3),
      bound,
      app: 'com.example.app',
      key: undefined,
      now: clock.now,
    },
  ]);
});

test('a challenge is good once, and so is none that is older than one that was answered', async () => {
  const { clock, challenge, send } = await devices();
  const first = challenge();
  clock.now += 1_000;
  const second = challenge();
  expect(await send(second)).toBe('taken');
  expect(await send(second)).toBe('challenge-used');
  expect(await send(first)).toBe('challenge-used');
  clock.now += 1_000;
  expect(await send(challenge())).toBe('taken');
});

test('a challenge is good for two minutes, whichever way the clock goes', async () => {
  const { clock, challenge, send } = await devices();
  const old = challenge();
  clock.now += 120_001;
  expect(await send(old)).toBe('challenge-expired');
  const future = challenge();
  clock.now -= 120_001;
  expect(await send(future)).toBe('challenge-expired');
});

test('a challenge of another installation, realm or maker is none of ours', async () => {
  const { challenge, send, clock } = await devices(['ada', 'bob']);
  expect(await send(challenge('bob'))).toBe('challenge-foreign');
  const other = await scene('other');
  other.clock.now = clock.now;
  expect(await send(challenge('ada', other.access))).toBe('challenge-foreign');
  const bent = challenge();
  bent[3]! ^= 1;
  expect(await send(bent)).toBe('challenge-foreign');
  for (const bytes of [new Uint8Array(0), new Uint8Array(44), challenge().subarray(0, 24), challenge().subarray(1)])
    expect(await send(bytes)).toBe('challenge-foreign');
});

test("without the proof of the installation's key the platform is not even asked", async () => {
  const { state, challenge, send, row } = await devices();
  state.proofFits = false;
  expect(await send(challenge())).toBe('proof-wrong');
  expect([state.claims.length, await row()]).toEqual([0, undefined]);
});

test('a realm in production takes no evidence of software, and what it took before counts no more', async () => {
  const { access, challenge, send, clock } = await devices();
  expect(await send(challenge(), { connector: 'software' })).toBe('taken');
  await changeSettings(access, { production: true }, BY);
  clock.now += 1_000;
  expect(await send(challenge(), { connector: 'software' })).toBe('software-refused');
  expect(await send(challenge())).toBe('taken');
});

test('what could not be verified leaves what was proved; what speaks against the device takes it away', async () => {
  const { clock, state, challenge, send, row } = await devices();
  expect(await send(challenge())).toBe('taken');
  for (const fault of ['malformed', 'challenge-other', 'root-unknown', 'connector-unknown'] as const) {
    clock.now += 1_000;
    state.says = { fault };
    expect(await send(challenge())).toBe(fault);
    expect(await row()).toMatchObject({ level: 'hardware' });
  }
  clock.now += 1_000;
  state.says = { fault: 'boot-unverified' };
  const against = challenge();
  expect(await send(against)).toBe('boot-unverified');
  // What was proved is no claim again because something speaks against the device.
  expect(await row()).toMatchObject({ level: null, facts: FACTS });
  state.says = PROVEN;
  expect(await send(against)).toBe('challenge-used');
});

test('a counter that another answer has used meanwhile is refused under the lock', async () => {
  const { clock, state, challenge, send, row } = await devices();
  const key = { id: 'k', publicKey: new Uint8Array(91), counter: 0 };
  state.says = { ...PROVEN, key };
  expect(await send(challenge())).toBe('taken');
  clock.now += 1_000;
  state.says = { ...PROVEN, key: { ...key, counter: 5 } };
  expect(await send(challenge())).toBe('taken');
  expect(state.claims[1]!.key).toEqual(key);
  clock.now += 1_000;
  expect(await send(challenge())).toBe('counter-old');
  expect(await row()).toMatchObject({ counter: 5, keyId: 'k' });
  // The same key attested anew does not begin to count again.
  state.says = { ...PROVEN, key };
  clock.now += 1_000;
  expect(await send(challenge())).toBe('taken');
  expect(await row()).toMatchObject({ counter: 5 });
});

test("an answer by a key that is the row's no more is refused under the lock", async () => {
  const { clock, state, challenge, send, row } = await devices();
  const key = { id: 'k', publicKey: new Uint8Array(91), counter: 0 };
  state.says = { ...PROVEN, key };
  expect(await send(challenge())).toBe('taken');
  clock.now += 1_000;
  // While it was verified, another key was attested: what the counter of the first one had come to is not known any more.
  state.says = { ...PROVEN, key: { ...key, id: 'next' } };
  expect(await send(challenge())).toBe('taken');
  clock.now += 1_000;
  state.says = { ...PROVEN, key: { ...key, counter: 3 } };
  expect(await send(challenge())).toBe('key-other');
  expect(await row()).toMatchObject({ keyId: 'next', counter: 0 });
});

test("the app's own word leaves what a platform has proved of it", async () => {
  const { clock, state, challenge, send, row } = await devices();
  expect(await send(challenge())).toBe('taken');
  clock.now += 1_000;
  state.says = { level: 'software', facts: {} };
  expect(await send(challenge(), { connector: 'software' })).toBe('taken');
  expect(await row()).toMatchObject({ level: 'software', facts: FACTS });
});

test('two answers to one challenge at the same time: one is taken', async () => {
  const { challenge, send } = await devices();
  const asked = challenge();
  const outcomes = await Promise.all([send(asked), send(asked)]);
  expect(outcomes.sort()).toEqual(['challenge-used', 'taken']);
});
