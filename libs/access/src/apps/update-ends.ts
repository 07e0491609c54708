import type { AccessContext } from '../realm/context.ts';
import { newestUpdate } from './update-files.ts';

const DAY_MS = 86_400_000;
/** Somebody is told so long before what persons signed is over, ms: they have to come together for it. */
const WARNS_MS = 30 * DAY_MS;

/** Metadata that persons signed: its version, and when it is over, epoch ms. */
export interface UpdateEnd {
  readonly version: number;
  readonly endsAt: number;
}

/** When metadata ends that nobody but persons can sign anew; null for targets that nobody has signed yet. */
export interface UpdateEnds {
  readonly root: UpdateEnd;
  readonly targets: UpdateEnd | null;
}

/** When root and targets end; undefined for a realm without updates. */
export function updateEnds({ store }: Pick<AccessContext, 'store'>): Promise<UpdateEnds | undefined> {
  return store.transaction(async (transaction) => {
    const root = await newestUpdate(transaction, 'root');
    const targets = await newestUpdate(transaction, 'targets');
    return root && { root: endOf(root), targets: targets ? endOf(targets) : null };
  });
}

function endOf({ signed }: { readonly signed: { readonly version: number; readonly expires: string } }): UpdateEnd {
  return { version: signed.version, endsAt: Date.parse(signed.expires) };
}

/** What to do before devices find no update any more, as long as there is time, and after. `now` in epoch ms. */
export function updateWords(ends: UpdateEnds | undefined, now: number): string[] {
  if (!ends) return [];
  const { root, targets } = ends;
  return [
    ...wordsOf(`the root of updates (${root.version})`, root, now).map(
      (words) => `${words}: have the next one signed (sallyport app root make)`,
    ),
    ...(targets ? wordsOf(`the list of releases (targets ${targets.version})`, targets, now) : []).map(
      (words) => `${words}: sign any release once more (sallyport app sign)`,
    ),
  ];
}

function wordsOf(what: string, { endsAt }: UpdateEnd, now: number): string[] {
  if (now < endsAt - WARNS_MS) return [];
  const at = new Date(endsAt).toISOString();
  if (endsAt <= now) return [`${what} is over since ${at}, no device takes an update`];
  return [`${what} ends at ${at}, in ${Math.floor((endsAt - now) / DAY_MS)} days, and no device takes an update then`];
}
