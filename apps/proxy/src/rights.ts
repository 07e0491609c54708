import { checkContext } from '@sallyport/access';
import {
  type AppContext,
  DEFAULT_METHODS,
  findByAuthority,
  isAuthority,
  isWildcard,
  liesUnder,
  pathUnder,
  type SignedCode,
} from '@sallyport/channel';
import type { Grant, ResourceGrant } from '@sallyport/security-api';

/** What a request needs. */
export interface Wanted {
  readonly kind: ResourceGrant['kind'];
  readonly authority: string;
  readonly method: string;
  readonly path: string;
}

/** The resource that a request may reach, or the code of the refusal. */
export type Decision = { readonly resource: ResourceGrant } | { readonly refused: SignedCode };

/** The one with that authority, or else the nearest wildcard; a wildcard's own text is no name. */
function findResource(resources: readonly ResourceGrant[], wanted: Wanted): ResourceGrant | undefined {
  const exact = resources.find(({ kind, authority }) => kind === wanted.kind && authority === wanted.authority);
  if (exact && !isWildcard(exact.authority)) return exact;
  if (!isAuthority(wanted.authority)) return undefined;
  return findByAuthority(resources, wanted.authority, (one) => one.kind === wanted.kind && !isCarvedOut(one, wanted));
}

/** True for a name under a wildcard that is another resource's, one that the session may not reach. */
function isCarvedOut({ except = [] }: ResourceGrant, { authority }: Wanted): boolean {
  return except.some((other) => other === authority || liesUnder(other, authority));
}

/**
 * Decides one request by the grant and the app context of this moment: the realm's rule first, then any rule that opens
 * the resource. Matched on exactly the bytes that go to the backend.
 */
export function decide(grant: Grant, context: AppContext, wanted: Wanted): Decision {
  const denied = checkContext(grant.context, context);
  if (denied) return { refused: denied };
  const resource = findResource(grant.resources, wanted);
  if (!resource) return { refused: 'RESOURCE_UNKNOWN' };
  const matching = resource.rules.filter((rule) => {
    const methodFits = wanted.kind === 'tcp' || (rule.methods ?? DEFAULT_METHODS).includes(wanted.method);
    const pathFits = !rule.paths || rule.paths.some((prefix) => pathUnder(wanted.path, prefix));
    return methodFits && pathFits;
  });
  if (matching.length === 0) return { refused: 'REQUEST_REFUSED' };
  const refusals = matching.map((rule) => checkContext(rule.context, context));
  return refusals.includes(undefined) ? { resource } : { refused: refusals[0]! };
}
