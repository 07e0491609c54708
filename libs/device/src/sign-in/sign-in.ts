import {
  type AppContext,
  type CborFields,
  type CborInput,
  type CodeKey,
  type CryptoProvider,
  contextToCbor,
  DeviceEstablish,
  deriveCodeKey,
  deriveEnrolledKey,
  deriveRotatedKey,
  deriveSessionSecret,
  type EnrolmentLink,
  formatHex,
  isEndCause,
  isSignedCode,
  keyOf,
  type LinkPin,
  parseActivationCode,
  publicKeyOf,
  type Role,
  type SecretKey,
  type SharedKey,
} from '@sallyport/channel';
import { DeviceError, remoteError } from '../errors.ts';
import { inTurn } from '../gateway/in-turn.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import { suiteOf } from '../gateway/suite.ts';
import type { DeviceRecord, StoredKeys, StoredSession } from '../kept/record.ts';
import { originsOf } from '../sites/places.ts';
import { readPublishedSiteMap, type SiteMap, takeSiteMap, verifySiteMap } from '../sites/site-map.ts';
import type { ProviderCredentials } from './provider.ts';
import { createSigningKey, signProof } from './signing-key.ts';

/** Who signs in: by name and password, or by what an OpenID provider gave. */
export type Credentials = PasswordCredentials | ProviderCredentials;

/** A user's name and their password in the realm, or in the directory that knows it. */
export interface PasswordCredentials {
  /** Name of the user. */
  readonly user: string;
  /** Their password; Security gets it inside of the handshake. */
  readonly password: string;
}

/** What a step-up asks the user for; `tries` are left. */
export interface OneTimeCodeRequest {
  /** Tries that are left. */
  readonly tries: number;
}

/** Asks the user for the one-time code of their authenticator app; undefined gives up. */
export type AskOneTimeCode = (request: OneTimeCodeRequest) => Promise<string | undefined>;

/** How a user signs in: credentials, or the proof that an enrolment has just left, and a second factor if asked. */
export interface SignInWith {
  readonly credentials: Credentials | undefined;
  readonly resume: Uint8Array | undefined;
  readonly oneTimeCode: AskOneTimeCode | undefined;
}

/** What signing in needs of its surroundings. */
export interface SignInSurroundings {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** Writes a record durably before anything relies on it. */
  readonly store: (record: DeviceRecord) => Promise<void>;
  /** What the app fixes this device to, whatever its enrolment link says. */
  readonly pin?: LinkPin | undefined;
  /** Takes where resources are, as the answer to a sign-in says it. */
  readonly routes?: (session: StoredSession, routes: CborFields) => void;
  /** Hears that the version of the app is too old: the session is good for its update only. */
  readonly updateRequired?: () => void;
}

/** What an enrolment begins with. */
export interface EnrolmentStart {
  readonly link: EnrolmentLink;
  /** The site map of this moment, at least as new as the link. */
  readonly map: SiteMap;
  /** What an enrolment that was not answered has left: its keys are used again. */
  readonly kept: DeviceRecord | undefined;
  readonly holdsKeyObjects: boolean;
}

/**
 * A record for a new enrolment; kept before the first message, so that a repeated try uses the same keys.
 * @throws DeviceError UNKNOWN_KID when the link names a key of Security that is no longer to be used
 */
export async function beginRecord(
  crypto: CryptoProvider,
  { link, map, kept, holdsKeyObjects }: EnrolmentStart,
): Promise<DeviceRecord> {
  if (map.revoked.includes(link.kid)) throw remoteError('UNKNOWN_KID', { mayHaveRun: false });
  const { realm, kid, rs, root, origins, pin } = link;
  const keys = kept ?? {
    deviceSecret: crypto.generateKeyPair().secretKey,
    signingKey: await createSigningKey(holdsKeyObjects),
  };
  const { deviceSecret, signingKey } = keys;
  const pinned = pin === undefined ? {} : { pin };
  return takeSiteMap({ realm, kid, rs, root, origins, ...pinned, deviceSecret, signingKey }, map);
}

/** Enrols: gives the record with installation id and first shared key, durably stored. */
export async function enrolDevice(
  place: SignInSurroundings,
  begun: DeviceRecord,
  code: string,
  credentials: Credentials,
): Promise<{ record: DeviceRecord; resume: Uint8Array | undefined }> {
  const parts = parseActivationCode(code);
  if (!parts) throw remoteError('CODE_INVALID', { mayHaveRun: false });
  const key = deriveCodeKey(place.crypto, parts);
  const request = { cred: credOf(credentials), hk: begun.signingKey.publicJwk as CborInput };
  const attempt: Attempt = { role: 'enrol', iid: '', request, key, codeId: parts.id };
  const { record, establish, answer } = await establishKnowing(place, begun, attempt).catch(codeError);
  const enrolled = {
    ...record,
    iid: answer.text('iid', 64),
    ...userOf(answer),
    ...pinOf(record, answer),
    keys: { generation: 0, current: deriveEnrolledKey(place.crypto, establish.outcome) },
  };
  establish.erase();
  const done = withSiteMap(place.crypto, enrolled, answer.text('site_map', 65_536));
  await place.store(done);
  return { record: done, resume: answer.has('resume') ? answer.bytes('resume') : undefined };
}

/** In an enrolment the one thing that a person can get wrong in a handshake is the code. */
function codeError(error: unknown): never {
  const wrong = error instanceof DeviceError && error.code === 'HANDSHAKE_FAILED';
  throw wrong ? remoteError('CODE_INVALID', { mayHaveRun: false }) : error;
}

/**
 * Signs in with the current shared key, or with the one before it where that may be (`mayUsePrevious`). The new keys are
 * stored before the caller can open a channel with them.
 */
export async function signIn(
  place: SignInSurroundings,
  record: DeviceRecord,
  { credentials, resume, oneTimeCode }: SignInWith,
): Promise<DeviceRecord> {
  const { iid, keys } = record;
  if (iid === undefined || !keys)
    throw new DeviceError('NOT_ENROLLED', 'this device is not enrolled: use an enrolment link');
  const cred = credentials ? credOf(credentials) : resume && { resume };
  const request = cred ? { iid, cred } : { iid };
  const attempt = (of: DeviceRecord, key: Uint8Array): Promise<Established> =>
    establishKnowing(place, of, { role: 'session', iid, request, key: keyOf<SharedKey>(key), oneTimeCode });
  let used = keys.current;
  let result: Established;
  try {
    result = await attempt(record, used);
  } catch (error) {
    if ((error as DeviceError).code !== 'HANDSHAKE_FAILED' || !keys.previous) throw error;
    const restored = await mayUsePrevious(place, record, keys);
    if (!restored) throw error;
    used = keys.previous;
    result = await attempt(restored, used);
  }
  const { establish, answer } = result;
  const sid = answer.bytes('sid', 16);
  const session = { sid, secret: deriveSessionSecret(place.crypto, establish.outcome, sid), reservedChanNo: 0 };
  const known = withSiteMap(place.crypto, result.record, answer.text('site_map', 65_536));
  const done = {
    ...known,
    ...userOf(answer),
    ...pinOf(known, answer),
    keys: keysAfter(place.crypto, keys, { used, answer, establish, epoch: known.epoch ?? '' }),
    session,
  };
  establish.erase();
  await place.store(done);
  if (answer.has('routes')) place.routes?.(session, answer.map('routes'));
  if (answer.flag('update_required')) place.updateRequired?.();
  return done;
}

/**
 * Whether the key before the current one may be tried (SPEC.md, section 4). A hint alone never decides that, since anybody
 * can send one: either the current key has never been answered, or the root has signed that Security was restored from a
 * backup, which may not know the newest key.
 */
async function mayUsePrevious(
  place: SignInSurroundings,
  record: DeviceRecord,
  { provenIn }: StoredKeys,
): Promise<DeviceRecord | undefined> {
  const differs = (of: DeviceRecord): boolean => (of.epoch ?? '') !== provenIn;
  if (provenIn === undefined || differs(record)) return record;
  const newest = await readNewerSiteMap(place, record);
  return newest && differs(newest) ? newest : undefined;
}

interface Login {
  readonly used: Uint8Array;
  readonly answer: CborFields;
  readonly establish: DeviceEstablish;
  readonly epoch: string;
}

function keysAfter(crypto: CryptoProvider, keys: StoredKeys, { used, answer, establish, epoch }: Login): StoredKeys {
  const generation = answer.uint('generation');
  if (answer.flag('rotate')) {
    const current = deriveRotatedKey(crypto, keyOf<SharedKey>(used), establish.outcome);
    return { generation, current, previous: used };
  }
  if (used === keys.current) return { ...keys, generation, provenIn: epoch };
  return { generation, current: used, previous: keys.current, provenIn: epoch };
}

/** Whom an answer is for. */
function userOf(answer: CborFields): Pick<DeviceRecord, 'user'> {
  const name = answer.optionalLine('user', 128);
  return name === undefined ? {} : { user: { name, displayName: answer.optionalLine('display_name', 128) || name } };
}

/** What updates are verified by, the first time that Security names it; what is pinned stays. */
function pinOf({ updates }: DeviceRecord, answer: CborFields): Pick<DeviceRecord, 'updates'> {
  if (updates || !answer.has('update_root')) return {};
  const root = answer.map('update_root');
  return { updates: { pin: { version: root.uint('version'), sha256: formatHex(root.bytes('sha256', 32)) } } };
}

function credOf(credentials: Credentials): CborInput {
  if ('oidc' in credentials) return { oidc: { ...credentials.oidc } };
  return { password: { user: credentials.user, secret: credentials.password } };
}

/** How long a sign-in waits altogether for a gateway that is busy and says when to come again, ms. */
const BUSY_PATIENCE_MS = 120_000;
/** By which part it waits longer than told at most: many devices were told the same. */
const BUSY_JITTER = 0.5;

/** A Proxy that does not take a connection in this time has the next one tried beside it, ms. */
const STAGGER_MS = 700;
/** Codes that say that Security was not asked. */
const UNREACHED: ReadonlySet<string> = new Set(['OFFLINE', 'UNAVAILABLE']);

interface Attempt {
  readonly role: Role;
  readonly iid: string;
  readonly request: Readonly<Record<string, CborInput>>;
  readonly key: SharedKey | CodeKey;
  readonly codeId?: string;
  readonly oneTimeCode?: AskOneTimeCode | undefined;
}

interface Established {
  /** The record with the site map that the handshake went by. */
  readonly record: DeviceRecord;
  readonly establish: DeviceEstablish;
  readonly answer: CborFields;
}

/**
 * Runs a handshake. When Security does not know its own key any more, or cannot be reached where it was, the published site map is
 * read again, and a newer key or other Proxies in it are tried once: the root signed it, so the hint decides nothing.
 */
async function establishKnowing(
  place: SignInSurroundings,
  record: DeviceRecord,
  attempt: Attempt,
): Promise<Established> {
  try {
    return { record, ...(await establishAnywhere(place, record, attempt)) };
  } catch (error) {
    const { code } = error as DeviceError;
    if (code !== 'UNKNOWN_KID' && !UNREACHED.has(code)) throw error;
    const newest = await readNewerSiteMap(place, record);
    if (!newest || (code === 'UNKNOWN_KID' && newest.kid === record.kid)) throw error;
    return { record: newest, ...(await establishAnywhere(place, newest, attempt)) };
  }
}

/** The record with the newest published site map; undefined when there is none that is newer, or nobody answers. */
async function readNewerSiteMap(
  { crypto, pin }: SignInSurroundings,
  record: DeviceRecord,
): Promise<DeviceRecord | undefined> {
  const seq = (record.siteMapSeq ?? -1) + 1;
  const map = await readPublishedSiteMap(crypto, {
    ...record,
    origins: originsOf(record, pin ?? record.pin),
    seq,
  }).catch(() => undefined);
  return map && takeSiteMap(record, map);
}

/** Runs a handshake. A gateway that is busy and says when to come again has done nothing, and is asked again then. */
async function establishAnywhere(
  place: SignInSurroundings,
  record: DeviceRecord,
  attempt: Attempt,
): Promise<{ establish: DeviceEstablish; answer: CborFields }> {
  const deadline = performance.now() + BUSY_PATIENCE_MS;
  for (;;) {
    try {
      return await establishOnce(place, record, attempt);
    } catch (error) {
      const { code, retryAfterMs } = error as DeviceError;
      const waitMs = retryAfterMs * (1 + BUSY_JITTER * Math.random());
      const busy = (code === 'BUSY' || code === 'RETRY_LATER') && retryAfterMs > 0;
      if (!busy || performance.now() + waitMs > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}

/** Runs a handshake at the first Proxy that can be reached. Answers of Security count wherever they come from. */
async function establishOnce(
  place: SignInSurroundings,
  record: DeviceRecord,
  attempt: Attempt,
): Promise<{ establish: DeviceEstablish; answer: CborFields }> {
  let unreachable: unknown;
  const connect = (origin: string): Promise<GatewaySocket> => GatewaySocket.connect(place.webSocket, origin);
  const turns = { staggerMs: STAGGER_MS, late: (socket: GatewaySocket) => socket.close() };
  for await (const outcome of inTurn(originsOf(record, place.pin ?? record.pin), connect, turns)) {
    try {
      if ('error' in outcome) throw outcome.error;
      return await establishOn(outcome.result, { place, record, attempt });
    } catch (error) {
      if (!UNREACHED.has((error as DeviceError).code)) throw error;
      unreachable = error;
    }
  }
  throw unreachable ?? new DeviceError('OFFLINE', 'no address of the gateway is known');
}

/** A handshake to make: with which device, for whom. */
interface Establishing {
  readonly place: SignInSurroundings;
  readonly record: DeviceRecord;
  readonly attempt: Attempt;
}

async function establishOn(
  socket: GatewaySocket,
  { place, record, attempt }: Establishing,
): Promise<{ establish: DeviceEstablish; answer: CborFields }> {
  const { crypto } = place;
  try {
    const establish = new DeviceEstablish({
      crypto,
      suite: suiteOf(crypto),
      role: attempt.role,
      realm: record.realm,
      kid: record.kid,
      rs: publicKeyOf(record.rs),
      deviceStatic: crypto.keyPairOf(keyOf<SecretKey>(record.deviceSecret)),
      ...(attempt.codeId === undefined ? {} : { codeId: attempt.codeId }),
    });
    const { binding } = establish.readHs2(await socket.ask(establish.writeHs1()));
    const proof = await signProof(record.signingKey, binding, attempt.iid);
    const app = place.context();
    const request = { ...attempt.request, proof, app: contextToCbor(app) };
    let answer = establish.readHs4(await socket.ask(establish.writeHs3(request, attempt.key)));
    while (answer.text('status') === 'step_up') {
      const totp = await attempt.oneTimeCode?.({ tries: answer.uint('tries') });
      if (totp === undefined) throw remoteError('STEP_UP', { mayHaveRun: false });
      answer = establish.readStepReply(await socket.ask(establish.writeStep({ totp: totp.replace(/\s/g, '') })));
    }
    if (answer.text('status') !== 'ok') throw refusalOf(answer, app);
    return { establish, answer };
  } finally {
    socket.close();
  }
}

function refusalOf(answer: CborFields, { version }: AppContext): DeviceError {
  const code = answer.text('code', 64);
  const retryAfterMs = answer.has('retry_after') ? answer.uint('retry_after') : 0;
  const cause = answer.optionalText('cause', 64);
  return remoteError(isSignedCode(code) ? code : 'DENIED', {
    ...{ retryAfterMs, mayHaveRun: false, version },
    cause: isEndCause(cause) ? cause : undefined,
  });
}

/** Takes a newer site map into the record; an older one changes nothing, a forged one throws. */
function withSiteMap(crypto: CryptoProvider, record: DeviceRecord, jws: string): DeviceRecord {
  return takeSiteMap(record, verifySiteMap(crypto, jws, record));
}
