import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { UPDATE_AUTHORITY } from '@sallyport/channel';
import {
  apps,
  type BodyOf,
  codes,
  groups,
  operators,
  policies,
  proxies,
  realm,
  resources,
  sites,
  status,
  users,
} from '@sallyport/security-api/admin';
import type { AdminClient, AdminError } from '@sallyport/security-client/admin';
import { readJsonFile } from '@sallyport/settings';
import { adminOf } from '../admin.ts';
import { CliError } from '../output.ts';
import { type OperatorProfile, storePrivate } from '../profile.ts';
import { keepCredential } from '../program.ts';

/** What the quick start needs to know of its own set-up. */
export interface QuickStart {
  readonly user: string;
  readonly password: string;
}

const REASON = { reason: 'quick start on one machine' } as const;
const USER = 'ada';
const SITE = 'here';
export const INTRANET_AUTHORITY = 'intranet.example';

/** The operator of this machine: made from the one-time token of the first start. */
export async function ensureOperator(
  file: string,
  security: { readonly adminUrl: string; readonly ca: string; readonly oneTimeToken?: string },
): Promise<AdminClient> {
  const { adminUrl: url, ca, oneTimeToken } = security;
  if (oneTimeToken) {
    const admin = adminOf({ url, ca, token: '' });
    const body = { token: oneTimeToken, name: 'owner' };
    const { name, token, expiresAt } = await admin.call(operators.login, { body });
    await admin.close();
    storePrivate(file, { url, ca, name, token, expiresAt });
  }
  if (!existsSync(file))
    throw new CliError(
      'this gateway has an operator, but not this machine',
      `put the operator.json that you kept back as ${file}; after a restore, the same without --keep-operators lets this machine be the operator`,
    );
  const profile = readJsonFile(file) as OperatorProfile;
  storePrivate(file, { ...profile, url, ca });
  const admin = adminOf({ ...profile, url, ca });
  await keepCredential(admin, { ...profile, url, ca }, file);
  return admin;
}

/** Methods of the sample intranet: those of pages, and of its WebDAV folder (RFC 4918). */
const PAGE_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const FOLDER_METHODS = ['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK'];
const INTRANET_METHODS = [...PAGE_METHODS, ...FOLDER_METHODS];

/** Where the parts of this machine are; other ports at a later start change them. */
export interface QuickStartUrls {
  /** Of each Security node, where Proxies of every site connect. */
  readonly security: readonly string[];
  readonly intranet: string;
  readonly phone: string;
  readonly proxy: string;
}

/**
 * Fills a new realm: a user with a random password, the sample intranet, and a policy that opens it. A later start
 * leaves everything as the operator made it, and only follows other ports.
 */
export async function seed(admin: AdminClient, file: string, urls: QuickStartUrls): Promise<QuickStart> {
  const known = existsSync(file) ? (readJsonFile(file) as QuickStart & { urls: QuickStartUrls }) : undefined;
  if (known && JSON.stringify(known.urls) === JSON.stringify(urls)) return known;
  const quickStart = known ?? { user: USER, password: randomBytes(9).toString('base64url') };
  await placeParts(admin, urls);
  if (!known) await createUser(admin, quickStart);
  storePrivate(file, { ...quickStart, urls });
  return quickStart;
}

async function placeParts(admin: AdminClient, urls: QuickStartUrls): Promise<void> {
  await admin.call(realm.change, { body: { enrolPage: `${urls.phone}/enroll` }, ...REASON });
  await admin.call(sites.put, { params: { name: SITE }, body: { origins: [urls.proxy] }, ...REASON });
  // Node reads all content, and files of the WebDAV folder may be called anything.
  const backend = { url: urls.intranet, networks: ['127.0.0.0/8'], readsContent: true, paths: 'exact' } as const;
  const intranet = { kind: 'http', authority: INTRANET_AUTHORITY, backend, title: 'Sample intranet' } as const;
  await admin.call(resources.put, { params: { name: 'intranet' }, body: intranet, ...REASON });
  await admin.call(resources.put, { params: { name: 'updates' }, body: updatesOf(urls), ...REASON });
}

/** Updates of apps, which Security itself answers. */
function updatesOf({ security: [url = '', ...others] }: QuickStartUrls): BodyOf<typeof resources.put> {
  const servers = others.length > 0 ? { servers: others.map((other) => ({ url: other })) } : {};
  const backend = { url, ...servers, prefix: '/updates', networks: ['127.0.0.0/8'] };
  return { kind: 'http', authority: UPDATE_AUTHORITY, title: 'Updates of apps', backend };
}

/** The apps that this machine plays: its phone page, and its command line. */
const OWN_APPS = [
  ['sallyport.phone', 'The phone page'],
  ['sallyport.cli', 'sallyport device'],
] as const;

async function createUser(admin: AdminClient, { user, password }: QuickStart): Promise<void> {
  await admin.call(realm.change, { body: { openBurst: 1_000, openRate: 500 }, ...REASON });
  for (const [id, title] of OWN_APPS)
    await admin.call(apps.put, { params: { id }, body: { title, groups: null }, ...REASON });
  await admin.call(groups.put, { params: { name: 'staff' }, ...REASON });
  const policy = { groups: ['staff'], resources: ['intranet'], context: {}, methods: INTRANET_METHODS };
  await admin.call(policies.put, { params: { name: 'staff-intranet' }, body: policy, ...REASON });
  const updates = { groups: ['staff'], resources: ['updates'], context: {}, methods: ['GET', 'PUT'] };
  await admin.call(policies.put, { params: { name: 'staff-updates' }, body: updates, ...REASON });
  const body = { displayName: 'Ada', password, groups: ['staff'] };
  await admin.call(users.put, { params: { name: user }, body, ...REASON });
}

/** Where the Proxies of a second site are, and its sample intranet: for its own Proxies, and for those of the main site. */
export interface BranchUrls {
  readonly origins: readonly string[];
  readonly intranet: string;
  readonly across: string;
}

export const BRANCH = 'branch';
const [BRANCH_AUTHORITY, ACROSS_AUTHORITY] = ['branch.example', 'branch-by-main.example'];
/** Names of the branch's intranet at the gateway. */
export const BRANCH_AUTHORITIES: readonly string[] = [BRANCH_AUTHORITY, ACROSS_AUTHORITY];

/**
 * Makes the second site, whose intranet the same people may reach: through its own Proxies, and, as with one entry for all sites, through
 * those of the main site. Updates of apps come by both. Like `seed` a later start only follows other ports.
 */
export async function seedBranch(admin: AdminClient, file: string, urls: BranchUrls): Promise<void> {
  const known = existsSync(file) ? (readJsonFile(file) as BranchUrls) : undefined;
  if (JSON.stringify(known) === JSON.stringify(urls)) return;
  await admin.call(sites.put, { params: { name: BRANCH }, body: { origins: [...urls.origins] }, ...REASON });
  for (const [name, title, authority, url, site] of [
    ['branch-intranet', 'Branch intranet', BRANCH_AUTHORITY, urls.intranet, BRANCH],
    ['branch-by-main', 'Branch intranet, through the main site', ACROSS_AUTHORITY, urls.across, SITE],
  ] as const) {
    const backend = { url, networks: ['127.0.0.0/8'], readsContent: true, paths: 'exact' } as const;
    const body = { kind: 'http' as const, authority, backend, title, sites: [site] };
    await admin.call(resources.put, { params: { name }, body, ...REASON });
  }
  const more = { addResources: ['branch-intranet', 'branch-by-main'] };
  await admin.call(policies.change, { params: { name: 'staff-intranet' }, body: more, ...REASON });
  // Security is reached from both sites; where an operator has put its updates since stays so.
  if (!known) await admin.call(resources.change, { params: { name: 'updates' }, body: { sites: null }, ...REASON });
  storePrivate(file, urls);
}

/** A join token for a Proxy of this machine that has no identity: one of that name from before has lost its own. */
export async function inviteProxy(admin: AdminClient, name: string, site: string = SITE): Promise<string> {
  const body = { name, site, replace: true };
  return (await admin.call(proxies.invite, { body, ...REASON })).token;
}

/** A fresh enrolment link for the quick start's user; undefined while they are out, or removed: the gateway runs all the same. */
export async function freshLink(admin: AdminClient): Promise<string | undefined> {
  try {
    return (await admin.call(codes.issue, { body: { user: USER }, ...REASON })).link;
  } catch (error) {
    if ((error as AdminError).code === 'ERR_ACCESS_NOT_FOUND') return undefined;
    throw error;
  }
}

/** How many installations and live sessions there are already. */
export async function countKept(admin: AdminClient): Promise<{ installations: number; sessions: number }> {
  const { installations, liveSessions } = await admin.call(status.get);
  return { installations, sessions: liveSessions };
}
