import { randomBytes } from 'node:crypto';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { askHttp } from './http.ts';
import { reach } from './reach.ts';
import { reachTls } from './tls.ts';

/** An authority that gives certificates by ACME (RFC 8555). */
export interface AuthorityWay {
  readonly leg: Leg;
  /** Of its directory, behind host and port. */
  readonly path: string;
  /** PEM of the CAs that are trusted; absent: those of this system. */
  readonly ca?: string;
  /** True when the account is bound to one of a customer there. */
  readonly isBound: boolean;
}

const REMEDIES = {
  renew: 'tell the authority',
  trust: 'is it a private authority? SALLYPORT_ACME_CA names the file with its CA; otherwise somebody is in between',
};

/** Tries the directory of an authority, and whether it wants to know whose account asks. */
export async function examineAuthority(way: AuthorityWay, limits: WaitLimits): Promise<Diagnosis[]> {
  const { leg, path, ca, isBound } = way;
  const tls = { ...(ca === undefined ? {} : { ca }), remedies: REMEDIES };
  const { diagnoses, socket } = await reachTls(leg, tls, limits);
  if (!socket) return [...diagnoses];
  const subject = nameOfLeg(leg);
  const failure = { subject, check: 'directory', state: 'failure', hop: leg.to } as const;
  const next = 'SALLYPORT_ACME_DIRECTORY is the URL of its directory, whole';
  try {
    const { status, text } = await askHttp(socket, { leg, path }, limits);
    const directory = status === 200 ? directoryIn(text) : undefined;
    if (!directory) return [...diagnoses, { ...failure, words: `that is no directory of ACME (${status})`, next }];
    if (directory.wantsBinding && !isBound) return [...diagnoses, { ...failure, ...UNBOUND }];
    return [...diagnoses, { subject, check: 'directory', state: 'ok', words: 'gives certificates by ACME' }];
  } catch (error) {
    const words = `it does not answer a request (${(error as Error).message})`;
    return [...diagnoses, { ...failure, words, next: 'try again: authorities say where they tell of their outages' }];
  }
}

const UNBOUND = {
  words: 'it takes only accounts that are bound to one of a customer there',
  next: 'SALLYPORT_ACME_EAB_KID and SALLYPORT_ACME_EAB_KEY are what it gives you for that (EAB)',
};

/** What matters of a directory (RFC 8555, section 7.1.1); undefined for anything else. */
function directoryIn(text: string): { readonly wantsBinding: boolean } | undefined {
  try {
    const { newOrder, meta } = JSON.parse(text) as { newOrder?: unknown; meta?: { externalAccountRequired?: unknown } };
    if (typeof newOrder !== 'string') return undefined;
    return { wantsBinding: meta?.externalAccountRequired === true };
  } catch {
    return undefined;
  }
}

const CHALLENGE = '/.well-known/acme-challenge/';

/**
 * Whether challenges reach a Proxy by a name, as an authority asks them (RFC 8555, section 8.3). From inside of a network a name may lead
 * elsewhere than for the authority, so nothing of it is more than a warning.
 */
export async function examineChallenge(leg: Leg, limits: WaitLimits): Promise<Diagnosis[]> {
  const { diagnoses, socket } = await reach(leg, limits);
  const softened = diagnoses.map((one): Diagnosis => (one.state === 'failure' ? { ...one, state: 'warning' } : one));
  if (!socket) return softened;
  const token = randomBytes(16).toString('base64url');
  const subject = nameOfLeg(leg);
  const answer = await askHttp(socket, { leg, path: CHALLENGE + token }, limits).catch(() => undefined);
  if (answer?.status === 200 && answer.text.startsWith(`${token}.`))
    return [...softened, { subject, check: 'challenge', state: 'ok', words: 'challenges are answered' }];
  const words = `a challenge is answered by somebody else (${answer?.status ?? 'nothing comes back'})`;
  const next = 'let port 80 of this name lead to SALLYPORT_ACME_LISTEN of a Proxy, and see it from outside, too';
  return [...softened, { subject, check: 'challenge', state: 'warning', words, hop: 'what listens at port 80', next }];
}
