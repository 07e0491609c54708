import { type AccessContext, type DirectoryRow, secretsOf } from '@sallyport/access';
import { LdapConnector, OidcConnector } from '@sallyport/directory';

type Made = LdapConnector | OidcConnector;

/** Connectors of the directories, made anew when their settings or secrets change. They hold no connection. */
export class Connectors {
  readonly #access: AccessContext;
  readonly #made = new Map<string, { readonly row: DirectoryRow; readonly connector: Made }>();

  constructor(access: AccessContext) {
    this.#access = access;
  }

  /** The connector of an LDAP directory. @throws TypeError for another kind */
  ldap(row: DirectoryRow): LdapConnector {
    const connector = this.#of(row);
    if (!(connector instanceof LdapConnector)) throw new TypeError(`${row.name} is no LDAP directory`);
    return connector;
  }

  /** The connector of an OpenID provider. @throws TypeError for another kind */
  oidc(row: DirectoryRow): OidcConnector {
    const connector = this.#of(row);
    if (!(connector instanceof OidcConnector)) throw new TypeError(`${row.name} is no OpenID provider`);
    return connector;
  }

  #of(row: DirectoryRow): Made | undefined {
    const known = this.#made.get(row.name);
    if (known && isSame(known.row, row)) return known.connector;
    const connector = this.#make(row);
    if (connector) this.#made.set(row.name, { row, connector });
    return connector;
  }

  #make(row: DirectoryRow): Made | undefined {
    const secrets = secretsOf(this.#access, row);
    if (row.kind === 'ldap') return new LdapConnector(row.settings, secrets);
    if (row.kind === 'oidc') return new OidcConnector(row.settings, secrets);
    return undefined;
  }
}

function isSame(a: DirectoryRow, b: DirectoryRow): boolean {
  const secrets = Buffer.compare(a.secret ?? new Uint8Array(), b.secret ?? new Uint8Array()) === 0;
  return secrets && a.kind === b.kind && JSON.stringify(a.settings) === JSON.stringify(b.settings);
}
