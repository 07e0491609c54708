import type { RealmRow } from '../realm/rows.ts';
import type { Transaction } from '../store/store.ts';
import { type PolicySet, readPolicySet } from './policies.ts';

type PolicyVersion = Pick<RealmRow, 'epoch' | 'policyVersion' | 'mapVersion'> & Pick<Transaction, 'serverRun'>;

/**
 * Resources, policies and sites, read again only when a version has changed. Versions count within one epoch and one run of the
 * database server: what was restored, or went back, may count to the same number with other contents. Shared by one process.
 */
export class PolicyCache {
  #version: PolicyVersion | undefined;
  #set: PolicySet | undefined;

  async get(
    transaction: Transaction,
    { epoch, policyVersion, mapVersion }: Omit<PolicyVersion, 'serverRun'>,
  ): Promise<PolicySet> {
    const version = { epoch, serverRun: transaction.serverRun, policyVersion, mapVersion };
    if (this.#set && this.#version && isSame(this.#version, version)) return this.#set;
    const set = await readPolicySet(transaction);
    if (!this.#version || isNewer(version, this.#version)) {
      this.#version = version;
      this.#set = set;
    }
    return set;
  }
}

function isSame(a: PolicyVersion, b: PolicyVersion): boolean {
  return isOfOneCount(a, b) && a.policyVersion === b.policyVersion && a.mapVersion === b.mapVersion;
}

function isNewer(a: PolicyVersion, b: PolicyVersion): boolean {
  return !isOfOneCount(a, b) || a.policyVersion > b.policyVersion || a.mapVersion > b.mapVersion;
}

function isOfOneCount(a: PolicyVersion, b: PolicyVersion): boolean {
  return a.epoch === b.epoch && a.serverRun === b.serverRun;
}
