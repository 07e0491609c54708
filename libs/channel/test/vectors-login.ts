import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { deriveCodeKey, parseActivationCode } from '../src/activation-code.ts';
import { encodeText, formatBase64Url, formatHex, parseHex } from '../src/bytes.ts';
import { type CborInput, encodeCbor } from '../src/cbor.ts';
import { contextToCbor } from '../src/context.ts';
import { type CodeKey, type CryptoProvider, type KeyPair, keyOf, type SharedKey } from '../src/crypto.ts';
import { DeviceEstablish, SecurityEstablish } from '../src/establish.ts';
import { formatLink } from '../src/link.ts';
import { deriveEnrolledKey, deriveRotatedKey, deriveSessionSecret, type Role } from '../src/schedule.ts';
import { counting } from './counting.ts';
import { CONTEXT } from './sample-context.ts';

const REALM = 'main';
const KID = 7;
const CODE = 'ABCDEFGH-0123456789JKMNPQ';
const IID = '00112233445566778899aabbccddeeff';
const SID = parseHex('0f0e0d0c0b0a09080706050403020100');
/** Whom an answer says it is for. */
const NAMED = { user: 'ada', display_name: 'Ada Lovelace' };
const NOW_MS = 1_800_000_000_000;
/** `HK` and the root: the byte 0x42 and 0x24, 32 times. */
const HK = new Uint8Array(32).fill(0x42);
const ROOT = new Uint8Array(32).fill(0x24);

function compact(header: object, payload: object, sign: (input: Uint8Array) => Uint8Array): string {
  const input = [header, payload].map((part) => formatBase64Url(encodeText(JSON.stringify(part)))).join('.');
  return `${input}.${formatBase64Url(sign(encodeText(input)))}`;
}

function hkJwk(): { kty: string; crv: string; x: string; y: string } {
  const point = p256.getPublicKey(HK, false);
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(formatBase64Url);
  return { kty: 'EC', crv: 'P-256', x: x!, y: y! };
}

/** ES256 with the nonce of RFC 6979, so that the bytes are always the same. */
function proofOf(binding: Uint8Array, iid: string): string {
  const header = { alg: 'ES256', typ: 'sallyport-proof' };
  return compact(header, { b: formatBase64Url(binding), iid }, (input) => p256.sign(input, HK, { lowS: false }));
}

function rootJwk(): { kty: string; crv: string; x: string } {
  return { kty: 'OKP', crv: 'Ed25519', x: formatBase64Url(ed25519.getPublicKey(ROOT)) };
}

function thumbprint(crypto: CryptoProvider): Uint8Array {
  const { kty, crv, x } = rootJwk();
  return crypto.sha256(encodeText(JSON.stringify({ crv, kty, x })));
}

function siteMapOf(rs: KeyPair): { payload: object; jws: string } {
  const payload = {
    realm: REALM,
    seq: 12,
    epoch: '0123456789abcdef0123456789abcdef',
    sites: [{ name: 'here', origins: ['wss://gateway.example'] }],
    keys: [{ kid: KID, rs: formatBase64Url(rs.publicKey) }],
    revoked: [3],
    suites: [1, 2],
    signIn: ['password'],
    providers: [],
  };
  const header = { alg: 'EdDSA', typ: 'sallyport-site-map+jwt', jwk: rootJwk() };
  return { payload, jws: compact(header, payload, (input) => ed25519.sign(input, ROOT)) };
}

interface Run {
  readonly device: CryptoProvider;
  readonly security: CryptoProvider;
  readonly role: Role;
  readonly rs: KeyPair;
  readonly deviceStatic: KeyPair;
  readonly key: () => SharedKey | CodeKey;
  readonly codeId?: string;
  readonly request: (binding: Uint8Array) => Record<string, CborInput>;
  readonly answer: CborInput;
}

/** Runs a handshake up to HS4 and tells all that was said, as bytes and as what they mean. */
function run({ device, security, role, rs, deviceStatic, key, codeId, request, answer }: Run) {
  const of = { role, suite: 1, realm: REALM, kid: KID } as const;
  const start = { ...of, crypto: device, rs: rs.publicKey, deviceStatic };
  const a = new DeviceEstablish({ ...start, ...(codeId === undefined ? {} : { codeId }) });
  const hs1 = a.writeHs1();
  const b = new SecurityEstablish({ crypto: security, realm: REALM, rs, hs1 });
  const hs2 = b.writeHs2(NOW_MS);
  const { binding } = a.readHs2(hs2);
  const said = request(binding);
  const hs3 = a.writeHs3(said, key());
  b.readHs3(hs3);
  b.tryKey(key());
  const hs4 = b.writeHs4(answer);
  a.readHs4(hs4);
  const { outcome } = a;
  const told = {
    ...of,
    salt: formatHex(key()),
    hs1: formatHex(hs1),
    hs2: formatHex(hs2),
    binding: formatHex(binding),
    request: readable(said),
    request_cbor: formatHex(encodeCbor(said)),
    hs3: formatHex(hs3),
    answer: readable(answer),
    answer_cbor: formatHex(encodeCbor(answer)),
    hs4: formatHex(hs4),
    handshake_hash: formatHex(outcome.handshakeHash),
    client_random: formatHex(outcome.clientRandom),
    server_random: formatHex(outcome.serverRandom),
  };
  return { a, b, outcome, told };
}

/** JSON of a value of CBOR: byte strings as `{"hex": …}`. */
function readable(value: CborInput): unknown {
  if (value instanceof Uint8Array) return { hex: formatHex(value) };
  if (Array.isArray(value)) return value.map(readable);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, readable(field as CborInput)]));
}

/** A link, an enrolment with it, the login behind it with a step-up and a key rotation. */
export function loginVector(): object {
  const [device, security] = [counting(1), counting(101)];
  const rs = security.generateKeyPair();
  const deviceStatic = device.generateKeyPair();
  const code = parseActivationCode(CODE)!;
  const siteMap = siteMapOf(rs);
  const link = {
    origins: ['wss://gateway.example'],
    realm: REALM,
    kid: KID,
    rs: rs.publicKey,
    code: CODE,
    seq: 12,
    user: 'ada',
  };
  const app = contextToCbor(CONTEXT);
  const resume = new Uint8Array(40).fill(0x77);
  const enrolment = run({
    device,
    security,
    role: 'enrol',
    rs,
    deviceStatic,
    codeId: code.id,
    key: () => deriveCodeKey(device, code),
    request: (binding) => ({
      cred: { password: { user: 'ada', secret: 'correct horse' } },
      hk: hkJwk(),
      proof: proofOf(binding, ''),
      app,
    }),
    answer: { status: 'ok', ...NAMED, iid: IID, generation: 0, resume, site_map: siteMap.jws, notices: [] },
  });
  const first = deriveEnrolledKey(device, enrolment.outcome);
  const login = run({
    device: counting(51),
    security: counting(151),
    role: 'session',
    rs,
    deviceStatic,
    key: () => keyOf<SharedKey>(first.slice()),
    request: (binding) => ({ iid: IID, cred: { resume }, proof: proofOf(binding, IID), app }),
    answer: { status: 'step_up', factors: ['totp'], tries: 4 },
  });
  const step = { totp: '123456' };
  const stepMessage = login.a.writeStep(step);
  login.b.readStep(stepMessage);
  const session = { sid: SID, iid: IID, expires_in: 43_200_000, idle: 43_200_000, rotate: true, generation: 1 };
  const reply = { status: 'ok', ...NAMED, ...session, limits: {}, site_map: siteMap.jws, notices: [] };
  const replyMessage = login.b.writeStepReply(reply);
  login.a.readStepReply(replyMessage);
  return {
    realm: REALM,
    rs_secret: formatHex(rs.secretKey),
    root_secret: formatHex(ROOT),
    root: formatHex(thumbprint(device)),
    ds_secret: formatHex(deviceStatic.secretKey),
    hk_secret: formatHex(HK),
    code: CODE,
    code_id: code.id,
    link: formatLink('https://gateway.example/enroll', { ...link, root: thumbprint(device) }),
    site_map: siteMap.jws,
    site_map_payload: siteMap.payload,
    enrolment: { ...enrolment.told, enrolled_key: formatHex(first) },
    login: {
      ...login.told,
      step: step,
      step_message: formatHex(stepMessage),
      step_reply: readable(reply),
      step_reply_message: formatHex(replyMessage),
      sid: formatHex(SID),
      session_secret: formatHex(deriveSessionSecret(device, login.outcome, SID)),
      rotated_key: formatHex(deriveRotatedKey(device, keyOf<SharedKey>(first), login.outcome)),
    },
  };
}
