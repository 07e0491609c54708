import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LocalArchive } from './archive.ts';
import { Daemon } from './daemon.ts';
import { ClusterError } from './errors.ts';
import { type Host, privateFile } from './host.ts';
import type { ClusterPlace } from './place.ts';

const ROOT = '/usr/lib/postgresql';

/** Folder of the newest PostgreSQL of this machine. */
export function postgresBinaries(): string {
  const versions = existsSync(ROOT) ? readdirSync(ROOT).map(Number).filter(Number.isFinite) : [];
  if (versions.length === 0)
    throw new ClusterError('ERR_CLUSTER_PROGRAM', 'PostgreSQL is missing: apt-get install postgresql');
  return join(ROOT, String(Math.max(...versions)), 'bin');
}

/** Who may change something through Patroni's API; to read it needs nothing. */
export const PATRONI_USER = 'sallyport';

/** Timing of a failover: loop_wait + 2 x retry_timeout <= ttl, or a slow leader would be demoted by itself. */
const TIMING = { ttl: 8, loop_wait: 1, retry_timeout: 3 };

const PARAMETERS = {
  wal_level: 'replica',
  hot_standby: 'on',
  wal_log_hints: 'on',
  max_wal_senders: 10,
  max_replication_slots: 10,
  max_connections: 200,
  synchronous_commit: 'on',
  wal_keep_size: '256MB',
  max_slot_wal_keep_size: '1GB',
  wal_receiver_timeout: '5s',
  wal_sender_timeout: '5s',
  wal_retrieve_retry_interval: '500ms',
  password_encryption: 'scram-sha-256',
};

/** What a Patroni is made for. */
export interface PatroniOptions {
  /** Which of the hosts. */
  readonly index: number;
  readonly archive?: LocalArchive | undefined;
  /** The database that its cluster follows as a standby cluster, hosts by comma; absent: it stands alone. */
  readonly standbyOf?: { readonly host: string; readonly port: number } | undefined;
}

/** Where the configuration of the Patroni of a host lies. */
export function patroniConfigFile(place: ClusterPlace, host: Host): string {
  return join(place.hostFolder(host), 'patroni.json');
}

/** One PostgreSQL under Patroni: synchronous replication, automatic failover, nothing without TLS. */
export function patroniOn(place: ClusterPlace, hosts: readonly Host[], options: PatroniOptions): Daemon {
  const host = hosts[options.index]!;
  const text = JSON.stringify(configOf(place, hosts, options), null, 2);
  const config = privateFile(patroniConfigFile(place, host), text, place.user);
  const command = ['patroni', config];
  return new Daemon({ ...place.daemon(`PostgreSQL on ${host.name}`, host, 'postgres'), command });
}

function configOf(place: ClusterPlace, hosts: readonly Host[], { index, archive, standbyOf }: PatroniOptions): object {
  const { secrets, tls } = place;
  const host = hosts[index]!;
  const folder = place.hostFolder(host);
  const { postgres, patroni } = place.ports(index);
  const verified = { sslmode: 'verify-ca', sslrootcert: tls.ca };
  return {
    scope: 'sallyport',
    name: host.name,
    // Whoever may change its configuration runs commands as the database's user: nobody may without the password.
    restapi: {
      listen: `${host.address}:${patroni}`,
      connect_address: `${host.address}:${patroni}`,
      authentication: { username: PATRONI_USER, password: secrets.patroni },
    },
    etcd: { hosts: hosts.map(({ address }, i) => `${address}:${place.ports(i).etcd.client}`) },
    bootstrap: {
      dcs: {
        ...TIMING,
        maximum_lag_on_failover: 1_048_576,
        primary_start_timeout: 0,
        failsafe_mode: true,
        synchronous_mode: true,
        synchronous_mode_strict: true,
        synchronous_node_count: 1,
        postgresql: { use_pg_rewind: true, use_slots: true, parameters: PARAMETERS },
        ...(standbyOf ? { standby_cluster: standbyOf } : {}),
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'data-checksums'],
      post_init: postInit(place, folder),
    },
    postgresql: {
      listen: `${host.address}:${postgres}`,
      connect_address: `${host.address}:${postgres}`,
      data_dir: join(folder, 'postgres'),
      bin_dir: postgresBinaries(),
      pgpass: join(folder, 'pgpass'),
      use_unix_socket: true,
      basebackup: [{ checkpoint: 'fast' }],
      authentication: {
        superuser: { username: 'postgres', password: secrets.superuser, ...verified },
        replication: { username: 'replicator', password: secrets.replication, ...verified },
        rewind: { username: 'rewinder', password: secrets.replication, ...verified },
      },
      pg_hba: [
        'local all all scram-sha-256',
        'hostssl replication replicator 0.0.0.0/0 scram-sha-256',
        'hostssl all all 0.0.0.0/0 scram-sha-256',
      ],
      parameters: {
        unix_socket_directories: folder,
        shared_buffers: '64MB',
        ssl: 'on',
        ssl_cert_file: tls.certificate,
        ssl_key_file: tls.key,
        ssl_ca_file: tls.ca,
        log_min_error_statement: 'panic',
        log_parameter_max_length_on_error: 0,
        ...archive?.parameters(index),
      },
    },
    watchdog: { mode: 'off' },
  };
}

/** Script that Patroni runs once on the new primary: our role with its database, and the rights to see replication, and to promote a standby. */
function postInit(place: ClusterPlace, folder: string): string {
  const statements = [
    `create role sallyport login password '${place.secrets.sallyport}'`,
    'grant pg_monitor to sallyport',
    'create database sallyport owner sallyport',
  ];
  const asked = statements.map((text) => `-c "${text}"`).join(' ');
  const script = `#!/bin/sh
set -e
psql "$1" -v ON_ERROR_STOP=1 ${asked}
psql "$1 dbname=sallyport" -v ON_ERROR_STOP=1 -c "grant execute on function pg_promote to sallyport"
`;
  return privateFile(join(folder, 'post-init.sh'), script, place.user, 0o700);
}

/** What a Patroni says of its server. */
export interface PatroniWord {
  readonly role: 'master' | 'primary' | 'replica' | 'sync_standby' | string;
  readonly state: string;
}

/** Asks a Patroni what its server is. */
export async function askPatroni(url: string): Promise<PatroniWord> {
  const answer = await fetch(`${url}/patroni`, { signal: AbortSignal.timeout(500) });
  return (await answer.json()) as PatroniWord;
}

/** One member as the whole cluster sees it. */
export interface PatroniMember {
  readonly name: string;
  readonly role: 'leader' | 'sync_standby' | 'replica' | string;
  readonly state: string;
  readonly timeline?: number;
  /** Bytes behind the leader. */
  readonly lag?: number | 'unknown';
}

/** All members, as any Patroni knows them. */
export async function listPatroniMembers(url: string): Promise<readonly PatroniMember[]> {
  const answer = await fetch(`${url}/cluster`, { signal: AbortSignal.timeout(500) });
  return ((await answer.json()) as { members: PatroniMember[] }).members;
}
