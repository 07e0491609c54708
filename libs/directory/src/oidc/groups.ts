import type { SourceGroup } from '@sallyport/access';
import type { OidcSettings } from '@sallyport/security-api';
import { DirectoryError } from '../errors.ts';
import { type Claims, checkFailed } from './tokens.ts';

const MAX_GROUPS = 10_000;
const MAX_PAGES = 100;
const MAX_GROUP_CHARACTERS = 256;
const TIMEOUT_MS = 8_000;

/** How the rest of the groups is read. */
export interface GroupReader {
  readonly accessToken: string;
  readonly fetch: (url: string, options: object) => Promise<Response>;
}

/**
 * Groups of a sign-in; undefined when the provider is not asked for them. With more than 200 groups Entra ID puts a
 * reference in their place ("overage"): then they are read from the endpoint that the operator set, never from one that a
 * token names. @throws DirectoryError ERR_DIRECTORY_REFUSED when there is none, so that nobody loses rights in silence
 */
export async function readGroups(
  { groupsClaim, groupsEndpoint }: OidcSettings,
  claims: Claims,
  reader: GroupReader,
): Promise<readonly SourceGroup[] | undefined> {
  if (groupsClaim === undefined) return undefined;
  if (!isOverage(claims, groupsClaim)) return groupsFrom(claims[groupsClaim] ?? []);
  if (groupsEndpoint === undefined) throw checkFailed('group overage, and no groups endpoint is set');
  return groupsFrom(await readAll(groupsEndpoint, reader));
}

function isOverage(claims: Claims, groupsClaim: string): boolean {
  const names = claims['_claim_names'];
  const referred = typeof names === 'object' && names !== null && groupsClaim in names;
  return referred || claims['hasgroups'] === true || claims['hasgroups'] === 'true';
}

function groupsFrom(value: unknown): SourceGroup[] {
  const fits =
    Array.isArray(value) &&
    value.length <= MAX_GROUPS &&
    value.every((one) => typeof one === 'string' && one.length > 0 && one.length <= MAX_GROUP_CHARACTERS);
  if (!fits) throw checkFailed('groups');
  return [...new Set(value as string[])].map((subject) => ({ subject, externalId: '', name: subject, version: '' }));
}

/** All groups by Microsoft Graph's directoryObject: getMemberObjects, page by page on the same host. */
async function readAll(endpoint: string, { accessToken, fetch }: GroupReader): Promise<unknown[]> {
  const groups: unknown[] = [];
  let next: string | undefined = endpoint;
  for (let page = 0; next !== undefined && page < MAX_PAGES; page++) {
    const first = page === 0;
    const answer = await ask(next, { first, accessToken, fetch });
    groups.push(...(Array.isArray(answer.value) ? answer.value : []));
    next = answer['@odata.nextLink'];
    if (next !== undefined && new URL(next).origin !== new URL(endpoint).origin)
      throw checkFailed('groups lead elsewhere');
  }
  return groups;
}

async function ask(
  url: string,
  { first, accessToken, fetch }: GroupReader & { first: boolean },
): Promise<{ value?: unknown; '@odata.nextLink'?: string }> {
  const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ securityEnabledOnly: false });
  const options = { headers, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) };
  try {
    const answer = await fetch(url, { ...options, ...(first ? { method: 'POST', body } : {}) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return (await answer.json()) as { value?: unknown; '@odata.nextLink'?: string };
  } catch (cause) {
    throw new DirectoryError('ERR_DIRECTORY_UNREACHABLE', `the groups endpoint: ${(cause as Error).message}`, {
      cause,
    });
  }
}
