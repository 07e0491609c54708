import { request } from 'node:https';
import { parentPort, workerData } from 'node:worker_threads';

/** What a provider sends, in a thread of its own: what it costs there holds up nobody. */
export interface LargeClient {
  readonly port: number;
  readonly authorization: string;
  readonly members: readonly string[];
}

/** One request, with members made here: `of` says which. */
export interface LargeCall {
  readonly method: string;
  readonly url: string;
  readonly kind: 'group' | 'add' | 'remove' | 'remove each' | 'junk' | 'none';
  readonly of: readonly [from: number, to: number];
}

/** What came of it. */
export interface LargeAnswer {
  readonly status: number;
  /** The first characters. */
  readonly text: string;
  readonly members: number;
  readonly sentBytes: number;
}

const { port, authorization, members } = workerData as LargeClient;

/** As wordy as providers are: name, type and reference of each. */
function memberOf(value: string): object {
  const $ref = `https://localhost:${port}/scim/v2/Users/${value}`;
  return { value, display: `Person ${value}`, type: 'User', $ref };
}

function bodyOf({ kind, of }: LargeCall): string | undefined {
  if (kind === 'none') return undefined;
  if (kind === 'junk') return `{"displayName":"junk","members":[],"x":[${'[],'.repeat(of[1])}[]]}`;
  if (kind === 'remove each') {
    const one = (member: string): object => ({ op: 'remove', path: `members[value eq "${member}"]` });
    return JSON.stringify({ Operations: members.slice(...of).map(one) });
  }
  const value = members.slice(...of).map(memberOf);
  if (kind === 'group') return JSON.stringify({ displayName: 'everybody', members: value });
  return JSON.stringify({ Operations: [{ op: kind, path: 'members', value }] });
}

function send(call: LargeCall): Promise<LargeAnswer> {
  const body = bodyOf(call);
  const options = { host: '127.0.0.1', port, path: call.url, method: call.method, rejectUnauthorized: false };
  const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/scim+json' }) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        const count = text.split('"$ref"').length - 1;
        resolve({ status: answer.statusCode!, text: text.slice(0, 300), members: count, sentBytes: body?.length ?? 0 });
      });
      answer.once('error', reject);
    });
    outgoing.once('error', reject).end(body);
  });
}

parentPort!.on('message', (call: LargeCall) => {
  send(call).then(
    (answer) => parentPort!.postMessage(answer),
    (error: Error) => parentPort!.postMessage({ status: 0, text: error.message, members: 0, sentBytes: 0 }),
  );
});
