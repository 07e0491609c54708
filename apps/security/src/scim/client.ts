import { type AccessContext, findDirectoryByToken } from '@sallyport/access';
import type { FastifyRequest } from 'fastify';

/** The client of a request: its directory, and how its changes are signed in the audit log. */
export interface ScimClient {
  readonly directory: string;
  readonly base: string;
  readonly by: { readonly actor: string; readonly reason: string };
}

/** The client whose bearer token a request has; undefined when it is not good. */
export async function scimClientOf(
  { access, directoryUrl = '' }: { readonly access: AccessContext; readonly directoryUrl: string | undefined },
  request: FastifyRequest,
): Promise<ScimClient | undefined> {
  const [, token] = /^Bearer (\S{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
  const row = token === undefined ? undefined : await findDirectoryByToken(access, token);
  if (!row) return undefined;
  const by = { actor: `directory ${row.name}`, reason: `SCIM ${request.method} ${request.routeOptions.url ?? ''}` };
  return { directory: row.name, base: `${directoryUrl}/scim/v2`, by };
}
