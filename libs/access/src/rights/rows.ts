import type { Backend, ContextRule } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** What the secrets of a backend are called. */
export type SecretName = 'password' | 'clientKey';

/** A backend as it is stored: its secrets are wrapped and bound to resource and purpose, base64url. */
export type StoredBackend = Backend & { readonly wrapped?: Readonly<Partial<Record<SecretName, string>>> };

/** What is protected, and the backend behind it. */
export interface ResourceRow {
  readonly name: string;
  readonly kind: 'http' | 'tcp';
  readonly authority: string;
  readonly title: string;
  readonly backend: StoredBackend;
  /** Its sites by preference, equally good ones with commas between them: `["b", "a,c"]`. Null for every site. */
  readonly sites: readonly string[] | null;
  /** Where its data lies, for rules by place. */
  readonly region: string | null;
}

/** A rule as a policy row holds it. */
export interface StoredRule {
  readonly context: ContextRule;
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}

/** Where a rule holds: a list that is not there demands, or forbids, nothing. */
export interface StoredPlace {
  /** Sites through whose Proxies a resource may be reached. */
  readonly sites?: readonly string[];
  readonly notSites?: readonly string[];
  /** Networks of devices, `address/bits`, as the Proxy sees their addresses. */
  readonly networks?: readonly string[];
  readonly notNetworks?: readonly string[];
  /** Regions of resources. A resource without one satisfies no rule about regions. */
  readonly regions?: readonly string[];
  readonly notRegions?: readonly string[];
  /** Countries of devices, ISO 3166-1, as the Proxy knows them by their addresses. */
  readonly countries?: readonly string[];
  readonly notCountries?: readonly string[];
}

/** Which groups may reach which resources, and under what rule. */
export interface PolicyRow {
  readonly name: string;
  readonly groups: readonly string[];
  readonly resources: readonly string[];
  readonly rule: StoredRule;
  /** Null for everywhere. */
  readonly place: StoredPlace | null;
}

/** Rows of this room by their tables. */
export interface RightsRows {
  readonly resources: ResourceRow;
  readonly policies: PolicyRow;
}

/** Shapes of these tables. */
export const RIGHTS_TABLES: Shapes<RightsRows> = {
  resources: {
    key: ['name'],
    unique: ['authority'],
    sealed: ['name', 'kind', 'authority', 'backend'],
    sealedLater: ['sites', 'region'],
    columns: {
      name: 'text',
      kind: 'text',
      authority: 'text',
      title: 'text',
      backend: 'json',
      sites: 'json',
      region: 'text',
      rowMac: 'bytes',
    },
  },
  policies: {
    key: ['name'],
    sealed: ['name', 'groups', 'resources', 'rule'],
    sealedLater: ['place'],
    columns: { name: 'text', groups: 'json', resources: 'json', rule: 'json', place: 'json', rowMac: 'bytes' },
  },
};
