import type { AppMinimum, AppPlatform } from '@sallyport/security-api';
import type { Shapes } from '../store/shape.ts';

/** An app that devices of the realm may be. One that was removed stays as a row, so that its id never means another app. */
export interface AppRow {
  readonly id: string;
  readonly title: string;
  /** Systems it runs on, each with its lowest version; none: any. */
  readonly platforms: readonly AppPlatform[];
  /** SHA-256 of the certificates that sign it, hex; none: whoever signed it, or nobody. */
  readonly signers: readonly string[];
  /** Groups that may use it; null for everybody. */
  readonly groups: readonly string[] | null;
  /** Whom to ask about it. */
  readonly owners: readonly string[];
  /** The lowest version that is served, and from when on; null for any. */
  readonly minimum: AppMinimum | null;
  /** Epoch ms; null while it is registered. */
  readonly removedAt: number | null;
}

/** Rows of this room by their tables. */
export interface AppRows {
  readonly apps: AppRow;
}

/** Shapes of these tables. */
export const APP_TABLES: Shapes<AppRows> = {
  apps: {
    key: ['id'],
    sealed: ['id', 'platforms', 'signers', 'groups', 'minimum', 'removedAt'],
    columns: {
      id: 'text',
      title: 'text',
      platforms: 'json',
      signers: 'json',
      groups: 'json',
      owners: 'json',
      minimum: 'json',
      removedAt: 'int',
      rowMac: 'bytes',
    },
  },
};
