import type { ContextRule } from '@sallyport/security-api';
import { missing } from '../store/missing.ts';
import type { Transaction } from '../store/store.ts';

/** @throws AccessError ERR_ACCESS_NOT_FOUND for a rule that names an app which is not registered */
export async function checkApps({ tables }: Transaction, { apps = [] }: ContextRule): Promise<void> {
  for (const { id } of apps) {
    const app = await tables.apps.find({ id }, 'share');
    if (app?.removedAt !== null) throw missing('app', id);
  }
}
