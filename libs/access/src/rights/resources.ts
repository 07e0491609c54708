import type { ResourceChange, ResourceInput, ResourcesInput, ResourcesPlan } from '@sallyport/security-api';
import type { SiteRow } from '../farm/rows.ts';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext, Actor } from '../realm/context.ts';
import { bumpPolicyVersion, getRealm } from '../realm/realm.ts';
import { AccessError } from '../store/errors.ts';
import { missing } from '../store/missing.ts';
import type { ListPage } from '../store/pages.ts';
import type { Transaction } from '../store/store.ts';
import { shownBackend, storedBackend } from './backend-secrets.ts';
import { storedSites } from './places.ts';
import { changeRights, leave, type PutOptions } from './policies.ts';
import { canonicalResource } from './resource-rules.ts';
import type { ResourceRow } from './rows.ts';

/** A resource by its name. */
export function findResource({ store }: AccessContext, name: string): Promise<ResourceRow | undefined> {
  return store.transaction(({ tables }) => tables.resources.find({ name }));
}

/** A page of resources by name; `after` is the last name of the page before. */
export function listResources({ store }: AccessContext, { after, limit }: ListPage): Promise<readonly ResourceRow[]> {
  return store.transaction(({ tables }) => tables.resources.list({ above: ['name', after], limit }));
}

/**
 * Creates or replaces a resource; a secret that is not given stays as it is.
 * @throws AccessError ERR_ACCESS_CONFLICT when another one has the authority, or `onlyNew` one has the name; ERR_ACCESS_INVALID
 */
export async function putResource(
  access: AccessContext,
  name: string,
  input: ResourceInput,
  by: Actor,
  options: PutOptions = {},
): Promise<ResourceRow> {
  let row: ResourceRow | undefined;
  await changeRights(access, { action: 'resource.put', subject: name, by }, async (transaction) => {
    const { tables } = transaction;
    const there = await tables.resources.find({ name }, 'update');
    if (there && options.onlyNew) throw new AccessError('ERR_ACCESS_CONFLICT', `there is a resource ${name} already`);
    row = resourceRow(access, { name, input, before: there, at: transaction.now(), sites: await tables.sites.list() });
    await refuseTaken(tables, row);
    const { name: _, ...columns } = row;
    if (there) await tables.resources.update({ where: { name } }, columns);
    else await tables.resources.insert(row);
  });
  return row!;
}

/**
 * Changes what is named of a resource; null takes an optional setting of its backend away (RFC 7396).
 * @throws AccessError ERR_ACCESS_NOT_FOUND, and like `putResource`
 */
export async function changeResource(
  access: AccessContext,
  name: string,
  changed: ResourceChange,
  by: Actor,
): Promise<ResourceRow> {
  let row: ResourceRow | undefined;
  await changeRights(access, { action: 'resource.change', subject: name, by }, async (transaction) => {
    const { tables } = transaction;
    const before = await tables.resources.find({ name }, 'update');
    if (!before) throw missing('resource', name);
    const { backend = {}, ...rest } = changed;
    const { kind, authority, title } = before;
    const merged = mergePatch(shownBackend(before.backend), backend) as ResourceInput['backend'];
    const input = { kind, authority, title, ...rest, backend: merged };
    row = resourceRow(access, { name, input, before, at: transaction.now(), sites: await tables.sites.list() });
    await refuseTaken(tables, row);
    const { name: _, ...columns } = row;
    await tables.resources.update({ where: { name } }, columns);
  });
  return row!;
}

/** What RFC 7396, section 2 makes of an object; without settings that have nothing left in them. */
function mergePatch(before: object, patch: object): object {
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(patch)) {
    if (isObject(value)) merged[name] = mergePatch(isObject(merged[name]) ? merged[name] : {}, value);
    else merged[name] = value;
    const nothing = value === null || (isObject(merged[name]) && Object.keys(merged[name]).length === 0);
    if (nothing) delete merged[name];
  }
  return merged;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function refuseTaken({ resources }: Transaction['tables'], { name, authority }: ResourceRow): Promise<void> {
  const taken = (await resources.list({ where: { authority } })).find((other) => other.name !== name);
  if (taken) throw new AccessError('ERR_ACCESS_CONFLICT', `the resource ${taken.name} has the authority ${authority}`);
}

/** A resource as it is wanted, and what it is held against. */
interface WantedResource {
  readonly name: string;
  readonly input: ResourceInput;
  readonly before: ResourceRow | undefined;
  readonly sites: readonly SiteRow[];
  /** Now, epoch ms. */
  readonly at: number;
}

function resourceRow(access: AccessContext, of: WantedResource): ResourceRow {
  const { name, before, input, at } = of;
  const { kind, authority, title, backend } = canonicalResource(name, of.input);
  const stored = storedBackend(access, { name, authority, backend, before, at });
  const sites = storedSites(name, input.sites, of);
  const region = input.region === undefined ? (before?.region ?? null) : input.region;
  return { name, kind, authority, title: title ?? name, backend: stored, sites, region };
}

/** What is to be done with one resource. */
type Step = ResourcesPlan['changes'][number] & { readonly row?: ResourceRow };

/**
 * Makes resources what a file says, all of it or nothing, or says only what would change. A secret that is not given stays as
 * it is; what is the same already is not touched.
 * @throws AccessError ERR_ACCESS_CONFLICT when two have one authority, or rights have changed since the plan; ERR_ACCESS_INVALID
 */
export async function applyResources(access: AccessContext, input: ResourcesInput, by: Actor): Promise<ResourcesPlan> {
  if (input.dryRun) return planResources(access, input);
  return change(access, by, async (begun) => {
    const basis = await basisOf(begun);
    if (input.basis !== undefined && input.basis !== basis)
      throw new AccessError('ERR_ACCESS_CONFLICT', 'rights have changed since the plan was made: look at a new one');
    const steps = await stepsOf(access, begun, input);
    const changing = steps.filter(({ what }) => what !== 'same');
    if (changing.length === 0) begun.unchanged();
    else await take(begun, changing);
    return planOf(steps, await basisOf(begun));
  });
}

function planResources(access: AccessContext, input: ResourcesInput): Promise<ResourcesPlan> {
  return access.store.transaction(async (transaction) => {
    const basis = await basisOf(transaction);
    return planOf(await stepsOf(access, transaction, input), basis);
  });
}

/** Moments at which the same change does the same. */
async function basisOf(transaction: Transaction): Promise<string> {
  const { epoch, policyVersion } = await getRealm(transaction);
  return `${epoch}.${transaction.serverRun}.${policyVersion}`;
}

function planOf(steps: readonly Step[], basis: string): ResourcesPlan {
  return { changes: steps.map(({ row: _, ...one }) => one), basis };
}

async function stepsOf(access: AccessContext, transaction: Transaction, input: ResourcesInput): Promise<Step[]> {
  const { tables } = transaction;
  const there = new Map((await tables.resources.list()).map((row) => [row.name, row]));
  const sites = await tables.sites.list();
  const named = new Map(input.resources.map(({ name, ...one }) => [name, one]));
  if (named.size < input.resources.length) throw new AccessError('ERR_ACCESS_INVALID', 'a resource is named twice');
  const at = transaction.now();
  const steps = [...named].map(([name, one]) =>
    stepOf(access, { name, input: one, before: there.get(name), sites, at }),
  );
  const left = [...there.keys()].filter((name) => !named.has(name));
  if (input.prune) steps.push(...left.map((name): Step => ({ name, what: 'remove', settings: [] })));
  const stay = input.prune ? [] : left.map((name) => there.get(name)!);
  refuseTwice([...stay, ...steps.flatMap(({ row }) => row ?? [])]);
  return steps;
}

function refuseTwice(rows: readonly ResourceRow[]): void {
  const owners = new Map<string, string>();
  for (const { name, authority } of rows) {
    const owner = owners.get(authority);
    if (owner !== undefined)
      throw new AccessError('ERR_ACCESS_CONFLICT', `both ${owner} and ${name} have the authority ${authority}`);
    owners.set(authority, name);
  }
}

function stepOf(access: AccessContext, of: WantedResource): Step {
  const { name, before } = of;
  const row = resourceRow(access, of);
  if (!before) return { name, what: 'add', settings: [], row };
  const settings = differences(before, row);
  return { name, what: settings.length > 0 ? 'change' : 'same', settings, row };
}

/** Names of what is different, `backend.url` for instance; never values. */
function differences(before: ResourceRow, after: ResourceRow): string[] {
  const [old, next] = [flat(before), flat(after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(next)])];
  return names.filter((name) => sorted(old[name]) !== sorted(next[name]));
}

function flat({ kind, authority, title, backend, sites, region }: ResourceRow): Record<string, unknown> {
  const { wrapped = {}, ...settings } = backend;
  const named = [...Object.entries(settings), ...Object.entries(wrapped)];
  return {
    kind,
    authority,
    title,
    sites,
    region,
    ...Object.fromEntries(named.map(([name, value]) => [`backend.${name}`, value])),
  };
}

/** One text for one value, however its keys are ordered. */
function sorted(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

async function take(begun: Change, steps: readonly Step[]): Promise<void> {
  const { tables } = begun;
  for (const { name, what, settings } of steps) {
    if (what === 'remove') await removeOne(tables, name);
    // Authorities are unique at every moment, and may change places.
    if (settings.includes('authority'))
      await tables.resources.update({ where: { name } }, { authority: `moving ${name}` });
  }
  for (const { name, what, row } of steps) {
    if (row && what === 'add') await tables.resources.insert(row);
    if (row && what === 'change') await tables.resources.update({ where: { name } }, columnsOf(row));
    begun.audit(what === 'remove' ? 'resource.remove' : 'resource.put', name);
  }
  await bumpPolicyVersion(begun);
  await begun.rereadRights('*');
}

async function removeOne(tables: Transaction['tables'], name: string): Promise<void> {
  await tables.resources.remove({ where: { name } });
  await leave(tables, name);
}

function columnsOf({ name: _, ...columns }: ResourceRow): Omit<ResourceRow, 'name'> {
  return columns;
}
