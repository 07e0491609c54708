import type { AppView, PolicyView, RealmSettings, ResourceView, SiteView } from '@sallyport/security-api';
import { isLoopback } from '@sallyport/settings';
import type { LintFault } from './fault.ts';
import { doubtsOfResource } from './resource-doubts.ts';

/** A realm as operators have set it up. */
export interface RealmSetup {
  readonly settings: RealmSettings;
  readonly sites: readonly Pick<SiteView, 'name' | 'origins' | 'leaseMs'>[];
  readonly apps: readonly Pick<AppView, 'id' | 'groups' | 'signers'>[];
  readonly policies: readonly PolicyView[];
  readonly resources: readonly ResourceView[];
  /** Names of the groups that there are. */
  readonly groups: readonly string[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MAX_LEASE_MS = 60_000;

/** Everything in a realm that is insecure or does nothing. */
export function judgeRealm(setup: RealmSetup): LintFault[] {
  return [
    ...ofSettings(setup.settings),
    ...setup.sites.flatMap(ofSite),
    ...setup.apps.flatMap((app) => ofApp(app, setup)),
    ...setup.policies.flatMap((policy) => ofPolicy(policy, setup)),
    ...setup.resources.flatMap((resource) => ofResource(resource, setup)),
  ];
}

function error(where: string, what: string, change: string): LintFault {
  return { where, severity: 'error', what, change };
}

function question(where: string, what: string, change: string): LintFault {
  return { where, severity: 'warning', what, change };
}

function ofSettings(settings: RealmSettings): LintFault[] {
  const faults: LintFault[] = [];
  const where = 'realm';
  const { production, loginNeedsPassword, sessionTtlMs, codeTtlMs, previousKeyGraceMs, auditKeepMs } = settings;
  if (!production)
    faults.push(
      error(
        where,
        'it is no realm of production: the own word of an app counts as evidence',
        'sallyport realm set production true',
      ),
    );
  if (!loginNeedsPassword && settings.secondFactor !== 'required')
    faults.push(
      question(
        where,
        'whoever has an unlocked device signs in: neither a password nor a second factor is asked for',
        'sallyport realm set loginNeedsPassword true',
      ),
    );
  if (sessionTtlMs > 7 * DAY_MS)
    faults.push(
      question(
        where,
        `a session lives for ${Math.round(sessionTtlMs / DAY_MS)} days`,
        'sallyport realm set sessionTtlMs 86400000',
      ),
    );
  if (codeTtlMs > 7 * DAY_MS)
    faults.push(
      question(
        where,
        `an activation code is good for ${Math.round(codeTtlMs / DAY_MS)} days`,
        'sallyport realm set codeTtlMs 259200000',
      ),
    );
  if (previousKeyGraceMs > HOUR_MS)
    faults.push(
      question(
        where,
        'a shared key that was replaced is good for more than an hour',
        'sallyport realm set previousKeyGraceMs 600000',
      ),
    );
  if (auditKeepMs > 0 && auditKeepMs < 90 * DAY_MS)
    faults.push(
      question(where, 'audit events are kept for less than three months', 'sallyport realm set auditKeepMs 0'),
    );
  return faults;
}

function ofSite({ name, origins, leaseMs }: RealmSetup['sites'][number]): LintFault[] {
  const where = `site ${name}`;
  const plain = origins.filter((origin) => origin.startsWith('ws:') && !isLoopback(hostOf(origin)));
  const faults = plain.map((origin) =>
    error(
      where,
      `devices come to ${origin} without TLS`,
      `sallyport site put ${name} --origin ${origin.replace('ws:', 'wss:')}`,
    ),
  );
  if (leaseMs > MAX_LEASE_MS)
    faults.push(
      error(
        where,
        `a Proxy that is cut off serves who was revoked for ${leaseMs / 1_000} s`,
        `sallyport site put ${name} --origin … --lease 15s`,
      ),
    );
  return faults;
}

function hostOf(origin: string): string {
  return new URL(origin).hostname.replace(/^\[|\]$/g, '');
}

function ofApp({ id, groups, signers }: RealmSetup['apps'][number], { groups: known }: RealmSetup): LintFault[] {
  const where = `app ${id}`;
  const faults = (groups ?? [])
    .filter((group) => !known.includes(group))
    .map((group) => question(where, `nobody is in the group ${group}`, `sallyport app put ${id} without it`));
  if (groups?.length === 0)
    faults.push(error(where, 'no group may use it: it does nothing', `sallyport app remove ${id}`));
  if (groups === null && signers.length === 0)
    faults.push(
      question(where, 'everybody may use it, whoever signed it', `sallyport app put ${id} --signer <sha-256>`),
    );
  return faults;
}

const EVERYWHERE = /^(0\.0\.0\.0|::)\/0$/;

function ofPolicy(policy: PolicyView, { groups, resources, sites }: RealmSetup): LintFault[] {
  const where = `policy ${policy.name}`;
  const names = { resource: resources.map(({ name }) => name), site: sites.map(({ name }) => name) };
  const gone = (kind: keyof typeof names, some: readonly string[]): LintFault[] =>
    some
      .filter((name) => !names[kind].includes(name))
      .map((name) =>
        error(
          where,
          `there is no ${kind} ${name}: it does nothing here`,
          `sallyport policy set ${policy.name} without it`,
        ),
      );
  const faults = [
    ...policy.groups
      .filter((name) => !groups.includes(name))
      .map((name) =>
        question(where, `nobody is in the group ${name}`, `sallyport policy set ${policy.name} --remove-group ${name}`),
      ),
    ...gone('resource', policy.resources),
    ...gone('site', [...(policy.sites ?? []), ...(policy.notSites ?? [])]),
  ];
  if (policy.groups.length === 0 || policy.resources.length === 0)
    faults.push(error(where, 'it opens nothing to anybody', `sallyport policy remove ${policy.name}`));
  const everywhere = (field: 'networks' | 'notNetworks', so: string): LintFault[] =>
    (policy[field] ?? [])
      .filter((network) => EVERYWHERE.test(network))
      .map((network) =>
        error(where, `${network} is everywhere: ${so}`, `sallyport policy set ${policy.name} --unset ${field}`),
      );
  faults.push(...everywhere('networks', 'the rule does nothing'));
  faults.push(...everywhere('notNetworks', 'the policy opens nothing'));
  return faults;
}

function ofResource(resource: ResourceView, { policies, settings }: RealmSetup): LintFault[] {
  const where = `resource ${resource.name}`;
  const named = policies.some(({ resources }) => resources.includes(resource.name));
  const faults = doubtsOfResource(resource).map((what) =>
    error(where, what, `sallyport resource set ${resource.name} …`),
  );
  if (!named)
    faults.push(
      error(
        where,
        'no policy opens it: nobody reaches it',
        `sallyport policy add NAME --group … --resource ${resource.name}`,
      ),
    );
  if (
    settings.production &&
    resource.backend.url.startsWith('http:') &&
    !isLoopback(new URL(resource.backend.url).hostname)
  )
    faults.push(
      question(
        where,
        'the Proxy speaks to it without TLS: whoever listens in the intranet reads along',
        `sallyport resource set ${resource.name} --backend https://…`,
      ),
    );
  return faults;
}
