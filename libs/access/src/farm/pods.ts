import { change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import type { Transaction } from '../store/store.ts';
import type { ProxyRow } from './rows.ts';

/** A pod that a cluster vouches for, as its service account token says. */
export interface Pod {
  readonly namespace: string;
  /** Name of its service account. */
  readonly account: string;
  readonly name: string;
  /** Which of all pods that ever had this name it is (RFC 9562, as Kubernetes draws it). */
  readonly uid: string;
}

/** Characters of a pod's uid in the name of its Proxy: enough that no two pods of one name have the same. */
const UID_CHARACTERS = 13;

/** The name of the Proxy in a pod: no other pod of that name, before or after it, has the same. */
function proxyNameOf({ name, uid }: Pick<Pod, 'name' | 'uid'>): string {
  return `${name}.${uid.slice(0, UID_CHARACTERS)}`;
}

/**
 * Lets the Proxy of a pod join a site, once: it is from now on whoever has the key. The same key again gets the same answer,
 * because an answer may be lost. Undefined for a pod that has joined with another key, or was revoked: a new pod has a new name.
 */
export async function joinPod(
  access: AccessContext,
  { pod, site }: { readonly pod: Pod; readonly site: string },
  keyHash: string,
): Promise<ProxyRow | undefined> {
  const name = proxyNameOf(pod);
  const reason = `token of the service account ${pod.namespace}/${pod.account}`;
  return change(access, { actor: name, reason }, async (begun) => {
    const { proxies, pods } = begun.tables;
    const present = await proxies.find({ name }, 'update');
    const same = present?.revokedAt === null && present.keyHash === keyHash && present.site === site;
    if (present && !same) return begun.unchanged();
    const proxy = present ?? { name, site, joinedAt: begun.at, revokedAt: null, keyHash, nextKeyHash: null };
    if (!present) await proxies.insert(proxy);
    await pods.remove({ where: { name } });
    await pods.insert({ name, account: `${pod.namespace}/${pod.account}`, certificateAt: begun.at });
    begun.audit('proxy.join', name);
    return proxy;
  });
}

/** Notes, where a Proxy is a pod's, that it gets a new certificate now. */
export async function notePodRenewal(transaction: Transaction, name: string): Promise<void> {
  await transaction.tables.pods.update({ where: { name } }, { certificateAt: transaction.now() });
}

/** Names of Proxies that are pods: whoever has deployed them replaces those that are gone. */
export async function podNames({ store }: AccessContext): Promise<ReadonlySet<string>> {
  const rows = await store.transaction(({ tables }) => tables.pods.list());
  return new Set(rows.map(({ name }) => name));
}
