import { type AccessContext, issueDirectoryToken, putDirectory } from '@sallyport/access';
import type { FastifyInstance } from 'fastify';
import { createDirectoryService } from '../../src/app.ts';
import { type OwnScene, type SceneParts, type SharedScene, scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };

/** An answer of the SCIM server. */
export interface ScimAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: a body is looked into freely by tests
  readonly body: any;
}

/** A SCIM server on a store in memory, or on a realm that is there, and a client of it. */
export async function scimScene(
  shared?: SharedScene,
  own?: OwnScene,
): Promise<{
  access: AccessContext;
  context: SceneParts;
  service: FastifyInstance;
  call: (method: string, url: string, body?: unknown, headers?: Record<string, string>) => Promise<ScimAnswer>;
  lines: string[];
  authorization: string;
}> {
  const { context, lines } = await scene(shared, own);
  const { access } = context;
  await putDirectory(access, 'corp', { kind: 'scim', stage: 'active', settings: {} }, BY);
  const { token } = await issueDirectoryToken(access, 'corp', { endOthers: false }, BY);
  const service = createDirectoryService(context, await context.keys.ca.issueServer(['localhost'], Date.now()));
  const authorization = `Bearer ${token}`;
  const call = async (method: string, url: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await service.inject({
      method: method as 'GET',
      url,
      headers: {
        authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/scim+json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: answer.body === '' ? undefined : JSON.parse(answer.body),
    };
  };
  return { access, context, service, call, lines, authorization };
}
