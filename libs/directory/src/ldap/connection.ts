import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { LdapSettings } from '@sallyport/security-api';
import { Client, type Entry, type Filter, InvalidCredentialsError, ResultCodeError, type SearchOptions } from 'ldapts';
import { DirectoryError } from '../errors.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** One answer of a server: a page of a search, or a bind. */
const ANSWER_TIMEOUT_MS = 15_000;
const PAGE_SIZE = 1_000;

/** Who binds. */
export interface Binding {
  readonly dn: string;
  readonly password: string;
}

/** One bound connection to one server of a directory. Close it when the work is done. */
export class LdapConnection {
  readonly server: string;
  readonly #client: Client;
  readonly #binary: readonly string[];

  private constructor(client: Client, server: string, binary: readonly string[]) {
    this.#client = client;
    this.server = server;
    this.#binary = binary;
  }

  /**
   * Connects with TLS and binds at the first server that answers, in the order given.
   * @throws DirectoryError ERR_DIRECTORY_CREDENTIALS when a server refuses the bind, ERR_DIRECTORY_UNREACHABLE when none
   * answers; the message says why for each
   */
  static async open(
    settings: LdapSettings,
    binding: Binding,
    servers: readonly string[] = settings.servers,
  ): Promise<LdapConnection> {
    // Some servers take a bind without a password for an anonymous one, and answer with success (RFC 4513, 5.1.2).
    if (binding.password === '' || binding.password.includes('\0') || binding.dn === '')
      throw new DirectoryError('ERR_DIRECTORY_CREDENTIALS', 'a bind needs a name and a password');
    const failures: string[] = [];
    for (const server of servers) {
      try {
        return await LdapConnection.#openAt(settings, server, binding);
      } catch (error) {
        if (error instanceof InvalidCredentialsError || isRefusal(error))
          throw credentialsError(server, error as Error);
        failures.push(`${server}: ${wordsOf(error as Error)}`);
      }
    }
    throw new DirectoryError('ERR_DIRECTORY_UNREACHABLE', failures.join('; '));
  }

  static async #openAt(settings: LdapSettings, server: string, binding: Binding): Promise<LdapConnection> {
    const url = new URL(server);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const tls: ConnectionOptions = {
      minVersion: 'TLSv1.2',
      host,
      ...(isIP(host) ? {} : { servername: host }),
      ...(settings.ca === undefined ? {} : { ca: settings.ca }),
    };
    const secure = url.protocol === 'ldaps:';
    const options = { url: server, connectTimeout: CONNECT_TIMEOUT_MS, timeout: ANSWER_TIMEOUT_MS, strictDN: false };
    const client = new Client({ ...options, ...(secure ? { tlsOptions: tls } : {}) });
    try {
      if (!secure) await withDeadline(client.startTLS(tls), CONNECT_TIMEOUT_MS);
      await client.bind(binding.dn, binding.password);
    } catch (error) {
      await client.unbind().catch(() => undefined);
      throw error;
    }
    return new LdapConnection(client, server, settings.flavour === 'ad' ? ['objectGUID'] : []);
  }

  /** Entries below a base, page by page (RFC 2696). Referrals are not followed. @throws DirectoryError */
  async *pages(base: string, filter: string | Filter, attributes: readonly string[]): AsyncGenerator<readonly Entry[]> {
    const options = this.#options(filter, attributes);
    try {
      const pages = this.#client.searchPaginated(base, { ...options, scope: 'sub', paged: { pageSize: PAGE_SIZE } });
      for await (const { searchEntries } of pages) yield searchEntries;
    } catch (error) {
      throw answerError(this.server, error as Error);
    }
  }

  /** Entries that fit, at most a page of them. @throws DirectoryError */
  async find(base: string, filter: string | Filter, attributes: readonly string[]): Promise<readonly Entry[]> {
    return this.#search(base, { ...this.#options(filter, attributes), scope: 'sub', sizeLimit: PAGE_SIZE });
  }

  /** The one entry of a name; undefined when there is none. @throws DirectoryError */
  async read(dn: string, attributes: readonly string[]): Promise<Entry | undefined> {
    return (await this.#search(dn, { ...this.#options('(objectClass=*)', attributes), scope: 'base' }))[0];
  }

  async close(): Promise<void> {
    await this.#client.unbind().catch(() => undefined);
  }

  #options(filter: string | Filter, attributes: readonly string[]): SearchOptions {
    return { filter, attributes: [...attributes], explicitBufferAttributes: [...this.#binary] };
  }

  async #search(base: string, options: SearchOptions): Promise<readonly Entry[]> {
    try {
      return (await this.#client.search(base, options)).searchEntries;
    } catch (error) {
      throw answerError(this.server, error as Error);
    }
  }
}

/** StartTLS has no time limit of its own in the client. */
async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** The server has answered, and does not want this bind; another server of the same directory would not either. */
function isRefusal(error: unknown): boolean {
  const names = ['InappropriateAuthError', 'InvalidDNSyntaxError', 'NoSuchObjectError', 'InsufficientAccessError'];
  return error instanceof ResultCodeError && names.includes(error.constructor.name);
}

function credentialsError(server: string, cause: Error): DirectoryError {
  return new DirectoryError('ERR_DIRECTORY_CREDENTIALS', `${server} refuses the bind`, {
    cause,
    reason: cause.message,
  });
}

function answerError(server: string, cause: Error): DirectoryError {
  if (cause instanceof DirectoryError) return cause;
  if (cause.constructor.name === 'SizeLimitExceededError' || cause.constructor.name === 'AdminLimitExceededError') {
    const words = `${server} ends the search early: raise its limit of entries for the account that binds`;
    return new DirectoryError('ERR_DIRECTORY_ANSWER', words, { cause });
  }
  if (cause instanceof ResultCodeError)
    return new DirectoryError('ERR_DIRECTORY_ANSWER', `${server} answers ${cause.constructor.name}: ${cause.message}`, {
      cause,
    });
  return new DirectoryError('ERR_DIRECTORY_UNREACHABLE', `${server}: ${wordsOf(cause)}`, { cause });
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the name is not known',
  ETIMEDOUT: 'no answer',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed: give the CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'the CA of the certificate is not known: give the CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the CA of the certificate is not known: give the CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the CA of the certificate is not known: give the CA',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name',
  CERT_HAS_EXPIRED: 'the certificate has expired',
};

/** What went wrong with a connection, in words. */
function wordsOf(error: Error): string {
  const { code } = error as { code?: string | number };
  if (typeof code === 'string' && WORDS[code] !== undefined) return WORDS[code];
  if (error.constructor.name === 'TLSNotSupportedError' || error.constructor.name === 'ProtocolError')
    return 'StartTLS is not offered there: use ldaps://, or set the server up for it';
  return error.message || error.constructor.name;
}
