import { examineDisk, examineService } from '@sallyport/doctor';
import { type Examination, legOf } from './examination.ts';

/** What a database host is told of the others. */
export interface DatabaseNeighbours {
  /** The folder of its database. */
  readonly folder: string;
  readonly hosts: readonly string[];
  /** Patroni and etcd run on them. */
  readonly patroni: boolean;
  readonly repository?: string | undefined;
}

const PATRONI: readonly string[] = ['patroni', 'etcd-clients', 'etcd-peers'];

/** What is tried from a database host: the ways to the other ones. */
export function examinationsOfDatabase({ folder, hosts, patroni, repository }: DatabaseNeighbours): Examination[] {
  const names: string[] = ['replication', ...(patroni ? PATRONI : [])];
  const reached = (name: string, host: string): Examination => {
    const leg = legOf(name, { host });
    return (limits) => examineService({ leg }, limits);
  };
  return [
    () => [examineDisk(folder)],
    ...hosts.flatMap((host) => names.map((name) => reached(name, host))),
    ...(repository === undefined ? [] : [reached('archive', repository)]),
  ];
}
