import { isOwnField, speaksForProxy } from '@sallyport/channel';
import type { AccessRule, Backend, PolicyInput, ResourceGrant, ResourceInput } from '@sallyport/security-api';
import { change } from './change.ts';
import type { AccessContext, Actor } from './context.ts';
import { AccessError } from './errors.ts';
import { getRealm } from './realm.ts';
import type { Transaction } from './store.ts';
import type { Json, PolicyRow, ResourceRow, SiteRow, StoredRule } from './tables.ts';

/** Resources, policies and sites of a realm at one moment. */
export interface PolicySet {
  readonly resources: readonly ResourceRow[];
  readonly policies: readonly PolicyRow[];
  readonly sites: readonly SiteRow[];
}

/** Reads all resources, policies and sites. */
export async function readPolicySet({ tables }: Transaction): Promise<PolicySet> {
  return {
    resources: await tables.resources.list(),
    policies: await tables.policies.list(),
    sites: await tables.sites.list(),
  };
}

/**
 * What a site serves: the resources it names, all when it names none. A site that does not exist serves nothing.
 */
export function servedAt(set: PolicySet, site: string, resources: readonly ResourceGrant[]): ResourceGrant[] {
  const row = set.sites.find(({ name }) => name === site);
  if (!row) return [];
  const names = row.resources as readonly string[];
  return names.length === 0 ? [...resources] : resources.filter(({ name }) => names.includes(name));
}

/** What a member of the groups may reach, each resource with every rule that opens it. Deny is the default. */
export function grantedResources(set: PolicySet, groups: readonly string[]): ResourceGrant[] {
  const applicable = set.policies.filter((policy) =>
    (policy.groups as string[]).some((group) => groups.includes(group)),
  );
  return set.resources.flatMap((resource) => {
    const opening = applicable.filter((policy) => (policy.resources as string[]).includes(resource.name));
    if (opening.length === 0) return [];
    const { name, kind, authority } = resource;
    // What a backend wants delegated is between Security and the provider.
    const { delegate: _, ...backend } = resource.backend as unknown as Backend;
    return [{ name, kind, authority, backend, rules: opening.map(ruleOf) }];
  });
}

function ruleOf(policy: PolicyRow): AccessRule {
  const { context, methods, paths } = policy.rule as unknown as StoredRule;
  return {
    policy: policy.name,
    context,
    ...(methods ? { methods: [...methods] } : {}),
    ...(paths ? { paths: [...paths] } : {}),
  };
}

/** Runs a change of rights: version, log entry for open channels and audit event in one transaction. */
async function changeRights(
  access: AccessContext,
  of: { readonly action: string; readonly subject: string; readonly by: Actor },
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  const { action, subject, by } = of;
  await change(access, by, async (begun) => {
    await work(begun);
    const { policyVersion } = await getRealm(begun);
    await begun.tables.realms.update({ where: { id: 'realm' } }, { policyVersion: policyVersion + 1 });
    await begun.rereadRights('*');
    begun.audit(action, subject);
  });
}

/** Creates or replaces a resource. @throws StoreError ERR_STORE_CONFLICT when another one has the authority. */
export async function putResource(
  access: AccessContext,
  name: string,
  input: ResourceInput,
  by: Actor,
): Promise<ResourceRow> {
  const row: ResourceRow = {
    name,
    kind: input.kind,
    authority: input.authority,
    title: input.title ?? name,
    backend: input.backend as unknown as Json,
  };
  if (!URL.canParse(input.backend.url))
    throw new AccessError('ERR_ACCESS_INVALID', 'the URL of the backend is not valid');
  for (const network of input.backend.networks) checkNetwork(network);
  for (const field of input.backend.passFields ?? []) checkPassField(field);
  const matching = input.backend.url.startsWith('tcp:') === (input.kind === 'tcp');
  if (!matching)
    throw new AccessError('ERR_ACCESS_INVALID', 'a tcp resource has a tcp:// backend, an http one http(s)://');
  await changeRights(access, { action: 'resource.put', subject: name, by }, async ({ tables }) => {
    const { name: _, ...columns } = row;
    if ((await tables.resources.update({ where: { name } }, columns)) === 0) await tables.resources.insert(row);
  });
  return row;
}

/** @throws AccessError ERR_ACCESS_INVALID for a field that no setting lets pass, or that passes without one. */
function checkPassField(name: string): void {
  if (isOwnField(name) || name.startsWith('proxy-'))
    throw new AccessError('ERR_ACCESS_INVALID', `only the gateway itself sets ${name}`);
  if (!speaksForProxy(name)) throw new AccessError('ERR_ACCESS_INVALID', `${name} passes without a setting`);
}

/** @throws AccessError ERR_ACCESS_INVALID for what is not an address with a prefix length. */
function checkNetwork(network: string): void {
  const [address = '', bits = '', ...rest] = network.split('/');
  const host = address.includes(':') ? `[${address}]` : address;
  const v4 = /^\d{1,3}(\.\d{1,3}){3}$/.test(address);
  const fits = /^\d{1,3}$/.test(bits) && Number(bits) <= (v4 ? 32 : 128) && rest.length === 0;
  if (!fits || (!v4 && !address.includes(':')) || !URL.canParse(`http://${host}/`)) {
    throw new AccessError('ERR_ACCESS_INVALID', 'a network is written as address/bits, for instance 10.0.0.0/8');
  }
}

/** Creates or replaces a policy. @throws AccessError ERR_ACCESS_NOT_FOUND for an unknown group or resource. */
export async function putPolicy(
  access: AccessContext,
  name: string,
  input: PolicyInput,
  by: Actor,
): Promise<PolicyRow> {
  const { groups, resources, ...rule } = input;
  const row: PolicyRow = { name, groups, resources, rule: rule as unknown as Json };
  await changeRights(access, { action: 'policy.put', subject: name, by }, async ({ tables }) => {
    for (const group of groups) {
      if (!(await tables.groups.find({ name: group })))
        throw new AccessError('ERR_ACCESS_NOT_FOUND', `no group ${group}`);
    }
    for (const resource of resources) {
      const found = await tables.resources.find({ name: resource });
      if (!found) throw new AccessError('ERR_ACCESS_NOT_FOUND', `no resource ${resource}`);
    }
    const { name: _, ...columns } = row;
    if ((await tables.policies.update({ where: { name } }, columns)) === 0) await tables.policies.insert(row);
  });
  return row;
}

/** Removes a resource or a policy; false when there was none. */
export async function removeRight(
  access: AccessContext,
  table: 'resources' | 'policies',
  name: string,
  by: Actor,
): Promise<boolean> {
  let removed = 0;
  const action = table === 'resources' ? 'resource.remove' : 'policy.remove';
  await changeRights(access, { action, subject: name, by }, async ({ tables }) => {
    removed = await tables[table].remove({ where: { name } });
  });
  return removed > 0;
}
