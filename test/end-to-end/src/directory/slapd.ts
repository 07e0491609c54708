import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTls } from '@sallyport/local-cluster';
import { freePort, isListening, scratchFolder, waitFor } from '@sallyport/support';
import { Client } from 'ldapts';

export const SUFFIX = 'dc=corp,dc=example';
const ROOT_DN = `cn=root,${SUFFIX}`;
const ROOT_PASSWORD = 'root of the tree';
/** The account that the gateway binds as: it may read all of it. */
export const READER_DN = `cn=reader,${SUFFIX}`;
export const READER_PASSWORD = 'reads the tree';
const SLAPD = '/usr/sbin/slapd';

/** Attributes and classes of Active Directory that the gateway goes by, with Microsoft's own ids. */
const AD_SCHEMA = `
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.120 NAME 'uSNChanged' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.35 NAME 'employeeID' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL MUST ( cn $ sAMAccountName $ objectGUID ) MAY ( displayName $ mail $ userAccountControl $ uSNChanged $ accountExpires $ userPrincipalName $ employeeID ) )
objectclass ( 1.2.840.113556.1.3.30 NAME 'computer' SUP user STRUCTURAL )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST ( cn $ objectGUID ) MAY ( sAMAccountName $ member $ uSNChanged ) )
`;

function configuration(folder: string, tls: { ca: string; certificate: string; key: string }): string {
  const schemas = ['core', 'cosine', 'inetorgperson', 'nis'].map((name) => `include /etc/ldap/schema/${name}.schema`);
  return `${schemas.join('\n')}
include ${join(folder, 'ad.schema')}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile ${join(folder, 'slapd.pid')}
TLSCACertificateFile ${tls.ca}
TLSCertificateFile ${tls.certificate}
TLSCertificateKeyFile ${tls.key}
sizelimit 500
database mdb
suffix "${SUFFIX}"
rootdn "${ROOT_DN}"
rootpw "${ROOT_PASSWORD}"
directory ${join(folder, 'db')}
maxsize 4294967296
dbnosync
limits dn.exact="${READER_DN}" size=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${READER_DN}" read by self read by * none
index objectClass,entryUUID,entryCSN,modifyTimestamp,uid,sAMAccountName,objectGUID,uSNChanged eq
overlay ppolicy
`;
}

/** A password policy by which three wrong guesses lock an account until an administrator opens it; whose `pwdPolicySubentry` names it has it. */
export const LOCKING_POLICY: string = `cn=locking,${SUFFIX}`;

/** An entry of LDIF. */
export type LdifEntry = readonly [
  dn: string,
  attributes: Readonly<Record<string, string | readonly string[] | Buffer>>,
];

/** Entries as LDIF (RFC 2849). */
function formatLdif(entries: Iterable<LdifEntry>): string {
  let text = '';
  for (const [dn, attributes] of entries) {
    text += `dn: ${dn}\n`;
    for (const [name, values] of Object.entries(attributes))
      for (const value of Array.isArray(values) ? values : [values])
        text +=
          typeof value === 'string' ? `${name}: ${value}\n` : `${name}:: ${(value as Buffer).toString('base64')}\n`;
    text += '\n';
  }
  return text;
}

const BASE: readonly LdifEntry[] = [
  [SUFFIX, { objectClass: ['top', 'dcObject', 'organization'], dc: 'corp', o: 'Corp' }],
  [`ou=people,${SUFFIX}`, { objectClass: 'organizationalUnit', ou: 'people' }],
  [`ou=groups,${SUFFIX}`, { objectClass: 'organizationalUnit', ou: 'groups' }],
  [`ou=left,${SUFFIX}`, { objectClass: 'organizationalUnit', ou: 'left' }],
  [
    LOCKING_POLICY,
    {
      objectClass: ['device', 'pwdPolicy'],
      cn: 'locking',
      pwdAttribute: 'userPassword',
      pwdLockout: 'TRUE',
      pwdMaxFailure: '3',
    },
  ],
  [
    READER_DN,
    { objectClass: ['organizationalRole', 'simpleSecurityObject'], cn: 'reader', userPassword: READER_PASSWORD },
  ],
];

/** A real OpenLDAP of Debian with TLS, its tree in a folder of its own. */
export class RealLdap {
  readonly folder: string;
  readonly port: number;
  readonly plainPort: number;
  readonly ca: string;
  #child: ChildProcess | undefined;

  private constructor(folder: string, ports: { port: number; plainPort: number }, ca: string) {
    this.folder = folder;
    this.port = ports.port;
    this.plainPort = ports.plainPort;
    this.ca = ca;
  }

  static async start(entries: Iterable<LdifEntry>): Promise<RealLdap> {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'db'));
    const tls = createTls(join(folder, 'tls'), ['127.0.0.1'], undefined);
    writeFileSync(join(folder, 'ad.schema'), AD_SCHEMA);
    writeFileSync(join(folder, 'slapd.conf'), configuration(folder, tls));
    writeFileSync(join(folder, 'tree.ldif'), formatLdif([...BASE, ...entries]));
    execFileSync(SLAPD, ['-T', 'add', '-q', '-f', join(folder, 'slapd.conf'), '-l', join(folder, 'tree.ldif')], {
      stdio: 'pipe',
    });
    const ports = { port: await freePort(), plainPort: await freePort() };
    const ldap = new RealLdap(folder, ports, readFileSync(tls.ca, 'utf8'));
    await ldap.restart();
    return ldap;
  }

  get url(): string {
    return `ldaps://127.0.0.1:${this.port}`;
  }

  /** Where StartTLS is offered. */
  get plainUrl(): string {
    return `ldap://127.0.0.1:${this.plainPort}`;
  }

  /** A connection that may change everything. */
  async root(): Promise<Client> {
    const client = new Client({ url: this.url, tlsOptions: { ca: this.ca, host: '127.0.0.1' } });
    await client.bind(ROOT_DN, ROOT_PASSWORD);
    return client;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Starts it, again. */
  async restart(): Promise<void> {
    const urls = `${this.url} ${this.plainUrl}`;
    const command = [SLAPD, '-d', '0', '-f', join(this.folder, 'slapd.conf'), '-h', urls];
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', ...command], { stdio: 'ignore' });
    await waitFor(() => isListening(this.port), 'slapd (apt-get install slapd)');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
