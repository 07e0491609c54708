import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Diagnosis, examineCertificate, examineDisk, examineService } from '@sallyport/doctor';
import { type Examination, legOf, named, surroundings } from './examination.ts';

/** What a database host is told of the others. */
export interface DatabaseNeighbours {
  /** The folder of its database. */
  readonly folder: string;
  readonly hosts: readonly string[];
  /** Patroni and etcd run on them. */
  readonly patroni: boolean;
  readonly repository?: string | undefined;
  /** Folder of ca.pem, server.pem and server.key, by which these hosts know each other; where it has none, only ports are tried. */
  readonly tls: string;
}

const PATRONI: readonly string[] = ['patroni', 'etcd-clients', 'etcd-peers'];

/** What is tried from a database host: the ways to the other ones. */
export function examinationsOfDatabase(neighbours: DatabaseNeighbours): Examination[] {
  const { folder, hosts, patroni, repository, tls } = neighbours;
  const names: string[] = ['replication', ...(patroni ? PATRONI : [])];
  const own = ownFiles(tls);
  const reached = (name: string, host: string): Examination => {
    const leg = legOf(name, { host });
    const { ca, certificate, key } = own;
    if (ca === undefined) return (limits) => examineService({ leg }, limits);
    const beginning = name === 'replication' ? { beginning: 'PostgreSQL' as const } : {};
    const proof = certificate === undefined || key === undefined ? {} : { certificate, key };
    const remedies = { renew: `renew it on ${host}`, trust: `${join(tls, 'ca.pem')} has the CA of all database hosts` };
    return (limits) => examineService({ leg, tls: { ca, ...proof, ...beginning, remedies } }, limits);
  };
  return [
    () => [examineDisk(folder), ...own.diagnoses],
    ...surroundings([...hosts, ...(repository === undefined ? [] : [repository])]),
    ...hosts.flatMap((host) => names.map((name) => reached(name, host))),
    ...(repository === undefined ? [] : [reached('archive', repository)]),
  ];
}

interface OwnFiles {
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly diagnoses: readonly Diagnosis[];
}

function ownFiles(folder: string): OwnFiles {
  if (!existsSync(join(folder, 'ca.pem'))) return { diagnoses: [] };
  const [ca, certificate, key] = ['ca.pem', 'server.pem', 'server.key'].map((name) =>
    named('--tls', join(folder, name)),
  );
  const troubles = [ca!, certificate!, key!].flatMap((one) => one.troubles);
  if (ca!.text === undefined) return { diagnoses: troubles };
  const texts = { ca: ca!.text, certificate: certificate!.text, key: key!.text };
  if (texts.certificate === undefined || texts.key === undefined) return { ca: texts.ca, diagnoses: troubles };
  const pair = { certificate: texts.certificate, key: texts.key };
  const what = 'certificate of this host';
  const judged = examineCertificate({ what, ...pair, use: 'server', trusted: texts.ca });
  return { ca: texts.ca, ...pair, diagnoses: [judged] };
}
