import {
  type AccessContext,
  applyMigration,
  auditOrder,
  getDirectory,
  issueDirectoryToken,
  mapDirectoryGroup,
  placeAccounts,
  planMigration,
  putDirectory,
  removeDirectory,
  viewDirectories,
  viewDirectory,
  viewSourceGroups,
} from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { FindingView } from '@sallyport/security-api';
import { directories } from '@sallyport/security-api/admin';
import type { FastifyInstance } from 'fastify';
import type { Connectors } from '../directories/connectors.ts';
import { prepareProvider } from '../directories/providers.ts';
import type { DirectorySyncs } from '../directories/syncs.ts';
import type { InForce } from '../revocation/in-force.ts';
import { pageOf } from './paging.ts';
import { serve } from './serve.ts';

/** What operations on directories work with. */
export interface DirectoryRoutes {
  readonly access: AccessContext;
  readonly inForce: InForce;
  readonly connectors: Connectors;
  readonly syncs: Pick<DirectorySyncs, 'begin'>;
  /** Where SCIM clients reach this node; undefined when they do not. */
  readonly directoryUrl: string | undefined;
}

/** Directories, and what comes from them. */
export function addDirectoryRoutes(service: FastifyInstance, routes: DirectoryRoutes): void {
  addSettings(service, routes);
  addSyncs(service, routes);
  addTokens(service, routes);
  addSourceGroups(service, routes);
  addMigrations(service, routes);
}

function addSettings(service: FastifyInstance, routes: DirectoryRoutes): void {
  const { access, inForce, connectors } = routes;
  serve(service, directories.list, async ({ query }) => viewDirectories(access, pageOf(query)));
  serve(service, directories.get, async ({ params: { name } }) => viewDirectory(access, name));
  serve(service, directories.put, async ({ params: { name }, body, by }) => {
    const row = await putDirectory(access, name, body, by);
    if (row.stage === 'active') await placeAccounts(access, name, by);
    // Settings that only the connector can read are refused here.
    if (row.kind === 'ldap') connectors.ldap(row);
    if (row.kind === 'oidc') await prepareProvider(routes, row);
    await inForce.ensureAll();
    return viewDirectory(access, name);
  });
  serve(service, directories.remove, async ({ params: { name }, by }) => {
    await removeDirectory(access, name, by);
    return { done: true };
  });
}

function addSyncs(service: FastifyInstance, routes: DirectoryRoutes): void {
  const { access, connectors, syncs, directoryUrl } = routes;
  serve(service, directories.test, async ({ params: { name }, by }) => {
    const row = await getDirectory(access, name);
    await auditOrder(access, { ...by, action: 'directory.test', subject: name });
    if (row.kind === 'scim') return [scimFinding(directoryUrl)];
    if (row.kind === 'ldap') return connectors.ldap(row).test();
    await prepareProvider(routes, row);
    return connectors.oidc(row).test();
  });
  serve(service, directories.sync, async ({ params: { name }, body, by }) => {
    const row = await getDirectory(access, name);
    if (row.kind !== 'ldap') throw new ProblemError('ERR_SECURITY_NO_SYNC', `${name} brings its accounts by itself`);
    const { mode = 'as due', confirm } = body;
    const subject = confirm === undefined ? `${name}, ${mode}` : `${name}, removals of question ${confirm} are meant`;
    await auditOrder(access, { ...by, action: 'directory.sync', subject });
    return { done: await syncs.begin(row, body) };
  });
}

/** What an operator of a SCIM client must know. */
function scimFinding(url: string | undefined): FindingView {
  const check = 'the listener for SCIM clients';
  return url === undefined
    ? { check, ok: false, words: 'this node has none: set SALLYPORT_DIRECTORY_LISTEN' }
    : { check, ok: true, words: `give the client ${url}/scim/v2 and a token of "sallyport directory token"` };
}

function addTokens(service: FastifyInstance, { access, directoryUrl }: DirectoryRoutes): void {
  serve(service, directories.token, async ({ params: { name }, body: { ttlMs, endOthers = false }, by }) => {
    const issued = await issueDirectoryToken(access, name, { ttlMs, endOthers }, by);
    return { ...issued, url: `${directoryUrl ?? ''}/scim/v2` };
  });
}

function addSourceGroups(service: FastifyInstance, { access, inForce }: DirectoryRoutes): void {
  serve(service, directories.groups, async ({ params: { name }, query }) =>
    viewSourceGroups(access, name, pageOf(query)),
  );
  serve(service, directories.map, async ({ params: { name }, body: { subject, group }, by }) => {
    await mapDirectoryGroup(access, { directory: name, subject, groupName: group }, by);
    await inForce.ensureAll();
    return { done: true };
  });
}

function addMigrations(service: FastifyInstance, { access, inForce }: DirectoryRoutes): void {
  serve(service, directories.migrate, async ({ body: { apply, acceptRights = false, match, from, to }, by }) => {
    const mapping = { from, to, match: [match[0], match[1]] as const };
    if (!apply) return { applied: false, ...(await planMigration(access, mapping)) };
    const plan = await applyMigration(access, mapping, { acceptRights }, by);
    await inForce.ensureAll();
    return { applied: true, ...plan };
  });
}
