import { decodeText } from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { AccessContext } from '../realm/context.ts';
import { PURPOSES } from '../sealing/keyring.ts';
import { AccessError } from '../store/errors.ts';
import type { SessionRow } from './rows.ts';

/** A token that the user's provider gave for one resource. */
export interface DelegatedToken {
  readonly resource: string;
  readonly token: string;
  readonly expiresAt: number;
}

/** A resource whose backend wants a token of a provider for the user, and for which audience. */
export interface Delegation {
  readonly resource: string;
  readonly audience: string;
}

/** Resources for which a provider is to be asked for tokens of its users. */
export async function delegationsOf(access: AccessContext, provider: string): Promise<Delegation[]> {
  const resources = await access.store.transaction(({ tables }) => tables.resources.list());
  return resources.flatMap(({ name, backend }) => {
    const { delegate } = backend;
    return delegate?.directory === provider ? [{ resource: name, audience: delegate.audience }] : [];
  });
}

/** Puts the tokens that a session carries for backends into its grant; those that are over are left out. */
export function withDelegated(
  access: AccessContext,
  session: SessionRow,
  { resources, now }: { readonly resources: ResourceGrant[]; readonly now: number },
): ResourceGrant[] {
  if (session.delegated === null) return resources;
  const tokens = new Map(
    openTokens(access, session.id, session.delegated)
      .filter(({ expiresAt }) => expiresAt > now)
      .map(({ resource, token }) => [resource, token]),
  );
  return resources.map((resource) => {
    const delegated = tokens.get(resource.name);
    return delegated === undefined ? resource : { ...resource, delegated };
  });
}

/** Tokens that do not open are none: the backend decides what a request without one is worth. */
function openTokens(access: AccessContext, sid: string, wrapped: Uint8Array): readonly DelegatedToken[] {
  try {
    return JSON.parse(decodeText(access.keyring.unwrap(wrapped, PURPOSES.delegated(access.store.realm, sid))));
  } catch (error) {
    if (error instanceof AccessError) return [];
    throw error;
  }
}
