import type { webcrypto } from 'node:crypto';
import {
  type AppContext,
  type CborFields,
  type CborInput,
  contextToCbor,
  DeviceEstablish,
  decodeHint,
  deriveCodeKey,
  deriveEnrolledKey,
  encodeText,
  formatBase64Url,
  type KeyPair,
  MESSAGE_TYPES,
  parseActivationCode,
  type SharedKey,
} from '@sallyport/channel';
import { nodeCrypto } from '@sallyport/channel/node';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import type { RealmKeys } from '../../src/keys/keys.ts';
import type { Handshakes } from '../../src/sign-in/handshakes.ts';

const crypto = nodeCrypto();
/** The app of every device of these tests. */
export const APP: AppContext = {
  id: 'a',
  version: '1',
  build: '',
  signer: new Uint8Array(32),
  os: '',
  osVersion: '',
  osPatch: '',
  model: '',
  posture: {},
  sdk: '',
};

/** Where a device of a test comes in. */
export interface Gateway {
  readonly handshakes: Handshakes;
  readonly keys: RealmKeys;
}

/** A device that speaks to `Handshakes` without a Proxy between. */
export class TestDevice {
  readonly #gateway: Gateway;
  readonly #keyPair: KeyPair = crypto.generateKeyPair();
  readonly #signing: webcrypto.CryptoKeyPair;
  #iid = '';
  #key: SharedKey | undefined;

  private constructor(gateway: Gateway, signing: webcrypto.CryptoKeyPair) {
    this.#gateway = gateway;
    this.#signing = signing;
  }

  static async create(gateway: Gateway): Promise<TestDevice> {
    return new TestDevice(gateway, await generateKeyPair('ES256'));
  }

  /** Enrols with a code; gives the answer, or the code of a hint. */
  async enrol(code: string, cred: CborInput): Promise<CborFields | string> {
    const parsed = parseActivationCode(code)!;
    const establish = this.#establish({ role: 'enrol', codeId: parsed.id });
    const { kty, crv, x, y } = await exportJWK(this.#signing.publicKey);
    const request = { cred, hk: { kty, crv, x, y } as CborInput };
    const answer = await this.#ask(establish, { request, key: deriveCodeKey(crypto, parsed) });
    if (typeof answer === 'string' || answer.text('status') !== 'ok') return answer;
    this.#iid = answer.text('iid');
    this.#key = deriveEnrolledKey(crypto, establish.outcome);
    return answer;
  }

  /** Signs in with the key of the enrolment, as another app where one is given; gives the answer, or the code of a hint. */
  login(cred: CborInput = {}, app: AppContext = APP): Promise<CborFields | string> {
    const establish = this.#establish({ role: 'session' });
    return this.#ask(establish, { request: { cred, iid: this.#iid }, key: this.#key!, app });
  }

  #establish(of: { role: 'enrol' | 'session'; codeId?: string }): DeviceEstablish {
    const { newestKid: kid, handshake } = this.#gateway.keys;
    const rs = handshake.get(kid)!.publicKey;
    return new DeviceEstablish({ crypto, suite: 2, realm: 'main', kid, rs, deviceStatic: this.#keyPair, ...of });
  }

  async #ask(
    establish: DeviceEstablish,
    {
      request,
      key,
      app = APP,
    }: {
      request: Readonly<Record<string, CborInput>>;
      key: Parameters<DeviceEstablish['writeHs3']>[1];
      app?: AppContext;
    },
  ): Promise<CborFields | string> {
    const { handshakes } = this.#gateway;
    const hs2 = await handshakes.begin(establish.writeHs1(), '192.0.2.1');
    if (!hs2.handshake) return decodeHint(hs2.message).code;
    const { binding } = establish.readHs2(hs2.message);
    const claims = JSON.stringify({ b: formatBase64Url(binding), iid: this.#iid });
    const header = { alg: 'ES256', typ: 'sallyport-proof' };
    const signed = new CompactSign(encodeText(claims)).setProtectedHeader(header);
    const proof = await signed.sign(this.#signing.privateKey);
    const hs3 = establish.writeHs3({ ...request, proof, app: contextToCbor(app) }, key);
    const { message } = await handshakes.finish(hs2.handshake, hs3);
    return message[0] === MESSAGE_TYPES.HINT ? decodeHint(message).code : establish.readHs4(message);
  }
}
