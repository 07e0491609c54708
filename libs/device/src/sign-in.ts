import {
  type AppContext,
  type CborFields,
  type CborInput,
  type CryptoProvider,
  contextToCbor,
  DeviceEstablish,
  deriveEnrolledKey,
  deriveRotatedKey,
  deriveSessionSecret,
  type EnrolmentLink,
  isSignedCode,
  keyOf,
  publicKeyOf,
  type Role,
  type SecretKey,
  type SharedKey,
  type Suite,
} from '@sallyport/channel';
import { DeviceError, remoteError } from './errors.ts';
import type { ProviderCredentials } from './provider.ts';
import type { DeviceRecord, StoredKeys } from './record.ts';
import { createSigningKey, signProof } from './signing-key.ts';
import { verifySiteMap } from './site-map.ts';
import { GatewaySocket, type WebSocketFactory } from './socket.ts';

/** Who signs in: by name and password, or by what an OpenID provider gave. */
export type Credentials = { readonly user: string; readonly password: string } | ProviderCredentials;

/** What a step-up asks the user for; `tries` are left. */
export interface OneTimeCodeRequest {
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
export interface SignInPlace {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly context: () => AppContext;
  /** Writes a record durably before anything relies on it. */
  readonly store: (record: DeviceRecord) => Promise<void>;
}

/** A record for a new enrolment; kept before the first message, so that a repeated try uses the same keys. */
export async function beginRecord(
  crypto: CryptoProvider,
  link: EnrolmentLink,
  holdsKeyObjects: boolean,
): Promise<DeviceRecord> {
  return {
    realm: link.realm,
    kid: link.kid,
    rs: link.rs,
    root: link.root,
    origins: link.origins,
    deviceSecret: crypto.generateKeyPair().secretKey,
    signingKey: await createSigningKey(holdsKeyObjects),
  };
}

/** Enrols: gives the record with installation id and first shared key, durably stored. */
export async function enrolDevice(
  place: SignInPlace,
  record: DeviceRecord,
  code: string,
  credentials: Credentials,
): Promise<{ record: DeviceRecord; resume: Uint8Array | undefined }> {
  const request = { code, cred: credOf(credentials), hk: record.signingKey.publicJwk as CborInput };
  const { establish, answer } = await establishAnywhere(place, record, {
    role: 'enrol',
    iid: '',
    request,
    sharedKey: undefined,
  });
  const enrolled = {
    ...record,
    iid: answer.text('iid', 64),
    keys: { generation: 0, current: deriveEnrolledKey(place.crypto, establish.outcome) },
    ticket: answer.bytes('ticket'),
  };
  const done = withSiteMap(place.crypto, enrolled, answer.text('site_map', 65_536));
  await place.store(done);
  return { record: done, resume: answer.has('resume') ? answer.bytes('resume') : undefined };
}

/**
 * Signs in: tries the current shared key, then the one before it once. The new keys are stored before the caller can
 * open a channel with them.
 */
export async function signIn(
  place: SignInPlace,
  record: DeviceRecord,
  { credentials, resume, oneTimeCode }: SignInWith,
): Promise<DeviceRecord> {
  const { iid, keys } = record;
  if (iid === undefined || !keys)
    throw new DeviceError('NOT_ENROLLED', 'this device is not enrolled: use an enrolment link');
  const cred = credentials ? credOf(credentials) : resume && { resume };
  const request = cred ? { iid, cred } : { iid };
  const attempt = (sharedKey: Uint8Array): ReturnType<typeof establishAnywhere> =>
    establishAnywhere(place, record, {
      role: 'session',
      iid,
      request,
      sharedKey: keyOf<SharedKey>(sharedKey),
      oneTimeCode,
    });
  let used = keys.current;
  let result: Awaited<ReturnType<typeof establishAnywhere>>;
  try {
    result = await attempt(used);
  } catch (error) {
    // Security may have been restored from a backup that does not know the newest key.
    if ((error as DeviceError).code !== 'HANDSHAKE_FAILED' || !keys.previous) throw error;
    used = keys.previous;
    result = await attempt(used);
  }
  const { establish, answer } = result;
  const sid = answer.bytes('sid', 16);
  const signedIn = {
    ...record,
    keys: keysAfter(place.crypto, keys, { used, answer, establish }),
    ticket: answer.bytes('ticket'),
    session: { sid, secret: deriveSessionSecret(place.crypto, establish.outcome, sid), reservedChanNo: 0 },
  };
  const done = withSiteMap(place.crypto, signedIn, answer.text('site_map', 65_536));
  await place.store(done);
  return done;
}

function keysAfter(
  crypto: CryptoProvider,
  keys: StoredKeys,
  login: { used: Uint8Array; answer: CborFields; establish: DeviceEstablish },
): StoredKeys {
  const { used, answer, establish } = login;
  const generation = answer.uint('generation');
  if (answer.flag('rotate')) {
    const current = deriveRotatedKey(crypto, keyOf<SharedKey>(used), establish.outcome);
    return { generation, current, previous: used };
  }
  if (used === keys.current) return { ...keys, generation };
  return { generation, current: used, previous: keys.current };
}

function credOf(credentials: Credentials): CborInput {
  if ('oidc' in credentials) return { oidc: { ...credentials.oidc } };
  return { password: { user: credentials.user, secret: credentials.password } };
}

/** How long a sign-in waits altogether for a gateway that is busy and says when to come again, ms. */
const BUSY_PATIENCE_MS = 30_000;
/** By which part it waits longer than told at most: many devices were told the same. */
const BUSY_JITTER = 0.5;

interface Attempt {
  readonly role: Role;
  readonly iid: string;
  readonly request: Readonly<Record<string, CborInput>>;
  readonly sharedKey: SharedKey | undefined;
  readonly oneTimeCode?: AskOneTimeCode | undefined;
}

/** Runs a handshake. A gateway that is busy and says when to come again has done nothing, and is asked again then. */
async function establishAnywhere(
  place: SignInPlace,
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
  place: SignInPlace,
  record: DeviceRecord,
  attempt: Attempt,
): Promise<{ establish: DeviceEstablish; answer: CborFields }> {
  const origins = record.sites?.flatMap((site) => site.origins) ?? record.origins;
  let unreachable: unknown;
  for (const origin of new Set([...origins, ...record.origins])) {
    try {
      return await establishAt(place, record, attempt, origin);
    } catch (error) {
      const code = (error as DeviceError).code;
      if (code !== 'OFFLINE' && code !== 'UNAVAILABLE') throw error;
      unreachable = error;
    }
  }
  throw unreachable ?? new DeviceError('OFFLINE', 'no address of the gateway is known');
}

async function establishAt(
  place: SignInPlace,
  record: DeviceRecord,
  attempt: Attempt,
  origin: string,
): Promise<{ establish: DeviceEstablish; answer: CborFields }> {
  const { crypto } = place;
  const socket = await GatewaySocket.connect(place.webSocket, origin);
  try {
    const establish = new DeviceEstablish({
      crypto,
      suite: suiteOf(crypto),
      role: attempt.role,
      kid: record.kid,
      rs: publicKeyOf(record.rs),
      deviceStatic: crypto.keyPairOf(keyOf<SecretKey>(record.deviceSecret)),
      ...(record.ticket ? { ticket: record.ticket } : {}),
    });
    const { binding } = establish.readHs2(await socket.ask(establish.writeHs1()));
    const proof = await signProof(record.signingKey, binding, attempt.iid);
    const request = { ...attempt.request, proof, app: contextToCbor(place.context()) };
    let answer = establish.readHs4(await socket.ask(establish.writeHs3(request, attempt.sharedKey)));
    while (answer.text('status') === 'step_up') {
      const totp = await attempt.oneTimeCode?.({ tries: answer.uint('tries') });
      if (totp === undefined) throw remoteError('STEP_UP', { mayHaveRun: false });
      answer = establish.readStepReply(await socket.ask(establish.writeStep({ totp: totp.replace(/\s/g, '') })));
    }
    if (answer.text('status') !== 'ok') throw refusalOf(answer);
    return { establish, answer };
  } finally {
    socket.close();
  }
}

function refusalOf(answer: CborFields): DeviceError {
  const code = answer.text('code', 64);
  const retryAfterMs = answer.has('retry_after') ? answer.uint('retry_after') : 0;
  return remoteError(isSignedCode(code) ? code : 'DENIED', { retryAfterMs, mayHaveRun: false });
}

/** ChaChaPoly where crypto is software, AES-GCM where it is hardware. */
export function suiteOf(crypto: CryptoProvider): Suite {
  return crypto.prefersChaCha ? 1 : 2;
}

/** Takes a newer site map into the record; an older one changes nothing, a forged one throws. */
function withSiteMap(crypto: CryptoProvider, record: DeviceRecord, jws: string): DeviceRecord {
  const map = verifySiteMap(crypto, jws, record);
  if (map.seq <= (record.siteMapSeq ?? -1)) return record;
  const newest = map.keys[0];
  const key = newest ? { kid: newest.kid, rs: newest.rs } : {};
  return { ...record, ...key, sites: map.sites, providers: map.providers, siteMapSeq: map.seq };
}
