import type { ContextRule } from '@sallyport/security-api';
import type { Json, Shapes } from '../store/shape.ts';

/** What is protected, and the backend behind it. */
export interface ResourceRow {
  readonly name: string;
  readonly kind: 'http' | 'tcp';
  readonly authority: string;
  readonly title: string;
  readonly backend: Json;
}

/** A rule as a policy row holds it. */
export interface StoredRule {
  readonly context: ContextRule;
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}

/** Which groups may reach which resources, and under what rule. */
export interface PolicyRow {
  readonly name: string;
  readonly groups: Json;
  readonly resources: Json;
  readonly rule: Json;
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
    columns: { name: 'text', kind: 'text', authority: 'text', title: 'text', backend: 'json', rowMac: 'bytes' },
  },
  policies: {
    key: ['name'],
    sealed: ['name', 'groups', 'resources', 'rule'],
    columns: { name: 'text', groups: 'json', resources: 'json', rule: 'json', rowMac: 'bytes' },
  },
};
