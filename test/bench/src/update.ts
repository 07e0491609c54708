import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { UPDATE_AUTHORITY } from '@sallyport/channel';
import type { AppProcess } from '@sallyport/local-cluster';
import { makeZip, sallyport } from '@sallyport/support';
import { content, LARGE_BYTES, type LargeFile } from './load/lane.ts';
import type { Operator } from './operator.ts';

const APP = 'com.example.large';

/** An update that devices download. */
export interface Update {
  readonly file: LargeFile;
  /** CRC-32 of its package. */
  readonly crc: number;
}

/** Who is asked to publish it, and where its files and the operator's profile lie. */
export interface UpdatePlace {
  readonly folder: string;
  readonly ready: AppProcess['ready'];
  readonly operator: Operator;
}

/** Publishes a large web app to the group staff, as an operator does it by commands, and says where devices get its package. */
export async function publishUpdate({ folder, ready, operator }: UpdatePlace): Promise<Update> {
  const at = (name: string): string => join(folder, name);
  const run = async (args: readonly string[], input = '', profile = 'profile'): Promise<string> => {
    const { code, stdout, stderr } = await sallyport(['--data', at(profile), '--reason', 'bench', ...args], input);
    if (code !== 0) throw new Error(stderr || stdout);
    return stdout;
  };
  await operator.call('PUT', '/v1/resources/updates', {
    kind: 'http',
    authority: UPDATE_AUTHORITY,
    backend: { url: ready['proxyUrl']!, prefix: '/updates', networks: ['127.0.0.0/8'] },
  });
  await operator.call('PUT', '/v1/policies/updates', { groups: ['staff'], resources: ['updates'], context: {} });
  const { token } = await operator.call('POST', '/v1/operators/olga/invite');
  writeFileSync(at('ca.pem'), ready.ca!);
  await run(['login', ready.adminUrl!, '--ca', at('ca.pem'), '--token-stdin'], token as string);
  for (const name of ['root', 'targets']) await run(['app', 'keys', at(`${name}.json`)]);
  const root = at('root.file');
  const keys = ['--root-key', at('root.json'), '--targets-key', at('targets.json')];
  await run(['app', 'root', 'make', ...keys, '--out', root]);
  await run(['app', 'root', 'sign', root, '--key', at('root.json')]);
  await run(['app', 'root', 'put', root]);
  await run(['app', 'put', APP, '--title', 'Large', '--group', 'staff', '--platform', 'browser']);
  await run(['app', 'publisher', 'add', 'ci', '--to', at('ci')]);
  const file = at('large.zip');
  const zipped = largeWebApp();
  writeFileSync(file, zipped);
  const said = await run(['app', 'publish', file], '', 'ci');
  const [, id = ''] = /app sign (\S+)/.exec(said)!;
  await run(['app', 'sign', id, '--key', at('targets.json'), '--package', file]);
  const path = `/v1/packages/${createHash('sha256').update(zipped).digest('hex')}`;
  return { file: { authority: UPDATE_AUTHORITY, path }, crc: crc32(zipped) };
}

function largeWebApp(): Buffer {
  const manifest = Buffer.from(JSON.stringify({ id: APP, version: '1.0.0', name: 'Large' }));
  return makeZip([
    { name: 'manifest.webmanifest', content: manifest },
    { name: 'film.bin', content: content(LARGE_BYTES), stored: true },
  ]);
}
