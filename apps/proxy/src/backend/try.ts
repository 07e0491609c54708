import type { Backend, TriedBackend } from '@sallyport/security-api';
import type { BackendSink } from './connection.ts';
import { dial } from './dial.ts';
import { BackendError, wordsOf } from './errors.ts';
import { BackendPool } from './pool.ts';
import { Tenant } from './tenant.ts';

/** An answer is waited for so long, ms. */
const ANSWER_MS = 10_000;

/** Tries a backend once, as a request of a device would, with HEAD and no user; for an operator, with all details. */
export async function tryBackend(backend: Backend, authority: string): Promise<Omit<TriedBackend, 'type' | 'id'>> {
  const start = performance.now();
  const ms = (): number => Math.round(performance.now() - start);
  try {
    const detail = backend.url.startsWith('tcp:') ? await connect(backend) : await ask(backend, authority);
    return { ok: true, detail, ms: ms() };
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    const { reason, message, cause } = error;
    const detail = [wordsOf(error) ?? message, cause instanceof Error ? cause.message : message].join(': ');
    return { ok: false, ...(reason ? { reason } : {}), detail: detail.slice(0, 512), ms: ms() };
  }
}

function connect(backend: Backend): Promise<string> {
  return new Promise((resolve, reject) => {
    const connected = (socket: { destroy(): void }): void => {
      socket.destroy();
      resolve('takes connections');
    };
    dial(backend, { connected, failed: reject });
  });
}

async function ask(backend: Backend, authority: string): Promise<string> {
  // A literal address that is not allowed is refused here.
  const pool = new BackendPool(backend);
  const tenant = new Tenant({ session: 'operator', user: 'operator' });
  try {
    return await new Promise((resolve, reject) => {
      const late = new BackendError('ERR_BACKEND_TIMEOUT', 'no answer came in time');
      const timer = setTimeout(() => reject(late), ANSWER_MS);
      const sink: BackendSink = {
        connected: () => true,
        begun() {},
        drain() {},
        pushed() {},
        body() {},
        end: () => clearTimeout(timer),
        head: (status) => resolve(`answers ${status}`),
        failed(error) {
          clearTimeout(timer);
          reject(error);
        },
      };
      const request = { method: 'HEAD', path: '/', authority, fields: [], content: 'none', last: true } as const;
      pool.call(request, sink, tenant).send();
    });
  } finally {
    pool.close();
  }
}
