import {
  type AccessContext,
  applyResources,
  changePolicy,
  changeResource,
  openedBackend,
  type PolicyRow,
  type PutOptions,
  putPolicy,
  putResource,
  type ResourceRow,
  removeRight,
  shownBackend,
} from '@sallyport/access';
import { isWildcard, wildcardPart } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import {
  AuthorityText,
  type Backend,
  PolicyChange,
  PolicyInput,
  PolicyView,
  ResourceChange,
  ResourceInput,
  ResourcesInput,
  ResourcesPlan,
  ResourceTrial,
  ResourceView,
} from '@sallyport/security-api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import type { RealmContext } from '../realm-context.ts';
import { actorOf, changing, Done, NameParam, operation } from './operation.ts';
import { CursorQuery, pageOf } from './paging.ts';
import { whenChanged } from './revoking.ts';

/** A file of all resources, with the certificates in it. */
const FILE_BYTES = 8 * 1024 * 1024;

function resourceView({ name, kind, authority, title, backend }: ResourceRow): ResourceView {
  return { name, kind, authority, title, backend: shownBackend(backend) };
}

function policyView({ name, groups, resources, rule }: PolicyRow): PolicyView {
  const { context = {}, methods, paths } = rule;
  return {
    name,
    groups: [...groups],
    resources: [...resources],
    context,
    ...(methods ? { methods: [...methods] } : {}),
    ...(paths ? { paths: [...paths] } : {}),
  };
}

/** @throws ProblemError 404 */
async function getResource({ store }: AccessContext, name: string): Promise<ResourceRow> {
  const row = await store.transaction(({ tables }) => tables.resources.find({ name }));
  if (!row) throw new ProblemError('ERR_SECURITY_RESOURCE', `there is no resource ${name}`);
  return row;
}

const TrialQuery = Type.Object({ as: Type.Optional(AuthorityText) });
type TrialQuery = Static<typeof TrialQuery>;

/** What is tried: the backend as somebody reaches it who asks for a name. @throws ProblemError 400 when a wildcard needs another one */
function asAskedFor(
  { name, authority }: ResourceRow,
  backend: Backend,
  asked = authority,
): { readonly authority: string; readonly backend: Backend } {
  if (!isWildcard(authority)) return { authority, backend };
  const part = wildcardPart(authority, asked);
  if (part === undefined || isWildcard(asked))
    throw new ProblemError('ERR_SECURITY_RESOURCE', `${name} is ${authority}: say which name of those is tried`, 400);
  return { authority: asked, backend: { ...backend, url: backend.url.replace('*', part) } };
}

/** A client that must not replace anything says so (RFC 9110, section 13.1.2). */
function putOptions({ headers }: FastifyRequest): PutOptions {
  return { onlyNew: headers['if-none-match'] === '*' };
}

/** Resources and policies. */
export function addRightRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access, proxies } = context;
  const resources = operation('resources.list', 'Resources by name, a page of them', Type.Array(ResourceView), {
    querystring: CursorQuery,
  });
  service.get<{ Querystring: CursorQuery }>('/v1/resources', resources, async ({ query }) => {
    const { after, limit } = pageOf(query);
    const page = { above: ['name', after], limit } as const;
    return (await access.store.transaction(({ tables }) => tables.resources.list(page))).map(resourceView);
  });
  service.put<{ Params: NameParam; Body: ResourceInput }>(
    '/v1/resources/:name',
    changing('resources.put', 'Create or replace a resource', ResourceView, {
      onlyNew: true,
      params: NameParam,
      body: ResourceInput,
    }),
    async (request) => {
      const row = await putResource(access, request.params.name, request.body, actorOf(request), putOptions(request));
      await whenChanged(context);
      return resourceView(row);
    },
  );
  const summary = 'Make resources what a file says, or say what that would change';
  const applying = changing('resources.apply', summary, ResourcesPlan, { body: ResourcesInput });
  service.put<{ Body: ResourcesInput }>('/v1/resources', { ...applying, bodyLimit: FILE_BYTES }, async (request) => {
    const plan = await applyResources(access, request.body, actorOf(request));
    if (!request.body.dryRun && plan.changes.some(({ what }) => what !== 'same')) await whenChanged(context);
    return plan;
  });
  service.get<{ Params: NameParam }>(
    '/v1/resources/:name',
    operation('resources.get', 'One resource', ResourceView, { params: NameParam }),
    async ({ params: { name } }) => {
      return resourceView(await getResource(access, name));
    },
  );
  service.patch<{ Params: NameParam; Body: ResourceChange }>(
    '/v1/resources/:name',
    changing('resources.change', 'Change what is named of a resource; null takes a setting away', ResourceView, {
      params: NameParam,
      body: ResourceChange,
    }),
    async (request) => {
      const row = await changeResource(access, request.params.name, request.body, actorOf(request));
      await whenChanged(context);
      return resourceView(row);
    },
  );
  service.post<{ Params: NameParam; Querystring: TrialQuery }>(
    '/v1/resources/:name/test',
    operation('resources.test', 'Let every Proxy of this node try the backend of a resource', ResourceTrial, {
      params: NameParam,
      querystring: TrialQuery,
    }),
    async ({ params: { name }, query }) => {
      const row = await getResource(access, name);
      return { name, tries: await proxies.try(asAskedFor(row, openedBackend(access, row), query.as)) };
    },
  );
  const policies = operation('policies.list', 'Policies by name, a page of them', Type.Array(PolicyView), {
    querystring: CursorQuery,
  });
  service.get<{ Querystring: CursorQuery }>('/v1/policies', policies, async ({ query }) => {
    const { after, limit } = pageOf(query);
    const page = { above: ['name', after], limit } as const;
    return (await access.store.transaction(({ tables }) => tables.policies.list(page))).map(policyView);
  });
  service.put<{ Params: NameParam; Body: PolicyInput }>(
    '/v1/policies/:name',
    changing('policies.put', 'Create or replace a policy', PolicyView, {
      onlyNew: true,
      params: NameParam,
      body: PolicyInput,
    }),
    async (request) => {
      const row = await putPolicy(access, request.params.name, request.body, actorOf(request), putOptions(request));
      await whenChanged(context);
      return policyView(row);
    },
  );
  service.patch<{ Params: NameParam; Body: PolicyChange }>(
    '/v1/policies/:name',
    changing('policies.change', 'Change what is named of a policy', PolicyView, {
      params: NameParam,
      body: PolicyChange,
    }),
    async (request) => {
      const row = await changePolicy(access, request.params.name, request.body, actorOf(request));
      await whenChanged(context);
      return policyView(row);
    },
  );
  for (const table of ['resources', 'policies'] as const) {
    service.delete<{ Params: NameParam }>(
      `/v1/${table}/:name`,
      changing(`${table}.remove`, `Remove one of the ${table}`, Done, { params: NameParam }),
      async (request) => {
        const done = await removeRight(access, table, request.params.name, actorOf(request));
        await whenChanged(context);
        return { done };
      },
    );
  }
}
