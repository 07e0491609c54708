import {
  applyMigration,
  auditOrder,
  explainRights,
  getDirectory,
  issueDirectoryToken,
  issueFactor,
  mapDirectoryGroup,
  placeAccounts,
  planMigration,
  putDirectory,
  removeDirectory,
  removeFactor,
  viewDirectories,
  viewDirectory,
  viewSourceGroups,
} from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import {
  DirectoryGroupView,
  DirectoryInput,
  DirectoryTokenInput,
  DirectoryTokenView,
  DirectoryView,
  FactorView,
  FindingView,
  GroupMapInput,
  MigrationInput,
  MigrationView,
  RightsView,
  SyncInput,
} from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { prepareProvider } from '../directories/providers.ts';
import { whenInForce } from '../farm/in-force.ts';
import type { RealmContext } from '../realm-context.ts';
import { totpUri } from '../sign-in/second-factor.ts';
import { actorOf, changing, Done, NameParam, operation } from './operation.ts';
import { CursorQuery, pageOf, SubjectQuery } from './paging.ts';
import { whenChanged } from './revoking.ts';

/** Whether sessions go on after a change of the second factor. */
const FactorQuery = Type.Object({
  keepSessions: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
});
type FactorQuery = Static<typeof FactorQuery>;

/** Directories, what comes from them, and rights that follow from it. */
export function addDirectoryRoutes(service: FastifyInstance, context: RealmContext): void {
  addDirectorySettings(service, context);
  addSyncRoutes(service, context);
  addDirectoryGroups(service, context);
  addMigrationRoute(service, context);
  addRightsRoutes(service, context);
}

function addDirectorySettings(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.get<{ Querystring: CursorQuery }>(
    '/v1/directories',
    operation(
      'directories.list',
      'Directories in the order of their names, a page of them',
      Type.Array(DirectoryView),
      {
        querystring: CursorQuery,
      },
    ),
    async ({ query }) => {
      return viewDirectories(access, pageOf(query));
    },
  );
  service.get<{ Params: NameParam }>(
    '/v1/directories/:name',
    operation('directories.get', 'A directory and how it is', DirectoryView, { params: NameParam }),
    async ({ params }) => viewDirectory(access, params.name),
  );
  service.put<{ Params: NameParam; Body: DirectoryInput }>(
    '/v1/directories/:name',
    changing('directories.put', 'Create or change a directory', DirectoryView, {
      params: NameParam,
      body: DirectoryInput,
    }),
    async (request) => {
      const { name } = request.params;
      const by = actorOf(request);
      const row = await putDirectory(access, name, request.body, by);
      if (row.stage === 'active') await placeAccounts(access, name, by);
      // Settings that only the connector can read are refused here.
      if (row.kind === 'ldap') context.connectors.ldap(row);
      if (row.kind === 'oidc') await prepareProvider(context, row);
      await whenChanged(context);
      return viewDirectory(access, name);
    },
  );
  service.delete<{ Params: NameParam }>(
    '/v1/directories/:name',
    changing('directories.remove', 'Remove a directory to which no user belongs any more', Done, {
      params: NameParam,
    }),
    async (request) => {
      await removeDirectory(access, request.params.name, actorOf(request));
      return { done: true };
    },
  );
}

function addSyncRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access, connectors, syncs } = context;
  service.post<{ Params: NameParam }>(
    '/v1/directories/:name/test',
    changing('directories.test', 'Try everything that a directory relies on', Type.Array(FindingView), {
      params: NameParam,
    }),
    async (request) => {
      const by = actorOf(request);
      const { name } = request.params;
      const row = await getDirectory(access, name);
      await auditOrder(access, { ...by, action: 'directory.test', subject: name });
      if (row.kind === 'scim') return [scimFinding(context.directoryUrl)];
      if (row.kind === 'ldap') return connectors.ldap(row).test();
      await prepareProvider(context, row);
      return connectors.oidc(row).test();
    },
  );
  service.post<{ Params: NameParam; Body: SyncInput }>(
    '/v1/directories/:name/sync',
    changing('directories.sync', 'Start a sync now; the directory tells how it goes', Done, {
      params: NameParam,
      body: SyncInput,
    }),
    async (request) => {
      const by = actorOf(request);
      const { name } = request.params;
      const row = await getDirectory(access, name);
      if (row.kind !== 'ldap') throw new ProblemError('ERR_SECURITY_NO_SYNC', `${name} brings its accounts by itself`);
      const { mode = 'as due', confirm } = request.body;
      const subject = confirm === undefined ? `${name}, ${mode}` : `${name}, removals of question ${confirm} are meant`;
      await auditOrder(access, { ...by, action: 'directory.sync', subject });
      return { done: await syncs.begin(row, request.body) };
    },
  );
  service.post<{ Params: NameParam; Body: DirectoryTokenInput }>(
    '/v1/directories/:name/tokens',
    changing('directories.token', 'Issue a bearer token for a SCIM client', DirectoryTokenView, {
      params: NameParam,
      body: DirectoryTokenInput,
    }),
    async (request) => {
      const { ttlMs, endOthers = false } = request.body;
      const { name } = request.params;
      const issued = await issueDirectoryToken(access, name, { ttlMs, endOthers }, actorOf(request));
      return { ...issued, url: `${context.directoryUrl ?? ''}/scim/v2` };
    },
  );
}

/** What an operator of a SCIM client must know. */
function scimFinding(url: string | undefined): FindingView {
  const check = 'the listener for SCIM clients';
  return url === undefined
    ? { check, ok: false, words: 'this node has none: set SALLYPORT_DIRECTORY_LISTEN' }
    : { check, ok: true, words: `give the client ${url}/scim/v2 and a token of "sallyport directory token"` };
}

function addDirectoryGroups(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.get<{ Params: NameParam; Querystring: SubjectQuery }>(
    '/v1/directories/:name/groups',
    operation(
      'directories.groups',
      'Groups of a directory and what they stand for, in the order of their ids there, a page of them',
      Type.Array(DirectoryGroupView),
      { params: NameParam, querystring: SubjectQuery },
    ),
    async ({ params, query }) => viewSourceGroups(access, params.name, pageOf(query)),
  );
  service.put<{ Params: NameParam; Body: GroupMapInput }>(
    '/v1/directories/:name/groups',
    changing('directories.map', 'Let a group of a directory stand for a group of the realm', Done, {
      params: NameParam,
      body: GroupMapInput,
    }),
    async (request) => {
      const { subject, group: groupName } = request.body;
      await mapDirectoryGroup(access, { directory: request.params.name, subject, groupName }, actorOf(request));
      await whenChanged(context);
      return { done: true };
    },
  );
}

function addMigrationRoute(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.post<{ Body: MigrationInput }>(
    '/v1/migrations',
    changing('directories.migrate', 'Move users to another directory, or say what that would do', MigrationView, {
      body: MigrationInput,
    }),
    async (request) => {
      const { apply, acceptRights = false, match, from, to } = request.body;
      const mapping = { from, to, match: [match[0], match[1]] as const };
      const plan = apply
        ? await applyMigration(access, mapping, { acceptRights }, actorOf(request))
        : await planMigration(access, mapping);
      if (apply) await whenChanged(context);
      return { applied: apply, ...plan };
    },
  );
}

function addRightsRoutes(service: FastifyInstance, context: RealmContext): void {
  const { access } = context;
  service.get<{ Params: NameParam }>(
    '/v1/users/:name/rights',
    operation('users.rights', 'Why a user may, or may not, reach each resource', RightsView, { params: NameParam }),
    async ({ params }) => {
      const { user, groups, resources } = await explainRights(access, params.name);
      return { user: user.name, enabled: user.enabled, directory: user.directory, groups, resources };
    },
  );
  service.post<{ Params: NameParam; Querystring: FactorQuery }>(
    '/v1/users/:name/second-factor',
    changing('factors.issue', 'Give a user a new second factor; it is shown once, sessions end', FactorView, {
      params: NameParam,
      querystring: FactorQuery,
    }),
    async (request) => {
      const { name } = request.params;
      const how = { keepSessions: request.query.keepSessions === 'true' };
      const { secret, index } = await issueFactor(access, name, how, actorOf(request));
      await whenInForce(context, index);
      return { user: name, ...totpUri(access.store.realm, name, secret) };
    },
  );
  service.delete<{ Params: NameParam; Querystring: FactorQuery }>(
    '/v1/users/:name/second-factor',
    changing('factors.remove', "Take a user's second factor away; sessions end", Done, {
      params: NameParam,
      querystring: FactorQuery,
    }),
    async (request) => {
      const how = { keepSessions: request.query.keepSessions === 'true' };
      const { removed, index } = await removeFactor(access, request.params.name, how, actorOf(request));
      await whenInForce(context, index);
      return { done: removed };
    },
  );
}
