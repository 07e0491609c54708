import type { Field } from '@sallyport/channel';
import type { Backend, TriedBackend } from '@sallyport/security-api';
import { basicOf } from './basic.ts';
import type { BackendRequest, BackendSink } from './connection.ts';
import { dial } from './dial.ts';
import { BackendError, wordsOf } from './errors.ts';
import { BackendPool } from './pool.ts';
import type { BackendServer } from './server.ts';
import { Tenant } from './tenant.ts';

/** An answer is waited for so long, ms. */
const ANSWER_MS = 10_000;
const DETAIL_CHARACTERS = 512;

type Tried = Omit<TriedBackend, 'type' | 'id'>;

/**
 * Tries each server of a backend once, as a request of a device would, with HEAD and no user; for an operator, with all details.
 */
export async function tryBackend(backend: Backend, authority: string): Promise<Tried> {
  const { servers = [], ...first } = backend;
  const all = [backend.url, ...servers.map(({ url }) => url)].map((url) => ({ ...first, url }));
  const tries = await Promise.all(all.map((server) => tryServer(server, authority)));
  if (tries.length === 1) return tries[0]!;
  const reason = tries.find((one) => one.reason)?.reason;
  const detail = tries.map((one, i) => `${all[i]!.url} ${one.detail}`).join('; ');
  return {
    ok: tries.every(({ ok }) => ok),
    ...(reason ? { reason } : {}),
    detail: detail.slice(0, DETAIL_CHARACTERS),
    ms: Math.max(...tries.map(({ ms }) => ms)),
  };
}

async function tryServer(server: BackendServer, authority: string): Promise<Tried> {
  const start = performance.now();
  const ms = (): number => Math.round(performance.now() - start);
  try {
    const path = `${server.prefix ?? ''}/`;
    const tcp = server.url.startsWith('tcp:');
    const detail = tcp ? await connect(server) : `answers ${await ask(server, { method: 'HEAD', path, authority })}`;
    return { ok: true, detail, ms: ms() };
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    const { reason, message, cause } = error;
    const detail = [wordsOf(error) ?? message, cause instanceof Error ? cause.message : message].join(': ');
    return { ok: false, ...(reason ? { reason } : {}), detail: detail.slice(0, DETAIL_CHARACTERS), ms: ms() };
  }
}

/** True when a server is well: it takes connections and, where it has a path for that, answers there with 2xx or 3xx. */
export async function isWell(server: BackendServer, path: string | undefined): Promise<boolean> {
  try {
    if (path === undefined) return (await connect(server)) !== '';
    return (await ask(server, { method: 'GET', path, authority: new URL(server.url).host })) < 400;
  } catch (error) {
    if (error instanceof BackendError) return false;
    throw error;
  }
}

function connect(server: BackendServer): Promise<string> {
  return new Promise((resolve, reject) => {
    const connected = (socket: { destroy(): void }): void => {
      socket.destroy();
      resolve('takes connections');
    };
    dial(server, { connected, failed: reject });
  });
}

/** Asks for the head of an answer; gives its status. */
async function ask(
  server: BackendServer,
  { authority, ...what }: Pick<BackendRequest, 'method' | 'path' | 'authority'>,
): Promise<number> {
  // A literal address that is not allowed is refused here.
  const pool = new BackendPool(server);
  const tenant = new Tenant({ session: 'operator', user: 'operator' });
  const authorization = basicOf(server);
  const fields: Field[] = authorization === undefined ? [] : [['authorization', authorization]];
  try {
    return await new Promise((resolve, reject) => {
      const late = new BackendError('ERR_BACKEND_TIMEOUT', 'no answer came in time');
      const timer = setTimeout(() => reject(late), ANSWER_MS);
      const sink: BackendSink = {
        connected: () => true,
        begun() {},
        room() {},
        pushed() {},
        body() {},
        end: () => clearTimeout(timer),
        head: (status) => resolve(status),
        failed(error) {
          clearTimeout(timer);
          reject(error);
        },
      };
      const request = { ...what, authority: server.host ?? authority, fields, content: 'none', last: true } as const;
      pool.call(request, sink, tenant).send();
    });
  } finally {
    pool.close();
  }
}
