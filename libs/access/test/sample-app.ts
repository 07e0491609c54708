import type { AppRow, RealmStore } from '../src/index.ts';

/** An app that every user may be, on any system, whoever signed it. */
export function sampleApp(id: string, own: Partial<AppRow> = {}): AppRow {
  return {
    id,
    title: id,
    platforms: [],
    signers: [],
    groups: null,
    owners: [],
    minimum: null,
    channels: null,
    blocked: null,
    blockedBelow: null,
    removedAt: null,
    ...own,
  };
}

/** Registers an app for everybody, without an audit event or an entry of the log. */
export function registerSample(store: RealmStore, id: string): Promise<void> {
  return store.transaction(({ tables }) => tables.apps.insert(sampleApp(id)));
}
