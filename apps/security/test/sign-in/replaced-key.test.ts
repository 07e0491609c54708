import { changeSettings, issueCode, issueFactor, LOCKOUT, putUser } from '@sallyport/access';
import {
  type AppContext,
  type CborFields,
  type CborInput,
  type CodeKey,
  contextToCbor,
  DeviceEstablish,
  decodeHint,
  deriveCodeKey,
  deriveEnrolledKey,
  deriveRotatedKey,
  encodeText,
  formatBase64Url,
  keyOf,
  MESSAGE_TYPES,
  parseActivationCode,
  type SharedKey,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { expect, test } from 'vitest';

import { handshakesOf, scene } from '../scene.ts';

const crypto = nodeCrypto();
const BY = { actor: 'olga', reason: 'test' };
const NOTHING = { build: '', os: '', osVersion: '', osPatch: '', model: '', sdk: '' };
const APP: AppContext = { id: 'a', version: '1', signer: new Uint8Array(32), posture: {}, ...NOTHING };
const CRED = { password: { user: 'ada', secret: 'long enough' } };

/** What came of a message: the code of a hint or a refusal, or the answer's status. */
interface Said {
  readonly said: string;
  readonly fields?: CborFields;
  readonly handshake?: string | undefined;
}

/** A device of ada's that speaks with Security by itself, key by key. */
async function phone() {
  const made = await scene();
  const { context, clock } = made;
  await putUser(context.access, 'ada', { password: 'long enough' }, BY);
  const { code } = await issueCode(context.access, 'ada', undefined, BY);
  const { id: codeId, secret } = parseActivationCode(code)!;
  const handshakes = handshakesOf(context);
  const deviceStatic = crypto.generateKeyPair();
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const proofOf = (binding: Uint8Array, iid: string): Promise<string> =>
    new CompactSign(encodeText(JSON.stringify({ b: formatBase64Url(binding), iid })))
      .setProtectedHeader({ alg: 'ES256', typ: 'sallyport-proof' })
      .sign(privateKey);
  const read = (message: Uint8Array, open: () => CborFields): Said => {
    if (message[0] === MESSAGE_TYPES.HINT) return { said: decodeHint(message).code };
    const fields = open();
    const status = fields.text('status');
    return { said: status === 'refused' ? fields.text('code') : status, fields };
  };
  const speak = async (of: {
    key: SharedKey | CodeKey;
    iid: string;
    request: Record<string, CborInput>;
    address?: string;
  }) => {
    // Time for the throttle of the address to have room, and not for a lock-out to be over.
    clock.now += 1_500;
    const { keys } = context;
    const rs = keys.handshake.get(keys.newestKid)!.publicKey;
    const role = of.iid === '' ? ({ role: 'enrol', codeId } as const) : ({ role: 'session' } as const);
    const place = { crypto, suite: 2, realm: 'main', kid: keys.newestKid, rs, deviceStatic } as const;
    const device = new DeviceEstablish({ ...place, ...role });
    const hs2 = await handshakes.begin(device.writeHs1(), of.address ?? '192.0.2.1');
    const { binding } = device.readHs2(hs2.message);
    const proof = await proofOf(binding, of.iid);
    const request = { ...of.request, proof, app: contextToCbor(APP) };
    const { message, handshake } = await handshakes.finish(hs2.handshake!, device.writeHs3(request, of.key));
    return { device, handshake, ...read(message, () => device.readHs4(message)) };
  };
  const key = deriveCodeKey(crypto, { secret });
  const enrolled = await speak({ key, iid: '', request: { cred: CRED, hk: { kty, crv, x, y } as CborInput } });
  expect(enrolled.said).toBe('ok');
  const iid = enrolled.fields!.text('iid');
  const first = deriveEnrolledKey(crypto, enrolled.device.outcome);
  const login = (with_: SharedKey, cred?: CborInput, address?: string) =>
    speak({
      key: keyOf<SharedKey>(with_.slice()),
      iid,
      request: { iid, ...(cred === undefined ? {} : { cred }) },
      ...(address === undefined ? {} : { address }),
    });
  const guess = async (said: { device: DeviceEstablish; handshake?: string | undefined }, totp: string) => {
    const { message, handshake } = await handshakes.finish(said.handshake!, said.device.writeStep({ totp }));
    return { ...said, handshake, ...read(message, () => said.device.readStepReply(message)) };
  };
  return { ...made, first, login, guess };
}

test('a key that was replaced needs the credentials of the user, even where the realm asks for none', async () => {
  const { context, first, login } = await phone();
  const settings = { loginNeedsPassword: false, rotateAfterMs: 0, previousKeyGraceMs: 3_600_000 };
  await changeSettings(context.access, settings, BY);
  const rotated = await login(first);
  expect(rotated.said).toBe('ok');
  expect(rotated.fields!.flag('rotate')).toBe(true);
  const second = deriveRotatedKey(crypto, first, rotated.device.outcome);
  expect((await login(second)).said).toBe('ok');
  // The first key is `previous` now: a copy of the device, or somebody who read an old backup.
  expect((await login(first)).said).toBe('CREDENTIALS_INVALID');
  expect((await login(first, { password: { user: 'ada', secret: 'a guess' } })).said).toBe('CREDENTIALS_INVALID');
  expect((await login(first, CRED)).said).toBe('ok');
  expect((await login(second)).said).toBe('ok');
});

test('guesses of a one-time code count for the device, whatever address they come from', async () => {
  const { context, first, login, guess } = await phone();
  await issueFactor(context.access, 'ada', { keepSessions: false }, BY);
  let guesses = 0;
  for (let i = 0; guesses < LOCKOUT.free; i++) {
    let asked = await login(first, CRED, `198.51.100.${i}`);
    expect(asked.said).toBe('step_up');
    while (asked.said === 'step_up' && guesses < LOCKOUT.free) {
      asked = await guess(asked, 'none');
      guesses += 1;
    }
  }
  const elsewhere = await login(first, CRED, '203.0.113.9');
  const locked = await guess(elsewhere, 'none');
  expect(locked.said).toBe('LOCKED');
  expect(locked.fields!.uint('retry_after')).toBeGreaterThan(0);
});
