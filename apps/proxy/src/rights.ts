import { checkContext } from '@sallyport/access';
import { type AppContext, DEFAULT_METHODS, pathUnder, type SignedCode } from '@sallyport/channel';
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

/**
 * Decides one request by the grant and the app context of this moment: the realm's rule first, then any rule that opens
 * the resource. Matched on exactly the bytes that go to the backend.
 */
export function decide(grant: Grant, context: AppContext, wanted: Wanted): Decision {
  const denied = checkContext(grant.context, context);
  if (denied) return { refused: denied };
  const resource = grant.resources.find(
    ({ kind, authority }) => kind === wanted.kind && authority === wanted.authority,
  );
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
