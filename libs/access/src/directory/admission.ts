import { whoSignedIn } from '../identity/provider-accounts.ts';
import { type Admission, admitOperator } from '../operators/operator-tokens.ts';
import type { AccessContext } from '../realm/context.ts';
import { type SourceGroup, setAccountGroups } from './groups.ts';

/** A sign-in at a provider by somebody who wants to be an operator. */
export interface ProviderSignIn {
  readonly provider: string;
  readonly subject: string;
  /** Groups, when the provider told of them. */
  readonly groups: readonly SourceGroup[] | undefined;
}

/**
 * Takes over the groups that a provider told of, unless they are pushed, and gives a credential when those that its directory
 * has of the account now make an operator. `entered` is called when that put entries into the revocation log, before anything else can
 * fail.
 */
export async function admitAtProvider(
  access: AccessContext,
  signIn: ProviderSignIn,
  entered: () => void,
): Promise<Admission> {
  if ((await takeGroups(access, signIn)) > 0) entered();
  const { provider, subject, groups } = signIn;
  return admitOperator(access, { provider, subject, claimed: groups?.map((group) => group.subject) });
}

async function takeGroups(access: AccessContext, { provider, subject, groups }: ProviderSignIn): Promise<number> {
  if (!groups) return 0;
  const who = await access.store.transaction(async (transaction) =>
    whoSignedIn(transaction, await transaction.tables.directories.find({ name: provider }), subject),
  );
  if (who.kind !== 'user' || who.account.directory !== provider) return 0;
  const by = { actor: who.user.name, reason: `groups at the sign-in at ${provider}` };
  return setAccountGroups(access, { directory: provider, subject }, groups, by);
}
