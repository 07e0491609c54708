import {
  type AppContext,
  type ChannelError,
  checkPath,
  DEFAULT_METHODS,
  findByAuthority,
  type HeadLimits,
  isAuthority,
  isWildcard,
  liesUnder,
  pathUnder,
  type SignedCode,
} from '@sallyport/channel';
import {
  checkContext,
  fitsCountry,
  fitsNetwork,
  judgePath,
  type PathVerdict,
  type StandingEvidence,
} from '@sallyport/lease';
import type { AccessRule, Grant, ResourceGrant } from '@sallyport/security-api';
import { headLimitsOf } from '../backend/head-limits.ts';

/** What a request needs. */
export interface Wanted {
  readonly kind: ResourceGrant['kind'];
  readonly authority: string;
  readonly method: string;
  readonly path: string;
}

/** Why a request is refused: the code, and the rule where the device may know it. */
export interface RightsRefusal {
  readonly refused: SignedCode;
  readonly rule?: string;
}

const UNOPENED = 'no policy opens this method and path';

/** The resource that a request may reach, or why it may not; with characters of paths that were looked at beyond the usual. */
export type Decided = ({ readonly resource: ResourceGrant } | RightsRefusal) & { readonly characters?: number };

/** The same, or that fresh evidence is asked for: nothing is decided before it is there. */
export type Decision = Decided | { readonly asked: true };

/**
 * What is known of a channel's device: what it says of itself, with what was proved in the place of claims; the evidence as it counts
 * now; and where it comes from as the Proxy sees it.
 */
export interface DeviceClaims {
  readonly context: AppContext;
  readonly evidence: StandingEvidence | undefined;
  readonly address: string;
  /** ISO 3166-1 code of the country of that address; undefined where this Proxy knows none. */
  readonly country?: string | undefined;
}

function fits(rule: AccessRule, claims: DeviceClaims): boolean {
  return !checkContext(rule.context, claims.context, claims.evidence) && fitsPlace(rule, claims);
}

function fitsPlace(rule: AccessRule, { address, country }: DeviceClaims): boolean {
  return fitsNetwork(rule, address) && fitsCountry(rule, country);
}

/** Why a rule that opens what is wanted is closed to a device. */
function refusalBy(rule: AccessRule, claims: DeviceClaims): RightsRefusal {
  const denied = checkContext(rule.context, claims.context, claims.evidence);
  // Evidence helps nobody who is in the wrong place.
  if (denied && (denied !== 'ATTESTATION_REQUIRED' || fitsPlace(rule, claims))) return { refused: denied };
  const place = fitsNetwork(rule, claims.address) ? 'country' : 'network';
  return { refused: 'CONTEXT_DENIED', rule: `not from this ${place}` };
}

/** The one with that authority, or else the nearest wildcard; a wildcard's own text is no name. */
function findResource(
  resources: readonly ResourceGrant[],
  wanted: Pick<Wanted, 'kind' | 'authority'>,
): ResourceGrant | undefined {
  const exact = resources.find(({ kind, authority }) => kind === wanted.kind && authority === wanted.authority);
  if (exact && !isWildcard(exact.authority)) return exact;
  if (!isAuthority(wanted.authority)) return undefined;
  return findByAuthority(resources, wanted.authority, (one) => one.kind === wanted.kind && !isCarvedOut(one, wanted));
}

/** True for a name under a wildcard that is another resource's, one that the session may not reach. */
function isCarvedOut({ except = [] }: ResourceGrant, { authority }: Pick<Wanted, 'authority'>): boolean {
  return except.some((other) => other === authority || liesUnder(other, authority));
}

/**
 * Decides one request by the grant and the app context of this moment: the realm's rule first, then the grammar of paths of the
 * resource, then any rule that opens it. Matched on exactly the bytes that go to the backend and, where paths are exact, in every way in which
 * a backend may read them.
 */
export function decide(grant: Grant, claims: DeviceClaims, wanted: Wanted): Decided {
  const denied = checkContext(grant.context, claims.context, claims.evidence);
  if (denied) return { refused: denied };
  const resource = findResource(grant.resources, wanted);
  if (!resource) return { refused: 'RESOURCE_UNKNOWN' };
  const exact = resource.backend.paths === 'exact';
  const fault = wanted.kind === 'tcp' || exact ? undefined : faultOfPath(wanted.path);
  if (fault) return { refused: 'REQUEST_REFUSED', rule: fault };
  const judged = exact && resource.backend.prefix !== undefined;
  for (const rule of resource.rules) {
    if (!judged && opensPlainly(rule, wanted, exact) && fits(rule, claims)) return { resource };
  }
  return diagnose(resource, claims, wanted);
}

/** Bounds of the head of a message for an http resource of a grant; of one that it does not hold, the usual ones. */
export function headLimitsFor({ resources }: Grant, authority: string): HeadLimits {
  return headLimitsOf(findResource(resources, { kind: 'http', authority })?.backend ?? {});
}

/** What the strict grammar has against a path; undefined for nothing. */
function faultOfPath(path: string): string | undefined {
  try {
    checkPath(path, 'strict');
    return undefined;
  } catch (error) {
    return `${(error as ChannelError).message}; a resource with exact paths takes it`;
  }
}

/** True when a rule opens method and path without a look at how a backend may read the path. */
function opensPlainly(rule: AccessRule, wanted: Wanted, exact: boolean): boolean {
  if (!opensMethod(rule, wanted)) return false;
  return !rule.paths || (!exact && rule.paths.some((prefix) => pathUnder(wanted.path, prefix)));
}

function opensMethod({ methods }: AccessRule, { kind, method }: Wanted): boolean {
  return kind === 'tcp' || (methods ?? DEFAULT_METHODS).includes(method);
}

/** Where no rule opens a request plainly: together they may, with every reading of the path. Else says what is missing. */
function diagnose(resource: ResourceGrant, claims: DeviceClaims, wanted: Wanted): Decided {
  const byMethod = resource.rules.filter((rule) => opensMethod(rule, wanted));
  if (resource.rules.length > 0 && byMethod.length === 0)
    return { refused: 'REQUEST_REFUSED', rule: `no policy opens the method (${wanted.method})` };
  const open = byMethod.filter((rule) => fits(rule, claims));
  const found = judgePaths(resource, open, wanted.path);
  if (found.verdict === 'inside') return { resource, characters: found.characters };
  const closed = byMethod.filter((rule) => !open.includes(rule));
  const refusals = closed.filter((rule) => opensPlainly(rule, wanted, false)).map((rule) => refusalBy(rule, claims));
  // What fresh evidence would open is said before what nothing that the device can do would.
  const denied = refusals.find(({ refused }) => refused === 'ATTESTATION_REQUIRED') ?? refusals[0];
  if (denied) return { ...denied, characters: found.characters };
  const rule = found.verdict === 'differs' ? `${UNOPENED} when ${found.when}` : UNOPENED;
  return { refused: 'REQUEST_REFUSED', rule, characters: found.characters };
}

/** What rules say of a path; where paths are exact, of what the backend gets: a prefix of its own is not left either. */
function judgePaths({ backend }: ResourceGrant, rules: readonly AccessRule[], path: string): PathVerdict {
  const { paths, prefix = '' } = backend;
  const exact = paths === 'exact';
  const whole = rules.some((rule) => !rule.paths);
  if (whole && !(exact && prefix !== '')) return { verdict: 'inside', characters: 0 };
  const under = whole ? [''] : rules.flatMap((rule) => rule.paths ?? []);
  if (exact)
    return judgePath(
      prefix + path,
      under.map((one) => prefix + one),
    );
  return { verdict: under.some((one) => pathUnder(path, one)) ? 'inside' : 'outside', characters: 0 };
}
