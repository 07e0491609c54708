import type { LdapSettings } from '@sallyport/security-api';
import { AndFilter, EqualityFilter, type Filter, FilterParser } from 'ldapts';
import type { Connector, Finding, PasswordOutcome } from '../connector.ts';
import { DirectoryError } from '../errors.ts';
import { LdapConnection } from './connection.ts';
import { accountOf, parseGuid, userAttributes } from './entry.ts';
import { type Flavour, flavourOf } from './flavour.ts';

/** Longest password that is tried, characters. */
const MAX_PASSWORD = 256;

/** A directory that speaks LDAP (RFC 4511): Active Directory, OpenLDAP and others. */
export class LdapConnector implements Connector {
  readonly kind = 'ldap';
  readonly settings: LdapSettings;
  readonly flavour: Flavour;
  readonly #password: string;

  /** @throws DirectoryError ERR_DIRECTORY_SETTINGS when a filter cannot be read */
  constructor(settings: LdapSettings, secrets: Readonly<Record<string, string>>) {
    this.settings = settings;
    this.flavour = flavourOf(settings);
    this.#password = secrets['bindPassword'] ?? '';
    for (const filter of [this.flavour.userFilter, this.flavour.groupFilter]) parseFilter(filter);
  }

  /** Connects as the account that reads. `servers` in the order to try them. */
  connect(servers?: readonly string[]): Promise<LdapConnection> {
    return LdapConnection.open(this.settings, { dn: this.settings.bindDn, password: this.#password }, servers);
  }

  /**
   * Checks a user's password by binding as the user, at the entry that has the id now. Nothing is kept.
   * @throws DirectoryError ERR_DIRECTORY_UNREACHABLE and others that are not the user's fault
   */
  async checkPassword(subject: string, password: string): Promise<PasswordOutcome> {
    if (password === '' || password.includes('\0') || password.length > MAX_PASSWORD) return 'wrong';
    const dn = await this.#dnOf(subject);
    if (typeof dn !== 'string') return dn.outcome;
    try {
      await (await LdapConnection.open(this.settings, { dn, password })).close();
      return 'right';
    } catch (error) {
      if ((error as DirectoryError).code !== 'ERR_DIRECTORY_CREDENTIALS') throw error;
      return outcomeOf((error as DirectoryError).reason);
    }
  }

  async #dnOf(subject: string): Promise<string | { outcome: PasswordOutcome }> {
    const connection = await this.connect();
    try {
      const [entry] = await connection.find(this.settings.base, this.filterOf(subject), userAttributes(this.flavour));
      const account = entry && accountOf(entry, this.flavour);
      if (!entry || !account) return { outcome: 'wrong' };
      if (!account.active) return { outcome: 'disabled' };
      return account.expiresAt <= Date.now() ? { outcome: 'expired' } : entry.dn;
    } finally {
      await connection.close();
    }
  }

  /** Filter of the one user with an id, if it is still among the users. */
  filterOf(subject: string): Filter {
    const { id, binaryId, userFilter } = this.flavour;
    const value = binaryId ? parseGuid(subject) : subject;
    return new AndFilter({ filters: [parseFilter(userFilter), new EqualityFilter({ attribute: id, value })] });
  }

  async test(): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    for (const server of this.settings.servers) {
      const [finding, connection] = await this.#tryServer(server);
      findings.push(finding);
      await connection?.close();
    }
    if (!findings.some(({ ok }) => ok)) return findings;
    const connection = await this.connect().catch(() => undefined);
    if (!connection) return findings;
    try {
      findings.push(await this.#tryUsers(connection), await this.#tryGroups(connection));
    } finally {
      await connection.close();
    }
    return findings;
  }

  async #tryServer(server: string): Promise<[Finding, LdapConnection | undefined]> {
    const check = `connect and bind at ${server}`;
    try {
      return [{ check, ok: true, words: 'encrypted, and the bind is accepted' }, await this.connect([server])];
    } catch (error) {
      const { code, message } = error as DirectoryError;
      const words =
        code === 'ERR_DIRECTORY_CREDENTIALS'
          ? `the bind as ${this.settings.bindDn} is refused: check name and password`
          : message;
      return [{ check, ok: false, words }, undefined];
    }
  }

  async #tryUsers(connection: LdapConnection): Promise<Finding> {
    const check = `users below ${this.settings.base}`;
    try {
      const entries = await firstPage(
        connection,
        this.settings.base,
        this.flavour.userFilter,
        userAttributes(this.flavour),
      );
      const usable = entries.filter((entry) => accountOf(entry, this.flavour)).length;
      if (entries.length === 0)
        return {
          check,
          ok: false,
          words: `nobody fits ${this.flavour.userFilter}: check base and filter, and what the account that binds may read`,
        };
      const missing = `${entries.length - usable} of ${entries.length} have no ${this.flavour.id} or no ${this.flavour.login} that it may read`;
      return {
        check,
        ok: usable > 0,
        words: usable === entries.length ? `${usable}${entries.length >= PAGE ? ' and more' : ''} found` : missing,
      };
    } catch (error) {
      return { check, ok: false, words: (error as Error).message };
    }
  }

  async #tryGroups(connection: LdapConnection): Promise<Finding> {
    const base = this.settings.groupBase ?? this.settings.base;
    const check = `groups below ${base}`;
    try {
      const entries = await firstPage(connection, base, this.flavour.groupFilter, [this.flavour.id]);
      const words =
        entries.length > 0
          ? `${entries.length}${entries.length >= PAGE ? ' and more' : ''} found`
          : `none fits ${this.flavour.groupFilter}: nobody would get any rights by a group`;
      return { check, ok: entries.length > 0, words };
    } catch (error) {
      return { check, ok: false, words: (error as Error).message };
    }
  }
}

/** Entries of a page. */
const PAGE = 1_000;

async function firstPage(connection: LdapConnection, base: string, filter: string, attributes: readonly string[]) {
  for await (const page of connection.pages(base, filter, attributes)) return page;
  return [];
}

/** A filter that an operator wrote (RFC 4515). @throws DirectoryError ERR_DIRECTORY_SETTINGS */
function parseFilter(text: string): Filter {
  try {
    return FilterParser.parseString(text);
  } catch (cause) {
    throw new DirectoryError('ERR_DIRECTORY_SETTINGS', `the filter ${JSON.stringify(text)} cannot be read`, { cause });
  }
}

/** Active Directory says more in the text of the refusal (MS-ADTS: `data 533`); other servers say "wrong". */
const AD_REASONS: Readonly<Record<string, PasswordOutcome>> = {
  '530': 'disabled',
  '531': 'disabled',
  '532': 'expired',
  '533': 'disabled',
  '701': 'expired',
  '773': 'must change',
  '775': 'locked',
};

function outcomeOf(words: string): PasswordOutcome {
  const [, data = ''] = /\bdata ([0-9a-f]{1,8})\b/i.exec(words) ?? [];
  return AD_REASONS[data.toLowerCase()] ?? 'wrong';
}
