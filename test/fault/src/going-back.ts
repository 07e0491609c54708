import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Farm } from './farm.ts';
import { databaseAddress } from './history.ts';

const BACKUP = 'rig_backup';

/** A backup of the database that is brought back later, as a restore brings back an earlier state of every table. */
export class Backup {
  readonly #farm: Farm;

  private constructor(farm: Farm) {
    this.#farm = farm;
  }

  /** Copies every table as it is now. */
  static async take(farm: Farm): Promise<Backup> {
    await asSuperuser(farm, async (client) => {
      await client.query(`drop schema if exists ${BACKUP} cascade; create schema ${BACKUP}`);
      for (const table of await tablesOf(client))
        await client.query(`create table ${BACKUP}."${table}" as table public."${table}"`);
    });
    return new Backup(farm);
  }

  /**
   * Brings all tables back to what they were and begins a new epoch in them. The nodes must be stopped: this is what a
   * restore does, without a journal. `held` leaves the hold out, to show what it is for.
   */
  async restore({ held = false }: { readonly held?: boolean } = {}): Promise<void> {
    await asSuperuser(this.#farm, async (client) => {
      const { rows } = await client.query<{ epoch: string }>('select "epoch" from public."realms"');
      for (const table of await tablesOf(client)) {
        await client.query(`delete from public."${table}"`);
        await client.query(`insert into public."${table}" select * from ${BACKUP}."${table}"`);
      }
      await client.query('delete from public."leases"');
      await client.query(
        `update public."realms" set "epoch" = $1, "held" = $2, "generation" = "generation" + 1,
          "supersedes" = ("supersedes"::jsonb || to_jsonb("epoch") || to_jsonb($3::text))::json`,
        [randomBytes(16).toString('hex'), held, rows[0]!.epoch],
      );
    });
  }
}

/** Everything or nothing, on the primary. */
async function asSuperuser(farm: Farm, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const address = databaseAddress(farm.cluster, 'superuser');
  for (const { host, port } of address.hosts!) {
    const client = new pg.Client({ ...address, host, port, ssl: { ca: address.ca!, rejectUnauthorized: true } });
    await client.connect();
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    if (!rows[0]!.standby) {
      await client.query('begin');
      await work(client);
      await client.query('commit');
      await client.end();
      return;
    }
    await client.end();
  }
  throw new Error('no server of the database is the primary');
}

async function tablesOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'pgmigrations' order by 1`,
  );
  return rows.map(({ name }) => name);
}
