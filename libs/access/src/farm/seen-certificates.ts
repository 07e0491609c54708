import { lifeOf, onlyCertificates } from '@sallyport/certificates';
import { type Change, change } from '../realm/change.ts';
import type { AccessContext } from '../realm/context.ts';
import type { SeenCertificate, SeenCertificatesRow } from './rows.ts';

/** Whose certificates they are: a node, or a Proxy, by its name. */
export interface CertificateHolder {
  readonly kind: 'node' | 'proxy';
  readonly name: string;
}

/** What a holder is called in the registry. */
function holderText({ kind, name }: CertificateHolder): string {
  return `${kind}/${name}`;
}

/** Notes which certificates a holder shows, and nothing else that stands beside them. What is new, and what was refused, goes into the audit log. */
export async function recordCertificates(
  access: AccessContext,
  holder: CertificateHolder,
  shown: readonly SeenCertificate[],
): Promise<void> {
  const certificates = shown.map((one) => ({ ...one, chain: onlyCertificates(one.chain) }));
  const by = { actor: holder.name, reason: 'certificates look after themselves' };
  await change(access, by, async (begun) => {
    const { seenCertificates } = begun.notes.tables;
    const key = { holder: holderText(holder) };
    const before = await seenCertificates.find(key, 'update');
    const row = { ...key, certificates, seenAt: begun.at };
    if (before) await seenCertificates.update({ where: key }, row);
    else await seenCertificates.insert(row);
    if (!auditChanges(begun, row, before)) begun.unchanged();
  });
}

function auditChanges(begun: Change, row: SeenCertificatesRow, before: SeenCertificatesRow | undefined): boolean {
  let said = false;
  for (const one of row.certificates) {
    const known = before?.certificates.find(({ place }) => place === one.place);
    const what = `${row.holder}/${one.place}`;
    if (known?.chain !== one.chain) {
      begun.audit('certificate.take', `${what} until ${new Date(lifeOf(one.chain).endsAt).toISOString()}`);
      said = true;
    }
    if (one.trouble === null || one.trouble === known?.trouble) continue;
    begun.audit('certificate.refuse', `${what}: ${one.trouble}`.slice(0, MAX_SUBJECT));
    said = true;
  }
  return said;
}

/** Characters of what was done to, in the audit log. */
const MAX_SUBJECT = 512;

/** What all nodes and Proxies show; those of nodes that were forgotten and Proxies that were revoked are left out. */
export function listCertificates({ store }: AccessContext): Promise<readonly SeenCertificatesRow[]> {
  return store.transaction(async ({ tables }) => {
    const [seen, nodes, proxies] = await Promise.all([
      tables.seenCertificates.list(),
      tables.nodes.list(),
      tables.proxies.list({ where: { revokedAt: null } }),
    ]);
    const holders = new Set([
      ...nodes.map(({ id }) => holderText({ kind: 'node', name: id })),
      ...proxies.map(({ name }) => holderText({ kind: 'proxy', name })),
    ]);
    return seen.filter(({ holder }) => holders.has(holder));
  });
}
