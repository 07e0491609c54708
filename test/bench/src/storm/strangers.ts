import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { ENDPOINT_PATH } from '@sallyport/channel';
import { Agent, request } from 'undici';
import { handshake, hello } from '../load/knocks.ts';

/** What strangers know: addresses, and what stands in every link and site map. */
export interface Target {
  readonly origin: string;
  readonly proxyUrl: string;
  readonly adminUrl: string;
  readonly directoryUrl: string;
  readonly kid: number;
  readonly rs: Uint8Array;
  /** Tries a second at each door. */
  readonly rate: number;
}

const target = workerData as Target;
const PATIENCE_MS = 10_000;
/** Tries of one door under way at once: strangers wait for nobody, but this process has only so many sockets. */
const MAX_UNDER_WAY = 500;
const agent = new Agent({ connect: { rejectUnauthorized: false }, connections: 64, headersTimeout: PATIENCE_MS });
const MADE_UP = randomBytes(42).toString('base64url');
const tries: Record<string, number> = {};

interface Call {
  readonly body?: object | string;
  readonly bearer?: string;
}

async function call(url: string, { body, bearer }: Call = {}): Promise<void> {
  const type = typeof body === 'string' ? 'application/x-www-form-urlencoded' : 'application/json';
  const headers = {
    ...(body ? { 'content-type': type } : {}),
    ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
  };
  const text = typeof body === 'string' ? body : body && JSON.stringify(body);
  const method = body ? 'POST' : 'GET';
  const answer = await request(url, { method, headers, dispatcher: agent, ...(text ? { body: text } : {}) });
  await answer.body.dump();
}

const { origin, proxyUrl, adminUrl, directoryUrl } = target;
/** Every door that is open to somebody without a credential. */
const DOORS: Readonly<Record<string, () => Promise<void>>> = {
  'Proxy: enrolment with a made-up code': () => handshake(target, 'enrol'),
  'Proxy: sign-in of an unknown device': () => handshake(target, 'session'),
  'Proxy: HELLO of no session': () => hello(target),
  'Proxy: site map': () => call(`${origin.replace('ws', 'http')}${ENDPOINT_PATH}/site-map`),
  'Security: join': () => call(`${proxyUrl}/v1/join`, { body: { token: `x.spj_${MADE_UP}`, csr: 'x' } }),
  'Security: relay without certificate': () =>
    call(`${proxyUrl}/v1/handshakes`, { body: { message: 'AA', address: '192.0.2.1' } }),
  'admin: one-time token': () => call(`${adminUrl}/v1/operators/login`, { body: { token: `sp1_${MADE_UP}` } }),
  'admin: bearer': () => call(`${adminUrl}/v1/users`, { bearer: `spo_${MADE_UP}` }),
  'admin: provider': () => call(`${adminUrl}/v1/operators/providers/idp`),
  'directory: logout token': () => call(`${directoryUrl}/oidc/idp/backchannel-logout`, { body: 'logout_token=a.b.c' }),
  'directory: SCIM bearer': () => call(`${directoryUrl}/scim/v2/Users`, { bearer: `sps_${MADE_UP}` }),
};

for (const [name, knock] of Object.entries(DOORS)) {
  let underWay = 0;
  setInterval(() => {
    if (underWay >= MAX_UNDER_WAY) return;
    underWay += 1;
    tries[name] = (tries[name] ?? 0) + 1;
    knock()
      .catch(() => undefined)
      .finally(() => {
        underWay -= 1;
      });
  }, 1_000 / target.rate);
}

parentPort!.on('message', () => parentPort!.postMessage(tries));
